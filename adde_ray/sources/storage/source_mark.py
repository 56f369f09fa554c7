"""What the files that a config names look like from outside, to notice later that they have changed.

A run reads its data once. What is added to a file or relabelled in it afterwards is not in the run, and whoever did so
should know. Names and sizes are looked at, and the content of tables and small files: no clocks, which a copy changes.
"""

from __future__ import annotations

import hashlib
import os
import stat

from adde_ray.artifacts.run_dir import fingerprint
from adde_ray.config.data import Data, FilesData, FolderData, NpyData, TilesData
from adde_ray.errors import UserError
from adde_ray.sources.storage.files import AnyPath, RemotePath, at, open_file
from adde_ray.sources.storage.walking import walk_of

KEYS = ("path", "pool", "labels")
"""The keys of [data] that name files."""

TABLES = (".csv", ".tsv", ".txt", ".jsonl", ".ndjson", ".json", ".parquet", ".pq", ".arrow")
"""Files in a folder whose content counts too: a class changed in a table may leave its size as it is."""

CONTENT = 16 << 20
"""Bytes of content that are looked at for each key, in 20 ms. What is beyond counts by its size."""

RUN = "provenance.json"
"""Every run's folder has it."""

SIZES = 2_000
"""Of more files in a folder here the names count, and tables alone by size: asking for each takes 10 µs or more."""


def mark(data: Data) -> dict[str, dict]:
    """Key of [data] → number of files and digest of what it names. A key that names nothing to be read is left out.

    Raises UserError: a bucket cannot be reached.
    """
    found = {}
    if not isinstance(data, FilesData):
        return found
    for key in KEYS:
        if getattr(data, key, None) is None:
            continue
        try:
            folder, names = _files(data, key)
            if names:
                found[key] = {"files": len(names), "digest": fingerprint("\n".join(names), _looks(folder, names))}
        except OSError:
            continue
    return found


def changes(data: Data, kept: dict[str, dict]) -> list[str]:
    """What has changed since `mark` gave `kept`: a sentence for each key."""
    try:
        now = mark(data) if kept else {}
    except UserError as error:
        return [f"whether the data has changed since this run read it cannot be told: {error}"]
    return [
        f"data.{key}, {at(getattr(data, key))}, {_difference(was, now.get(key))}: this run keeps to what it read; "
        "for what is there now begin another run"
        for key, was in kept.items()
        if now.get(key) != was
    ]


def _difference(was: dict, now: dict | None) -> str:
    if now is None:
        return "cannot be read any more"
    counts = "" if was["files"] == now["files"] else f" ({was['files']:,} files then, {now['files']:,} now)"
    return f"has changed since this run read it{counts}"


def _files(data: FilesData, key: str) -> tuple[AnyPath, list[str]]:
    """A folder, and the names below it of what the key names, in order."""
    place = at(getattr(data, key))
    if place.is_dir():
        return place, sorted(_of_data(list(walk_of(place, data.roots).below(place)), data))
    if not place.is_file():
        folder, names = walk_of(place, data.roots).matching(place)
        return folder, sorted(names)
    beside = key == "path" and isinstance(data, NpyData) and data.labels is None
    labels = [p.name for p in place.parent.iterdir() if p.name.startswith("labels.")] if beside else []
    return place.parent, [place.name, *sorted(labels)]


def _of_data(names: list[str], data: FilesData) -> list[str]:
    """Without runs kept in the same folder, and without what lies beside class folders: a config, notes."""
    runs = tuple(name.removesuffix(RUN) for name in names if name.endswith(f"/{RUN}"))
    in_folders = isinstance(data, (FolderData, TilesData))
    return [name for name in names if not name.startswith(runs) and ("/" in name or not in_folders)]


def _looks(folder: AnyPath, names: list[str]) -> list[tuple[str, int | None, str]]:
    """Of each file that is looked at (name, bytes, digest of the content as far as it is looked at).

    None for bytes: a bucket has no such file any more.
    """
    if isinstance(folder, RemotePath):
        return [(name, size, "") for name, size in folder.sizes(names).items()]
    looks, left = [], CONTENT
    for name in names:
        table = len(names) == 1 or name.lower().endswith(TABLES)
        if not table and len(names) > SIZES:
            continue
        found, digest = os.stat(folder / name), ""
        if table and left > 0 and stat.S_ISREG(found.st_mode):
            with open_file(folder / name) as file:
                content = file.read(left)
            left -= len(content)
            digest = hashlib.blake2b(content, digest_size=8).hexdigest()
        looks.append((name, found.st_size, digest))
    return looks
