"""TOML and JSON, read in one place, whoever wrote them: people, another tool, a run that was damaged since.

A document is a regular file of bounded size in UTF-8. Whatever else it is, is a `UserError` of one line, which names
the line of the file where the parser knows it.
"""

from __future__ import annotations

import codecs
import json
import os
import re
import stat
import tomllib
from pathlib import Path
from typing import Any, NoReturn

from adde_ray.errors import UserError, first_line

MAX_TOML_BYTES, MAX_JSON_BYTES = 2**20, 2**25

MAX_DEPTH = 32
"""Tables and arrays within each other in a TOML file, and parts of a dotted key."""

_UTF16 = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE, codecs.BOM_UTF32_LE, codecs.BOM_UTF32_BE)

_PART = r"""(?:[\w-]+|"[^"\n]*"|'[^'\n]*')"""
_LONG_KEY = re.compile(rf"(?:^|[\[{{,])[ \t]*(?:{_PART}[ \t]*\.[ \t]*){{{MAX_DEPTH}}}", re.M)

_NAMES = {dict: "object", list: "array"}


def read_toml(path: Path, *, remedy: str = "Give the path of a TOML file") -> dict[str, Any]:
    """A TOML file as it is. Raises UserError when there is none, or it is none."""
    return parse_toml(read_text(path, limit=MAX_TOML_BYTES, remedy=remedy), where=path)


def read_json(path: Path, kind: type = dict) -> Any:
    """A JSON file that holds an object, or another `kind` of value. Raises UserError."""
    return parse_json(read_text(path, limit=MAX_JSON_BYTES), where=path, kind=kind)


def parse_toml(text: str, *, where: object) -> dict[str, Any]:
    """Raises UserError: what is wrong, and in which line."""
    # tomllib takes the square of a key's parts in time, and of tables as deep a stack as there are.
    if long := _LONG_KEY.search(text):
        line = text.count("\n", 0, long.start() + 1) + 1
        raise UserError(f"not valid TOML: a key of more than {MAX_DEPTH} parts (at line {line})", where=where)
    try:
        tree = tomllib.loads(text.replace("\r\n", "\n").replace("\r", "\n"))
    except RecursionError:
        raise _too_deep("TOML", where) from None
    except ValueError as error:  # a syntax error, or a number that is none or has thousands of digits
        raise UserError(f"not valid TOML: {_plain(error)}", where=where, remedy="Mend the syntax") from None
    if _depth(tree) > MAX_DEPTH:
        raise _too_deep("TOML", where)
    return tree


def parse_json(text: str | bytes, *, where: object, kind: type = dict) -> Any:
    """Raises UserError: what is wrong, and in which line."""

    def refuse(constant: str) -> NoReturn:
        raise UserError(f"is not JSON: holds {constant}, which is no number", where=where)

    def once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        found = dict(pairs)
        if len(found) < len(pairs):
            names = [name for name, _ in pairs]
            twice = next(name for name in found if names.count(name) > 1)
            raise UserError("is not JSON: a key is there twice", where=where, value=twice)
        return found

    text = decoded(text, where=where) if isinstance(text, bytes) else text
    try:
        value = json.loads(text, object_pairs_hook=once, parse_constant=refuse)
    except UserError:
        raise
    except RecursionError:
        raise _too_deep("JSON", where) from None
    except ValueError as error:
        raise UserError(f"is not JSON: {_plain(error)}", where=where) from None
    if not isinstance(value, kind):
        raise UserError(f"holds no JSON {_NAMES.get(kind, kind.__name__)}", where=where, value=value)
    return value


def read_text(path: Path, *, limit: int, remedy: str = "") -> str:
    """The text of a regular file of at most `limit` bytes. Raises UserError."""
    try:
        # Looked at before it is opened: a FIFO would wait for ever for somebody who writes.
        if what := irregular(os.stat(path)):
            raise UserError(what, where=path, remedy=remedy)
        with open(path, "rb") as file:
            data = file.read(limit + 1)
    except (OSError, ValueError) as error:  # ValueError: a name with a NUL
        if isinstance(error, UserError):
            raise
        what = (error.strerror if isinstance(error, OSError) else None) or "cannot be read"
        raise UserError(what, where=path, remedy=remedy) from None
    if len(data) > limit:
        raise UserError(f"is larger than {limit >> 20} MiB", where=path, remedy=remedy)
    return decoded(data, where=path)


def irregular(found: os.stat_result) -> str | None:
    """What is there instead of a regular file, which alone can be read as one; None where it is one."""
    if stat.S_ISREG(found.st_mode):
        return None
    return "is a folder" if stat.S_ISDIR(found.st_mode) else "is no regular file"


def decoded(data: bytes, *, where: object) -> str:
    """UTF-8, with a byte order mark or without. Raises UserError: another encoding."""
    if data.startswith(_UTF16) or b"\0" in data[:64]:
        raise UserError("is not in UTF-8 but in UTF-16, or is no text", where=where, remedy="Save it as UTF-8")
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        what = f"is not in UTF-8: byte 0x{data[error.start]:02x} in line {line}"
        raise UserError(what, where=where, remedy="Save it as UTF-8") from None


def _depth(tree: Any) -> int:
    """Containers within each other, counted no further than is allowed."""
    level, depth = [tree], 0
    while level and depth <= MAX_DEPTH:
        inner = [v.values() if isinstance(v, dict) else v for v in level if isinstance(v, (dict, list))]
        level = [child for children in inner for child in children if isinstance(child, (dict, list))]
        depth += 1
    return depth


def _too_deep(language: str, where: object) -> UserError:
    return UserError(f"{language} nested too deeply", where=where)


def _plain(error: ValueError) -> str:
    if "integer string conversion" in str(error):
        return "holds a number of thousands of digits"
    return first_line(error)
