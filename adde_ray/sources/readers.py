"""Tables as files hold them: CSV (also separated by tabs or semicolons), JSON Lines, Parquet.

Path in → a table with the column `WHERE` (file and row), and the rows that cannot be read with the reason.
"""

from __future__ import annotations

import csv
import io
import json
import re
from collections import Counter
from typing import Any

import polars as pl

from adde_ray.errors import UserError
from adde_ray.sources.columnar import read_parquet
from adde_ray.sources.files import AnyPath, read_bytes
from adde_ray.sources.rows import WHERE, Reject, why

SEPARATORS = ",\t;"


def read_file(path: AnyPath) -> tuple[pl.DataFrame, list[Reject]]:
    """The file's rows, and those set aside. Raises UserError: no such file, not a table, no rows at all."""
    if not path.is_file():
        raise UserError("no such file", where=path, remedy=f"Give a {_LISTED} file as data.path")
    reader = READERS.get(path.suffix.lower())
    if reader is None:
        raise UserError(f"neither {_LISTED.replace(' or', ' nor')}", where=path, remedy="Convert it, or rename it")
    try:
        table, rejected = reader(path)
    except OSError as error:
        raise UserError(why(error), where=path, remedy="Check its rights") from None
    if len(table) + len(rejected) == 0:
        raise UserError("holds no rows", where=path, remedy="Give a file with data")
    return table, rejected


def _read_csv(path: AnyPath) -> tuple[pl.DataFrame, list[Reject]]:
    data = read_bytes(path)
    header, separator, line, start = parse_header(data, path)
    return parse_csv(data[start:], path.name, header, separator, line=line)


def parse_header(data: bytes, where: object) -> tuple[tuple[str, ...], str, int, int]:
    """Column names, separator, and the line and byte after them. Raises UserError: there is no header."""
    text = plain(data, where).decode(errors="surrogateescape")
    lines = io.StringIO(text, newline="").readlines()
    start = next((i for i, line in enumerate(lines) if line.strip()), None)
    if start is None:
        raise UserError("is empty", where=where, remedy="Give a file with a header line and data")
    separator = max(SEPARATORS, key=re.sub(r'"[^"]*"', "", lines[start]).count)  # none of those within a name
    reader = csv.reader((lines[i] for i in range(start, len(lines))), delimiter=separator, strict=True)
    try:
        header = _header(next(reader), where)
    except csv.Error as error:
        raise UserError(_quoting(str(error)), where=f"{where}:{start + 1}", remedy="Mend the header line") from None
    end = start + reader.line_num
    mark = len(data) - len(plain(data, where))
    return header, separator, end + 1, mark + len("".join(lines[:end]).encode(errors="surrogateescape"))


def parse_csv(
    data: bytes, name: str, header: tuple[str, ...], separator: str, *, line: int = 1
) -> tuple[pl.DataFrame, list[Reject]]:
    """All columns as strings (blank = null), and the rows that do not fit. `line`: number of the first.

    Python's csv module, not polars: only a reader that goes row by row can say which line is broken and go on
    after it.
    """
    # Bytes that are no UTF-8 become lone surrogates, which are told from text row by row.
    lines = io.StringIO(data.decode(errors="surrogateescape"), newline="").readlines()
    rows, numbers, rejected = [], [], []
    start = 0
    while start < len(lines):
        reader = csv.reader((lines[i] for i in range(start, len(lines))), delimiter=separator, strict=True)
        end = start
        try:
            for row in reader:
                number, end = line + end, start + reader.line_num
                if not row:
                    continue
                if reason := _misfit(row, len(header)):
                    rejected.append({"where": f"{name}:{number}", "reason": reason})
                else:
                    rows.append(row)
                    numbers.append(number)
            break
        except csv.Error as error:
            # A stray quote swallows what follows, up to the next one: give up its line only, read on after it.
            rejected.append({"where": f"{name}:{line + end}", "reason": _quoting(str(error))})
            start = end + 1
    columns = list(zip(*rows, strict=True)) or [()] * len(header)
    table = pl.DataFrame(dict(zip(header, columns, strict=True)), schema=dict.fromkeys(header, pl.String))
    table = table.with_columns(pl.all().replace("", None))
    return table.with_columns(pl.Series(WHERE, [f"{name}:{n}" for n in numbers], dtype=pl.String)), rejected


