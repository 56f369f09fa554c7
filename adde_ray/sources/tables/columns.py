"""A user's columns as ours: payload, label, split and subgroups under our names and types, and rows that do not fit.

What a file holds in, as `readers` gives it; text, vector or image, label, _split, `WHERE` and the user's other columns
out, and by which columns an image's original is found again. A column of the user's that is called like one of ours
(sample_id, label, the payload, `file` beside paths of images) is kept as `source_<name>`.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from functools import partial

import polars as pl

from adde_ray import labels as codec
from adde_ray.artifacts.schema import PAYLOAD_KINDS
from adde_ray.config.data import CsvData
from adde_ray.errors import UserError
from adde_ray.sources.images.pictures import read_images
from adde_ray.sources.rows import SOURCE_ROW, WHERE, Reject, listing
from adde_ray.sources.storage.files import AnyPath
from adde_ray.sources.storage.paths import follow
from adde_ray.sources.storage.reach import Reach
from adde_ray.sources.tables.spelling import canonical


def as_ours(table: pl.DataFrame, config: CsvData, path: AnyPath) -> pl.DataFrame:
    """Ours under our names and types (payload, label, _split, WHERE), then the user's.

    Raises UserError: a column is not there, is named twice, holds what it may not, or is called like one of ours.
    """
    modality, payload = config.payload
    lacks_labels = config.label_column not in table.columns and "label_column" not in config.model_fields_set
    if lacks_labels and config.known_classes:  # a pool, and nothing labelled yet
        table = table.with_columns(pl.lit(None, pl.String).alias(config.label_column))
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

    label = table[config.label_column]
    if config.label_separator and isinstance(label.dtype, pl.List) and not label.dtype.inner.is_nested():
        label = _joined(label, config.label_separator)
    label = _as_text(label, config)
    label = label.set(label.is_in(config.missing), None)
    if config.label_separator:
        where = f"{config.path}, column {config.label_column}"
        label = pl.Series([_several(one, config.label_separator, where) for one in label], dtype=pl.String)
    ours = [label.alias("label"), table[WHERE]]
    if config.split_column:
        ours.append(_as_text(table[config.split_column], config).str.to_lowercase().alias("_split"))
    ours.append(PAYLOADS[modality](table[payload]))
    theirs = [
        _as_text(table[name], config) if name in config.subgroup_columns else table[name]
        for name in there
        if name not in given.values()
    ]
    found = _found_again(ours[-1], theirs) if modality == "image" else []
    reserved = {*_reserved(modality), *(column.name for column in found)}
    if clash := [name for name in config.subgroup_columns if name in reserved]:
        where = "data.subgroup_columns"
        raise UserError("name is reserved", where=where, value=clash[0], remedy="Rename the column")
    taken = set(there) | reserved
    renamed = [s.alias(_free(s.name, taken)) if s.name in reserved else s for s in theirs]
    return pl.DataFrame([*ours, *renamed, *found])


def usual_length(vectors: pl.Series) -> int:
    """How many numbers most of the vectors have."""
    lengths = Counter(vectors.list.len().drop_nulls().to_list())
    return max(lengths, key=lambda n: (lengths[n], n), default=0)


def empty_like(table: pl.DataFrame, config: CsvData) -> pl.DataFrame:
    """No rows, with the columns and types that `usable` rows of a table by `as_ours` have; without _split."""
    kinds = table.drop("_split", strict=False).clear()
    modality, _ = config.payload
    return kinds.with_columns(pl.Series(modality, [], dtype=PAYLOAD_KINDS[modality]))


def usable(table: pl.DataFrame, config: CsvData, length: int, folder: AnyPath) -> tuple[pl.DataFrame, list[Reject]]:
    """Rows with a payload that can be used, and the others with the reason. Paths are relative to `folder`."""
    modality, _ = config.payload
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
    return set_aside(table, reason)


def set_aside(table: pl.DataFrame, reason: pl.Expr) -> tuple[pl.DataFrame, list[Reject]]:
    """The rows without a `reason`, and the others with theirs. reason: a text, or null, for each row."""
    table = table.with_columns(reason.alias("_reason"))
    aside = table.filter(pl.col("_reason").is_not_null())
    rejected = aside.select(pl.col(WHERE).alias("where"), pl.col("_reason").alias("reason")).to_dicts()
    return table.filter(pl.col("_reason").is_null()).drop("_reason"), rejected


# --- columns --------------------------------------------------------------------------------------------


def _reserved(modality: str) -> tuple[str, ...]:
    return ("sample_id", "label", modality, WHERE, "_split")


def _free(name: str, taken: set[str]) -> str:
    name = f"source_{name}"
    while name in taken:
        name += "_"
    return name


def _as_text(column: pl.Series, config: CsvData) -> pl.Series:
    """Each value in its canonical form, missing = null."""
    if column.dtype.is_nested() or column.dtype in (pl.Binary, pl.Object):
        raise UserError(
            f"column holds {column.dtype}", where=config.path, value=column.name, remedy="Make it strings or numbers"
        )
    return canonical(column)


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
    """Encoded bytes, paths, or in Hugging Face's form either of them; not decoded yet."""
    fields = [field.name for field in column.dtype.fields] if isinstance(column.dtype, pl.Struct) else []
    if "bytes" in fields and "path" in fields:
        parts = [column.struct.field("bytes").cast(pl.Binary), column.struct.field("path").cast(pl.String)]
        return pl.select(pl.struct(parts)).to_series().alias("image")
    if "bytes" in fields:
        column = column.struct.field("bytes").alias(column.name)
    if column.dtype not in (pl.Binary, pl.String, pl.Categorical, pl.Enum, pl.Null):
        raise _wrong("image", column, "neither encoded images nor paths")
    return column.cast(pl.Binary if column.dtype == pl.Binary else pl.String).alias("image")


