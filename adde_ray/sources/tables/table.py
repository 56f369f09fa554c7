"""Texts, vectors or images in a table: a CSV, JSON Lines or Parquet file (`readers`).

Out: text, vector or image (PNG), label, the subgroup columns as strings, every other column untouched; paths of
images as `file`, tables and rows of encoded ones as `source_row`. See `columns` for what becomes of a column, `pool`
for a pool in many files.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from functools import partial

import polars as pl

from adde_ray import labels as codec
from adde_ray.artifacts.run_dir import derive_rng
from adde_ray.artifacts.schema import SPLITS
from adde_ray.config.data import CsvData
from adde_ray.errors import UserError
from adde_ray.sources.images.pictures import read_pairs
from adde_ray.sources.originals import Finder, reached
from adde_ray.sources.rows import (
    WHERE,
    Limit,
    Reject,
    Rows,
    count,
    draw,
    identify,
    listing,
    lost_classes,
    read_all,
    refuse_lost,
)
from adde_ray.sources.storage.files import AnyPath, at
from adde_ray.sources.storage.reach import Reach
from adde_ray.sources.storage.walking import walk_of
from adde_ray.sources.tables.chunks import FileChunk, TableFile
from adde_ray.sources.tables.columns import as_ours, decoder, empty_like, set_aside, usable, usual_length
from adde_ray.sources.tables.files import list_chunks, list_tables
from adde_ray.sources.tables.pool import TEXT_ROWS, HeldChunk, chunks_of, conform, list_files
from adde_ray.sources.tables.readers import read_file
from adde_ray.sources.tables.spelling import notes_on, without_missing


def read(config: CsvData, *, seed: int) -> Rows:
    """The file's rows. Raises UserError: no such file or column, too many unusable rows, unknown label or split."""
    path = at(config.path)
    if config.vector_column and path.suffix.lower() in (".csv", ".tsv"):
        raise UserError("vectors are not read from CSV", where=path, remedy="Write the table as .parquet or .jsonl")
    table, rejected = _whole(path)
    return assemble(table, rejected, config, path, path.parent, seed=seed)


def originals(config: CsvData) -> Finder:
    """How the files or cells that samples were made from are found again."""
    path = at(config.path)
    tables = {path.name: path}
    if config.pool:
        pool = at(config.pool)
        with suppress(UserError):  # its files are gone
            tables |= {name: file for file, name in list_tables(pool, walk_of(pool, config.roots))}
    reaches = [Reach(folder, config.roots) for folder in dict.fromkeys(file.parent for file in tables.values())]
    _, column = config.payload
    return Finder(
        decoder(config),
        lambda file: reached((reach, file.strip()) for reach in reaches),
        lambda name: (tables[name], column) if name in tables else None,
        pairs=partial(read_pairs, size=config.size, mode=config.mode, min_side=config.min_side),
    )


def _whole(path: AnyPath) -> tuple[pl.DataFrame, list[Reject]]:
    """The file's rows; of a Parquet file with a corrupt row group the others."""
    try:
        return read_file(path)
    except UserError:
        if path.suffix.lower() not in (".parquet", ".pq") or not path.is_file():
            raise
        try:
            table, rejected = read_all(list_chunks(path, path.name, TEXT_ROWS).chunks)
        except (UserError, OSError):
            table = pl.DataFrame()
        if not len(table):
            raise
        return table, rejected


def assemble(
    table: pl.DataFrame,
    rejected: list[Reject],
    config: CsvData,
    path: AnyPath,
    folder: AnyPath,
    *,
    seed: int,
    pool: Sequence[TableFile[FileChunk]] | None = None,
) -> Rows:
    """A table as `path` holds it, with `WHERE`, as splits with our columns. Paths in it are relative to `folder`.

    pool: files of further pool rows, besides those of `config.pool`.
    """
    total = len(table) + count(rejected)
    modality, _ = config.payload
    given = table.get_column(config.label_column, default=None)
    table = as_ours(table, config, path)
    notes = [] if config.label_separator or given is None else notes_on(given, table["label"])
    kinds = empty_like(table, config)
    length = usual_length(table["vector"]) if modality == "vector" else 0
    before = table.select("label", *(["_split"] if config.split_column else []))
    table, unusable = usable(table, config, length, folder)
    rejected = rejected + unusable
    if not config.label_separator:
        notes += lost_classes(before["label"].unique(), table["label"].unique())
    split = table["_split"] if config.split_column else None
    label, doubts = without_missing(
        table["label"],
        split,
        missing=config.missing,
        classes=config.classes,
        pool_elsewhere=not (pool is None and config.pool is None),
        multi=bool(config.label_separator),
    )
    table = table.with_columns(label)
    table, unlabelled = _labelled(table, config, folder)
    rejected += unlabelled
    limit = Limit(config.max_rejected, "rows", path)
    listed, unlisted, left = list_files(config)
    rejected += unlisted
    notes += left
    chunks = None
    if pool is None and config.pool is None:
        limit.check(rejected, total)
    else:  # how many there are is known only when the chunks are read
        chunks = chunks_of([*(pool or ()), *listed], config, kinds, length)
    if config.split_column:
        refuse_lost(before["_split"].drop_nulls(), table["_split"], unusable + unlabelled, where=path)

    if config.split_column is None:
        table = _drawn(table, config, seed)
    known = table.filter((pl.col("_split") != "pool") & pl.col("label").is_not_null())
    classes = _classes(known, config, folder)
    junk = table.filter((pl.col("_split") == "pool") & ~_fits(table, classes, config))["label"]
    notes += [*doubts, *([hidden_junk(junk)] if len(junk) else [])]
    splits = {n: rows.drop("_split") for (n,), rows in table.group_by("_split", maintain_order=True)}
    if chunks is not None and "pool" in splits:
        held, _ = conform(splits.pop("pool"), chunks[0].kinds if chunks else kinds, modality)
        chunks = (*chunks, HeldChunk(path.name, held))  # last: the first one shows whether a pool has labels
    return Rows(
        splits=splits,
        modality=modality,
        classes=classes,
        subgroups=config.subgroup_columns,
        rejected=rejected,
        notes=notes,
        task="multi" if config.label_separator else "single",
        pool_chunks=chunks,
        num_read=total + count(unlisted),
        limit=limit,
    )


