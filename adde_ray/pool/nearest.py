"""The pool's nearest to what is looked for: shards and a `Closeness`, or places, in → the rows that come nearest out.

One pass over the features, a shard at a time on each thread; what is held beside is the best so far.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass

import numpy as np
import polars as pl
import torch

from adde_ray.distributed.tasks import each
from adde_ray.methods.numerics.matmul import BATCH, squared_distances
from adde_ray.methods.query.closeness import Closeness
from adde_ray.pool.shards import Batch, Shard

COLUMNS = {"sample_id": pl.String, "closeness": pl.Float32, "shard": pl.Int64, "row": pl.Int64}

Filter = Callable[[Batch], np.ndarray]
"""(n,) bool: which rows of a shard may be found."""


@dataclass(frozen=True)
class Near:
    """The nearest, best first. table: `COLUMNS`, the last two of which say where a row lies. features: (k, d)."""

    table: pl.DataFrame
    features: np.ndarray

    def head(self, number: int) -> Near:
        """The first `number` in order: by closeness, ties by sample_id."""
        rows = self.table.with_row_index("at").sort(-pl.col("closeness"), "sample_id").head(number)
        return Near(rows.drop("at"), self.features[rows["at"].to_numpy()])


def nearest(
    shards: Sequence[Shard],
    closeness: Closeness,
    number: int,
    *,
    without: Collection[str] = (),
    only: Filter | None = None,
) -> Near:
    """The `number` rows that come nearest, the same whatever the shards are. without: sample_ids that are not looked
    for. only: which others are; left out, all."""
    best: Near | None = None
    for shard, found in each(_of_shard, shards, closeness, number, list(without), only, workers=0):
        table = found.table.with_columns(shard=pl.lit(shard, pl.Int64)).select(*COLUMNS)
        found = Near(table, found.features)
        best = found if best is None else _together(best, found).head(number)
    return best.head(number) if best else Near(pl.DataFrame(schema=COLUMNS), np.zeros((0, 0), np.float32))


def nearest_to_each(
    shards: Sequence[Shard], places: np.ndarray, *, without: Collection[str] = (), workers: int | None = 0
) -> pl.DataFrame:
    """The row nearest to each of m >= 1 places (m, d), in their order: its sample_id and Euclidean distance.

    Null and infinite where there is no row. The same whatever the shards are; of rows equally near the first sample_id.
    without: sample_ids that are not looked for. workers: see `each`.
    """
    nothing = {"place": np.arange(len(places)), "sample_id": [None] * len(places), "near": np.inf, "distance": np.inf}
    best = pl.DataFrame(nothing, schema_overrides={"sample_id": pl.String})
    for _, found in each(_nearest_in_shard, shards, places, list(without), workers=workers):
        both = pl.concat([best, found]).sort("place", "near", "sample_id")
        best = both.unique("place", keep="first", maintain_order=True)
    return best.select("sample_id", "distance")


def _nearest_in_shard(shard: Shard, places: np.ndarray, without: list[str]) -> pl.DataFrame:
    """place, sample_id, what rows are compared by (near) and the distance, of the places that have a row."""
    batch, center = shard.read(), places.mean(axis=0)  # taken from all, so that distances do not depend on the shard
    free = np.flatnonzero(~batch.ids.is_in(without).to_numpy())
    y = torch.from_numpy(places - center).float()
    least, rows = np.full(len(places), np.inf), np.full(len(places), -1)
    for start in range(0, len(free), BATCH):
        part = free[start : start + BATCH]
        x = torch.from_numpy(batch.features[part].astype(np.float32) - center)
        near = squared_distances(x, y).numpy()
        at = near.argmin(axis=0)  # the first of equals: rows are sorted by sample_id
        near = near[at, np.arange(len(places))]
        closer = near < least
        least[closer], rows[closer] = near[closer], part[at[closer]]
    found = np.flatnonzero(rows >= 0)
    away = places[found].astype(np.float64) - batch.features[rows[found]]
    ids = batch.ids[rows[found]].to_list()
    table = {"place": found, "sample_id": ids, "near": least[found], "distance": np.linalg.norm(away, axis=1)}
    return pl.DataFrame(table, schema_overrides={"sample_id": pl.String})


def _together(one: Near, other: Near) -> Near:
    return Near(pl.concat([one.table, other.table]), np.concatenate([one.features, other.features]))


def _of_shard(shard: Shard, closeness: Closeness, number: int, without: list[str], only: Filter | None) -> Near:
    batch = shard.read()
    near = closeness(batch.features)
    free = ~batch.ids.is_in(without).to_numpy()
    free = np.flatnonzero(free if only is None else free & only(batch))
    if len(free) > number:
        least = np.partition(near[free], len(free) - number)[len(free) - number]
        free = free[near[free] >= least]
        free = free[np.argsort(-near[free], kind="stable")][:number]  # ties: rows are sorted by sample_id
    # Copied: rows taken out of a column would hold on to all of its text, shard after shard.
    ids = pl.Series("sample_id", batch.ids[free].to_list(), dtype=pl.String)
    table = pl.DataFrame([ids, pl.Series("closeness", near[free]), pl.Series("row", free.astype(np.int64))])
    return Near(table, np.asarray(batch.features[free], dtype=np.float32))
