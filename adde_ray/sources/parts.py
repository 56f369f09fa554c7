"""Big tables in pieces: files in → parts, each of which can be read by itself, on any machine.

Listing reads the footers of Parquet files, and looks through CSV and JSON Lines for the ends of rows.
"""

from __future__ import annotations

import csv
import io
from collections import deque
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq

from adde_ray.errors import UserError
from adde_ray.sources.files import AnyPath, matching, walk
from adde_ray.sources.readers import parse_csv, parse_header, parse_jsonl, plain
from adde_ray.sources.rows import WHERE, Reject

HEAD = 1 << 18
"""Bytes of a file of lines that its columns and their types are told from."""

SLICES = 16
"""A Parquet row group is cut into this many parts at most: each reads over those before it."""


class Part(Protocol):
    """Some rows of a file."""

    path: AnyPath

    @property
    def name(self) -> str: ...

    @property
    def num_rows(self) -> int: ...

    def read(self) -> tuple[pl.DataFrame, list[Reject]]:
        """The rows, with `WHERE`, and those set aside. Raises UserError or OSError: nothing of it can be read."""


@dataclass(frozen=True)
class TableFile:
    """A file's parts; an empty table with its columns and their types."""

    path: AnyPath
    name: str
    parts: tuple[Part, ...]
    head: pl.DataFrame


def list_tables(pool: AnyPath) -> list[tuple[AnyPath, str]]:
    """The table files of a file, folder or pattern, with their names for messages. Raises UserError: none there."""
    if pool.is_file():
        return [(pool, f"{pool.parent.name}/{pool.name}")]
    root, names = (pool, walk(pool)) if pool.is_dir() else matching(pool)
    found = sorted((root / name, f"{root.name}/{name}") for name in names)
    found = [(p, name) for p, name in found if p.suffix.lower() in LISTERS and not p.name.startswith("_")]
    if not found:
        raise UserError(
            "no .parquet, .csv or .jsonl file there", where="data.pool", value=str(pool),
            remedy="Give a file, a folder or a pattern such as pool/*.parquet",
        )  # fmt: skip
    return found


def list_parts(path: AnyPath, name: str, rows: int) -> TableFile:
    """The parts of a file, of about `rows` rows each. Raises UserError or OSError: it is no table."""
    return LISTERS[path.suffix.lower()](path, name, rows)


# --- Parquet ----------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class ParquetPart:
    """Rows `first` … `first + num_rows - 1` of a Parquet file, which lie in `groups`."""

    path: AnyPath
    file_name: str
    groups: tuple[int, ...]
    skip: int  # rows of the first group that belong to parts before
    first: int
    num_rows: int

    @property
    def name(self) -> str:
        return f"{self.file_name}: rows {self.first + 1}-{self.first + self.num_rows}"

    def read(self) -> tuple[pl.DataFrame, list[Reject]]:
        with self.path.open("rb") as opened:
            file = pq.ParquetFile(opened, page_checksum_verification=True)
            tables, rejected, row = [], [], self.first
            for group in self.groups:
                size = min(file.metadata.row_group(group).num_rows - self.skip, self.first + self.num_rows - row)
                try:
                    table = _slice(file, group, self.skip, size)
                except (pa.ArrowException, OSError) as error:  # the other groups may be whole
                    where = f"{self.file_name}: rows {row + 1}-{row + size}"
                    rejected.append({"where": where, "reason": _unreadable(error), "rows": size})
                else:
                    names = [f"{self.file_name}: row {i + 1}" for i in range(row, row + size)]
                    tables.append(table.with_columns(pl.Series(WHERE, names, dtype=pl.String)))
                row += size
        return pl.concat(tables) if tables else pl.DataFrame(), rejected


def _slice(file: pq.ParquetFile, group: int, skip: int, size: int) -> pl.DataFrame:
    """Rows skip … skip + size - 1 of a row group; those after are not decoded, those before are passed over."""
    batches, row = [], 0
    for batch in file.iter_batches(batch_size=4096, row_groups=[group], use_threads=False):
        piece = batch.slice(max(skip - row, 0), max(min(row + len(batch), skip + size) - max(row, skip), 0))
        row += len(batch)
        if len(piece):
            batches.append(piece)
        if row >= skip + size:
            break
    return pl.from_arrow(pa.Table.from_batches(batches, schema=file.schema_arrow), rechunk=False)


