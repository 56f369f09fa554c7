"""Pool rows that say what another says already: the pool's features in → ingest/semantic.parquet out."""

from __future__ import annotations

import numpy as np
import polars as pl

from adde_ray.config import Config
from adde_ray.errors import UserError
from adde_ray.methods.gates.semantic import semantic_copies
from adde_ray.pool import Pool
from adde_ray.rundir import RunDir, derive_seed
from adde_ray.schema import SEMANTIC, frame


def leave_out(pool: Pool, config: Config, run: RunDir) -> frozenset[str]:
    """Ids of the pool rows nobody is asked about; none where `gates.semantic` is not set. They stay in the pool.

    Raises UserError when it is set and the pool is streamed.
    """
    threshold = config.gates.semantic
    if threshold is None:
        return frozenset()
    if pool.is_streamed:
        raise UserError(
            "not for a pool that is streamed", where="gates.semantic", value=threshold,
            remedy="Leave it out, or raise stream.min_rows if the pool fits into memory",
        )  # fmt: skip
    rows_of = pool.sample  # all of them

    def find() -> pl.DataFrame:
        seed = derive_seed(config.run.seed, "semantic")
        kept_for, similarity = semantic_copies(rows_of.features, threshold, seed=seed)
        rows = np.flatnonzero(kept_for >= 0)
        columns = {
            "sample_id": [rows_of.ids[row] for row in rows],
            "kept": [rows_of.ids[row] for row in kept_for[rows]],
            "similarity": similarity[rows],
        }
        return frame(columns, SEMANTIC)

    return frozenset(run.once("ingest/semantic.parquet", find)["sample_id"].to_list())
