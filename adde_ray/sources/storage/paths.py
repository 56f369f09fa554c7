"""Paths as people's tables have them, written on another system perhaps → the file that is meant."""

from __future__ import annotations

import os
import unicodedata
from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path
from urllib.parse import unquote

from adde_ray.errors import UserError
from adde_ray.labels import bare
from adde_ray.sources.storage.files import AnyPath, RemotePath
from adde_ray.sources.storage.leftovers import is_leftover
from adde_ray.sources.storage.reach import Reach


def resolve(reach: Reach, cell: str) -> AnyPath:
    """The file that a cell names; where there is none, the path as it is written.

    If nothing is called so: with Windows' separators, %20 and the like read; in another case or Unicode form, or
    without an extension, where just one file fits. Raises UserError: as `Reach.find`.
    """
    cell = bare(cell)
    path, folder = reach.find(cell), reach.folder
    if isinstance(path, RemotePath):  # each look would cost a request
        return path if "://" in cell else reach.find(_slashed(cell))
    if os.path.exists(path) or "://" in cell or isinstance(folder, RemotePath):
        return path
    for name in _spellings(cell):
        there = reach.find(name)
        if isinstance(there, RemotePath) or os.path.exists(there):
            return there
    for name in (cell, *_spellings(cell)):
        if (found := _alike(folder, name)) is not None:
            return reach.find(found)
    return path


def follow(reach: Reach, cell: str) -> AnyPath | str:
    """`resolve`, or in words why the cell may not be followed."""
    try:
        return resolve(reach, cell)
    except UserError as error:
        return error.what


def _slashed(name: str) -> str:
    """Without Windows' separators, and without steps that lead nowhere, which are names in a bucket."""
    parts = name.replace("\\", "/").split("/")
    return "/".join(part for i, part in enumerate(parts) if part != "." and (part or i == 0)) or name


def _spellings(cell: str) -> Iterator[str]:
    for name in dict.fromkeys((_slashed(cell), unquote(cell), _slashed(unquote(cell)))):
        if name != cell and "\0" not in name:
            yield name


def _alike(folder: Path, name: str) -> str | None:
    """The one path below `folder` that is `name` but for case, Unicode form and a missing extension."""
    at, parts = folder, _slashed(name).split("/")
    if not parts[0] or ".." in parts:
        return None
    found = []
    for i, part in enumerate(parts):
        try:
            entries = _entries(str(at), os.stat(at).st_mtime_ns)
        except (OSError, ValueError):
            return None
        fits = [part] if part in entries.get(_folded(part), ()) else entries.get(_folded(part), ())
        if not fits and i == len(parts) - 1:
            fits = entries.get(_folded(part) + ".", ())
        if len(fits) != 1:
            return None
        found.append(fits[0])
        at = at / fits[0]
    return "/".join(found)


def _folded(name: str) -> str:
    return unicodedata.normalize("NFC", unicodedata.normalize("NFC", name).casefold())


@lru_cache(maxsize=256)
def _entries(folder: str, changed: int) -> dict[str, list[str]]:
    """Folded name -> names in the folder; those without their extension end with a point. changed: to look anew."""
    entries: dict[str, list[str]] = {}
    for name in sorted(os.listdir(folder)):
        if not is_leftover(name):
            entries.setdefault(_folded(name), []).append(name)
            stem, _, extension = name.rpartition(".")
            if stem and extension:
                entries.setdefault(_folded(stem) + ".", []).append(name)
    return entries
