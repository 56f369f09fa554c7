"""labels.csv: every sample of an export with its label by name, for spreadsheets and people."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import polars as pl

from adde_ray.labels import SEPARATOR, in_words
from adde_ray.review.cells import write_csv

COLUMNS = ("sample_id", "file", "label", "round", "origin", "annotators", "split")
"""All text but `round`. `label` is in words, as people write it in review.csv; of several annotators, names are joined
by "|"."""


def write_labels(path: Path, splits: dict[str, pl.DataFrame]) -> None:
    """One line for each sample, in the order of the Parquet files. splits: `label` as class names."""
    with path.open("w", encoding="utf-8", newline="") as file:
        write_csv(file, COLUMNS, _rows(splits))


def _rows(splits: dict[str, pl.DataFrame]) -> Iterator[dict[str, object]]:
    for split, rows in splits.items():
        for row in rows.select(c for c in COLUMNS if c in rows.columns).iter_rows(named=True):
            names = SEPARATOR.join(row["annotators"] or ())
            yield row | {"split": split, "label": in_words(row["label"]), "annotators": names}
