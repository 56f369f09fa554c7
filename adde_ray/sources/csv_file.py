"""Texts or vectors in a table: a CSV file (also separated by tabs or semicolons) or a Parquet file.

Out: text or vector, label, the subgroup columns as strings, every other column untouched. A column of the
user's that is called like one of ours (sample_id, label, text, vector) is kept as `source_<name>`.
"""

from __future__ import annotations

import csv
import io
from collections import Counter
from pathlib import Path

import polars as pl

from adde_ray.config import CsvData
from adde_ray.errors import UserError
from adde_ray.rundir import derive_rng
from adde_ray.schema import SPLITS
from adde_ray.sources.rows import WHERE, Rows, draw, identify, listing, refuse_if_many

SEPARATORS = ",\t;"


def read(config: CsvData, *, seed: int) -> Rows:
    """The file's rows. Raises UserError: no such file or column, too many unusable rows, unknown label or split."""
    path = config.path
    if not path.is_file():
        raise UserError("no such file", where=path, remedy="Give a .csv or .parquet file as data.path")
    suffix = path.suffix.lower()
    if suffix in (".csv", ".tsv"):
        if config.vector_column:
            raise UserError("vectors are read from Parquet only", where=path, remedy="Write the table as .parquet")
        table, rejected = _read_csv(path)
    elif suffix in (".parquet", ".pq"):
        table, rejected = _read_parquet(path), []
    else:
        raise UserError("neither .csv nor .parquet", where=path, remedy="Convert the file, or rename it")
    total = len(table) + len(rejected)
    if total == 0:
        raise UserError("holds no rows", where=path, remedy="Give a file with data")

    table, modality = _columns(table, config)
    table, unusable = _usable(table, modality)
    rejected += unusable
    table, unlabelled = _labelled(table, config)
    rejected += unlabelled
    refuse_if_many(rejected, total, config.max_rejected, what="rows", where=path)

    if config.split_column is None:
        table = _drawn(table, modality, config, seed)
    known = table.filter((pl.col("_split") != "pool") & pl.col("label").is_not_null())
    classes = _classes(known, config)
    junk = table.filter((pl.col("_split") == "pool") & ~pl.col("label").is_in(classes))["label"]
    notes = []
    if len(junk):
        names = listing(junk.unique().sort(), 5)
        notes.append(f"{len(junk)} pool rows carry a hidden label outside the label list: {names}")
    return Rows(
        splits={n: rows.drop("_split") for (n,), rows in table.group_by("_split", maintain_order=True)},
        modality=modality,
        classes=classes,
        subgroups=config.subgroup_columns,
        rejected=rejected,
        notes=notes,
    )


# --- reading --------------------------------------------------------------------------------------------


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


def _read_parquet(path: Path) -> pl.DataFrame:
    try:
        table = pl.read_parquet(path, glob=False, hive_partitioning=False)
    except (pl.exceptions.PolarsError, OSError) as error:
        first = str(error).splitlines()[0]
        raise UserError(f"cannot be read as Parquet: {first}", where=path, remedy="Write the file anew") from None
    return table.with_columns(pl.Series(WHERE, [f"{path.name}: row {i + 1}" for i in range(len(table))], pl.String))


# --- columns --------------------------------------------------------------------------------------------


def _columns(table: pl.DataFrame, config: CsvData) -> tuple[pl.DataFrame, str]:
    """Ours under our names and types (payload, label, _split, WHERE), then the user's; and the modality."""
    payload = config.text_column or config.vector_column
    modality = "text" if config.text_column else "vector"
    given = {f"{modality}_column": payload, "label_column": config.label_column, "split_column": config.split_column}
    given = {key: name for key, name in given.items() if name is not None}
    there = [name for name in table.columns if name != WHERE]
    wanted = [*given.items(), *(("subgroup_columns", name) for name in config.subgroup_columns)]
    for i, (key, name) in enumerate(wanted):
        where = f"data.{key}"
        if name not in there:
            raise UserError(
                f"{config.path.name} has no such column", where=where, value=name, remedy=f"Columns: {listing(there)}"
            )
        if name in [other for _, other in wanted[:i]]:
            raise UserError("column is named twice", where=where, value=name, remedy="Give each column one part")
        if key == "subgroup_columns" and name in _reserved(modality):
            raise UserError("name is reserved", where=where, value=name, remedy="Rename the column")

    ours = [_as_text(table[config.label_column], config).alias("label"), table[WHERE]]
    if config.split_column:
        ours.append(_as_text(table[config.split_column], config).alias("_split"))
    if modality == "text":
        if table[payload].dtype not in (pl.String, pl.Categorical, pl.Enum, pl.Null):
            kind = table[payload].dtype
            raise UserError(f"holds {kind}, not texts", where="data.text_column", value=payload, remedy="Name another")
        ours.append(table[payload].cast(pl.String).alias("text"))
    else:
        ours.append(_as_vectors(table[payload], config))
    theirs = [
        _as_text(table[name], config) if name in config.subgroup_columns else table[name]
        for name in there
        if name not in given.values()
    ]
    taken = set(there) | set(_reserved(modality))
    renamed = [s.alias(_free(s.name, taken)) if s.name in _reserved(modality) else s for s in theirs]
    return pl.DataFrame([*ours, *renamed]), modality


