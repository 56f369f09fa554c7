"""Tables as files hold them: separated values (`delimited`), JSON Lines, Parquet.

Path in → a table with the column `WHERE` (file and row), and the rows that cannot be read with the reason.
"""

from __future__ import annotations

import io
import json
from collections.abc import Iterable
from typing import Any

import polars as pl

from adde_ray.errors import UserError
from adde_ray.sources.rows import WHERE, Reject, why
from adde_ray.sources.storage.files import AnyPath, read_bytes
from adde_ray.sources.tables.columnar import read_parquet
from adde_ray.sources.tables.delimited import parse_csv, parse_header, with_backslashes
from adde_ray.sources.tables.encodings import plain
from adde_ray.sources.tables.spelling import with_plain_names


def read_file(path: AnyPath) -> tuple[pl.DataFrame, list[Reject]]:
    """The file's rows, and those set aside. Raises UserError: no such file, not a table, no rows at all."""
    if not path.is_file():
        raise UserError("no such file", where=path, remedy=f"Give a {_LISTED} file as data.path")
    reader = READERS.get(path.suffix.lower())
    if reader is None:
        remedy = "Unpack it" if path.suffix.lower() in PACKED else "Convert it, or rename it"
        raise UserError(f"neither {_LISTED.replace(' or', ' nor')}", where=path, remedy=remedy)
    try:
        table, rejected = reader(path)
    except OSError as error:
        raise UserError(why(error), where=path, remedy="Check its rights") from None
    if len(table) + len(rejected) == 0:
        raise UserError("holds no rows", where=path, remedy="Give a file with data")
    return with_plain_names(table), rejected


def _read_csv(path: AnyPath) -> tuple[pl.DataFrame, list[Reject]]:
    data = read_bytes(path)
    dialect = parse_header(data, path)
    if b'\\"' in data:
        text = data[dialect.start :].decode(errors="surrogateescape")
        dialect = with_backslashes(dialect, lambda: io.StringIO(text, newline=""))
    return parse_csv(data[dialect.start :], path.name, dialect, line=dialect.line)


def _read_jsonl(path: AnyPath) -> tuple[pl.DataFrame, list[Reject]]:
    """Raises UserError when no line can be read."""
    table, rejected = parse_jsonl(plain(read_bytes(path), path), path.name)
    if rejected and not len(table):
        raise UserError(rejected[0]["reason"], where=f"{path.parent}/{rejected[0]['where']}", remedy=_JSONL_REMEDY)
    return table, rejected


def parse_jsonl(data: bytes, name: str, *, line: int = 1) -> tuple[pl.DataFrame, list[Reject]]:
    """One JSON object a line; a key that a row lacks is null. `line`: number of the first."""
    texts = enumerate(data.split(b"\n"), line)
    return _json_table((f"{name}:{number}", _json_object(text)) for number, text in texts if text.strip())


def _read_json(path: AnyPath) -> tuple[pl.DataFrame, list[Reject]]:
    """One list of JSON objects, as pandas writes with orient="records"; or JSON Lines by another name."""
    data = plain(read_bytes(path), path)
    if not data.lstrip().startswith(b"["):
        return _read_jsonl(path)
    try:
        found = json.loads(data.decode(), parse_constant=lambda _: None)
    except (ValueError, RecursionError) as error:
        what = "is nested too deeply" if isinstance(error, RecursionError) else f"not valid JSON: {error}"
        raise UserError(what, where=path, remedy=_JSONL_REMEDY) from None
    named = ((f"{path.name}: row {i}", row) for i, row in enumerate(found, 1))
    return _json_table((where, _checked(row)) for where, row in named)


def _json_table(found: Iterable[tuple[str, dict[str, Any] | str]]) -> tuple[pl.DataFrame, list[Reject]]:
    """found: where each row is, and the row, or why there is none."""
    rows, where, rejected = [], [], []
    for place, row in found:
        if isinstance(row, str):
            rejected.append({"where": place, "reason": row})
        else:
            rows.append(row)
            where.append(place)
    names = dict.fromkeys(key for row in rows for key in row)
    columns = [_json_column(key, [row.get(key) for row in rows]) for key in names]
    return pl.DataFrame(columns).with_columns(pl.Series(WHERE, where, dtype=pl.String)), rejected


def _json_object(line: bytes) -> dict[str, Any] | str:
    """The row, or why there is none."""
    try:
        return _checked(json.loads(line.decode(), parse_constant=lambda _: None))  # NaN and Infinity are no value
    except UnicodeError:
        return "bytes that are not UTF-8"
    except RecursionError:
        return "is nested too deeply"
    except ValueError as error:
        return f"not valid JSON: {error}"


def _checked(row: Any) -> dict[str, Any] | str:
    """The same for what JSON holds."""
    try:
        json.dumps(row, ensure_ascii=False).encode()  # half a character, as "\\ud83d", passes as JSON
    except UnicodeError:
        return "bytes that are not UTF-8"
    except RecursionError:
        return "is nested too deeply"
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
    ".json": _read_json,
    ".parquet": read_parquet,
    ".pq": read_parquet,
}

PACKED = (".gz", ".bz2", ".xz", ".zst", ".zip", ".7z")

_LISTED = ".csv, .jsonl or .parquet"