def plain(data: bytes, where: object) -> bytes:
    """Without the mark some programs put at the head of a file. Raises UserError when it is UTF-16."""
    if data[:2] in (b"\xff\xfe", b"\xfe\xff"):
        raise UserError("is UTF-16", where=where, remedy="Save it as UTF-8")
    return data.removeprefix(b"\xef\xbb\xbf")


def _header(row: list[str], where: object) -> tuple[str, ...]:
    # An index written without a name, as pandas does, is an ordinary column.
    names = [name.strip() or f"column_{i + 1}" for i, name in enumerate(row)]
    if not all(map(_encodable, names)):
        raise UserError("the header is not UTF-8", where=where, remedy="Save the file as UTF-8")
    if twice := [name for name, count in Counter(names).items() if count > 1]:
        raise UserError("two columns have one name", where=where, value=twice[0], remedy="Rename one")
    return tuple(names)


def _misfit(row: list[str], width: int) -> str | None:
    if len(row) != width:
        return f"{len(row)} fields where the header has {width}"
    return None if all(map(_encodable, row)) else "bytes that are not UTF-8"


def _encodable(text: str) -> bool:
    if text.isascii():
        return True
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def _quoting(error: str) -> str:
    if "end of data" in error:
        return "a quote is opened and never closed"
    if "expected after" in error:
        return "text follows a closing quote: is a quote unbalanced, or not doubled?"
    return f"cannot be parsed, a quote may be open ({error})"


def _read_jsonl(path: AnyPath) -> tuple[pl.DataFrame, list[Reject]]:
    """Raises UserError when no line can be read."""
    table, rejected = parse_jsonl(plain(read_bytes(path), path), path.name)
    if rejected and not len(table):
        raise UserError(rejected[0]["reason"], where=f"{path.parent}/{rejected[0]['where']}", remedy=_JSONL_REMEDY)
    return table, rejected


def parse_jsonl(data: bytes, name: str, *, line: int = 1) -> tuple[pl.DataFrame, list[Reject]]:
    """One JSON object a line; a key that a row lacks is null. `line`: number of the first."""
    rows, where, rejected = [], [], []
    for number, text in enumerate(data.split(b"\n"), line):
        if not text.strip():
            continue
        row = _json_object(text)
        if isinstance(row, str):
            rejected.append({"where": f"{name}:{number}", "reason": row})
        else:
            rows.append(row)
            where.append(f"{name}:{number}")
    names = dict.fromkeys(key for row in rows for key in row)
    columns = [_json_column(key, [row.get(key) for row in rows]) for key in names]
    return pl.DataFrame(columns).with_columns(pl.Series(WHERE, where, dtype=pl.String)), rejected


def _json_object(line: bytes) -> dict[str, Any] | str:
    """The row, or why there is none."""
    try:
        row = json.loads(line.decode())
        json.dumps(row, ensure_ascii=False).encode()  # half a character, as "\\ud83d", passes as JSON
    except UnicodeError:
        return "bytes that are not UTF-8"
    except RecursionError:
        return "is nested too deeply"
    except ValueError as error:
        return f"not valid JSON: {error}"
    return row if isinstance(row, dict) else "not a JSON object"


def _json_column(name: str, values: list) -> pl.Series:
    """Strings, booleans, numbers and lists of one of these keep their type; a mixture becomes text, objects JSON."""
    given = [value for value in values if value is not None]
    inside = [x for value in given if isinstance(value, list) for x in value if x is not None]
    if given and all(isinstance(value, list) for value in given) and (scalar := _scalar(inside)):
        return pl.Series(name, values, dtype=pl.List(scalar), strict=False)
    if scalar := _scalar(given):
        return pl.Series(name, values, dtype=scalar, strict=False)
    texts = [v if v is None or isinstance(v, str) else json.dumps(v, ensure_ascii=False) for v in values]
    return pl.Series(name, texts, dtype=pl.String)


def _scalar(values: list) -> type[pl.DataType] | None:
    kinds = {type(value) for value in values}
    if kinds <= {str}:
        return pl.String
    if kinds == {bool}:
        return pl.Boolean
    if kinds == {int} and all(-(2**63) <= value < 2**63 for value in values):
        return pl.Int64
    return pl.Float64 if float in kinds and kinds <= {int, float} else None


_JSONL_REMEDY = "Write one JSON object a line"

READERS = {
    ".csv": _read_csv,
    ".tsv": _read_csv,
    ".jsonl": _read_jsonl,
    ".ndjson": _read_jsonl,
    ".parquet": read_parquet,
    ".pq": read_parquet,
}

_LISTED = ".csv, .jsonl or .parquet"
