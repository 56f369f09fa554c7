"""Where the rows of a file of separated values begin and end, also where a quoted field is broken.

A row that may run over several lines must not be left in the middle: what stands there is text, and would be taken for
rows with labels nobody gave. So a broken field costs everything up to where it can end: at a quote before a separator
or the end of a line, the quotes until then in pairs. Where there is none, that is the end of the file.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import lru_cache

FOLLOWS = "text follows a closing quote: is a quote unbalanced, or not doubled?"
UNCLOSED = "a quote is opened and never closed"
UNOPENED = "a quote is closed that was never opened: a quoted field before it is broken"

HELD = 1 << 20
"""Rows after a quoted one that are held back at most, until a later line shows that its field was whole."""

_REST = re.compile(r'(?:[^"]++|"")*+"')
"""The rest of an open field, up to and with its closing quote."""


@dataclass(frozen=True)
class Extent:
    """The lines of a row; with `problem`, lines that are given up, and why."""

    lines: int
    problem: str | None = None


@dataclass
class _Row:
    """What one row looks like."""

    lines: int = 1
    fields: int = 1
    quoted: bool = False  # a field of it is in quotes
    ends_quoted: bool = False  # the last one is
    loose: bool = False  # a field that is not in quotes ends with one: it may be the end of a broken one
    problem: str | None = None


@lru_cache(maxsize=16)
def strict(separator: str) -> re.Pattern[str]:
    """Rows in which every quote opens or closes a field, or is doubled within one."""
    plain = rf'[^"\r\n{re.escape(separator)}]*+'
    field = rf'(?:"(?:[^"]++|"")*+"|{plain})'
    return re.compile(rf"(?:{field}(?:{re.escape(separator)}{field})*+(?:\r\n|\r|\n|\Z))*+")


def is_strict(text: str, separator: str) -> bool:
    """Whether `text` is nothing but `strict` rows."""
    return '"' not in text or strict(separator).fullmatch(text) is not None


def extents(lines: Iterable[str], separator: str, width: int) -> Iterator[Extent]:
    """The rows in `lines`, which keep their ends. width: fields of a row that fits."""
    held: list[Extent] = []  # from the last row with quotes on: it may turn out that its field was not closed there
    short = doubtful = False  # that row has too few fields and ends with a quote; or was given up
    for row in _rows(iter(lines), separator):
        misfits = row.fields != width and not row.problem
        found = Extent(row.lines, row.problem)
        resumed = row.quoted and ((misfits and (short or doubtful)) or (short and len(held) > 1))
        if held and (row.loose or resumed):
            held = [Extent(sum(extent.lines for extent in held) + row.lines, UNOPENED)]
            short, doubtful = False, row.loose or misfits
        elif row.quoted or row.problem:
            yield from held
            held, short, doubtful = [found], row.fields < width and row.ends_quoted, bool(row.problem)
        elif held and len(held) < HELD:
            held.append(found)
        else:
            yield from held
            held = []
            yield found
    yield from held


def _rows(lines: Iterator[str], separator: str) -> Iterator[_Row]:
    for line in lines:
        if '"' not in line:
            yield _Row(fields=line.count(separator) + 1)
            continue
        row, opened, at = _Row(), False, 0
        count = 0  # quotes since the row began
        while line:
            opened, broken = _walk(line, at, opened, separator, row)
            if broken is not None:
                row.problem = FOLLOWS
                count += line.count('"', 0, broken)
                line, at = _closed(line, broken, count, lines, separator, row)
                count = 0  # in pairs again
                opened = False
                if line and line[at] == separator:
                    row.fields, at = row.fields + 1, at + 1
                    continue
                break
            if not opened:
                break
            count += line.count('"', at)
            line, at = next(lines, ""), 0
            row.lines += bool(line)
        if not line:
            row.problem = f"{row.problem or UNCLOSED}; nothing after it can be told from its text"
        yield row


def _walk(line: str, at: int, opened: bool, separator: str, row: _Row) -> tuple[bool, int | None]:
    """Passes over the fields of a line from `at` on: is one open at its end, and where a closing quote is none."""
    while True:
        if not opened and line.startswith('"', at):
            opened, at = True, at + 1
        if opened:
            row.quoted = True
            rest = _REST.match(line, at)
            if rest is None:
                return True, None
            opened, at = False, rest.end()
            row.ends_quoted = at == len(line) or line[at] in "\r\n"
            if row.ends_quoted:
                return False, None
            if line[at] != separator:
                return False, at
            at += 1
        else:
            end = line.find(separator, at)
            field = (line[at:] if end < 0 else line[at:end]).rstrip()
            loose = field.count('"') - field.count('\\"')
            row.loose |= field.endswith('"') and not field.endswith('\\"') and loose % 2 == 1
            if end < 0:
                return False, None
            at = end + 1
        row.fields += 1


def _closed(line: str, at: int, count: int, lines: Iterator[str], separator: str, row: _Row) -> tuple[str, int]:
    """The line, and the place in it, where a broken field can end; no line where it cannot.

    count: quotes of the row before `at`.
    """
    escaped = line[at - 2 : at - 1] == "\\"  # a backslash before a quote: then none of these counts
    count -= escaped
    while line:
        for quote in range(at, len(line)):
            if line[quote] != '"' or (escaped and line[quote - 1] == "\\"):
                continue
            count += 1
            end = quote + 1
            if count % 2 == 0 and line[quote - 1] != "\\" and (end == len(line) or line[end] in f"{separator}\r\n"):
                return (line, end) if end < len(line) else (line + "\n", end)
        line, at = next(lines, ""), 0
        row.lines += bool(line)
    return "", 0
