"""What is wrong with a config or an experiment's file, in our own words: pydantic's errors → one `UserError`.

All mistakes are told at once, a line each, at the keys the user wrote, with the name that was probably meant.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from typing import Any, Literal, get_args, get_origin

from pydantic import ValidationError
from pydantic_core import ErrorDetails

from adde_ray.config.data import SECTIONS, Section
from adde_ray.errors import UserError, nearest

AT_MOST = 10
"""Mistakes told at once."""

Path = tuple[str | int, ...]
"""Keys of the user's tree, and places in its lists."""


def mistakes(
    error: ValidationError,
    model: type[Section],
    tree: Any,
    *,
    where: object,
    remedy: str,
    overridden: Iterable[tuple[str, ...]] = (),
) -> UserError:
    """Every mistake in a tree that is no `model`, as one error. overridden: keys that came by --set."""
    given = list(overridden)

    def place(path: Path) -> object:
        return "--set" if any(key[: len(path)] == path[: len(key)] for key in given) else where

    def told(path: Path, group: list[ErrorDetails], more: Sequence[UserError] = ()) -> UserError:
        what, value, meant = _parts(path, group, model, tree)
        return UserError(what, where=_at(place(path), path), value=value, remedy=meant or remedy, more=more)

    found = _by_key(error, tree)
    (path, group), *others = list(found.items())[:AT_MOST]
    more = [told(*other) for other in others]
    if len(found) > AT_MOST:
        more.append(UserError(f"there are {len(found) - AT_MOST} more mistakes", where=where))
    return told(path, group, more)


def _at(where: object, path: Path) -> str:
    return f"{where}: {'.'.join(map(str, path))}" if path else str(where)


def _by_key(error: ValidationError, tree: Any) -> dict[Path, list[ErrorDetails]]:
    """The errors by the key they are about. Of alternatives that all failed, the one that got furthest counts."""
    found: dict[Path, list[tuple[Path, ErrorDetails]]] = {}
    for one in error.errors(include_url=False):
        path, alternatives = _located(one, tree)
        found.setdefault(path if alternatives is None else alternatives, []).append((path, one))
    groups: dict[Path, list[ErrorDetails]] = {}
    for near in found.values():
        furthest = max(len(path) for path, _ in near)
        for path, one in near:
            if len(path) == furthest:
                groups.setdefault(path, []).append(one)
    return groups


def _located(error: ErrorDetails, tree: Any) -> tuple[Path, Path | None]:
    """Where in the user's tree an error lies; and from where on pydantic tried alternatives, if it did.

    A location also names what pydantic was trying (a union's member, a source's tag), which nobody wrote.
    """
    path: Path = ()
    alternatives = None
    for row, part in enumerate(error["loc"]):
        if _holds(tree, part):
            tree, path = tree[part], (*path, part)
        elif error["type"] == "missing" and row == len(error["loc"]) - 1:
            path = path if isinstance(part, int) else (*path, part)
        elif not (path == ("data",) and isinstance(tree, dict) and part == tree.get("source")):
            alternatives = path if alternatives is None else alternatives
    return path, alternatives


def _holds(tree: Any, part: str | int) -> bool:
    """Whether there is such a key, or such a place of a list."""
    if isinstance(tree, dict):
        return part in tree
    return isinstance(tree, (list, tuple)) and isinstance(part, int) and part < len(tree)


