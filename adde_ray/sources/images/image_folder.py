"""Images or tiles in class folders, plus a folder of unlabelled ones; all are brought to one size and mode.

Reads `<path>/labelled/<class>/…`, `<path>/unlabelled/…` and optionally `val`, `test`, `ood` like labelled, and
`<path>/pool/<class>/…`: pool images whose class only the simulated annotator is told. Folders inside these may
be nested. An empty class folder still names a class. Where the config says what the classes are, `labelled` may be
missing; without any of these folders all images below are unlabelled.
Out: image (PNG), label, file (path relative to the folder).
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache, partial

import polars as pl

from adde_ray.artifacts.run_dir import derive_rng
from adde_ray.config.data import FolderData, TilesData
from adde_ray.errors import UserError
from adde_ray.labels import canonical
from adde_ray.sources.images.pictures import Pair, read_images, read_pairs
from adde_ray.sources.images.tiles import check_scale, read_tile_pairs, read_tiles, view_tile
from adde_ray.sources.images.views import view_image
from adde_ray.sources.originals import Finder
from adde_ray.sources.rows import WHERE, Limit, Reject, Rows, draw, identify, listing, lost_classes, refuse_lost
from adde_ray.sources.storage import leftovers
from adde_ray.sources.storage.files import AnyPath, at
from adde_ray.sources.storage.leftovers import is_leftover
from adde_ray.sources.storage.reach import Reach
from adde_ray.sources.storage.source_mark import RUN
from adde_ray.sources.storage.walking import Walk

EXTENSIONS = {
    "image_folder": (
        ".png", ".apng", ".jpg", ".jpeg", ".jpe", ".jfif", ".jp2", ".j2k", ".bmp", ".dib", ".gif", ".tif", ".tiff",
        ".webp", ".avif", ".pbm", ".pgm", ".ppm", ".pnm", ".tga", ".pcx",
    ),
    "tiles": (".tif", ".tiff", ".btf", ".tf8"),
}  # fmt: skip
"""Source -> files it reads."""

SPLIT_OF = {"file": pl.String, "split": pl.String}

CHUNK = 512
"""Pool files read at a time."""

FOLDERS = {
    "labelled": "seed",
    "labeled": "seed",
    "train": "seed",
    "training": "seed",
    "unlabelled": "pool",
    "unlabeled": "pool",
    "pool": "pool",
    "val": "val",
    "valid": "val",
    "validation": "val",
    "dev": "val",
    "test": "test",
    "testing": "test",
    "ood": "ood",
}
"""Folder -> split; case, hyphens and blanks aside. Any spelling will do."""

OWN = ("labelled", "unlabelled", "pool", "val", "test", "ood")
"""Of these, what people are told."""

LAYOUT = "Lay it out as labelled/<class>/*.png and unlabelled/*.png, optionally val, test, ood and pool like labelled"

FOREIGN = (
    (r"(data|test)_batch(_\d)?|batches\.meta|.*\.(pkl|pickle)", "pickles, as CIFAR's, which are never opened"),
    (r".*[-.]idx\d-ubyte(\.gz)?", "idx files, as MNIST's"),
    (r"annotations|instances_.*\.json|_annotations\.coco\.json", "boxes as COCO's, not classes of whole images"),
    (r"data\.ya?ml|obj\.(data|names)", "boxes as YOLO's, not classes of whole images"),
)  # fmt: skip
"""What lies in the folders of well-known data sets that are laid out otherwise, and what it is."""


def read(config: FolderData | TilesData, *, seed: int) -> Rows:
    """The folder's images. Raises UserError when it is no such folder or too many images cannot be read."""
    root = at(config.path)
    if not root.is_dir():
        raise UserError("no such folder", where=root, remedy=LAYOUT)
    walk = Walk(Reach(root, config.roots))
    known, others = _tops(root, walk, config)
    listed = ", ".join(OWN)
    notes = [f"The folder {_shown(p.name)} was passed over: it is none of {listed}" for p in others]

    if known:
        files, classes, rejected, passed_over = _files(known, EXTENSIONS[config.source], walk)
    else:
        files, classes, rejected, passed_over = *_loose(root, EXTENSIONS[config.source], walk), []
        notes = []
    classes = _classes(classes, config, root)
    notes += leftovers.note(walk.passed)
    if passed_over:
        notes.append(f"Files passed over for their extension: {len(passed_over)} (the first: {passed_over[0]})")
    if isinstance(config, TilesData) and "scale" not in config.model_fields_set:
        check_scale([root / name for name, _, _ in files], config.bands, config.ranges)
    held = [file for file in files if file[1] != "pool"]
    pool = [(name, label) for name, split, label in files if split == "pool"]
    table, unreadable = _read(root, [name for name, _, _ in held], [label for _, _, label in held], config)
    kept = set(table["file"])
    refuse_lost((s for _, s, _ in held), (s for f, s, _ in held if f in kept), unreadable, where=root)
    notes += lost_classes((label for _, _, label in held), table["label"])
    splits = pl.DataFrame({"file": [f for f, _, _ in held], "split": [s for _, s, _ in held]}, schema=SPLIT_OF)
    table = table.join(splits, on="file", maintain_order="left")
    return Rows(
        splits=_splits(table, config, seed),
        modality="image",
        classes=classes,
        rejected=rejected + unreadable,
        notes=notes,
        pool_chunks=tuple(
            FolderChunk(root, tuple(name for name, _ in some), tuple(label for _, label in some), config)
            for some in (pool[i : i + CHUNK] for i in range(0, len(pool), CHUNK))
        ),
        num_read=len(held) + len(rejected),
        limit=Limit(config.max_rejected, "images", root),
    )


