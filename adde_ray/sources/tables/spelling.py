"""What labels of a table are missing, and which are one, however they are written."""

from __future__ import annotations

import unicodedata
from collections import defaultdict

import numpy as np
import polars as pl

from adde_ray import labels as codec
from adde_ray.sources.rows import listing


def canonical(column: pl.Series) -> pl.Series:
    """Every value in its canonical form (`labels.canonical`), null where it is missing. Not for nested columns."""
    if column.dtype in (pl.Categorical, pl.Enum):
        column = column.cast(pl.String)
    if not len(column):
        return pl.Series(column.name, [], dtype=pl.String)
    values = column.unique()
    exact = np.float32 if column.dtype == pl.Float32 else lambda value: value  # .1 is .10000000149 as a float64
    texts = [None if value is None else codec.canonical(exact(value)) for value in values]
    texts = pl.Series(column.name, texts, dtype=pl.String)
    if column.dtype == pl.String and texts.equals(values, null_equal=True):
        return column
    return column.replace_strict(values, texts, return_dtype=pl.String)


def with_plain_names(table: pl.DataFrame) -> pl.DataFrame:
    """Columns called as they look: NFC, without blanks at their ends; those that would have one name stay."""
    if all(name.isascii() and name == name.strip() for name in table.columns):
        return table
    names = [unicodedata.normalize("NFC", codec.bare(name)) for name in table.columns]
    plain = {old: new for old, new in zip(table.columns, names, strict=True) if new and names.count(new) == 1}
    return table.rename(plain)


def without_missing(
    labels: pl.Series,
    split: pl.Series | None,
    *,
    missing: tuple[str, ...],
    classes: tuple[str, ...],
    pool_elsewhere: bool = False,
    multi: bool = False,
) -> tuple[pl.Series, list[str]]:
    """Canonical labels with null for words that stand for a missing one, and notes for the user.

    missing: such words; those of `labels.DOUBTFUL` besides, where nothing else says which rows are the pool: no label
    is null, and, of a table with a split column, no row but the pool's has one.
    """
    labels = labels.set(labels.is_in(missing), None)
    there = [
        name for name in labels.unique().drop_nulls().sort() if name.lower() in codec.DOUBTFUL - {codec.NONE * multi}
    ]
    there = [name for name in there if name not in classes]
    if not there:
        return labels, []
    if split is None:
        gone = there if not pool_elsewhere and not labels.has_nulls() else []
    else:
        held = labels.filter(split != "pool").unique().to_list()
        gone = [name for name in there if name not in held and not labels.filter(split == "pool").has_nulls()]
    notes = [
        f'{int((labels == name).sum())} labels are "{name}", taken as missing: data.classes can make it a class'
        if name in gone
        else f'The class "{name}" may stand for a missing label: then set data.missing = ["{name}"]'
        for name in there
    ]
    return labels.set(labels.is_in(gone), None), notes


def notes_on(given: pl.Series, labels: pl.Series) -> list[str]:
    """What a user may want to know of texts that were taken as missing, or as one class. labels: canonical, of each."""
    if given.dtype != pl.String:
        return []
    pairs = pl.DataFrame({"given": given.str.strip_chars(), "label": labels})
    pairs = pairs.filter((pl.col("given") != "") & (pl.col("given") != pl.col("label")).fill_null(True))
    pairs = pairs.group_by("given", "label").len().sort("given")
    gone = pairs.filter(pl.col("label").is_null())
    notes = []
    if len(gone):
        words = listing((f'"{word}"' for word in gone["given"]), 5)
        notes.append(f"{gone['len'].sum()} labels are missing by what they say: {words}")
    ways = defaultdict(set)
    for written, label in pairs.drop_nulls("label").select("given", "label").iter_rows():
        ways[label].add(written)
    there = set(given.str.strip_chars().unique()) if ways else set()
    merged = sorted(label for label, others in ways.items() if len(others) + (label in there) > 1)
    if merged:
        notes.append(f"Written in several ways, taken as one class: {listing(merged, 5)}")
    return notes