def _found_again(images: pl.Series, theirs: list[pl.Series]) -> list[pl.Series]:
    """Columns by which originals of what `_images` gives are found again: `file`, and SOURCE_ROW, still empty.

    The name beside encoded bytes leads nowhere: there a column `file` of the user's comes first.
    """
    if images.dtype == pl.String:
        return [images.alias("file")]
    found = [pl.Series(SOURCE_ROW, [None] * len(images), dtype=pl.String)]
    if isinstance(images.dtype, pl.Struct) and "file" not in [column.name for column in theirs]:
        found.append(images.struct.field("path").alias("file"))
    return found


PAYLOADS = {"text": _texts, "vector": _vectors, "image": _images}


def _wrong(modality: str, column: pl.Series, what: str) -> UserError:
    where = f"data.{modality}_column"
    return UserError(f"holds {column.dtype}, {what}", where=where, value=column.name, remedy="Name another column")


# --- rows -----------------------------------------------------------------------------------------------


def decoder(config: CsvData) -> Callable[[Sequence[AnyPath | bytes]], list[bytes | str]]:
    """What makes payloads of files or encoded images."""
    return partial(read_images, size=config.size, mode=config.mode, min_side=config.min_side)


def _decoded(table: pl.DataFrame, config: CsvData, folder: AnyPath) -> tuple[pl.DataFrame, list[Reject]]:
    """Images as PNGs of one size and mode."""
    given = table["image"].to_list()
    if isinstance(table["image"].dtype, pl.Struct):
        given = [both and (both["path"] if both["bytes"] is None else both["bytes"]) for both in given]
    images: list[bytes | None] = [None] * len(given)
    reasons: list[str | None] = ["no image"] * len(given)
    found: dict[int, AnyPath | bytes] = {}
    reach = Reach(folder, config.roots)
    for i, value in enumerate(given):
        if isinstance(value, bytes):
            found[i] = value
        elif value and value.strip():
            path = follow(reach, value)
            if isinstance(path, str):
                reasons[i] = f"{value.strip()}: {path}"
            else:
                found[i] = path
    pictures = decoder(config)(list(found.values()))
    for i, image in zip(found, pictures, strict=True):
        if isinstance(image, str):
            reasons[i] = image if isinstance(given[i], bytes) else f"{given[i].strip()} {image}"
        else:
            images[i], reasons[i] = image, None
    if table["image"].dtype != pl.String:
        in_cells = pl.Series([isinstance(value, bytes) for value in given], dtype=pl.Boolean)
        table = table.with_columns(pl.when(in_cells).then(WHERE).alias(SOURCE_ROW))
    table = table.with_columns(
        pl.Series("image", images, dtype=pl.Binary), pl.Series("_reason", reasons, dtype=pl.String)
    )
    return set_aside(table, pl.when(pl.col("_reason").is_not_null()).then(pl.col("_reason")))


def _joined(column: pl.Series, separator: str) -> pl.Series:
    """Lists of classes as one string each, as a table without lists has them."""
    texts = column.cast(pl.List(pl.String)).list.drop_nulls().list.join(separator)
    return texts.set(texts == "", codec.NONE)


def _several(label: str | None, separator: str, where: str) -> str | None:
    """A user's multi-label label in the form it has everywhere else. where: for messages."""
    if label is None or label.lower() == codec.NONE:
        return None if label is None else ""
    if separator != codec.SEPARATOR and codec.SEPARATOR in label:
        codec.check_classes([label], where=where)
    holds, unknown = codec.split(label.replace(separator, codec.SEPARATOR))
    return codec.join(*([name for name in map(codec.canonical, part) if name] for part in (holds, unknown)))
