"""Separated values (CSV and its kin) as bytes → a table of strings, row by row.

Separators are commas, tabs, semicolons or bars, or what a line `sep=` says. Quotes within a field are doubled, or stand
after a backslash, as Spark and MySQL write them. What else can be wrong with quotes is `quoting`'s affair.
"""

from __future__ import annotations

import codecs
import csv
import io
import re
import unicodedata
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from itertools import repeat

import polars as pl
import pyarrow as pa
from pyarrow import csv as arrow_csv

from adde_ray.artifacts.schema import from_arrow
from adde_ray.errors import UserError
from adde_ray.labels import bare
from adde_ray.sources.rows import WHERE, Reject
from adde_ray.sources.tables import quoting
from adde_ray.sources.tables.encodings import described, plain
from adde_ray.sources.tables.quoting import Extent, extents, is_strict

SEPARATORS = ",\t;|"

HEAD = 1 << 18
"""Bytes of a file that its header lies in."""

MOST_BROKEN, FEWEST_BROKEN = 0.02, 5
"""Share, and number, of rows with broken quotes beyond which whatever wrote the file knows no quoting: then rows are
guesses, and a line of a text may be taken for one with a label nobody gave."""

_ESCAPED = re.compile(r'(\\+)("|\r?\n|\r|\Z)')


@dataclass(frozen=True)
class Dialect:
    """How a file's rows are written, and where they begin."""

    header: tuple[str, ...]
    separator: str
    line: int  # the first after the header
    start: int  # its first byte
    escaped: bool = False  # quotes within a field stand after a backslash

    @property
    def width(self) -> int:
        """Fields of a row that fits."""
        return len(self.header)

    def line_of(self, text: str) -> str:
        """A line with the quotes within its fields doubled."""
        return _ESCAPED.sub(_doubled, text) if self.escaped and "\\" in text else text


