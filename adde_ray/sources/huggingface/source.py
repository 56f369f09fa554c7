"""Dataset folders of Hugging Face's `datasets`, read without that library: what `save_to_disk` writes (Arrow
streams), and folders laid out as on the Hub (Parquet, CSV or JSON Lines files named after their split).

The pool comes in chunks, also where seed set and val are drawn from its split (`draw`); the other splits are
read into memory. Out: as `table`; the label as the class's name.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from functools import cache, partial
from typing import Any

import polars as pl

from adde_ray.config.data import CsvData, HubData
from adde_ray.errors import UserError, first_line
from adde_ray.labels import NONE, SEPARATOR, canonical, split
from adde_ray.sources.huggingface.chunks import HubChunk, hub_file
from adde_ray.sources.huggingface.draw import draw_splits, labelled_rows, taken_out
from adde_ray.sources.huggingface.folder import SYNONYMS, class_names, features_of, files_by_split, is_image
from adde_ray.sources.images.pictures import read_images, read_pairs
from adde_ray.sources.originals import Finder, reached
from adde_ray.sources.rows import WHERE, Reject, Rows, listing, why
from adde_ray.sources.storage import leftovers
from adde_ray.sources.storage.files import AnyPath, at
from adde_ray.sources.storage.reach import Reach
from adde_ray.sources.storage.walking import Walk
from adde_ray.sources.tables.chunks import FileChunk, TableFile
from adde_ray.sources.tables.files import list_chunks
from adde_ray.sources.tables.pool import fitting, image_rows, list_all
from adde_ray.sources.tables.table import assemble, hidden_junk

SPLIT = "_split_of_ours"


@dataclass(frozen=True)
class Opened:
    """What a folder holds: the pool's files, and the rows of the other splits."""

    table: pl.DataFrame  # `SPLIT`: which of our splits a row is in
    files: dict[str, list[TableFile[HubChunk]]]  # our split -> its files, with "pool"
    as_table: CsvData  # what the folder is, said as a table's section
    rejected: list[Reject]
    notes: list[str]


def read(config: HubData, *, seed: int) -> Rows:
    """The folder's rows. Raises UserError: no such folder or split, no payload to be told, too many unusable rows."""
    root = at(config.path)
    if not root.is_dir():
        raise UserError(
            "no such folder", where=root, remedy="Give a folder that save_to_disk wrote, or one as on the Hub"
        )
    opened = _opened(config, root)
    if "seed" not in opened.files or "val" not in opened.table[SPLIT]:
        opened = _drawn(opened, config, root, seed)
    pool = opened.files["pool"]
    rows = assemble(opened.table, opened.rejected, opened.as_table, root, root, seed=seed, pool=pool)
    return replace(rows, notes=[*rows.notes, *opened.notes])


def originals(config: HubData) -> Finder:
    """How the files or cells that samples were made from are found again."""
    root = at(config.path)
    reach = Reach(root, config.roots)

    @cache
    def image_column() -> str | None:
        return config.image_column or _image_column(config, root)

    return Finder(
        partial(read_images, size=config.size, mode=config.mode),
        lambda file: reached([(reach, file.strip())]),
        lambda name: (root / name, column) if (column := image_column()) else None,
        pairs=partial(read_pairs, size=config.size, mode=config.mode),
    )


def _image_column(config: HubData, root: AnyPath) -> str | None:
    """The column that was told to be the payload; None where the folder is gone."""
    try:
        by_split = files_by_split(root, Walk(Reach(root, config.roots)))
        files = [file for of_split in by_split.values() for file in of_split]
        head = list_chunks(files[0], files[0].name, 1).head
        modality, column = _payload(config, head, features_of(root, files))
        return column if modality == "image" else None
    except (UserError, OSError, IndexError):
        return None


