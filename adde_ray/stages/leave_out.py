"""Pool rows that say what another says already: the pool's features in → ingest/semantic.parquet out."""

from __future__ import annotations

import numpy as np
import polars as pl

from adde_ray.config import Config
from adde_ray.methods.gates.semantic import semantic_copies
from adde_ray.rundir import RunDir, derive_seed
from adde_ray.schema import SEMANTIC, Split, frame


def leave_out(pool: Split, config: Config, run: RunDir) -> frozenset[str]:
    """Ids of the pool rows nobody is asked about; none where `gates.semantic` is not set. They stay in the pool."""
    threshold = config.gates.semantic
    if threshold is None:
        return frozenset()

    def find() -> pl.DataFrame:
        seed = derive_seed(config.run.seed, "semantic")
        kept_for, similarity = semantic_copies(pool.features, threshold, seed=seed)
        rows = np.flatnonzero(kept_for >= 0)
        columns = {
            "sample_id": [pool.ids[row] for row in rows],
            "kept": [pool.ids[row] for row in kept_for[rows]],
            "similarity": similarity[rows],
        }
        return frame(columns, SEMANTIC)

    return frozenset(run.once("ingest/semantic.parquet", find)["sample_id"].to_list())
