"""A table's further pool rows, in many files, as chunks that are read one by one: the files in, `Chunk`s out.

Every chunk gives the same columns with the same types, agreed on from what all files say of themselves.
"""

from __future__ import annotations

from dataclasses import dataclass

import polars as pl

from adde_ray.data_config import CsvData
from adde_ray.errors import UserError
from adde_ray.sources.columns import PAYLOAD_KINDS, as_ours, set_aside, usable
from adde_ray.sources.files import at
from adde_ray.sources.parts import Part, TableFile
from adde_ray.sources.rows import WHERE, Reject, why
from adde_ray.sources.table_files import list_parts, list_tables

CHUNK_BYTES = 1 << 26
"""Decoded images of a chunk, about."""


TEXT_ROWS = 8192
"""Texts or vectors of a chunk, about."""


@dataclass(frozen=True)
class HeldChunk:
    """Pool rows of the main file, which are in memory already."""

    name: str
    table: pl.DataFrame

    @property
    def num_rows(self) -> int:
        return len(self.table)

    def read(self) -> tuple[pl.DataFrame, list[Reject]]:
        return self.table, []


@dataclass(frozen=True)
class TableChunk:
    """Some rows of one of the pool's files."""

    part: Part
    config: CsvData
    kinds: pl.DataFrame  # empty, with the columns and types every chunk is to have
    length: int  # of a vector

    @property
    def name(self) -> str:
        return self.part.name

    @property
    def num_rows(self) -> int:
        return self.part.num_rows

    def read(self) -> tuple[pl.DataFrame, list[Reject]]:
        try:
            table, rejected = self.part.read()
            if not len(table):
                return self.kinds, rejected
            table, modality = as_ours(_completed(table, self.config), self.config, self.part.path)
        except (UserError, OSError) as error:
            return self.kinds, [{"where": self.name, "reason": why(error), "rows": self.num_rows}]
        if self.config.split_column:
            odd = pl.col("_split").is_not_null() & (pl.col("_split") != "pool")
            table, aside = set_aside(
                table, pl.when(odd).then(pl.format("a {} row among data.pool, which holds pool rows", pl.col("_split")))
            )
            table, rejected = table.drop("_split"), rejected + aside
        table, misfits = conform(table, self.kinds, modality)
        table, unusable = usable(table, modality, self.config, self.length, self.part.path.parent)
        return table, rejected + misfits + unusable


def rows_per_chunk(config: CsvData) -> int:
    """So many that decoded images stay small."""
    pixels = config.size**2 * (3 if config.mode == "RGB" else 1)
    return min(max(CHUNK_BYTES // pixels, 64), 4096) if config.image_column else TEXT_ROWS


def list_files(config: CsvData) -> tuple[list[TableFile], list[Reject]]:
    """The pool's files, and those that cannot be told apart into parts."""
    main, files, rejected = at(config.path), [], []
    rows = rows_per_chunk(config)
    for path, name in list_tables(at(config.pool)):
        if path.resolve() == main.resolve():
            continue
        try:
            file = list_parts(path, name, rows)
            as_ours(_completed(file.head, config), config, path)
        except (UserError, OSError) as error:
            rejected.append({"where": name, "reason": why(error)})
        else:
            files.append(file)
    return files, rejected


def chunks_of(files: list[TableFile], config: CsvData, kinds: pl.DataFrame, length: int) -> tuple[TableChunk, ...]:
    """The parts of all files, with the types that hold what any of them has."""
    heads = {tuple(file.head.schema.items()): file for file in files}
    for file in heads.values():
        head, modality = as_ours(_completed(file.head, config), config, file.path)
        kinds = _columns_of_both(kinds, head.drop("_split", strict=False).cast({modality: PAYLOAD_KINDS[modality]}))
    return tuple(TableChunk(part, config, kinds, length) for file in files for part in file.parts)


def _completed(table: pl.DataFrame, config: CsvData) -> pl.DataFrame:
    """With null for columns that rows of the pool may lack. Raises UserError when there is no payload."""
    payload = config.text_column or config.vector_column or config.image_column
    if payload not in table.columns:
        raise UserError(f"has no column {payload}")
    optional = [config.label_column, config.split_column, *config.subgroup_columns]
    return table.with_columns(
        pl.lit(None, pl.String).alias(name) for name in optional if name and name not in table.columns
    ).with_columns([] if WHERE in table.columns else [pl.lit(None, pl.String).alias(WHERE)])


def _columns_of_both(first: pl.DataFrame, second: pl.DataFrame) -> pl.DataFrame:
    """Empty, with the columns of both and types that hold both; where none does, with the first's."""
    columns = {}
    for name in dict.fromkeys((*first.columns, *second.columns)):
        there = [table.select(name) for table in (first, second) if name in table.columns]
        try:
            columns[name] = pl.concat(there, how="vertical_relaxed")[name]
        except pl.exceptions.PolarsError:
            columns[name] = there[0][name]
    return pl.DataFrame(columns)


def conform(table: pl.DataFrame, kinds: pl.DataFrame, modality: str) -> tuple[pl.DataFrame, list[Reject]]:
    """With the columns and types of `kinds`; rows with a value that has no place there are set aside.

    The payload is left as it is: `_usable` sees to it.
    """
    columns = []
    reasons = pl.Series("_reason", [None] * len(table), dtype=pl.String)
    for name, kind in kinds.schema.items():
        given = table[name] if name in table.columns else pl.Series(name, [None] * len(table), dtype=kind)
        if name != modality and given.dtype != kind:
            try:
                column = given.cast(kind, strict=False)
            except pl.exceptions.PolarsError:
                column = pl.Series(name, [None] * len(table), dtype=kind)
            lost = given.is_not_null() & column.is_null()
            if kind.is_numeric() and given.dtype.is_numeric():
                lost |= (column.cast(given.dtype, strict=False) != given).fill_null(False)
            if lost.any():
                texts = [f"column {name} holds {value!r:.80}, not {kind}" if bad else None
                         for value, bad in zip(given.to_list(), lost, strict=True)]  # fmt: skip
                reasons = reasons.zip_with(reasons.is_not_null(), pl.Series(texts, dtype=pl.String))
            given = column
        columns.append(given)
    return set_aside(pl.DataFrame([*columns, reasons]), pl.when(pl.col("_reason").is_not_null()).then("_reason"))
