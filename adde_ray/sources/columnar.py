"""Parquet files and Arrow streams in parts, as a file's footer or batches tell: a file in → `TableFile`."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq

from adde_ray.errors import UserError, first_line
from adde_ray.sources.arrow import as_polars
from adde_ray.sources.files import AnyPath
from adde_ray.sources.parts import PART_BYTES, TableFile
from adde_ray.sources.rows import WHERE, Reject

SLICES = 16
"""A Parquet row group is cut into this many parts at most: each reads over those before it."""


# --- Parquet ----------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class RowRange:
    """Rows `first` … `first + num_rows - 1` of a file."""

    path: AnyPath
    file_name: str
    first: int
    num_rows: int

    @property
    def name(self) -> str:
        return _range(self.file_name, self.first, self.num_rows)


@dataclass(frozen=True)
class ParquetPart(RowRange):
    """Rows of a Parquet file, which lie in `groups`."""

    groups: tuple[int, ...]
    skip: int  # rows of the first group that belong to parts before

    def read(self) -> tuple[pl.DataFrame, list[Reject]]:
        with self.path.open("rb") as opened:
            file = pq.ParquetFile(opened, page_checksum_verification=True)
            tables, rejected, row = [], [], self.first
            for group in self.groups:
                size = min(file.metadata.row_group(group).num_rows - self.skip, self.first + self.num_rows - row)
                try:
                    table = _slice(file, group, self.skip, size)
                except (pa.ArrowException, OSError) as error:  # the other groups may be whole
                    where = _range(self.file_name, row, size)
                    rejected.append({"where": where, "reason": _unreadable(error), "rows": size})
                else:
                    tables.append(_with_where(table, self.file_name, row))
                row += size
        return pl.concat(tables) if tables else pl.DataFrame(), rejected


def _slice(file: pq.ParquetFile, group: int, skip: int, size: int) -> pl.DataFrame:
    """Rows skip … skip + size - 1 of a row group; those after are not decoded, those before are passed over."""
    batches, row = [], 0
    for batch in file.iter_batches(batch_size=min(size, 4096), row_groups=[group], use_threads=False):
        piece = batch.slice(max(skip - row, 0), max(min(row + len(batch), skip + size) - max(row, skip), 0))
        row += len(batch)
        if len(piece):
            batches.append(piece)
        if row >= skip + size:
            break
    return as_polars(pa.Table.from_batches(batches, schema=file.schema_arrow), rechunk=False)


def list_parquet(path: AnyPath, name: str, rows: int) -> TableFile:
    try:
        with path.open("rb") as opened:
            file = pq.ParquetFile(opened)
            groups = [file.metadata.row_group(i) for i in range(file.metadata.num_row_groups)]
            sizes = [group.num_rows for group in groups]
            head = as_polars(file.schema_arrow.empty_table())
    except (pa.ArrowException, OSError) as error:
        if isinstance(error, OSError) and error.strerror:
            raise
        raise UserError(_unreadable(error), where=name) from None
    num_bytes = sum(group.total_byte_size for group in groups)
    rows = min(rows, max(1, PART_BYTES * sum(sizes) // max(num_bytes, 1)))
    found, first = [], 0
    pending: list[int] = []  # small groups are read together
    for group, size in enumerate(sizes):
        if pending and sum(sizes[g] for g in pending) + size > rows:
            held = sum(sizes[g] for g in pending)
            found.append(ParquetPart(path, name, first, held, tuple(pending), 0))
            first, pending = first + held, []
        if size <= rows:
            pending += [group] if size else []
            continue
        step = max(rows, -(-size // SLICES))
        for skip in range(0, size, step):
            taken = min(step, size - skip)
            found.append(ParquetPart(path, name, first, taken, (group,), skip))
            first += taken
    if pending:
        found.append(ParquetPart(path, name, first, sum(sizes[g] for g in pending), tuple(pending), 0))
    return TableFile(path, name, tuple(found), head)


def _unreadable(error: Exception) -> str:
    return f"cannot be read as Parquet: {first_line(error)}"


# --- Arrow streams ----------------------------------------------------------------------------------------


@dataclass(frozen=True)
class ArrowPart(RowRange):
    """Record batches of an Arrow stream file, as `datasets` keeps its tables."""

    skip: int  # batches before
    batches: int

    def read(self) -> tuple[pl.DataFrame, list[Reject]]:
        try:
            with _stream(self.path) as stream:
                for _ in range(self.skip):
                    stream.read_next_batch()
                taken = [stream.read_next_batch() for _ in range(self.batches)]
                table = as_polars(pa.Table.from_batches(taken, schema=stream.schema))
        except pa.ArrowException as error:
            raise UserError(_no_stream(error), where=self.name) from None
        return _with_where(table, self.file_name, self.first), []


def list_arrow(path: AnyPath, name: str, rows: int) -> TableFile:
    found, first, skip, batches, number, num_bytes = [], 0, 0, 0, 0, 0
    try:
        with _stream(path) as stream:
            head = as_polars(stream.schema.empty_table())
            for batch in stream:
                batches, number = batches + 1, number + len(batch)
                num_bytes += batch.get_total_buffer_size()
                if number >= rows or num_bytes >= PART_BYTES:
                    found.append(ArrowPart(path, name, first, number, skip, batches))
                    first, skip, batches, number, num_bytes = first + number, skip + batches, 0, 0, 0
    except pa.ArrowException as error:
        raise UserError(_no_stream(error), where=name) from None
    if batches:
        found.append(ArrowPart(path, name, first, number, skip, batches))
    return TableFile(path, name, tuple(found), head)


@contextmanager
def _stream(path: AnyPath) -> Iterator[pa.RecordBatchStreamReader]:
    """Mapped into memory where that can be: then passing over a batch reads none of it."""
    with pa.memory_map(str(path)) if isinstance(path, Path) else path.open("rb") as file, pa.ipc.open_stream(file) as s:
        yield s


def _no_stream(error: Exception) -> str:
    return f"cannot be read as an Arrow stream: {first_line(error)}"


# --- rows by name -----------------------------------------------------------------------------------------


def _range(file_name: str, first: int, number: int) -> str:
    return f"{file_name}: rows {first + 1}-{first + number}"


def _with_where(table: pl.DataFrame, file_name: str, first: int) -> pl.DataFrame:
    names = [f"{file_name}: row {i + 1}" for i in range(first, first + len(table))]
    return table.with_columns(pl.Series(WHERE, names, dtype=pl.String))
