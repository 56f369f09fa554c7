"""The pool's rows that synthetic samples have near them: see `methods.synthesis.light`."""

from __future__ import annotations

from collections.abc import Collection

import numpy as np
import polars as pl

from adde_ray.pool.nearest import nearest_to_each
from adde_ray.pool.shards import Pool

LIT = {"sample_id": pl.String, "lit_by": pl.String, "distance": pl.Float64}
"""A row of the pool, the synthetic sample that found it, and how far they lie apart."""


def look_for(
    sample_ids: pl.Series, features: np.ndarray, pool: Pool, reach: float, out: Collection[str], *, workers: int | None
) -> pl.DataFrame:
    """LIT: of each of m >= 1 synthetic samples (m, d) the pool's nearest row, if it is within `reach`; nearest first.

    out: ids of rows that are not looked for. The same whatever the shards are.
    """
    found = nearest_to_each(pool.shards, features, without=out, workers=workers if pool.is_streamed else 0)
    found = found.with_columns(lit_by=sample_ids).filter(pl.col("distance") <= reach)
    return found.select(*LIT).sort("distance", "lit_by")
