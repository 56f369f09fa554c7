"""Images or tiles in class folders, plus a folder of unlabelled ones; all are brought to one size and mode.

Reads `<path>/labelled/<class>/…`, `<path>/unlabelled/…` and optionally `val`, `test`, `ood` like labelled, and
`<path>/pool/<class>/…`: pool images whose class only the simulated annotator is told. Folders inside these may
be nested. An empty class folder still names a class.
Out: image (PNG), label, file (path relative to the folder).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import polars as pl

from adde_ray.data_config import FolderData, TilesData
from adde_ray.errors import UserError
from adde_ray.rundir import derive_rng
from adde_ray.sources.files import AnyPath, at, walk
from adde_ray.sources.pictures import read_images
from adde_ray.sources.rows import WHERE, Limit, Reject, Rows, draw, identify, listing
from adde_ray.sources.tiles import read_tiles

EXTENSIONS = {
    "image_folder": (".png", ".jpg", ".jpeg", ".bmp", ".gif", ".tif", ".tiff", ".webp"),
    "tiles": (".tif", ".tiff"),
}
"""Source -> files it reads."""

SPLIT_OF = {"file": pl.String, "split": pl.String}

CHUNK = 512
"""Pool files read at a time."""

FOLDERS = {
    "labelled": "seed",
    "labeled": "seed",
    "unlabelled": "pool",
    "unlabeled": "pool",
    "pool": "pool",
    "val": "val",
    "test": "test",
    "ood": "ood",
}
"""Folder -> split. Both spellings will do."""

LAYOUT = "Lay it out as labelled/<class>/*.png and unlabelled/*.png, optionally val, test, ood and pool like labelled"


def read(config: FolderData | TilesData, *, seed: int) -> Rows:
    """The folder's images. Raises UserError when it is no such folder or too many images cannot be read."""
    root = at(config.path)
    if not root.is_dir():
        raise UserError("no such folder", where=root, remedy=LAYOUT)
    tops = sorted(p for p in root.iterdir() if p.is_dir() and not p.name.startswith("."))
    known = [p for p in tops if p.name in FOLDERS]
    if not any(FOLDERS[p.name] == "seed" for p in known):
        there = listing(p.name for p in tops) or "none"
        raise UserError(f"has no folder `labelled` (folders there: {there})", where=root, remedy=LAYOUT)
    notes = [f"The folder {p.name} was passed over: it is none of {', '.join(FOLDERS)}" for p in tops if p not in known]

    files, classes, rejected, passed_over = _files(known, EXTENSIONS[config.source])
    if passed_over:
        notes.append(f"Files passed over for their extension: {len(passed_over)} (the first: {passed_over[0]})")
    held = [file for file in files if file[1] != "pool"]
    pool = [(name, label) for name, split, label in files if split == "pool"]
    table, unreadable = _read(root, [name for name, _, _ in held], [label for _, _, label in held], config)
    splits = pl.DataFrame({"file": [f for f, _, _ in held], "split": [s for _, s, _ in held]}, schema=SPLIT_OF)
    table = table.join(splits, on="file", maintain_order="left")
    return Rows(
        splits=_splits(table, config, seed),
        modality="image",
        classes=tuple(sorted(classes)),
        rejected=rejected + unreadable,
        notes=notes,
        pool_chunks=tuple(
            FolderChunk(root, *zip(*pool[i : i + CHUNK], strict=True), config) for i in range(0, len(pool), CHUNK)
        ),
        num_read=len(held) + len(rejected),
        limit=Limit(config.max_rejected, "images", root),
    )


@dataclass(frozen=True)
class FolderChunk:
    """Some of the pool's files."""

    root: AnyPath
    files: tuple[str, ...]  # relative to root
    labels: tuple[str | None, ...]
    config: FolderData | TilesData

    @property
    def name(self) -> str:
        return f"{self.files[0]} … ({len(self.files)} files)"

    @property
    def num_rows(self) -> int:
        return len(self.files)

    def read(self) -> tuple[pl.DataFrame, list[Reject]]:
        return _read(self.root, self.files, self.labels, self.config)


def _read(
    root: AnyPath, files: Sequence[str], labels: Sequence[str | None], config: FolderData | TilesData
) -> tuple[pl.DataFrame, list[Reject]]:
    """The images, and those that cannot be read."""
    kept, rejected = [], []
    paths = [root / name for name in files]
    if isinstance(config, TilesData):
        images = read_tiles(paths, size=config.size, bands=config.bands, ranges=config.ranges)
    else:
        images = read_images(paths, size=config.size, mode=config.mode, min_side=config.min_side)
    for name, label, image in zip(files, labels, images, strict=True):
        if isinstance(image, str):
            rejected.append({"where": name, "reason": image})
        else:
            kept.append({"file": name, "label": label, "image": image, WHERE: name})
    schema = {"file": pl.String, "label": pl.String, "image": pl.Binary, WHERE: pl.String}
    return pl.DataFrame(kept, schema=schema), rejected


def _files(
    tops: list[AnyPath], extensions: tuple[str, ...]
) -> tuple[list[tuple[str, str, str | None]], set[str], list, list[str]]:
    """(relative path, split, label) of every image; class names; images outside a class folder; other files."""
    files, classes, rejected, passed_over = [], set(), [], []
    for top in tops:
        labelled = not top.name.startswith("unlabel")
        if labelled and top.name != "pool":
            classes |= {p.name for p in top.iterdir() if p.is_dir() and not p.name.startswith(".")}

        def lost(name: str, why: str, top: AnyPath = top) -> None:
            rejected.append({"where": f"{top.name}/{name}", "reason": why})

        for below in walk(top, lost):
            name = f"{top.name}/{below}"
            inside = below.split("/")
            if not below.lower().endswith(extensions):
                passed_over.append(name)
            elif labelled and len(inside) == 1:
                rejected.append({"where": name, "reason": f"lies in {top.name}/ outside any class folder"})
            else:
                files.append((name, FOLDERS[top.name], inside[0] if labelled else None))
    return sorted(files), classes, sorted(rejected, key=lambda r: r["where"]), sorted(passed_over)


def _splits(table: pl.DataFrame, config: FolderData | TilesData, seed: int) -> dict[str, pl.DataFrame]:
    """Rows by split; val and test are drawn from labelled where they have no folder."""
    fractions = {"val": config.val_fraction, "test": config.test_fraction}
    fractions = {name: f for name, f in fractions.items() if name not in table["split"]}
    labelled = table.filter(split="seed")
    if fractions:
        drawn = draw(identify(labelled["image"]), labelled["label"], fractions, derive_rng(seed, "image_folder"))
        labelled = labelled.with_columns(drawn)
    table = pl.concat([labelled, table.filter(pl.col("split") != "seed")])
    return {name: rows.drop("split") for (name,), rows in table.group_by("split", maintain_order=True)}