def _doubled(found: re.Match[str]) -> str:
    """Backslashes before a quote or a line's end stand for half as many, and the odd one takes what follows in."""
    slashes, after = found.groups()
    inside = len(slashes) % 2 == 1
    if after != '"':
        return "\\" * (len(slashes) - inside) + after
    return "\\" * (len(slashes) // 2) + ('""' if inside else '"')


def parse_header(data: bytes, where: object) -> Dialect:
    """What the head of a file tells, but for backslashes. Raises UserError: there is no header."""
    head = data[:HEAD] if re.search(rb"[\r\n]", data[:HEAD]) else data
    text = plain(head, where).decode(errors="surrogateescape")
    lines = io.StringIO(text, newline="").readlines()
    start = next((i for i, line in enumerate(lines) if line.strip()), None)
    if start is None:
        raise UserError("is empty", where=where, remedy="Give a file with a header line and data")
    said = re.fullmatch(r'"?sep=(.)"?[,;\t]*', lines[start].rstrip("\r\n"), re.I)  # for a spreadsheet
    start = _after_comments(lines, start + 1 if said else start)
    if start == len(lines):
        raise UserError("holds no header", where=where, remedy="Give a file with a header line and data")
    separator = said[1] if said else _separator(lines[start])
    reader = csv.reader((lines[i] for i in range(start, len(lines))), delimiter=separator, strict=True)
    try:
        header = _header(next(reader), where)
    except csv.Error as error:
        raise UserError(_quoting(str(error)), where=f"{where}:{start + 1}", remedy="Mend the header line") from None
    end = start + reader.line_num
    mark = len(head) - len(plain(head, where))
    return Dialect(header, separator, end + 1, mark + len("".join(lines[:end]).encode(errors="surrogateescape")))


def parse_csv(data: bytes, name: str, dialect: Dialect, *, line: int = 1) -> tuple[pl.DataFrame, list[Reject]]:
    """All columns as strings (blank = null), and the rows that do not fit. `line`: number of the first.

    Arrow's reader where nothing can be wrong, else Python's csv module: only a reader that goes row by row can say
    which line is broken and go on after it. Raises UserError: quotes are broken in too many rows.
    """
    width, separator = dialect.width, dialect.separator
    if (table := _by_arrow(data, dialect)) is not None:
        return _located(table, pl.int_range(line, line + len(table), dtype=pl.Int64, eager=True), name), []
    try:
        text, is_utf8 = data.decode(), True
    except UnicodeDecodeError:  # such bytes become lone surrogates, which are told from text row by row
        text, is_utf8 = data.decode(errors="surrogateescape"), False
    if is_utf8 and (rows := _at_once(text, separator, width)) is not None:
        return _table(rows, pl.int_range(line, line + len(rows), dtype=pl.Int64, eager=True), name, dialect), []
    lines = io.StringIO(text, newline="").readlines()
    lines = [dialect.line_of(text) for text in lines] if dialect.escaped else lines
    whole = is_strict("".join(lines) if dialect.escaped else text, separator)
    found = _quickly(lines, separator, width) if whole else None
    if found is not None and is_utf8 and set(map(len, found[0])) == {width}:
        return _table(found[0], pl.Series(found[1], dtype=pl.Int64) + line, name, dialect), []
    found = _carefully(lines, separator, width) if found is None else zip(found[1], repeat(1), found[0], strict=False)
    rows, numbers, rejected, broken = [], [], [], 0
    for number, height, row in found:
        if isinstance(row, list) and len(row) == width and (is_utf8 or all(map(_encodable, row))):
            rows.append(row)
            numbers.append(line + number)
        elif row:
            where = f"{name}:{line + number}"
            if isinstance(row, list):
                rejected.append({"where": where, "reason": _misfit(row, width)})
            else:
                broken += 1
                where += f"-{line + number + height - 1}" if height > 1 else ""
                rejected.append({"where": where, "reason": row} | ({"rows": height} if height > 1 else {}))
    if broken >= FEWEST_BROKEN and broken > MOST_BROKEN * (broken + len(rows)):
        raise UserError(
            f"quotes in its fields are neither doubled nor escaped ({broken} rows): where a text ends cannot be told",
            where=name,
            remedy="Write it with a program that doubles them, as pandas' to_csv does",
        )
    return _table(rows, pl.Series(numbers, dtype=pl.Int64), name, dialect), rejected


def _table(rows: list[list[str]], numbers: pl.Series, name: str, dialect: Dialect) -> pl.DataFrame:
    header, columns = dialect.header, list(zip(*rows, strict=True)) or [()] * dialect.width
    table = pl.DataFrame(dict(zip(header, columns, strict=True)), schema=dict.fromkeys(header, pl.String))
    return _located(table.with_columns(pl.all().replace("", None)), numbers, name)


def _located(table: pl.DataFrame, numbers: pl.Series, name: str) -> pl.DataFrame:
    """With `WHERE`: the file's name and each row's line."""
    return table.with_columns((pl.lit(f"{name}:") + numbers.cast(pl.String)).alias(WHERE))


def extents_of(lines: Iterable[str], dialect: Dialect) -> Iterator[Extent]:
    """The rows in a file's lines, as `parse_csv` sees them. Lines are as the file has them."""
    return extents(map(dialect.line_of, lines), dialect.separator, dialect.width)


def doubtful(dialect: Dialect) -> Callable[[str, list[str]], bool]:
    """Tells of the lines of one row, and what csv made of them, whether it may end elsewhere."""
    strict, width = quoting.strict(dialect.separator).fullmatch, dialect.width

    def is_doubtful(text: str, row: list[str]) -> bool:
        text = dialect.line_of(text)
        return strict(text) is None or (len(row) < width and text.rstrip("\r\n").endswith('"'))

    return is_doubtful


def with_backslashes(doubled: Dialect, lines: Callable[[], Iterable[str]]) -> Dialect:
    """The dialect with `escaped` set when lines that hold backslashes before quotes lose fewer so.

    lines: opens them anew at each call.
    """
    backslashes = replace(doubled, escaped=True)
    problems = [
        sum(extent.lines for extent in extents_of(lines(), dialect) if extent.problem)
        for dialect in (doubled, backslashes)
    ]
    return backslashes if problems[1] < problems[0] else doubled


# --- rows -------------------------------------------------------------------------------------------------


def _by_arrow(data: bytes, dialect: Dialect) -> pl.DataFrame | None:
    """What `_at_once` gives, in a fraction of the time; None where Arrow's reader may see other rows, or refuses."""
    if dialect.separator not in SEPARATORS or data.startswith((codecs.BOM_UTF8, b"\n", b"\r")) or not data:
        return None
    odd = b'"' in data or b"\n\n" in data or b"\n\r" in data
    if odd or data.count(b"\r") != data.count(b"\r\n"):  # blank lines, which it passes over, and lone returns
        return None
    kinds = dict.fromkeys(dialect.header, pa.string())
    try:
        table = arrow_csv.read_csv(
            pa.BufferReader(data),
            arrow_csv.ReadOptions(column_names=dialect.header, use_threads=False),  # chunks are read side by side
            arrow_csv.ParseOptions(delimiter=dialect.separator, quote_char=False, double_quote=False),
            arrow_csv.ConvertOptions(column_types=kinds, null_values=[""], strings_can_be_null=True),
        )
    except pa.ArrowException:  # too few fields or too many, bytes that are no UTF-8, a row of more than it takes
        return None
    return from_arrow(table)


def _at_once(text: str, separator: str, width: int) -> list[list[str]] | None:
    """All rows of a file without quotes and empty lines; None where it is no such file, or a row does not fit."""
    if '"' in text or ("\r" in text and text.count("\r") != text.count("\r\n")):
        return None
    text = text.replace("\r\n", "\n")
    if not text or text.startswith("\n") or "\n\n" in text:
        return None
    rows = [line.split(separator) for line in text.removesuffix("\n").split("\n")]
    return rows if set(map(len, rows)) == {width} else None


def _quickly(lines: list[str], separator: str, width: int) -> tuple[list[list[str]], list[int]] | None:
    """All rows and the line each begins with, counted from 0; None where one may end elsewhere than csv thinks.

    lines: in which all quotes are as they should be.
    """
    reader = csv.reader(lines, delimiter=separator, strict=True)
    rows, ends = [], [0]
    try:
        for row in reader:
            rows.append(row)
            ends.append(reader.line_num)
    except csv.Error:  # a field of more than csv.field_size_limit()
        return None
    short = [end for row, end in zip(rows, ends[1:], strict=True) if len(row) < width]
    doubtful = any(lines[end - 1].rstrip("\r\n").endswith('"') for end in short)
    return None if doubtful else (rows, ends[:-1])


def _carefully(lines: list[str], separator: str, width: int) -> Iterator[tuple[int, int, list[str] | str]]:
    """(line, height, row) of every row, the line counted from 0, or in its place the reason why it is given up."""
    start = 0
    for extent in extents(lines, separator, width):
        end = start + extent.lines
        row: list[str] | str | None = extent.problem
        if row is None:
            try:
                row = next(csv.reader(lines[start:end], delimiter=separator, strict=True), [])
            except csv.Error as error:
                row = _quoting(str(error))
        yield start, extent.lines, row
        start = end


def _misfit(row: list[str], width: int) -> str:
    if len(row) != width:
        return f"{len(row)} fields where the header has {width}"
    return f"bytes that are not UTF-8{described(row)}"


def _encodable(text: str) -> bool:
    if text.isascii():
        return True
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def _quoting(error: str) -> str:
    if "field larger" in error:
        return f"a field of more than {csv.field_size_limit()} characters: is a quote never closed?"
    if "end of data" in error:
        return "a quote is opened and never closed"
    if "expected after" in error:
        return "text follows a closing quote: is a quote unbalanced, or not doubled?"
    return f"cannot be parsed, a quote may be open ({error})"


# --- the header -------------------------------------------------------------------------------------------


def _separator(line: str) -> str:
    return max(SEPARATORS, key=re.sub(r'"[^"]*"', "", line).count)  # none of those within a name


def _after_comments(lines: list[str], start: int) -> int:
    """The header's line: the first that is no comment (#), or the comment before it that has as many fields."""
    filled = [i for i in range(start, len(lines)) if lines[i].strip()]
    first = next((i for i in filled if not lines[i].startswith("#")), None)
    if first is None:
        return filled[0] if filled else len(lines)
    separator = _separator(lines[first])
    width, before = lines[first].count(separator), filled[filled.index(first) - 1] if filled[0] != first else first
    return before if width and lines[before].count(separator) == width and lines[before][1:2].strip() else first


def _header(row: list[str], where: object) -> tuple[str, ...]:
    # An index written without a name, as pandas does, is an ordinary column.
    if not all(map(_encodable, row)):
        raise UserError(f"the header is not UTF-8{described(row)}", where=where, remedy="Save the file as UTF-8")
    names = [unicodedata.normalize("NFC", bare(name)) or f"column_{i + 1}" for i, name in enumerate(row)]
    if twice := [name for name, count in Counter(names).items() if count > 1]:
        raise UserError("two columns have one name", where=where, value=twice[0], remedy="Rename one")
    return tuple(names)
