"""What the files of both kinds of experiment share: their common keys, reading them, and a trial's config.

TOML in, checked sections out. Every mistake is a `UserError` of one line, before the first trial starts.
"""

from __future__ import annotations

import copy
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Self

from pydantic import BeforeValidator, Field, ValidationError

from adde_ray.config import Config, resolve_paths
from adde_ray.config.data import FolderName, FolderPath, Label, Name, Section
from adde_ray.config.documents import read_toml
from adde_ray.config.validation import mistakes
from adde_ray.errors import UserError
from adde_ray.strategies import STRATEGIES, Strategy, strategy

Changes = Annotated[dict[Name, Annotated[dict[Name, Any], Field(max_length=1000)]], Field(max_length=100)]
"""Section → key → value, laid over a config. Whole values are replaced, tables included."""

IN_ONE_PROCESS: Changes = {
    "compare": {"random": False},
    "train": {"workers": 0, "min_workers": 0},
    "stream": {"workers": 0},
    "generate": {"actors": 0},
}
"""Trials run side by side, each in one process: who does the work changes, what comes out does not. Parts of a trial
that waited for CPUs which other trials hold would wait for ever."""


class Spec(Section):
    """What an ablation and a sweep have in common."""

    name: FolderName
    """Folder name under root."""
    root: FolderPath = Path("experiments")
    """Where experiments are kept, relative to where you are."""
    concurrency: int | None = Field(default=None, ge=1, le=10_000)
    """Trials at a time; left out: one for each CPU of the Ray cluster."""

    @classmethod
    def load(cls, path: str | Path) -> Self:
        """Read a TOML file. Paths in it are relative to it. Raises UserError."""
        path = Path(path).resolve()
        return cls.parse(read_toml(path), where=path)

    @classmethod
    def parse(cls, tree: dict, *, where: Path) -> Self:
        """Validate what `where` holds."""
        try:
            return cls.model_validate(tree, context={"folder": where.parent}).located(where.parent)
        except ValidationError as error:
            raise mistakes(error, cls, tree, where=where, remedy="See the examples in jobs/configs") from None

    def located(self, folder: Path) -> Self:
        """Itself with absolute paths."""
        raise NotImplementedError


def _strategy(value: object) -> object:
    return {"name": value, "over": value} if isinstance(value, str) else value


class OwnStrategy(Section):
    """A way to spend labels: one that has a name already, or changes to one."""

    name: FolderName
    """What results call it."""
    over: Name = "adde"
    """The strategy it changes."""
    about: Label = ""
    """What it does, in a line."""
    set: Changes = Field(default={})
    """What it changes in a run's config: `{select.alpha = 0.9}`."""

    def resolve(self) -> Strategy:
        """It as one of `strategies`. Raises UserError for a name that is not known, or known for something else."""
        known = strategy(self.over)
        if self.name in STRATEGIES and (self.name != self.over or self.set):
            remedy = "Give yours a name of its own"
            raise UserError("is another strategy's name", where="strategies", value=self.name, remedy=remedy)
        return Strategy(self.about or known.about, laid_over(known.settings, self.set), known.baseline)


StrategyEntry = Annotated[OwnStrategy, BeforeValidator(_strategy)]


def laid_over(tree: Mapping, changes: Changes) -> dict:
    """A config's tree with other values in it."""
    return {**tree, **{section: {**(tree.get(section) or {}), **values} for section, values in changes.items()}}


def base_config(
    path: Path,
    changes: Changes,
    overrides: tuple[str, ...],
    *,
    folder: Path,
    seed: int | None,
    modules: tuple[str, ...] = (),
) -> Config:
    """A run's TOML with changes and `a.b=value` overrides. `{seed}` in a change is the seed; paths are relative to
    `folder`. modules: plugins besides those that it names. Raises UserError.
    """
    changes = copy.deepcopy(changes)
    if seed is not None:
        changes = laid_over(_filled(changes, seed), {"run": {"seed": seed}})
    resolve_paths(changes, folder)
    if unknown := [section for section in changes if section not in Config.model_fields]:
        remedy = f"Sections are: {', '.join(Config.model_fields)}"
        raise UserError("no such section", where=f"changes to {path.name}", value=unknown[0], remedy=remedy)
    config = Config.parse(laid_over(Config.load(path, modules=modules).told(), changes), where=path, near=folder)
    return _everywhere(config.override(*overrides))


def _everywhere(config: Config) -> Config:
    """Paths that mean the same in a worker, which may work in another folder."""
    tree = config.told()
    resolve_paths(tree, Path.cwd())
    cache = {"cache": os.path.abspath(os.path.expanduser(config.run.cache))} if config.run.cache else {}
    return Config.parse(laid_over(tree, {"run": cache}))


def _filled(value: Any, seed: int) -> Any:
    if isinstance(value, dict):
        return {key: _filled(inner, seed) for key, inner in value.items()}
    return value.replace("{seed}", str(seed)) if isinstance(value, str) else value


def refuse_twice(what: str, values: list) -> None:
    """Raises UserError when one of the values is there twice."""
    for value in values:
        if values.count(value) > 1:
            raise UserError("is there twice", where=what, value=value, remedy="Leave one out, or rename it")
