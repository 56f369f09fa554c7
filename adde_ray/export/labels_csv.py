"""labels.csv: every sample of an export with its label by name, for spreadsheets and people."""

from __future__ import annotations

import csv
from pathlib import Path

import polars as pl

from adde_ray.labels import SEPARATOR, in_words

COLUMNS = ("sample_id", "file", "label", "round", "origin", "annotators", "split")
"""All text but `round`. `label` is in words, as people write it in review.csv; of several annotators, names are joined
by "|"."""


def write_labels(path: Path, splits: dict[str, pl.DataFrame]) -> None:
    """One line for each sample, in the order of the Parquet files. splits: `label` as class names."""
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(COLUMNS)
        for split, rows in splits.items():
            for row in rows.select(c for c in COLUMNS if c in rows.columns).iter_rows(named=True):
                row |= {"split": split, "label": in_words(row["label"])}
                row["annotators"] = SEPARATOR.join(row["annotators"] or ())
                writer.writerow([_plain(row.get(c)) for c in COLUMNS])


def _plain(cell: object) -> object:
    # To be replaced by what escapes formulas in every CSV people open.
    return f"'{cell}" if isinstance(cell, str) and cell.startswith(("=", "+", "-", "@", "\t", "\r")) else cell