def _opened(config: HubData, root: AnyPath) -> Opened:
    walk = Walk(Reach(root, config.roots))
    paths = _paths(config, root, walk)
    features = features_of(root, [path for of_split in paths.values() for path in of_split])
    names = class_names(features.get(config.label_column))
    files, multi, rejected = _files(config, root, paths, names)
    rejected += walk.lost
    tables = [_whole(ours, of_split, root, rejected) for ours, of_split in files.items() if ours != "pool"]
    if not any(map(len, tables)) and not any(file.chunks for file in files["pool"]):
        first = f": {rejected[0]['where']} {rejected[0]['reason']}" if rejected else ""
        raise UserError(f"holds no rows that can be read{first}", where=root, remedy="Write the folder anew")
    empty = pl.DataFrame(schema={SPLIT: pl.String, WHERE: pl.String})
    table = _joined([empty, *tables, *(file.head for file in files["pool"])], root)
    as_table = _as_table(config, table, features, config.classes or names, multi)
    files["pool"], unfit = fitting(files["pool"], as_table)
    # A test set whose labels its makers keep to themselves says nothing.
    labelled = table.filter(pl.col(config.label_column).is_not_null())[SPLIT].unique()
    silent = [ours for ours in table[SPLIT].unique(maintain_order=True) if ours not in (*labelled, "seed")]
    notes = [f"No row of {config.splits[ours]} has a label: it is passed over" for ours in silent]
    notes += leftovers.note(walk.passed)
    return Opened(table.filter(~pl.col(SPLIT).is_in(silent)), files, as_table, rejected + unfit, notes)


def _drawn(opened: Opened, config: HubData, root: AnyPath, seed: int) -> Opened:
    """With seed set and val drawn from the labelled rows of the pool's split, or val from the seed set's."""
    table, files, notes = opened.table, dict(opened.files), list(opened.notes)
    source = "seed" if "seed" in files else "pool"
    known = labelled_rows(files[source], opened.as_table)
    labels = [*table[config.label_column].drop_nulls().unique(), *known["label"].unique()]
    classes = opened.as_table.classes or _classes(labels, multi=opened.as_table.label_separator is not None)
    as_table = opened.as_table.model_copy(update={"classes": classes})
    split = draw_splits(
        known,
        as_table,
        seed=seed,
        val_fraction=None if "val" in table[SPLIT] else config.val_fraction,
        seed_per_class=config.seed_per_class if source == "pool" else None,
    )
    drawn = known.with_columns(split.alias(SPLIT)).filter(split != "pool")
    if source == "pool":
        if split.has_nulls():
            notes.append(hidden_junk(known.filter(split.is_null())["label"]))
        rows, files["pool"] = taken_out(files["pool"], drawn)
        table = _joined([table, *rows], root)
    table = table.update(drawn.select(WHERE, SPLIT), on=WHERE)
    return replace(opened, table=table, files=files, as_table=as_table, notes=notes)


def _paths(config: HubData, root: AnyPath, walk: Walk) -> dict[str, list[AnyPath]]:
    """The files of each of our splits; seed is none of them where it is to be drawn from the pool's.

    Raises UserError: no files, a split that is not there.
    """
    there = files_by_split(root, walk)
    if not there:
        outside = f" but {walk.lost[0]['where']}, {walk.lost[0]['reason']}" if walk.lost else ""
        raise UserError(
            f"holds no Arrow, Parquet, CSV or JSON Lines file{outside}",
            where=root,
            remedy="Give a folder that save_to_disk wrote, or one as on the Hub; class folders of images are read by"
            ' data.source = "image_folder"',
        )
    wanted: dict[str, str] = {ours: SYNONYMS.get(theirs, theirs) for ours, theirs in config.splits.items()}
    for ours, theirs in config.splits.items():
        if wanted[ours] not in there and (ours in ("pool", "seed") or "splits" in config.model_fields_set):
            raise UserError(
                f"{root} has no such split",
                where=f"data.splits.{ours}",
                value=theirs,
                remedy=f"Splits there: {listing(sorted(there))}",
            )
    if wanted.get("seed") == wanted["pool"]:
        del wanted["seed"]
    return {ours: there[theirs] for ours, theirs in wanted.items() if theirs in there}


def _files(
    config: HubData, root: AnyPath, paths: dict[str, list[AnyPath]], names: tuple[str, ...]
) -> tuple[dict[str, list[TableFile[HubChunk]]], bool, list[Reject]]:
    """The files in chunks, whether a label is a list of classes, and what is no such file."""
    files: dict[str, list[TableFile[HubChunk]]] = {}
    multi, rejected = False, []
    for ours, of_split in paths.items():
        named = [(path, str(path).removeprefix(str(root)).lstrip("/")) for path in of_split]
        listed, aside = list_all(named, image_rows(config.size, config.mode))
        rejected += aside
        multi |= any(isinstance(file.head.schema.get(config.label_column), pl.List) for file in listed)
        files[ours] = [hub_file(file, root, config.label_column, names) for file in listed]
    return files, multi, rejected


