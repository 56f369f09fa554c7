"""A uniform draw of the pool's rows: which lie where, by their ids alone."""

from __future__ import annotations

import numpy as np
import polars as pl

from adde_ray.methods.query.scoring import chance
from adde_ray.pool.shards import Pool


def draw(pool: Pool, taken: set[str], number: int, *, seed: int) -> list[tuple[int, list[str]]]:
    """`number` rows that are not in `taken`, each set of them as likely as any other: row of their shard, their ids.

    All there are where they are fewer. The same whatever the shards are. One shard's ids are in memory at a time.
    """
    if number == 0:
        return []
    best: list[pl.DataFrame] = []
    for row, shard in enumerate(pool.shards):
        ids = shard.ids()
        ids = ids.filter(~ids.is_in(list(taken)))
        drawn = pl.DataFrame({"sample_id": ids, "chance": chance(ids, seed), "shard": np.full(len(ids), row)})
        best = [pl.concat([*best, drawn.bottom_k(number, by=["chance", "sample_id"])])]
        best = [best[0].bottom_k(number, by=["chance", "sample_id"])]
    found = best[0].sort("sample_id")
    shards = sorted(set(found["shard"].to_list()))
    return [(row, found.filter(shard=row)["sample_id"].to_list()) for row in shards]