def hidden_junk(labels: pl.Series) -> str:
    """What a user may want to know of pool rows whose hidden labels are no classes."""
    return f"{len(labels)} pool rows carry a hidden label outside the label list: {listing(labels.unique().sort(), 5)}"


def _labelled(table: pl.DataFrame, config: CsvData, folder: AnyPath) -> tuple[pl.DataFrame, list[Reject]]:
    """With a split column: checks its values, sets rows aside that lack the label their split needs."""
    if config.split_column is None:
        return table, []
    unknown = table.filter(~pl.col("_split").is_in(SPLITS) | pl.col("_split").is_null())
    if len(unknown):
        raise UserError(
            f"not a split{_more(unknown)}",
            where=f"{folder}/{unknown[WHERE][0]}, column {config.split_column}",
            value=unknown["_split"][0] or "",
            remedy=f"Each row needs one of {', '.join(SPLITS)}",
        )
    lacks = (pl.col("_split") != "pool") & pl.col("label").is_null()
    return set_aside(table, pl.when(lacks).then(pl.format("a {} row without a label", pl.col("_split"))))


def _drawn(table: pl.DataFrame, config: CsvData, seed: int) -> pl.DataFrame:
    """Labelled rows drawn into val, test and seed; the others are the pool."""
    labelled = table.filter(pl.col("label").is_not_null())
    fractions = {"val": config.val_fraction, "test": config.test_fraction}
    labels = labelled["label"]
    if config.label_separator:  # most whole labels are too rare to be drawn class by class
        labels = pl.Series("label", codec.rarest(labels.to_list()), dtype=pl.String)
    split = draw(identify(labelled[config.payload[0]]), labels, fractions, derive_rng(seed, "csv"))
    pool = table.filter(pl.col("label").is_null()).with_columns(pl.lit("pool").alias("_split"))
    return pl.concat([labelled.with_columns(split.alias("_split")), pool])


def _classes(known: pl.DataFrame, config: CsvData, folder: AnyPath) -> tuple[str, ...]:
    """The label list. Raises UserError when a labelled row's class is not in the one given."""
    if not config.classes:
        if not config.label_separator:
            return tuple(known["label"].unique().sort()) or config.described
        parts = [part for label in known["label"].unique() for part in codec.split(label)]
        found = tuple(sorted({name for part in parts for name in part})) or config.described
        codec.check_classes(found, where=f"{config.path}, column {config.label_column}")
        return found
    if len(set(config.classes)) < len(config.classes):
        raise UserError("a class is named twice", where="data.classes", value=listing(config.classes))
    if config.label_separator:
        codec.check_classes(config.classes, where="data.classes")
    unknown = known.filter(~_fits(known, config.classes, config))
    if len(unknown):
        raise UserError(
            f"a {unknown['_split'][0]} row's label is not in data.classes{_more(unknown)}",
            where=f"{folder}/{unknown[WHERE][0]}",
            value=unknown["label"][0],
            remedy=f"Mend the label, or add it to the classes: {listing(sorted(config.classes))}",
        )
    return tuple(sorted(config.classes))


def _fits(table: pl.DataFrame, classes: tuple[str, ...], config: CsvData) -> pl.Series:
    """Whether each row's label names nothing but classes; null for null."""
    if not config.label_separator:
        return table["label"].is_in(classes)
    fits = [None if label is None else not codec.foreign(label, classes, multi=True) for label in table["label"]]
    return pl.Series("fits", fits, dtype=pl.Boolean)


def _more(rows: pl.DataFrame) -> str:
    return f" (and {len(rows) - 1} more rows)" if len(rows) > 1 else ""