def _whole(ours: str, files: Iterable[TableFile[FileChunk]], root: AnyPath, rejected: list[Reject]) -> pl.DataFrame:
    """All that can be read of a split's files, with `SPLIT`; what cannot goes to `rejected`."""
    tables = []
    for chunk in (chunk for file in files for chunk in file.chunks):
        try:
            table, aside = chunk.read()
        except (UserError, OSError) as error:
            rejected.append({"where": chunk.name, "reason": why(error), "rows": chunk.num_rows})
        else:
            tables.append(table)
            rejected += aside
    return _joined([table for table in tables if len(table)], root).with_columns(pl.lit(ours).alias(SPLIT))


def _joined(tables: list[pl.DataFrame], root: AnyPath) -> pl.DataFrame:
    try:
        return pl.concat(tables, how="diagonal_relaxed") if tables else pl.DataFrame()
    except pl.exceptions.PolarsError as error:
        raise UserError(
            f"its files do not agree on the type of a column: {first_line(error)}",
            where=root,
            remedy="Write them with one type",
        ) from None


# --- columns ----------------------------------------------------------------------------------------------


def _as_table(
    config: HubData, columns: pl.DataFrame, features: dict[str, Any], classes: tuple[str, ...], multi: bool
) -> CsvData:
    """The same as a table's section. Raises UserError: no such label column, no payload to be told."""
    if config.label_column not in columns.columns:
        there = listing(name for name in columns.columns if name not in (WHERE, SPLIT))
        raise UserError(
            "no such column", where="data.label_column", value=config.label_column, remedy=f"Columns: {there}"
        )
    modality, payload = _payload(config, columns, features)
    return CsvData(
        source="table",
        path=config.path,
        split_column=SPLIT,
        label_column=config.label_column,
        classes=classes,
        describe=config.describe,
        subgroup_columns=config.subgroup_columns,
        size=config.size,
        mode=config.mode,
        max_rejected=config.max_rejected,
        roots=config.roots,
        label_separator=SEPARATOR if multi else None,
        text_column=payload if modality == "text" else None,
        image_column=payload if modality == "image" else None,
        vector_column=payload if modality == "vector" else None,
    )


def _payload(config: HubData, columns: pl.DataFrame, features: dict[str, Any]) -> tuple[str, str]:
    """The modality, and the one column that can be its payload. Raises UserError: there is none, or more than one."""
    given = {"text": config.text_column, "image": config.image_column, "vector": config.vector_column}
    for modality, column in given.items():  # the config has seen to it that there is one at most
        if column:
            return modality, column
    aside = {config.label_column, SPLIT, WHERE, *config.subgroup_columns}
    kinds = {name: kind for name, kind in columns.schema.items() if name not in aside}
    images = [n for n, kind in kinds.items() if is_image(features.get(n)) or _holds_images(kind)]
    vectors = [n for n, kind in kinds.items() if isinstance(kind, (pl.List, pl.Array)) and kind.inner.is_float()]
    texts = [n for n, kind in kinds.items() if kind == pl.String and n not in images]
    texts = ["text"] if "text" in texts else texts
    for modality, found in (("image", images), ("vector", vectors), ("text", texts)):
        if len(found) == 1:
            return modality, found[0]
        if found:
            break
    raise UserError(
        "cannot be told",
        where="data.text_column, image_column or vector_column",
        remedy=f"Name one of the columns: {listing(kinds)}",
    )


def _holds_images(kind: pl.DataType) -> bool:
    return isinstance(kind, pl.Struct) and {"bytes", "path"} == {field.name for field in kind.fields}


def _classes(labels: Iterable[str], *, multi: bool) -> tuple[str, ...]:
    """The classes that labels name."""
    there = {name for label in labels if (name := canonical(label)) is not None}
    if not multi:
        return tuple(sorted(there))
    return tuple(sorted({name for label in there - {NONE} for part in split(label) for name in part}))
