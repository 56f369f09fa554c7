"""Ask about the query: QUERY in, DECISIONS out, or None while people have not all answered."""

from __future__ import annotations

import polars as pl

from adde_ray.artifacts.run_dir import RoundDir
from adde_ray.stages.run_context import RunContext


def review(query: pl.DataFrame, synthetic: pl.DataFrame, context: RunContext, round_: RoundDir) -> pl.DataFrame | None:
    """DECISIONS about every row of the query by the run's annotator, or None while people are still at it."""
    if (kept := round_.read("decisions.parquet")) is not None:
        return kept
    decisions = context.annotator.answer(query, synthetic, round_)
    return None if decisions is None else round_.once("decisions.parquet", lambda: decisions)
