"""Texts, vectors or images in a table: a CSV, JSON Lines or Parquet file (`readers`).

Out: text, vector or image (PNG), label, the subgroup columns as strings, every other column untouched; paths of
images as `file`. A column of the user's that is called like one of ours (sample_id, label, the payload) is kept
as `source_<name>`.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import polars as pl

from adde_ray import labels as codec
from adde_ray.config import CsvData
from adde_ray.errors import UserError
from adde_ray.rundir import derive_rng
from adde_ray.schema import SPLITS
from adde_ray.sources.files import AnyPath, at, beside
from adde_ray.sources.parts import Part, TableFile, list_parts, list_tables
from adde_ray.sources.pictures import read_images
from adde_ray.sources.readers import read_file
from adde_ray.sources.rows import WHERE, Limit, Reject, Rows, count, draw, identify, listing, read_all

CHUNK_BYTES = 1 << 26
"""Decoded images of a chunk, about."""

TEXT_ROWS = 8192
"""Texts or vectors of a chunk, about."""


def read(config: CsvData, *, seed: int) -> Rows:
    """The file's rows. Raises UserError: no such file or column, too many unusable rows, unknown label or split."""
    path = at(config.path)
    if config.vector_column and path.suffix.lower() in (".csv", ".tsv"):
        raise UserError("vectors are not read from CSV", where=path, remedy="Write the table as .parquet or .jsonl")
    table, rejected = _whole(path)
    return assemble(table, rejected, config, path, seed=seed)


def _whole(path: AnyPath) -> tuple[pl.DataFrame, list[Reject]]:
    """The file's rows; of a Parquet file with a corrupt row group the others."""
    try:
        return read_file(path)
    except UserError:
        if path.suffix.lower() not in (".parquet", ".pq") or not path.is_file():
            raise
        try:
            table, rejected = read_all(list_parts(path, path.name, TEXT_ROWS).parts)
        except (UserError, OSError):
            table = pl.DataFrame()
        if not len(table):
            raise
        return table, rejected


def assemble(
    table: pl.DataFrame,
    rejected: list[Reject],
    config: CsvData,
    path: AnyPath,
    *,
    seed: int,
    pool: Sequence[TableFile] = (),
) -> Rows:
    """A table as its file has it, with `WHERE`, as splits with our columns. Paths are relative to `path`'s folder.

    pool: files of further pool rows, besides those of `config.pool`.
    """
    total = len(table) + count(rejected)
    table, modality = _columns(table, config, path)
    kinds = table.drop("_split", strict=False).clear().cast({modality: PAYLOAD_KINDS[modality]})
    length = _usual_length(table["vector"]) if modality == "vector" else 0
    table, unusable = _usable(table, modality, config, length, path.parent)
    rejected = rejected + unusable
    table, unlabelled = _labelled(table, config)
    rejected += unlabelled
    limit = Limit(config.max_rejected, "rows", path)
    listed, unlisted = _list_pool(config) if config.pool else ([], [])
    rejected += unlisted
    chunks = _chunks([*pool, *listed], config, kinds, length) if pool or config.pool else None
    if chunks is None:  # else it is known only when they are read
        limit.check(rejected, total)

    if config.split_column is None:
        table = _drawn(table, modality, config, seed)
    known = table.filter((pl.col("_split") != "pool") & pl.col("label").is_not_null())
    classes = _classes(known, config)
    junk = table.filter((pl.col("_split") == "pool") & ~_fits(table, classes, config))["label"]
    notes = []
    if len(junk):
        names = listing(junk.unique().sort(), 5)
        notes.append(f"{len(junk)} pool rows carry a hidden label outside the label list: {names}")
    splits = {n: rows.drop("_split") for (n,), rows in table.group_by("_split", maintain_order=True)}
    if chunks is not None and "pool" in splits:
        held, _ = _conform(splits.pop("pool"), chunks[0].kinds if chunks else kinds, modality)
        chunks = (*chunks, HeldChunk(path.name, held))  # last: the first one shows whether a pool has labels
    return Rows(
        splits=splits,
        modality=modality,
        classes=classes,
        subgroups=config.subgroup_columns,
        rejected=rejected,
        notes=notes,
        task="multi" if config.label_separator else "single",
        pool_chunks=chunks,
        num_read=total + count(unlisted),
        limit=limit,
    )


