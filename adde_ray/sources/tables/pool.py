"""A table's further pool rows, in many files, as chunks that are read one by one: the files in, `Chunk`s out.

Every chunk gives the same columns with the same types, agreed on from what all files say of themselves.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import polars as pl

from adde_ray.config.data import CsvData
from adde_ray.errors import UserError
from adde_ray.sources.rows import WHERE, Reject, why
from adde_ray.sources.storage import leftovers
from adde_ray.sources.storage.files import AnyPath, at
from adde_ray.sources.storage.walking import walk_of
from adde_ray.sources.tables.chunks import C, FileChunk, TableFile
from adde_ray.sources.tables.columns import PAYLOADS, as_ours, empty_like, set_aside, usable, usual_length
from adde_ray.sources.tables.files import list_chunks, list_tables
from adde_ray.sources.tables.spelling import with_plain_names

CHUNK_BYTES = 1 << 26
"""Bytes of a chunk's decoded images, about."""


TEXT_ROWS = 8192
"""Texts or vectors of a chunk, about."""


@dataclass(frozen=True)
class HeldChunk:
    """Pool rows of the main file, which are in memory already."""

    name: str
    table: pl.DataFrame

    @property
    def num_rows(self) -> int:
        """How many there are, all of them usable."""
        return len(self.table)

    def read(self) -> tuple[pl.DataFrame, list[Reject]]:
        """The rows."""
        return self.table, []


@dataclass(frozen=True)
class TableChunk:
    """Some rows of one of the pool's files."""

    chunk: FileChunk
    config: CsvData
    kinds: pl.DataFrame  # empty, with the columns and types every chunk is to have
    length: int  # of a vector
    folder: AnyPath  # which paths of images are relative to

    @property
    def name(self) -> str:
        """The file and which of its rows, for messages."""
        return self.chunk.name

    @property
    def num_rows(self) -> int:
        """How many rows it has, the unusable ones included."""
        return self.chunk.num_rows

    def read(self) -> tuple[pl.DataFrame, list[Reject]]:
        """The usable rows with our columns, as `kinds` has them, and the others with the reason."""
        try:
            table, rejected = self.chunk.read()
            if not len(table):
                return self.kinds, rejected
            table = as_ours(_completed(table, self.config), self.config, self.chunk.path)
        except (UserError, OSError) as error:
            return self.kinds, [{"where": self.name, "reason": why(error), "rows": self.num_rows}]
        if self.config.split_column:
            odd = pl.col("_split").is_not_null() & (pl.col("_split") != "pool")
            table, aside = set_aside(
                table, pl.when(odd).then(pl.format("a {} row among data.pool, which holds pool rows", pl.col("_split")))
            )
            table, rejected = table.drop("_split"), rejected + aside
        table, misfits = conform(table, self.kinds, self.config.payload[0])
        table, unusable = usable(table, self.config, self.length, self.folder)
        return table, rejected + misfits + unusable


def image_rows(size: int, mode: str) -> int:
    """Images of a chunk: so many that they stay small when they are decoded."""
    return min(max(CHUNK_BYTES // (size**2 * (3 if mode == "RGB" else 1)), 64), 4096)


def list_files(config: CsvData) -> tuple[list[TableFile[FileChunk]], list[Reject], list[str]]:
    """The files of `data.pool`, none where it is left out; those that are no such tables; and notes."""
    if config.pool is None:
        return [], [], []
    main, pool = at(config.path).resolve(), at(config.pool)
    walk = walk_of(pool, config.roots)
    named = [(path, name) for path, name in list_tables(pool, walk) if path.resolve() != main]
    files, rejected = list_all(named, image_rows(config.size, config.mode) if config.image_column else TEXT_ROWS)
    files, unfit = fitting(files, config)
    return files, walk.lost + rejected + unfit, leftovers.note(walk.passed)


def list_all(named: Iterable[tuple[AnyPath, str]], rows: int) -> tuple[list[TableFile[FileChunk]], list[Reject]]:
    """The chunks of files, about `rows` rows each, and the files that cannot be told apart into chunks."""
    files, rejected = [], []
    for path, name in named:
        try:
            files.append(list_chunks(path, name, rows))
        except (UserError, OSError) as error:
            rejected.append({"where": name, "reason": why(error)})
    return files, rejected


def fitting(files: Iterable[TableFile[C]], config: CsvData) -> tuple[list[TableFile[C]], list[Reject]]:
    """The files that have the columns a pool needs, and the others."""
    fit, rejected = [], []
    for file in files:
        try:
            as_ours(_completed(file.head, config), config, file.path)
            fit.append(file)
        except UserError as error:
            rejected.append({"where": file.name, "reason": why(error)})
    return fit, rejected


def chunks_of(
    files: Sequence[TableFile[FileChunk]], config: CsvData, kinds: pl.DataFrame, length: int = 0
) -> tuple[TableChunk, ...]:
    """The chunks of all files, with the types that hold what any of them has, and `kinds`.

    length: of a vector; 0: as the first chunk has it.
    """
    length = length or _first_length(files, config)
    heads = {tuple(file.head.schema.items()): file for file in files}
    for file in heads.values():
        head = as_ours(_completed(file.head, config), config, file.path)
        kinds = _columns_of_both(kinds, empty_like(head, config))
    return tuple(
        TableChunk(chunk, config, kinds, length, folder)
        for file in files
        for folder in [file.folder or file.path.parent]
        for chunk in file.chunks
    )


def _first_length(files: Sequence[TableFile[FileChunk]], config: CsvData) -> int:
    modality, payload = config.payload
    for chunk in (chunk for file in files for chunk in file.chunks if modality == "vector"):
        try:
            if length := usual_length(PAYLOADS[modality](chunk.read()[0][payload])):
                return length
        except (UserError, OSError, pl.exceptions.ColumnNotFoundError):
            continue  # it is told of when it is read for good
    return 0


def _completed(table: pl.DataFrame, config: CsvData) -> pl.DataFrame:
    """With null for columns that rows of the pool may lack. Raises UserError when there is no payload."""
    _, payload = config.payload
    table = with_plain_names(table)
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

    The payload is left as it is: `usable` sees to it.
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
