"""What lies below a folder, here or in a bucket: names of files, without what systems leave behind."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path

from adde_ray.sources.rows import Reject
from adde_ray.sources.storage.files import AnyPath, RemotePath
from adde_ray.sources.storage.leftovers import is_among_leftovers, is_leftover
from adde_ray.sources.storage.reach import Reach

OUTSIDE = "a link that leads outside; list the folder it leads to in data.roots"


@dataclass(frozen=True)
class Walk:
    """One look through a source's folders, and what it met besides files.

    reach: where links may lead. passed: names of leftovers. lost: folders that cannot be read, and links that lead
    outside.
    """

    reach: Reach
    passed: list[str] = field(default_factory=list)
    lost: list[Reject] = field(default_factory=list)

    def below(self, folder: AnyPath, name: str = "") -> Iterator[str]:
        """Files below `folder`, relative to it. Linked folders are followed, each real one once.

        name: the folder's, with a slash, for what is passed or lost.
        """
        if isinstance(folder, RemotePath):
            for below in folder.walk():
                if is_among_leftovers(below):
                    self.passed.append(name + below)
                else:
                    yield below
            return

        def tell(error: OSError) -> None:
            where = name + os.path.relpath(error.filename, folder)
            self.lost.append({"where": where, "reason": f"cannot be read: {error.strerror}"})

        seen: set[str] = set()
        for parent, folders, names in os.walk(folder, followlinks=True, onerror=tell):
            prefix = os.path.relpath(parent, folder).replace(os.sep, "/") + "/"
            prefix = "" if prefix == "./" else prefix
            real = os.path.realpath(parent)
            if real in seen or not self.reach.holds(parent):
                folders.clear()
                if real not in seen:
                    self._outside(name + prefix.rstrip("/"))
                continue
            seen.add(real)
            left = {one for one in folders if is_leftover(one, folder=True)}
            folders[:] = sorted(one for one in folders if one not in left)
            left |= {one for one in names if is_leftover(one)}
            self.passed.extend(sorted(name + prefix + one for one in left))
            for one in names:
                if one in left:
                    continue
                if self.reach.holds(os.path.join(parent, one)):
                    yield prefix + one
                else:
                    self._outside(name + prefix + one)

    def matching(self, pattern: AnyPath) -> tuple[AnyPath, list[str]]:
        """Folder without wildcards, and the files below it that a pattern with *, ? and ** matches."""
        root, below = folder_of(pattern), pattern.parts[_num_fixed(pattern) :]
        translated = re.escape("/".join(below))
        for glob, regex in ((r"\*\*/", "(?:.*/)?"), (r"\*\*", ".*"), (r"\*", "[^/]*"), (r"\?", "[^/]")):
            translated = translated.replace(glob, regex)
        return root, [name for name in self.below(root) if re.fullmatch(translated, name)] if root.is_dir() else []

    def _outside(self, where: str) -> None:
        self.lost.append({"where": where, "reason": OUTSIDE})


def folder_of(pattern: AnyPath) -> AnyPath:
    """Its part before the first wildcard."""
    fixed = pattern.parts[: _num_fixed(pattern)]
    return replace(pattern, path="/".join(fixed)) if isinstance(pattern, RemotePath) else Path(*fixed)


def _num_fixed(pattern: AnyPath) -> int:
    """Parts before the first with a wildcard; all but the last where there is none."""
    wild = (i for i, part in enumerate(pattern.parts) if any(c in part for c in "*?["))
    return next(wild, len(pattern.parts) - 1)


def walk_of(pool: AnyPath, roots: tuple[str | Path, ...]) -> Walk:
    """That for a folder or a pattern which the config names."""
    return Walk(Reach(pool if pool.is_dir() else folder_of(pool), roots))