def _reserved(modality: str) -> tuple[str, ...]:
    return ("sample_id", "label", modality, WHERE, "_split")


def _free(name: str, taken: set[str]) -> str:
    name = f"source_{name}"
    while name in taken:
        name += "_"
    return name


def _as_text(column: pl.Series, config: CsvData) -> pl.Series:
    """Trimmed strings, blank = null. Whole numbers stay whole, also where gaps made floats of them."""
    if column.dtype.is_nested() or column.dtype == pl.Binary:
        raise UserError(
            f"column holds {column.dtype}", where=config.path, value=column.name, remedy="Make it strings or numbers"
        )
    if column.dtype.is_float():
        column = column.fill_nan(None)
        if ((column.abs() < 2**53) & (column == column.round())).all():
            column = column.cast(pl.Int64)
    column = column.cast(pl.String).str.strip_chars()
    return column.set(column == "", None)


def _as_vectors(column: pl.Series, config: CsvData) -> pl.Series:
    inner = getattr(column.dtype, "inner", None)
    if inner is None or not inner.is_numeric():
        raise UserError(
            f"holds {column.dtype}, not lists of numbers",
            where="data.vector_column",
            value=column.name,
            remedy="Name a list column",
        )
    return column.cast(pl.List(pl.Float32), strict=False).alias("vector")


# --- rows -----------------------------------------------------------------------------------------------


def _usable(table: pl.DataFrame, modality: str) -> tuple[pl.DataFrame, list[dict[str, str]]]:
    """Rows with a payload that can be used, and the others with the reason."""
    payload = pl.col(modality)
    if modality == "text":
        reason = pl.when(payload.is_null() | (payload.str.strip_chars() == "")).then(pl.lit("no text"))
    else:
        lengths = Counter(table["vector"].list.len().drop_nulls().to_list())
        length = max(lengths, key=lambda n: (lengths[n], n), default=0)
        broken = payload.list.eval(pl.element().is_null() | ~pl.element().is_finite()).list.any()
        reason = (
            pl.when(payload.is_null() | (payload.list.len() == 0))
            .then(pl.lit("no vector"))
            .when(payload.list.len() != length)
            .then(pl.format("a vector of {} numbers where most have " + str(length), payload.list.len()))
            .when(broken)
            .then(pl.lit("a number that is missing, not finite or beyond float32"))
        )
    return _set_aside(table, reason)


def _labelled(table: pl.DataFrame, config: CsvData) -> tuple[pl.DataFrame, list[dict[str, str]]]:
    """With a split column: checks its values, sets rows aside that lack the label their split needs."""
    if config.split_column is None:
        return table, []
    unknown = table.filter(~pl.col("_split").is_in(SPLITS) | pl.col("_split").is_null())
    if len(unknown):
        raise UserError(
            f"not a split{_more(unknown)}",
            where=f"{config.path.parent / unknown[WHERE][0]}, column {config.split_column}",
            value=unknown["_split"][0] or "",
            remedy=f"Each row needs one of {', '.join(SPLITS)}",
        )
    lacks = (pl.col("_split") != "pool") & pl.col("label").is_null()
    return _set_aside(table, pl.when(lacks).then(pl.format("a {} row without a label", pl.col("_split"))))


def _set_aside(table: pl.DataFrame, reason: pl.Expr) -> tuple[pl.DataFrame, list[dict[str, str]]]:
    table = table.with_columns(reason.otherwise(None).alias("_reason"))
    aside = table.filter(pl.col("_reason").is_not_null())
    rejected = aside.select(pl.col(WHERE).alias("where"), pl.col("_reason").alias("reason")).to_dicts()
    return table.filter(pl.col("_reason").is_null()).drop("_reason"), rejected


def _drawn(table: pl.DataFrame, modality: str, config: CsvData, seed: int) -> pl.DataFrame:
    """Labelled rows drawn into val, test and seed; the others are the pool."""
    labelled = table.filter(pl.col("label").is_not_null())
    fractions = {"val": config.val_fraction, "test": config.test_fraction}
    split = draw(identify(labelled[modality]), labelled["label"], fractions, derive_rng(seed, "csv"))
    pool = table.filter(pl.col("label").is_null()).with_columns(pl.lit("pool").alias("_split"))
    return pl.concat([labelled.with_columns(split.alias("_split")), pool])


def _classes(known: pl.DataFrame, config: CsvData) -> tuple[str, ...]:
    """The label list. Raises UserError when a labelled row's class is not in the one given."""
    if not config.classes:
        return tuple(known["label"].unique().sort())
    if len(set(config.classes)) < len(config.classes):
        raise UserError("a class is named twice", where="data.classes", value=listing(config.classes))
    unknown = known.filter(~pl.col("label").is_in(config.classes))
    if len(unknown):
        raise UserError(
            f"a {unknown['_split'][0]} row's label is not in data.classes{_more(unknown)}",
            where=config.path.parent / unknown[WHERE][0],
            value=unknown["label"][0],
            remedy=f"Mend the label, or add it to the classes: {listing(sorted(config.classes))}",
        )
    return tuple(sorted(config.classes))


def _more(rows: pl.DataFrame) -> str:
    return f" (and {len(rows) - 1} more rows)" if len(rows) > 1 else ""
