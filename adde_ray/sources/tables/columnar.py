"""Parquet files and Arrow streams in chunks, as a file's footer or batches tell: a file in → `TableFile`."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq

from adde_ray.errors import UserError
from adde_ray.sources.rows import WHERE, Reject, why
from adde_ray.sources.storage.files import AnyPath, open_file, size_of
from adde_ray.sources.tables.chunks import FILE_CHUNK_BYTES, TableFile
from adde_ray.sources.tables.decoding import DECODED_BYTES, Growth, TooMuch, as_frame, decoding, plain

BATCH = 256
"""Rows decoded at a time: values of a megabyte, which a dictionary keeps once, are a quarter of a gigabyte then."""

ALL = 1 << 62
"""As many rows a chunk as its bytes allow."""

SLICES = 16
"""A Parquet row group is cut into this many chunks at most: each reads over those before it."""


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
        """The file and which of its rows, for messages."""
        return _range(self.file_name, self.first, self.num_rows)


@dataclass(frozen=True)
class ParquetChunk(RowRange):
    """Rows of a Parquet file, which lie in `groups`."""

    groups: tuple[int, ...]
    skip: int  # rows of the first group that belong to chunks before

    def read(self) -> tuple[pl.DataFrame, list[Reject]]:
        """The rows, and those of damaged row groups. Raises UserError: not Parquet, or too large decoded; OSError."""
        return self.decoded(Growth(DECODED_BYTES))

    def decoded(self, growth: Growth) -> tuple[pl.DataFrame, list[Reject]]:
        """The rows, and those set aside. Raises UserError: they become more than `growth` has room for."""
        with open_file(self.path) as opened:
            with decoding("Parquet", self.name):
                file = pq.ParquetFile(opened, page_checksum_verification=True)
            tables, rejected, row = [], [], self.first
            for group in self.groups:
                size = min(file.metadata.row_group(group).num_rows - self.skip, self.first + self.num_rows - row)
                where = _range(self.file_name, row, size)
                try:
                    with decoding("Parquet", where):
                        table = _slice(file, group, self.skip, size, growth)
                except TooMuch:
                    raise
                except (UserError, OSError) as error:  # the other groups may be whole
                    rejected.append({"where": where, "reason": why(error), "rows": size})
                else:
                    tables.append(_with_where(table, self.file_name, row))
                row += size
        return pl.concat(tables) if tables else pl.DataFrame(), rejected


def read_parquet(path: AnyPath) -> tuple[pl.DataFrame, list[Reject]]:
    """All rows of a file, and those of its damaged row groups set aside. Raises UserError: none of it can be read."""
    file, growth = list_parquet(path, path.name, ALL), Growth.of_file(size_of(path))
    tables, rejected = [file.head], []
    for chunk in file.chunks:
        table, aside = chunk.decoded(growth)
        tables.append(table)
        rejected += aside
    tables = [table for table in tables if len(table)] or tables[:1]
    if rejected and not sum(map(len, tables)):
        raise UserError(rejected[0]["reason"], where=path, remedy="Write the file anew")
    return pl.concat(tables), rejected


def _slice(file: pq.ParquetFile, group: int, skip: int, size: int, growth: Growth) -> pl.DataFrame:
    """Rows skip … skip + size - 1 of a row group; those after are not decoded, those before are passed over."""
    batches, row = [], 0
    for batch in file.iter_batches(batch_size=min(size, BATCH), row_groups=[group], use_threads=False):
        wanted = batch.slice(max(skip - row, 0), max(min(row + len(batch), skip + size) - max(row, skip), 0))
        row += len(batch)
        if len(wanted):
            batches.append(plain(wanted))
            growth.add(batches[-1].nbytes, len(wanted))
        if row >= skip + size:
            break
    if not batches or sum(map(len, batches)) < size:
        raise UserError("holds fewer rows than it says")
    return as_frame(pa.Table.from_batches(batches))


def list_parquet(path: AnyPath, name: str, rows: int) -> TableFile[ParquetChunk]:
    """The file's rows in chunks of about `rows`, by its footer. Raises UserError: it is no such file; OSError."""
    with open_file(path) as opened, decoding("Parquet", name):
        file = pq.ParquetFile(opened)
        groups = [file.metadata.row_group(i) for i in range(file.metadata.num_row_groups)]
        sizes = [group.num_rows for group in groups]
        if any(size < 0 for size in sizes):
            raise UserError("a row group of less than no rows", where=name)
        head = _head(file.schema_arrow)
    num_bytes = sum(group.total_byte_size for group in groups)
    rows = min(rows, max(1, FILE_CHUNK_BYTES * sum(sizes) // max(num_bytes, 1)))
    found, first = [], 0
    pending: list[int] = []  # small groups are read together
    for group, size in enumerate(sizes):
        if pending and sum(sizes[g] for g in pending) + size > rows:
            held = sum(sizes[g] for g in pending)
            found.append(ParquetChunk(path, name, first, held, tuple(pending), 0))
            first, pending = first + held, []
        if size <= rows:
            pending += [group] if size else []
            continue
        step = max(rows, -(-size // SLICES))
        for skip in range(0, size, step):
            taken = min(step, size - skip)
            found.append(ParquetChunk(path, name, first, taken, (group,), skip))
            first += taken
    if pending:
        found.append(ParquetChunk(path, name, first, sum(sizes[g] for g in pending), tuple(pending), 0))
    return TableFile(path, name, tuple(found), head)


# --- Arrow streams ----------------------------------------------------------------------------------------


@dataclass(frozen=True)
class ArrowChunk(RowRange):
    """Record batches of an Arrow stream file, as `datasets` keeps its tables."""

    skip: int  # batches before
    batches: int

    def read(self) -> tuple[pl.DataFrame, list[Reject]]:
        """The rows; none is set aside. Raises UserError: no stream, or too large decoded; OSError."""
        growth = Growth(DECODED_BYTES)
        with open_stream(self.path, self.name) as stream:
            for _ in range(self.skip):
                stream.read_next_batch()
            taken = []
            for _ in range(self.batches):
                taken.append(plain(stream.read_next_batch()))
                growth.add(taken[-1].nbytes, len(taken[-1]))
            table = as_frame(pa.Table.from_batches(taken))
        return _with_where(table, self.file_name, self.first), []


def list_arrow(path: AnyPath, name: str, rows: int) -> TableFile[ArrowChunk]:
    """The file's batches in chunks of about `rows` rows; all are passed over. Raises UserError: no stream; OSError."""
    found, first, skip, batches, number, num_bytes = [], 0, 0, 0, 0, 0
    with open_stream(path, name) as stream:
        head = _head(stream.schema)
        for batch in stream:
            batches, number = batches + 1, number + len(batch)
            num_bytes += batch.get_total_buffer_size()
            if number >= rows or num_bytes >= FILE_CHUNK_BYTES:
                found.append(ArrowChunk(path, name, first, number, skip, batches))
                first, skip, batches, number, num_bytes = first + number, skip + batches, 0, 0, 0
    if batches:
        found.append(ArrowChunk(path, name, first, number, skip, batches))
    return TableFile(path, name, tuple(found), head)


@contextmanager
def open_stream(path: AnyPath, name: str) -> Iterator[pa.RecordBatchStreamReader]:
    """Mapped into memory where that can be: then passing over a batch reads none of it. Raises UserError: no stream."""
    with open_file(path) as opened, decoding("an Arrow stream", name):
        file = pa.memory_map(str(path)) if isinstance(path, Path) else opened
        with file, pa.ipc.open_stream(file) as stream:
            yield stream


def _head(schema: pa.Schema) -> pl.DataFrame:
    """No rows, with the columns and types that those of such a file have."""
    return as_frame(pa.Table.from_batches([plain(pa.RecordBatch.from_pylist([], schema=schema))]))


# --- rows by name -----------------------------------------------------------------------------------------


def _range(file_name: str, first: int, number: int) -> str:
    return f"{file_name}: rows {first + 1}-{first + number}"


def _with_where(table: pl.DataFrame, file_name: str, first: int) -> pl.DataFrame:
    row = pl.int_range(first + 1, first + len(table) + 1, dtype=pl.Int64)
    return table.with_columns(pl.format("{}: row {}", pl.lit(file_name), row).alias(WHERE))