# --- a large pool ---------------------------------------------------------------------------------------


@dataclass(frozen=True)
class HeldChunk:
    """Pool rows of the main file, which are in memory already."""

    name: str
    table: pl.DataFrame

    @property
    def num_rows(self) -> int:
        return len(self.table)

    def read(self) -> tuple[pl.DataFrame, list[Reject]]:
        return self.table, []


@dataclass(frozen=True)
class TableChunk:
    """Some rows of one of the pool's files."""

    part: Part
    config: CsvData
    kinds: pl.DataFrame  # empty, with the columns and types every chunk is to have
    length: int  # of a vector

    @property
    def name(self) -> str:
        return self.part.name

    @property
    def num_rows(self) -> int:
        return self.part.num_rows

    def read(self) -> tuple[pl.DataFrame, list[Reject]]:
        try:
            table, rejected = self.part.read()
            if not len(table):
                return self.kinds, rejected
            table, modality = _columns(_completed(table, self.config), self.config, self.part.path)
        except UserError as error:
            return self.kinds, [{"where": self.name, "reason": error.what, "rows": self.num_rows}]
        except OSError as error:
            reason = f"cannot be read: {error.strerror or error}"
            return self.kinds, [{"where": self.name, "reason": reason, "rows": self.num_rows}]
        if self.config.split_column:
            odd = pl.col("_split").is_not_null() & (pl.col("_split") != "pool")
            table, aside = _set_aside(
                table, pl.when(odd).then(pl.format("a {} row among data.pool, which holds pool rows", pl.col("_split")))
            )
            table, rejected = table.drop("_split"), rejected + aside
        table, misfits = _conform(table, self.kinds, modality)
        table, unusable = _usable(table, modality, self.config, self.length, self.part.path.parent)
        return table, rejected + misfits + unusable