def _parts(path: Path, group: list[ErrorDetails], model: type[Section], tree: Any) -> tuple[str, object, str]:
    """What is wrong with one key, the value to be shown (None: none), and a remedy of its own ("": none)."""
    group = [one for one in group if not one["type"].endswith("_type")] or group  # of the right type, at least
    first, kind = group[0], group[0]["type"]
    if kind == "extra_forbidden":
        known = _section_at(model, path[:-1], tree).known_keys()
        remedy = f"{nearest(path[-1], known)}Known keys here: {', '.join(known)}"
        return "unknown key", first["input"], remedy
    if kind in ("union_tag_invalid", "union_tag_not_found"):
        names = list(SECTIONS)
        given = first["input"].get("source") if isinstance(first["input"], dict) else None
        listed = ", ".join(map(repr, names))
        return "is no source of data", given, f"{nearest(given, names)}Choose one of {listed}"
    what = " or ".join(dict.fromkeys(_words(one, short=row > 0) for row, one in enumerate(group)))
    whole = kind == "value_error" and isinstance(first["input"], (dict, Section))  # all of a section says too much
    choices = [choice for one in group if one["type"] == "literal_error" for choice in _choices(one)]
    return what, None if kind == "missing" or whole else first["input"], nearest(first["input"], choices).strip()


def _words(error: ErrorDetails, *, short: bool) -> str:
    """What is wrong, in words. short: as the second of several."""
    few = error["type"] == "missing" and isinstance(error["loc"][-1], int)
    word = _WORDS.get("too_few" if few else error["type"])
    what = word(error.get("ctx", {})) if word else error["msg"].removeprefix("Value error, ")
    what = what[:1].lower() + what[1:]
    what = what.replace("input should", "should").replace("should be a valid", "should be a")
    return what.removeprefix("should be ") if short else what


def _items(noun: str) -> Callable[[dict], str]:
    def told(ctx: dict) -> str:
        few = "min_length" in ctx
        count = ctx["min_length"] if few else ctx["max_length"]
        return f"should have at {'least' if few else 'most'} {count} {noun}{'' if count == 1 else 's'}"

    return told


_WORDS: dict[str, Callable[[dict], str]] = {
    **dict.fromkeys(("int_type", "int_parsing", "int_from_float"), lambda ctx: "should be an integer"),
    "int_parsing_size": lambda ctx: "should be an integer, of fewer digits",
    **dict.fromkeys(("float_type", "float_parsing"), lambda ctx: "should be a number"),
    **dict.fromkeys(("bool_type", "bool_parsing"), lambda ctx: "should be true or false"),
    "string_type": lambda ctx: "should be text, in quotes",
    "string_unicode": lambda ctx: "should be text in UTF-8",
    "string_pattern_mismatch": lambda ctx: "should be letters, digits, dots, - and _, the first a letter or a digit",
    **dict.fromkeys(("string_too_short", "string_too_long"), _items("character")),
    **dict.fromkeys(("too_short", "too_long"), _items("value")),
    "too_few": lambda ctx: "should have more values",
    **dict.fromkeys(("tuple_type", "list_type"), lambda ctx: "should be a list"),
    "dict_type": lambda ctx: "should be a table, as {name = value}",
    **dict.fromkeys(
        ("model_type", "model_attributes_type"), lambda ctx: "should be a section: a table of keys and values"
    ),
}


# --- what is known at a place of the tree -----------------------------------------------------------------


def _choices(error: ErrorDetails) -> list[str]:
    return re.findall(r"'([^']*)'", str(error.get("ctx", {}).get("expected", "")))


def _section_at(model: type[Section], path: Path, tree: Any) -> type[Section]:
    """The section at a place of the tree; of several that may stand there the one its `source` names."""
    for part in path:
        tree = tree[part]
        field = model.model_fields.get(str(part))
        inside = _sections(field.annotation) if field else [model]
        source = tree.get("source") if isinstance(tree, dict) else None
        named = [SECTIONS[source]] if part == "data" and isinstance(source, str) and source in SECTIONS else inside
        model = (named or [model])[0]
    return model


def _sections(annotation: Any) -> list[type[Section]]:
    """Every section that a type holds, however deep in unions, lists and tables."""
    if isinstance(annotation, type) and get_origin(annotation) is None:
        return [annotation] if issubclass(annotation, Section) else []
    if get_origin(annotation) is Literal:
        return []
    return [section for inner in get_args(annotation) for section in _sections(inner)]
