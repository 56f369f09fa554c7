"""What the cells of a table may name: files below its own folder, and below the places that `data.roots` lists.

A table often comes from somebody else, and what it names is opened with the rights and the credentials of whoever reads
it. So a cell names a place and nothing more: how a bucket is reached (endpoint, region, user) is said by the config.
"""

from __future__ import annotations

import os
import posixpath
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from urllib.parse import unquote, urlsplit

from adde_ray.errors import UserError
from adde_ray.sources.storage.files import BUCKETS, AnyPath, RemotePath, at, has_options

REMEDY = "Put the file below the table's folder, or list its folder in data.roots"


class Reach:
    """Where the cells of one table lead.

    folder: what relative cells are relative to. roots: further places they may name, as the config gives them.
    """

    def __init__(self, folder: AnyPath, roots: Iterable[str | Path] = ()):
        self.folder = folder
        given = [folder, *map(at, roots)]
        self._buckets = [root for root in given if isinstance(root, RemotePath)]
        self._folders = [os.path.realpath(root) for root in given if isinstance(root, Path)]
        self._real: dict[str, str] = {}  # folders that cells named, resolved once: a call to the system each

    def holds(self, path: AnyPath | str) -> bool:
        """Whether a path leads below one of them, links and all; in buckets there are no links."""
        return isinstance(path, RemotePath) or any(_below(self._resolved(str(path)), root) for root in self._folders)

    def find(self, cell: str) -> AnyPath:
        """The file a cell names, whether it is there or not. Raises UserError: outside of what it may name."""
        scheme, sign, rest = cell.partition("://")
        if not sign:
            if isinstance(self.folder, RemotePath):
                return self._in_bucket(self.folder.scheme, posixpath.join(f"/{self.folder.path}", cell)[1:])
            return self._here(os.path.join(self.folder, cell))
        if scheme == "file":
            return self._here(unquote(urlsplit(cell).path))
        if scheme not in BUCKETS:
            raise UserError("unknown kind of location", value=cell)
        if has_options(cell) or "@" in rest.partition("/")[0]:
            raise UserError("gives options of a location, which the config alone may do", value=cell, remedy=REMEDY)
        return self._in_bucket(scheme, rest)

    def _in_bucket(self, scheme: str, path: str) -> RemotePath:
        plain = posixpath.normpath(path)  # as a client may send it: no dots in it lead further up then
        for root in self._buckets:
            if root.scheme == scheme and _below(plain, root.path):
                return replace(root, path=plain if {".", ".."} & set(path.split("/")) else path)
        raise _outside(f"{scheme}://{path}")

    def _here(self, path: str) -> Path:
        if "\0" in path:
            raise UserError("names no file", value=path)
        if not self.holds(path):
            raise _outside(path)
        return Path(path)

    def _resolved(self, path: str) -> str:
        """The path without links."""
        folder, name = os.path.split(path)
        if name in ("", ".", "..") or os.path.islink(path):
            return os.path.realpath(path)
        if folder not in self._real:
            self._real[folder] = os.path.realpath(folder)
        return os.path.join(self._real[folder], name)


def _below(path: str, root: str) -> bool:
    return path == root or path.startswith(f"{root.rstrip('/')}/")


def _outside(path: str) -> UserError:
    return UserError("lies outside the table's folder and data.roots", value=path, remedy=REMEDY)
