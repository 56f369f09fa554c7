"""CSV and JSON Lines in chunks: a file looked through for the ends of its rows → `TableFile`."""

from __future__ import annotations

import csv
import io
from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import partial

import polars as pl

from adde_ray.errors import UserError
from adde_ray.sources.rows import WHERE, Reject
from adde_ray.sources.storage.files import AnyPath, open_file
from adde_ray.sources.tables.chunks import FILE_CHUNK_BYTES, TableFile
from adde_ray.sources.tables.delimited import (
    HEAD,
    Dialect,
    doubtful,
    extents_of,
    parse_csv,
    parse_header,
    with_backslashes,
)
from adde_ray.sources.tables.encodings import plain
from adde_ray.sources.tables.readers import parse_jsonl


@dataclass(frozen=True)
class LinesChunk:
    """Bytes `start` … `end - 1` of a file of lines, which begin with line `line`."""

    path: AnyPath
    file_name: str
    start: int
    end: int
    line: int
    lines: int
    num_rows: int
    dialect: Dialect | None = None  # CSV

    @property
    def name(self) -> str:
        """The file and which of its lines, for messages."""
        return f"{self.file_name}: lines {self.line}-{self.line + self.lines - 1}"

    def read(self) -> tuple[pl.DataFrame, list[Reject]]:
        """The rows, and those that do not fit. Raises OSError; UserError: its quotes tell nothing apart."""
        with open_file(self.path) as file:
            file.seek(self.start)
            data = file.read(self.end - self.start)
        if self.dialect is None:
            return parse_jsonl(data, self.file_name, line=self.line)
        return parse_csv(data, self.file_name, self.dialect, line=self.line)


def list_csv(path: AnyPath, name: str, rows: int) -> TableFile[LinesChunk]:
    """The file's rows in chunks of about `rows`; all is read once. Raises UserError: it is no such file; OSError."""
    head, _ = _head(path)
    dialect = parse_header(head, name)
    if _has_backslashes(path, dialect.start):
        dialect = with_backslashes(dialect, partial(_text, path, dialect.start))
    try:
        cuts = tuple(_cuts(_whole_rows(path, dialect), rows, dialect.start, dialect.line))
    except _Doubtful:
        cuts = tuple(_cuts(_all_rows(path, dialect), rows, dialect.start, dialect.line))
    chunks = tuple(LinesChunk(path, name, *cut, dialect=dialect) for cut in cuts)
    return TableFile(path, name, chunks, pl.DataFrame(schema=dict.fromkeys(dialect.header, pl.String)))


def list_jsonl(path: AnyPath, name: str, rows: int) -> TableFile[LinesChunk]:
    """The file's lines in chunks of about `rows`; all is read once. Raises UserError: it is no such file; OSError."""
    head, whole = _head(path)
    skip = len(head) - len(plain(head, name))
    table, _ = parse_jsonl(head[skip:] if whole else head[skip : head.rfind(b"\n") + 1], name)
    chunks = tuple(LinesChunk(path, name, *cut) for cut in _cuts(_line_units(path, skip), rows, skip, 1))
    return TableFile(path, name, chunks, table.drop(WHERE).clear())


def _head(path: AnyPath) -> tuple[bytes, bool]:
    """The first bytes of a file, one line at least, and whether that is all of it."""
    with open_file(path) as file:
        data = file.read(HEAD)
        data += b"" if b"\n" in data else file.readline()
        whole = not file.read(1)
    if not data:
        raise UserError("is empty", where=path)
    return data, whole


def _cuts(
    units: Iterable[tuple[int, int, int]], rows: int, start: int, line: int
) -> Iterator[tuple[int, int, int, int, int]]:
    """(first byte, byte after the last, first line, number of lines, of rows) of chunks of about `rows` rows.

    units: bytes, lines and rows of what must stay together.
    """
    end, lines, number = start, 0, 0
    for size, height, held in units:
        end, lines, number = end + size, lines + height, number + held
        if number >= rows or end - start >= FILE_CHUNK_BYTES:
            yield start, end, line, lines, number
            start, line, lines, number = end, line + lines, 0, 0
    if number:
        yield start, end, line, lines, number


class _Doubtful(Exception):
    """The quotes of a file are odd somewhere."""


def _whole_rows(path: AnyPath, dialect: Dialect) -> Iterator[tuple[int, int, int]]:
    """Bytes, lines and rows (1) of each row, which may run over several lines. Raises _Doubtful."""
    taken: list[str] = []
    is_doubtful = doubtful(dialect)

    def feed(lines: Iterable[str]) -> Iterator[str]:
        for line in lines:
            taken.append(line)
            yield dialect.line_of(line)

    try:
        for row in csv.reader(feed(_text(path, dialect.start)), delimiter=dialect.separator, strict=True):
            text = taken[0] if len(taken) == 1 else "".join(taken)
            if '"' in text and is_doubtful(text, row):
                raise _Doubtful
            yield _num_bytes(text), len(taken), 1
            taken.clear()
    except csv.Error:
        raise _Doubtful from None


def _all_rows(path: AnyPath, dialect: Dialect) -> Iterator[tuple[int, int, int]]:
    """The same, whatever the quotes are like: lines that are given up stay together, as `parse_csv` needs them."""
    sizes: deque[int] = deque()

    def feed(lines: Iterable[str]) -> Iterator[str]:
        for line in lines:
            sizes.append(_num_bytes(line))
            yield line

    for extent in extents_of(feed(_text(path, dialect.start)), dialect):
        size = sum(sizes.popleft() for _ in range(extent.lines))
        yield size, extent.lines, extent.lines if extent.problem else 1


def _text(path: AnyPath, start: int) -> Iterator[str]:
    """The lines from byte `start` on, with their ends; bytes that are no UTF-8 as lone surrogates."""
    with open_file(path) as file:
        file.seek(start)
        yield from io.TextIOWrapper(file, encoding="utf-8", errors="surrogateescape", newline="")


def _has_backslashes(path: AnyPath, start: int) -> bool:
    """Whether a quote in the file stands after one."""
    with open_file(path) as file:
        file.seek(start)
        last = b""
        while data := file.read(1 << 20):
            if b'\\"' in last + data:
                return True
            last = data[-1:]
    return False


def _num_bytes(text: str) -> int:
    return len(text) if text.isascii() else len(text.encode(errors="surrogateescape"))


def _line_units(path: AnyPath, start: int) -> Iterator[tuple[int, int, int]]:
    with open_file(path) as file:
        file.seek(start)
        yield from ((len(line), 1, 1) for line in file)