def rows_per_chunk(config: CsvData) -> int:
    """So many that decoded images stay small."""
    pixels = config.size**2 * (3 if config.mode == "RGB" else 1)
    return min(max(CHUNK_BYTES // pixels, 64), 4096) if config.image_column else TEXT_ROWS


def _list_pool(config: CsvData) -> tuple[list[TableFile], list[Reject]]:
    """The pool's files, and those that cannot be told apart into parts."""
    main, files, rejected = at(config.path), [], []
    rows = rows_per_chunk(config)
    for path, name in list_tables(at(config.pool)):
        if path.resolve() == main.resolve():
            continue
        try:
            file = list_parts(path, name, rows)
            _columns(_completed(file.head, config), config, path)
        except UserError as error:
            rejected.append({"where": name, "reason": error.what})
        except OSError as error:
            rejected.append({"where": name, "reason": f"cannot be read: {error.strerror or error}"})
        else:
            files.append(file)
    return files, rejected


def _chunks(files: list[TableFile], config: CsvData, kinds: pl.DataFrame, length: int) -> tuple[TableChunk, ...]:
    """The parts of all files, with the types that hold what any of them has."""
    heads = {tuple(file.head.schema.items()): file for file in files}
    for file in heads.values():
        head, modality = _columns(_completed(file.head, config), config, file.path)
        kinds = _columns_of_both(kinds, head.drop("_split", strict=False).cast({modality: PAYLOAD_KINDS[modality]}))
    return tuple(TableChunk(part, config, kinds, length) for file in files for part in file.parts)


def _completed(table: pl.DataFrame, config: CsvData) -> pl.DataFrame:
    """With null for columns that rows of the pool may lack. Raises UserError when there is no payload."""
    payload = config.text_column or config.vector_column or config.image_column
    if payload not in table.columns:
        raise UserError(f"has no column {payload}")
    optional = [config.label_column, config.split_column, *config.subgroup_columns]
    return table.with_columns(
        pl.lit(None, pl.String).alias(name) for name in optional if name and name not in table.columns
    ).with_columns([] if WHERE in table.columns else [pl.lit(None, pl.String).alias(WHERE)])


def _columns_of_both(first: pl.DataFrame, second: pl.DataFrame) -> pl.DataFrame:
    """Empty, with the columns of both and types that hold both; where none does, with the first's."""
    columns = {}
    for name in dict.fromkeys((*first.columns, *second.columns)):
        there = [table.select(name) for table in (first, second) if name in table.columns]
        try:
            columns[name] = pl.concat(there, how="vertical_relaxed")[name]
        except pl.exceptions.PolarsError:
            columns[name] = there[0][name]
    return pl.DataFrame(columns)


def _conform(table: pl.DataFrame, kinds: pl.DataFrame, modality: str) -> tuple[pl.DataFrame, list[Reject]]:
    """With the columns and types of `kinds`; rows with a value that has no place there are set aside.

    The payload is left as it is: `_usable` sees to it.
    """
    columns = []
    reasons = pl.Series("_reason", [None] * len(table), dtype=pl.String)
    for name, kind in kinds.schema.items():
        given = table[name] if name in table.columns else pl.Series(name, [None] * len(table), dtype=kind)
        if name != modality and given.dtype != kind:
            try:
                column = given.cast(kind, strict=False)
            except pl.exceptions.PolarsError:
                column = pl.Series(name, [None] * len(table), dtype=kind)
            lost = given.is_not_null() & column.is_null()
            if kind.is_numeric() and given.dtype.is_numeric():
                lost |= (column.cast(given.dtype, strict=False) != given).fill_null(False)
            if lost.any():
                texts = [f"column {name} holds {value!r:.80}, not {kind}" if bad else None
                         for value, bad in zip(given.to_list(), lost, strict=True)]  # fmt: skip
                reasons = reasons.zip_with(reasons.is_not_null(), pl.Series(texts, dtype=pl.String))
            given = column
        columns.append(given)
    return _set_aside(pl.DataFrame([*columns, reasons]), pl.when(pl.col("_reason").is_not_null()).then("_reason"))


# --- columns --------------------------------------------------------------------------------------------


def _columns(table: pl.DataFrame, config: CsvData, path: AnyPath) -> tuple[pl.DataFrame, str]:
    """Ours under our names and types (payload, label, _split, WHERE), then the user's; and the modality."""
    payloads = {"text": config.text_column, "vector": config.vector_column, "image": config.image_column}
    [(modality, payload)] = [(kind, name) for kind, name in payloads.items() if name is not None]
    given = {f"{modality}_column": payload, "label_column": config.label_column, "split_column": config.split_column}
    given = {key: name for key, name in given.items() if name is not None}
    there = [name for name in table.columns if name != WHERE]
    wanted = [*given.items(), *(("subgroup_columns", name) for name in config.subgroup_columns)]
    for i, (key, name) in enumerate(wanted):
        where = f"data.{key}"
        if name not in there:
            raise UserError(
                f"{path.name} has no such column", where=where, value=name, remedy=f"Columns: {listing(there)}"
            )
        if name in [other for _, other in wanted[:i]]:
            raise UserError("column is named twice", where=where, value=name, remedy="Give each column one part")
        if key == "subgroup_columns" and name in _reserved(modality):
            raise UserError("name is reserved", where=where, value=name, remedy="Rename the column")

    label = table[config.label_column]
    if config.label_separator and isinstance(label.dtype, pl.List) and not label.dtype.inner.is_nested():
        label = _joined(label, config)
    label = _as_text(label, config)
    if config.label_separator:
        label = pl.Series([_several(one, config) for one in label], dtype=pl.String)
    ours = [label.alias("label"), table[WHERE]]
    if config.split_column:
        ours.append(_as_text(table[config.split_column], config).alias("_split"))
    ours.append(PAYLOADS[modality](table[payload]))
    theirs = [
        _as_text(table[name], config) if name in config.subgroup_columns else table[name]
        for name in there
        if name not in given.values()
    ]
    if modality == "image" and ours[-1].dtype == pl.String and "file" not in there:  # people may want the original
        theirs.append(ours[-1].alias("file"))
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


def _texts(column: pl.Series) -> pl.Series:
    if column.dtype not in (pl.String, pl.Categorical, pl.Enum, pl.Null):
        raise _wrong("text", column, "not texts")
    return column.cast(pl.String).alias("text")


def _vectors(column: pl.Series) -> pl.Series:
    inner = getattr(column.dtype, "inner", None)
    if inner is None or not inner.is_numeric():
        raise _wrong("vector", column, "not lists of numbers")
    return column.cast(pl.List(pl.Float32), strict=False).alias("vector")


def _images(column: pl.Series) -> pl.Series:
    """Encoded bytes or paths, not decoded yet."""
    if isinstance(column.dtype, pl.Struct) and "bytes" in [f.name for f in column.dtype.fields]:  # Hugging Face's form
        column = column.struct.field("bytes").alias(column.name)
    if column.dtype not in (pl.Binary, pl.String, pl.Categorical, pl.Enum, pl.Null):
        raise _wrong("image", column, "neither encoded images nor paths")
    return column.cast(pl.Binary if column.dtype == pl.Binary else pl.String).alias("image")


PAYLOADS = {"text": _texts, "vector": _vectors, "image": _images}

PAYLOAD_KINDS = {"text": pl.String, "vector": pl.List(pl.Float32), "image": pl.Binary}
"""Their types once they are usable."""


def _wrong(modality: str, column: pl.Series, what: str) -> UserError:
    where = f"data.{modality}_column"
    return UserError(f"holds {column.dtype}, {what}", where=where, value=column.name, remedy="Name another column")


# --- rows -----------------------------------------------------------------------------------------------


def _usual_length(vectors: pl.Series) -> int:
    """How many numbers most of the vectors have."""
    lengths = Counter(vectors.list.len().drop_nulls().to_list())
    return max(lengths, key=lambda n: (lengths[n], n), default=0)


def _usable(
    table: pl.DataFrame, modality: str, config: CsvData, length: int, folder: AnyPath
) -> tuple[pl.DataFrame, list[Reject]]:
    """Rows with a payload that can be used, and the others with the reason. Paths are relative to `folder`."""
    if modality == "image":
        return _decoded(table, config, folder)
    payload = pl.col(modality)
    if modality == "text":
        reason = pl.when(payload.is_null() | (payload.str.strip_chars() == "")).then(pl.lit("no text"))
    else:
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


def _decoded(table: pl.DataFrame, config: CsvData, folder: AnyPath) -> tuple[pl.DataFrame, list[Reject]]:
    """Images as PNGs of one size and mode."""
    given = table["image"].to_list()
    paths = table["image"].dtype == pl.String
    images: list[bytes | None] = [None] * len(given)
    reasons: list[str | None] = ["no image"] * len(given)
    found: dict[int, AnyPath | bytes] = {}
    for i, value in enumerate(given):
        if value is not None and (not paths or value.strip()):
            try:
                found[i] = beside(folder, value.strip()) if paths else value
            except UserError as error:
                reasons[i] = f"{value.strip()}: {error.what}"
    pictures = read_images(list(found.values()), size=config.size, mode=config.mode, min_side=config.min_side)
    for i, image in zip(found, pictures, strict=True):
        if isinstance(image, str):
            reasons[i] = f"{given[i].strip()} {image}" if paths else image
        else:
            images[i], reasons[i] = image, None
    table = table.with_columns(
        pl.Series("image", images, dtype=pl.Binary), pl.Series("_reason", reasons, dtype=pl.String)
    )
    return _set_aside(table, pl.when(pl.col("_reason").is_not_null()).then(pl.col("_reason")))


def _labelled(table: pl.DataFrame, config: CsvData) -> tuple[pl.DataFrame, list[Reject]]:
    """With a split column: checks its values, sets rows aside that lack the label their split needs."""
    if config.split_column is None:
        return table, []
    unknown = table.filter(~pl.col("_split").is_in(SPLITS) | pl.col("_split").is_null())
    if len(unknown):
        raise UserError(
            f"not a split{_more(unknown)}",
            where=f"{at(config.path).parent}/{unknown[WHERE][0]}, column {config.split_column}",
            value=unknown["_split"][0] or "",
            remedy=f"Each row needs one of {', '.join(SPLITS)}",
        )
    lacks = (pl.col("_split") != "pool") & pl.col("label").is_null()
    return _set_aside(table, pl.when(lacks).then(pl.format("a {} row without a label", pl.col("_split"))))


def _set_aside(table: pl.DataFrame, reason: pl.Expr) -> tuple[pl.DataFrame, list[Reject]]:
    table = table.with_columns(reason.otherwise(None).alias("_reason"))
    aside = table.filter(pl.col("_reason").is_not_null())
    rejected = aside.select(pl.col(WHERE).alias("where"), pl.col("_reason").alias("reason")).to_dicts()
    return table.filter(pl.col("_reason").is_null()).drop("_reason"), rejected


def _drawn(table: pl.DataFrame, modality: str, config: CsvData, seed: int) -> pl.DataFrame:
    """Labelled rows drawn into val, test and seed; the others are the pool."""
    labelled = table.filter(pl.col("label").is_not_null())
    fractions = {"val": config.val_fraction, "test": config.test_fraction}
    labels = labelled["label"]
    if config.label_separator:  # most whole labels are too rare to be drawn class by class
        labels = pl.Series("label", codec.rarest(labels.to_list()), dtype=pl.String)
    split = draw(identify(labelled[modality]), labels, fractions, derive_rng(seed, "csv"))
    pool = table.filter(pl.col("label").is_null()).with_columns(pl.lit("pool").alias("_split"))
    return pl.concat([labelled.with_columns(split.alias("_split")), pool])


def _classes(known: pl.DataFrame, config: CsvData) -> tuple[str, ...]:
    """The label list. Raises UserError when a labelled row's class is not in the one given."""
    if not config.classes:
        if not config.label_separator:
            return tuple(known["label"].unique().sort())
        parts = [part for label in known["label"].unique() for part in codec.split(label)]
        found = tuple(sorted({name for part in parts for name in part}))
        codec.check_classes(found, where=f"{config.path}, column {config.label_column}")
        return found
    if len(set(config.classes)) < len(config.classes):
        raise UserError("a class is named twice", where="data.classes", value=listing(config.classes))
    if config.label_separator:
        codec.check_classes(config.classes, where="data.classes")
    unknown = known.filter(~_fits(known, config.classes, config))
    if len(unknown):
        raise UserError(
            f"a {unknown['_split'][0]} row's label is not in data.classes{_more(unknown)}",
            where=f"{at(config.path).parent}/{unknown[WHERE][0]}",
            value=unknown["label"][0],
            remedy=f"Mend the label, or add it to the classes: {listing(sorted(config.classes))}",
        )
    return tuple(sorted(config.classes))


def _fits(table: pl.DataFrame, classes: tuple[str, ...], config: CsvData) -> pl.Series:
    """Whether each row's label names nothing but classes; null for null."""
    if not config.label_separator:
        return table["label"].is_in(classes)
    fits = [None if label is None else not codec.foreign(label, classes, multi=True) for label in table["label"]]
    return pl.Series("fits", fits, dtype=pl.Boolean)


def _joined(column: pl.Series, config: CsvData) -> pl.Series:
    """Lists of classes as one string each, as a table without lists has them."""
    texts = column.cast(pl.List(pl.String)).list.drop_nulls().list.join(config.label_separator)
    return texts.set(texts == "", codec.NONE)


def _several(label: str | None, config: CsvData) -> str | None:
    """A user's multi-label label in the form it has everywhere else."""
    if label is None or label.lower() == codec.NONE:
        return None if label is None else ""
    if config.label_separator != codec.SEPARATOR and codec.SEPARATOR in label:
        codec.check_classes([label], where=f"{config.path}, column {config.label_column}")
    return codec.join(*codec.split(label.replace(config.label_separator, codec.SEPARATOR)))


def _more(rows: pl.DataFrame) -> str:
    return f" (and {len(rows) - 1} more rows)" if len(rows) > 1 else ""
