"""CSV and JSON Lines in parts: a file looked through for the ends of its rows → `TableFile`."""

from __future__ import annotations

import csv
import io
from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import polars as pl

from adde_ray.errors import UserError
from adde_ray.sources.files import AnyPath, open_file
from adde_ray.sources.parts import PART_BYTES, TableFile
from adde_ray.sources.readers import parse_csv, parse_header, parse_jsonl, plain
from adde_ray.sources.rows import WHERE, Reject

HEAD = 1 << 18
"""Bytes of a file of lines that its columns and their types are told from."""


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
        with open_file(self.path) as file:
            file.seek(self.start)
            data = file.read(self.end - self.start)
        if self.header is None:
            return parse_jsonl(data, self.file_name, line=self.line)
        return parse_csv(data, self.file_name, self.header, self.separator, line=self.line)


def list_csv(path: AnyPath, name: str, rows: int) -> TableFile:
    head, _ = _head(path)
    header, separator, line, start = parse_header(head, name)
    cuts = _cuts(_csv_units(path, start, separator), rows, start, line)
    parts = tuple(LinesPart(path, name, *cut, header=header, separator=separator) for cut in cuts)
    return TableFile(path, name, parts, pl.DataFrame(schema=dict.fromkeys(header, pl.String)))


def list_jsonl(path: AnyPath, name: str, rows: int) -> TableFile:
    head, whole = _head(path)
    skip = len(head) - len(plain(head, name))
    table, _ = parse_jsonl(head[skip:] if whole else head[skip : head.rfind(b"\n") + 1], name)
    parts = tuple(LinesPart(path, name, *cut) for cut in _cuts(_line_units(path, skip), rows, skip, 1))
    return TableFile(path, name, parts, table.drop(WHERE).clear())


def _head(path: AnyPath) -> tuple[bytes, bool]:
    """The first bytes of a file, one line at least, and whether that is all of it."""
    with open_file(path) as file:
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
        if number >= rows or end - start >= PART_BYTES:
            yield start, end, line, lines, number
            start, line, lines, number = end, line + lines, 0, 0
    if number:
        yield start, end, line, lines, number


def _csv_units(path: AnyPath, start: int, separator: str) -> Iterator[tuple[int, int]]:
    """Bytes and lines of each row. A row may run over several lines, and a stray quote must not swallow the rest:
    the reader goes on after it just as `parse_csv` does."""
    with open_file(path) as file:
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
    with open_file(path) as file:
        file.seek(start)
        yield from ((len(line), 1) for line in file)
