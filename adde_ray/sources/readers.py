"""Tables as files hold them: CSV (also separated by tabs or semicolons), JSON Lines, Parquet.

Path in → a table with the column `WHERE` (file and row), and the rows that cannot be read with the reason.
"""

from __future__ import annotations

import csv
import io
import json
from collections import Counter
from pathlib import Path
from typing import Any

import polars as pl

from adde_ray.errors import UserError
from adde_ray.sources.rows import WHERE

SEPARATORS = ",\t;"


def read_file(path: Path) -> tuple[pl.DataFrame, list[dict[str, str]]]:
    """The file's rows, and those set aside. Raises UserError: no such file, not a table, no rows at all."""
    if not path.is_file():
        raise UserError("no such file", where=path, remedy=f"Give a {_LISTED} file as data.path")
    reader = READERS.get(path.suffix.lower())
    if reader is None:
        raise UserError(f"neither {_LISTED.replace(' or', ' nor')}", where=path, remedy="Convert it, or rename it")
    table, rejected = reader(path)
    if len(table) + len(rejected) == 0:
        raise UserError("holds no rows", where=path, remedy="Give a file with data")
    return table, rejected


def _read_csv(path: Path) -> tuple[pl.DataFrame, list[dict[str, str]]]:
    """All columns as strings (blank = null), and the rows that do not fit.

    Python's csv module, not polars: only a reader that goes row by row can say which line is broken and go on
    after it.
    """
    data = path.read_bytes()
    if data[:2] in (b"\xff\xfe", b"\xfe\xff"):
        raise UserError("is UTF-16", where=path, remedy="Save it as UTF-8")
    text = data.decode("utf-8-sig", errors="surrogateescape")  # bytes that are no UTF-8 become lone surrogates
    lines = io.StringIO(text, newline="").readlines()
    start = next((i for i, line in enumerate(lines) if line.strip()), None)
    if start is None:
        raise UserError("is empty", where=path, remedy="Give a file with a header line and data")
    separator = max(SEPARATORS, key=lines[start].count)

    header: list[str] = []
    rows, numbers, rejected = [], [], []
    while start < len(lines):
        reader = csv.reader((lines[i] for i in range(start, len(lines))), delimiter=separator, strict=True)
        end = start
        try:
            for row in reader:
                number, end = end + 1, start + reader.line_num
                if not row:
                    continue
                if not header:
                    header = _header(row, path)
                elif reason := _misfit(row, len(header)):
                    rejected.append({"where": f"{path.name}:{number}", "reason": reason})
                else:
                    rows.append(row)
                    numbers.append(number)
            break
        except csv.Error as error:
            reason = _quoting(str(error))
            if not header:
                raise UserError(reason, where=f"{path}:{end + 1}", remedy="Mend the header line") from None
            # A stray quote swallows what follows, up to the next one: give up its line only, read on after it.
            rejected.append({"where": f"{path.name}:{end + 1}", "reason": reason})
            start = end + 1
    columns = list(zip(*rows, strict=True)) or [()] * len(header)
    table = pl.DataFrame(dict(zip(header, columns, strict=True)), schema=dict.fromkeys(header, pl.String))
    table = table.with_columns(pl.all().replace("", None))
    return table.with_columns(pl.Series(WHERE, [f"{path.name}:{n}" for n in numbers], dtype=pl.String)), rejected


def _header(row: list[str], path: Path) -> list[str]:
    # An index written without a name, as pandas does, is an ordinary column.
    names = [name.strip() or f"column_{i + 1}" for i, name in enumerate(row)]
    if not all(map(_encodable, names)):
        raise UserError("the header is not UTF-8", where=path, remedy="Save the file as UTF-8")
    if twice := [name for name, count in Counter(names).items() if count > 1]:
        raise UserError("two columns have one name", where=path, value=twice[0], remedy="Rename one")
    return names


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


def _read_parquet(path: Path) -> tuple[pl.DataFrame, list[dict[str, str]]]:
    try:
        table = pl.read_parquet(path, glob=False, hive_partitioning=False)
    except (pl.exceptions.PolarsError, OSError) as error:
        first = str(error).splitlines()[0]
        raise UserError(f"cannot be read as Parquet: {first}", where=path, remedy="Write the file anew") from None
    where = pl.Series(WHERE, [f"{path.name}: row {i + 1}" for i in range(len(table))], pl.String)
    return table.with_columns(where), []


def _read_jsonl(path: Path) -> tuple[pl.DataFrame, list[dict[str, str]]]:
    """One JSON object a line; a key that a row lacks is null. Raises UserError when no line can be read."""
    data = path.read_bytes().removeprefix(b"\xef\xbb\xbf")
    if data[:2] in (b"\xff\xfe", b"\xfe\xff"):
        raise UserError("is UTF-16", where=path, remedy="Save it as UTF-8")
    rows, where, rejected = [], [], []
    for number, line in enumerate(data.split(b"\n"), 1):
        if not line.strip():
            continue
        row = _json_object(line)
        if isinstance(row, str):
            rejected.append({"where": f"{path.name}:{number}", "reason": row})
        else:
            rows.append(row)
            where.append(f"{path.name}:{number}")
    if rejected and not rows:
        raise UserError(rejected[0]["reason"], where=path.parent / rejected[0]["where"], remedy=_JSONL_REMEDY)
    names = dict.fromkeys(name for row in rows for name in row)
    columns = [_json_column(name, [row.get(name) for row in rows]) for name in names]
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
    ".parquet": _read_parquet,
    ".pq": _read_parquet,
}

_LISTED = ".csv, .jsonl or .parquet"