def originals(config: FolderData | TilesData) -> Finder:
    """How the files that samples were made from are found again."""
    reach = Reach(at(config.path), config.roots)
    tiles = isinstance(config, TilesData)
    view = partial(view_tile, bands=config.bands, ranges=config.ranges) if tiles else view_image
    pairs = partial(_pairs, config=config)
    return Finder(partial(_decoded, config=config), lambda file: [reach.find(file)], view=view, pairs=pairs)


@dataclass(frozen=True)
class FolderChunk:
    """Some of the pool's files."""

    root: AnyPath
    files: tuple[str, ...]  # relative to root
    labels: tuple[str | None, ...]
    config: FolderData | TilesData

    @property
    def name(self) -> str:
        """Its first file and how many there are, for messages."""
        return f"{self.files[0]} … ({len(self.files)} files)"

    @property
    def num_rows(self) -> int:
        """Its files, readable or not."""
        return len(self.files)

    def read(self) -> tuple[pl.DataFrame, list[Reject]]:
        """The images, and the files that cannot be read."""
        return _read(self.root, self.files, self.labels, self.config)


def _read(
    root: AnyPath, files: Sequence[str], labels: Sequence[str | None], config: FolderData | TilesData
) -> tuple[pl.DataFrame, list[Reject]]:
    """The images, and those that cannot be read."""
    kept, rejected = [], []
    images = _decoded([root / name for name in files], config)
    for name, label, image in zip(files, labels, images, strict=True):
        if isinstance(image, str):
            rejected.append({"where": name, "reason": image})
        else:
            kept.append({"file": name, "label": label, "image": image, WHERE: name})
    schema = {"file": pl.String, "label": pl.String, "image": pl.Binary, WHERE: pl.String}
    return pl.DataFrame(kept, schema=schema), rejected


def _tops(root: AnyPath, walk: Walk, config: FolderData | TilesData) -> tuple[list[AnyPath], list[AnyPath]]:
    """The folders below `root` that are splits, and the others. Raises UserError: it is laid out otherwise.

    Nothing needs to be labelled where the config says what the classes are.
    """
    there = sorted(root.iterdir())
    walk.passed.extend(p.name for p in there if is_leftover(p.name) or is_leftover(p.name, folder=True))
    tops = [p for p in there if p.is_dir() and not is_leftover(p.name, folder=True)]
    known = [p for p in tops if _key(p) in FOLDERS]
    splits = {FOLDERS[_key(p)] for p in known}
    of_classes = {_class(p.name) for p in tops} & set(config.known_classes)
    if "seed" not in splits and not (config.known_classes and (known or not of_classes)):
        foreign = next((what for p in there for names, what in FOREIGN if re.fullmatch(names, p.name, re.I)), None)
        remedy = LAYOUT
        if foreign is None and not known and any(_holds_images(p) for p in tops[:20] if walk.reach.holds(p)):
            remedy = "Put the class folders into labelled/, and images whose class is not known into unlabelled/"
            if not of_classes:
                remedy += "; or, with nothing labelled yet, list the classes in data.classes"
        what = f"has no folder `labelled` (folders there: {listing(_shown(p.name) for p in tops) or 'none'})"
        raise UserError(f"{what}; it holds {foreign}" if foreign else what, where=root, remedy=remedy)
    if "pool" not in splits and any(_key(p).startswith("train") for p in known):
        raise UserError(
            "every image of train has a class, and no other folder has any: there is nothing to ask about",
            where=root,
            remedy="Put images whose class is not known into unlabelled/; or, to rehearse with known labels, rename"
            " train to pool and copy a few images of each class to labelled/<class>/",
        )
    return known, [p for p in tops if p not in known]


