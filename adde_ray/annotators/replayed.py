"""Answers that real people once gave, kept in a table, given again: who is asked are those who answered then."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

import polars as pl

from adde_ray.errors import UserError, first_line
from adde_ray.labels import canonical

COLUMNS = ("item", "worker", "answer")
"""item: a sample_id. answer: a class, or what is none: then the sample is rejected. seconds may stand beside them."""


class Replay(NamedTuple):
    """What somebody once said of a sample."""

    worker: str
    answer: str | None
    seconds: float


class Replayed:
    """A table of COLUMNS, as Parquet or CSV."""

    def __init__(self, path: Path):
        """Raises UserError: no such table, or columns are missing."""
        self._answers: dict[str, list[Replay]] = {}
        for item, worker, answer, seconds in (
            _read(path).unique(["item", "worker"], keep="last").sort("item", "worker").iter_rows()
        ):
            self._answers.setdefault(item, []).append(Replay(worker, canonical(answer), seconds))

    def of(self, sample_id: str) -> list[Replay]:
        """What was said of a sample, by name of the worker; nothing where nobody was asked."""
        return self._answers.get(sample_id, [])


def _read(path: Path) -> pl.DataFrame:
    where = "review.replay"
    try:
        found = pl.read_csv(path, infer_schema=False) if path.suffix == ".csv" else pl.read_parquet(path, glob=False)
    except (OSError, pl.exceptions.PolarsError) as error:
        raise UserError(f"no table that can be read: {first_line(error)}", where=where, value=str(path)) from None
    if missing := [name for name in COLUMNS if name not in found.columns]:
        what = f"columns of answers are missing: {', '.join(missing)}"
        raise UserError(what, where=where, value=str(path), remedy=f"It has to have: {', '.join(COLUMNS)}")
    seconds = pl.col("seconds").cast(pl.Float64).fill_null(0.0) if "seconds" in found.columns else pl.lit(0.0)
    return found.select(pl.col(COLUMNS).cast(pl.String), seconds.alias("seconds"))