def _list_parquet(path: AnyPath, name: str, rows: int) -> TableFile:
    try:
        with path.open("rb") as opened:
            file = pq.ParquetFile(opened)
            sizes = [file.metadata.row_group(i).num_rows for i in range(file.metadata.num_row_groups)]
            head = pl.from_arrow(file.schema_arrow.empty_table())
    except (pa.ArrowException, OSError) as error:
        if isinstance(error, OSError) and error.strerror:
            raise
        raise UserError(_unreadable(error), where=name) from None
    parts, first = [], 0
    pending: list[int] = []  # small groups are read together
    for group, size in enumerate(sizes):
        if pending and sum(sizes[g] for g in pending) + size > rows:
            held = sum(sizes[g] for g in pending)
            parts.append(ParquetPart(path, name, tuple(pending), 0, first, held))
            first, pending = first + held, []
        if size <= rows:
            pending += [group] if size else []
            continue
        step = max(rows, -(-size // SLICES))
        for skip in range(0, size, step):
            taken = min(step, size - skip)
            parts.append(ParquetPart(path, name, (group,), skip, first, taken))
            first += taken
    if pending:
        parts.append(ParquetPart(path, name, tuple(pending), 0, first, sum(sizes[g] for g in pending)))
    return TableFile(path, name, tuple(parts), head)


def _unreadable(error: Exception) -> str:
    return f"cannot be read as Parquet: {str(error).splitlines()[0] if str(error) else type(error).__name__}"


# --- Arrow streams ----------------------------------------------------------------------------------------


@dataclass(frozen=True)
class ArrowPart:
    """Record batches of an Arrow stream file, as `datasets` keeps its tables."""

    path: AnyPath
    file_name: str
    skip: int  # batches before
    batches: int
    first: int
    num_rows: int

    @property
    def name(self) -> str:
        return f"{self.file_name}: rows {self.first + 1}-{self.first + self.num_rows}"

    def read(self) -> tuple[pl.DataFrame, list[Reject]]:
        try:
            with _stream(self.path) as stream:
                for _ in range(self.skip):
                    stream.read_next_batch()
                taken = [stream.read_next_batch() for _ in range(self.batches)]
                table = pl.from_arrow(pa.Table.from_batches(taken, schema=stream.schema))
        except pa.ArrowException as error:
            raise UserError(_no_stream(error), where=self.name) from None
        names = [f"{self.file_name}: row {i + 1}" for i in range(self.first, self.first + len(table))]
        return table.with_columns(pl.Series(WHERE, names, dtype=pl.String)), []


def _list_arrow(path: AnyPath, name: str, rows: int) -> TableFile:
    parts, first, skip, batches, number = [], 0, 0, 0, 0
    try:
        with _stream(path) as stream:
            head = pl.from_arrow(stream.schema.empty_table())
            for batch in stream:
                batches, number = batches + 1, number + len(batch)
                if number >= rows:
                    parts.append(ArrowPart(path, name, skip, batches, first, number))
                    first, skip, batches, number = first + number, skip + batches, 0, 0
    except pa.ArrowException as error:
        raise UserError(_no_stream(error), where=name) from None
    if batches:
        parts.append(ArrowPart(path, name, skip, batches, first, number))
    return TableFile(path, name, tuple(parts), head)


@contextmanager
def _stream(path: AnyPath) -> Iterator[pa.RecordBatchStreamReader]:
    """Mapped into memory where that can be: then passing over a batch reads none of it."""
    with pa.memory_map(str(path)) if isinstance(path, Path) else path.open("rb") as file, pa.ipc.open_stream(file) as s:
        yield s


def _no_stream(error: Exception) -> str:
    return f"cannot be read as an Arrow stream: {str(error).splitlines()[0]}"


# --- lines: CSV and JSON Lines ----------------------------------------------------------------------------


@dataclass(frozen=True)
class LinesPart:
    """Bytes `start` … `end - 1` of a file of lines, which begin with line `line`."""

    path: AnyPath
    file_name: str
    start: int
    end: int
    line: int
    lines: int
    num_rows: int
    header: tuple[str, ...] | None = None  # CSV
    separator: str = ","

    @property
    def name(self) -> str:
        return f"{self.file_name}: lines {self.line}-{self.line + self.lines - 1}"

    def read(self) -> tuple[pl.DataFrame, list[Reject]]:
        with self.path.open("rb") as file:
            file.seek(self.start)
            data = file.read(self.end - self.start)
        if self.header is None:
            return parse_jsonl(data, self.file_name, line=self.line)
        return parse_csv(data, self.file_name, self.header, self.separator, line=self.line)


def _list_csv(path: AnyPath, name: str, rows: int) -> TableFile:
    head, _ = _head(path)
    header, separator, line, start = parse_header(head, name)
    cuts = _cuts(_csv_units(path, start, separator), rows, start, line)
    parts = tuple(LinesPart(path, name, *cut, header=header, separator=separator) for cut in cuts)
    return TableFile(path, name, parts, pl.DataFrame(schema=dict.fromkeys(header, pl.String)))


def _list_jsonl(path: AnyPath, name: str, rows: int) -> TableFile:
    head, whole = _head(path)
    skip = len(head) - len(plain(head, name))
    table, _ = parse_jsonl(head[skip:] if whole else head[skip : head.rfind(b"\n") + 1], name)
    parts = tuple(LinesPart(path, name, *cut) for cut in _cuts(_line_units(path, skip), rows, skip, 1))
    return TableFile(path, name, parts, table.drop(WHERE).clear())


def _head(path: AnyPath) -> tuple[bytes, bool]:
    """The first bytes of a file, one line at least, and whether that is all of it."""
    with path.open("rb") as file:
        data = file.read(HEAD)
        data += b"" if b"\n" in data else file.readline()
        whole = not file.read(1)
    if not data:
        raise UserError("is empty", where=path)
    return data, whole


def _cuts(units: Iterable[tuple[int, int]], rows: int, start: int, line: int) -> Iterator[tuple[int, ...]]:
    """(first byte, byte after the last, first line, number of lines, of rows) of parts of about `rows` rows.

    units: bytes and lines of each row.
    """
    end, lines, number = start, 0, 0
    for size, height in units:
        end, lines, number = end + size, lines + height, number + 1
        if number >= rows:
            yield start, end, line, lines, number
            start, line, lines, number = end, line + lines, 0, 0
    if number:
        yield start, end, line, lines, number


def _csv_units(path: AnyPath, start: int, separator: str) -> Iterator[tuple[int, int]]:
    """Bytes and lines of each row. A row may run over several lines, and a stray quote must not swallow the rest:
    the reader goes on after it just as `parse_csv` does."""
    with path.open("rb") as file:
        file.seek(start)
        lines = io.TextIOWrapper(file, encoding="utf-8", errors="surrogateescape", newline="")
        again: deque[str] = deque()
        taken: list[str] = []

        def feed() -> Iterator[str]:
            while line := again.popleft() if again else lines.readline():
                taken.append(line)
                yield line

        while True:
            try:
                for _ in csv.reader(feed(), delimiter=separator, strict=True):
                    yield sum(map(_num_bytes, taken)), len(taken)
                    taken.clear()
                return
            except csv.Error:
                again.extendleft(reversed(taken[1:]))
                yield _num_bytes(taken[0]), 1
                taken.clear()


def _num_bytes(text: str) -> int:
    return len(text) if text.isascii() else len(text.encode(errors="surrogateescape"))


def _line_units(path: AnyPath, start: int) -> Iterator[tuple[int, int]]:
    with path.open("rb") as file:
        file.seek(start)
        yield from ((len(line), 1) for line in file)


LISTERS = {
    ".csv": _list_csv,
    ".tsv": _list_csv,
    ".jsonl": _list_jsonl,
    ".ndjson": _list_jsonl,
    ".parquet": _list_parquet,
    ".pq": _list_parquet,
    ".arrow": _list_arrow,
}