def _folders(top: AnyPath, reach: Reach) -> list[AnyPath]:
    """Those right below, without leftovers and what lies outside."""
    if not reach.holds(top):
        return []
    return [p for p in top.iterdir() if p.is_dir() and not is_leftover(p.name, folder=True) and reach.holds(p)]


def _key(top: AnyPath) -> str:
    return re.sub(r"[\s_-]", "", top.name.casefold())


def _holds_images(folder: AnyPath) -> bool:
    return any(p.name.lower().endswith(EXTENSIONS["image_folder"]) for p in folder.iterdir())


def _shown(name: str) -> str:
    """A name for messages, also one that is not UTF-8."""
    return name.encode(errors="backslashreplace").decode()


def _decoded(given: Sequence[AnyPath | bytes], config: FolderData | TilesData) -> list[bytes | str]:
    """The payload of each file or encoded image, or why there is none."""
    if isinstance(config, TilesData):
        return read_tiles(given, size=config.size, bands=config.bands, ranges=config.ranges)
    return read_images(given, size=config.size, mode=config.mode, min_side=config.min_side)


def _pairs(given: Sequence[bytes], side: int, config: FolderData | TilesData) -> list[Pair | str]:
    """The payload of each encoded image with a larger picture, or why there is none."""
    if isinstance(config, TilesData):
        return read_tile_pairs(given, side, size=config.size, bands=config.bands, ranges=config.ranges)
    return read_pairs(given, side, size=config.size, mode=config.mode, min_side=config.min_side)


def _files(
    tops: list[AnyPath], extensions: tuple[str, ...], walk: Walk
) -> tuple[list[tuple[str, str, str | None]], set[str], list, list[str]]:
    """(relative path, split, label) of every image; class names; unusable ones; other files."""
    files, classes, rejected, passed_over = [], set(), [], []
    for top in tops:
        labelled = not _key(top).startswith("unlabel")
        if labelled and _key(top) != "pool":
            inside = [p.name for p in _folders(top, walk.reach)]
            classes |= {_class(name) for name in inside if _shown(name) == name}

        for below in walk.below(top, f"{top.name}/"):
            name = f"{top.name}/{below}"
            inside = below.split("/")
            if not below.lower().endswith(extensions):
                passed_over.append(_shown(name))
            elif not name.isascii() and _shown(name) != name:
                rejected.append({"where": _shown(name), "reason": "its name is not UTF-8"})
            elif labelled and len(inside) == 1:
                rejected.append({"where": name, "reason": f"lies in {top.name}/ outside any class folder"})
            else:
                files.append((name, FOLDERS[_key(top)], _class(inside[0]) if labelled else None))
    rejected += walk.lost
    return sorted(files), classes, sorted(rejected, key=lambda r: r["where"]), sorted(passed_over)


def _loose(
    root: AnyPath, extensions: tuple[str, ...], walk: Walk
) -> tuple[list[tuple[str, str, None]], set[str], list]:
    """(relative path, "pool", no label) of every image below, no class, and unusable ones. Runs kept there are none."""
    names = list(walk.below(root))
    runs = tuple(name.removesuffix(RUN) for name in names if name.endswith(f"/{RUN}"))
    images = [name for name in names if name.lower().endswith(extensions) and not name.startswith(runs)]
    lost = [{"where": _shown(name), "reason": "its name is not UTF-8"} for name in images if _shown(name) != name]
    files = sorted((name, "pool", None) for name in images if _shown(name) == name)
    return files, set(), sorted([*lost, *walk.lost], key=lambda r: r["where"])


def _classes(found: set[str], config: FolderData | TilesData, root: AnyPath) -> tuple[str, ...]:
    """The label list. Raises UserError when a class folder is none of the classes given."""
    if not config.classes:
        return tuple(sorted(found)) or config.described
    if foreign := sorted(found - set(config.classes)):
        raise UserError(
            "a class folder is not in data.classes",
            where=root,
            value=foreign[0],
            remedy=f"Rename the folder, or add it to the classes: {listing(sorted(config.classes))}",
        )
    return tuple(sorted(set(config.classes)))


@lru_cache(maxsize=1 << 16)
def _class(folder: str) -> str:
    return canonical(folder) or folder


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
