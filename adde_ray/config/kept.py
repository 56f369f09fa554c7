"""The config that a run keeps, and goes on with: `config.json`, which an earlier version may have written.

It is the truth: a run keeps the defaults it began with. Of a config given later only what somebody set in it counts.
"""

from __future__ import annotations

import copy
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from adde_ray.config import Config, Plugins
from adde_ray.config.data import KEPT, SECTIONS
from adde_ray.config.documents import read_json
from adde_ray.config.validation import mistakes
from adde_ray.errors import UserError

PLACES = (
    "data.path",
    "data.pool",
    "data.labels",
    "data.roots",
    "data.describe",
    "encoder.model",
    "review.guide",
    "review.store",
)
"""Keys whose value is a path that may be relative, or has some."""


def parse(tree: dict, *, where: object) -> Config:
    """The config of a run, of whose plugins nothing is imported. Keys that are no longer known are passed over.

    What a later version would do by itself, a run that began before does not. Raises UserError.
    """
    tree = copy.deepcopy(tree)
    data = tree.get("data")
    source = data.get("source") if isinstance(data, dict) else None
    section = SECTIONS[source] if isinstance(source, str) and source in SECTIONS else None
    if isinstance(data, dict) and section is not None and "describe" in section.model_fields:
        data.setdefault("describe", "none")
    if isinstance(generate := tree.get("generate"), dict):
        generate.setdefault("search", False)
    if isinstance(select := tree.get("select"), dict):
        select.setdefault("mix", ())
    while True:
        try:
            return Config.model_validate(tree, context=KEPT)
        except ValidationError as error:
            unknown = [found["loc"] for found in error.errors() if found["type"] == "extra_forbidden"]
            if not unknown or not all(_drop(tree, loc) for loc in unknown):
                raise mistakes(error, Config, tree, where=where, remedy="See `adde config` for every key") from None


def modules(path: Path) -> list[str]:
    """The plugins that a kept config names, for whoever resumes a run of their own; none where it cannot be read."""
    try:
        return list(Plugins.model_validate(read_json(path).get("plugins", {})).modules)
    except (UserError, ValidationError):
        return []


def resumed(kept: dict, given: Config, *, where: object) -> Config:
    """The config a run goes on with: as it was kept, whatever the defaults are by now.

    Where the run and its data are is as given. Raises UserError when `given` sets a key to another value.
    """
    config, told = parse(kept, where=where), given.told()
    if changed := difference(config, given):
        raise UserError(
            f"was started with another config; {changed}",
            where=where,
            remedy="Resume with the config it was started with, or choose another folder",
        )
    tree = {**config.told(), "run": {**given.run.model_dump(mode="json"), "seed": config.run.seed}}
    for section, name in (place.split(".") for place in PLACES):
        if name in told.get(section, {}):
            tree[section] = {**tree.get(section, {}), name: told[section][name]}
    return parse(tree, where=where)


def difference(kept: Config, given: Config) -> str | None:
    """The first key that somebody set in `given` to another value than the kept one, and both; None: there is none.

    Of the section `run` the seed alone counts: moving or renaming a folder does not stop a resume.
    """
    before, told = kept.model_dump(mode="json"), given.told()
    told["run"] = {name: value for name, value in told.get("run", {}).items() if name == "seed"}
    for section, name in ((section, name) for section, keys in told.items() for name in _source_first(keys)):
        key, value, old = f"{section}.{name}", told[section][name], before[section].get(name, ...)
        if value != old and not (key in PLACES and _same_place(old, value)):
            return f"{key} was not set" if old is ... else f"{key} was {old!r} and is now {value!r}"
    return None


def _source_first(keys: Iterable[str]) -> list[str]:
    """In order, but for the source, which says what the others are."""
    return sorted(keys, key=lambda name: (name != "source", name))


def _same_place(old: object, new: object) -> bool:
    """Whether two paths are one; a relative one may have been relative to another folder."""
    if isinstance(old, dict) and isinstance(new, dict):  # data.describe, of whose values example files are paths
        return old.keys() == new.keys() and all(old[key] == new[key] or _same_files(old[key], new[key]) for key in old)
    if isinstance(old, list) and isinstance(new, list):
        return len(old) == len(new) and all(a == b or _same_place(a, b) for a, b in zip(old, new, strict=True))
    if not isinstance(old, str) or not isinstance(new, str) or "://" in old + new:
        return False
    old, new = Path(old).expanduser(), Path(new).expanduser().resolve()
    below = tuple(part for part in old.parts if part != "..")
    return old.resolve() == new or (not old.is_absolute() and new.parts[-len(below) :] == below)


def _same_files(old: object, new: object) -> bool:
    """Whether two classes are described by the same example files."""
    return isinstance(old, dict) and isinstance(new, dict) and _same_place(old.get("files"), new.get("files"))


def _drop(tree: Any, loc: tuple) -> bool:
    """Take the key at `loc` out of the tree, where it is there."""
    for part in loc[:-1]:
        # A discriminated union puts its tag into the location.
        tree = tree.get(part, tree) if isinstance(tree, dict) else tree
    return isinstance(tree, dict) and tree.pop(loc[-1], ...) is not ...
