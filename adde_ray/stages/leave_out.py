"""Pool rows that say what another says already: the pool's features in → ingest/semantic.parquet out.

A pass over the shards places their rows in cells; then each cell's rows are gathered and compared. What the driver
holds of the pool is where each row lies and how isolated it is, 24 bytes a row.
"""

from __future__ import annotations

import numpy as np
import polars as pl

from adde_ray.artifacts.run_dir import RunDir, derive_seed
from adde_ray.artifacts.schema import SEMANTIC, frame
from adde_ray.config import Config
from adde_ray.distributed.session import ensure_ray
from adde_ray.distributed.tasks import each, together
from adde_ray.methods.gates.semantic import Cells, fit_cells, pieces, sweep
from adde_ray.pool.shards import Pool, Shard

BYTES = 128 * 2**20
"""Features that are gathered at a time, about."""


def leave_out(pool: Pool, config: Config, run: RunDir) -> frozenset[str]:
    """Ids of the pool rows nobody is asked about; none where `gates.semantic` is not set. They stay in the pool.

    The same whatever the shards are. Of a pool that is streamed, cells are fitted to its sample, and what is compared
    are the features as they are kept, in float16.
    """
    threshold = config.gates.semantic
    if threshold is None:
        return frozenset()

    def find() -> pl.DataFrame:
        workers = config.stream.workers if pool.is_streamed else 0
        if workers != 0:
            ensure_ray()
        cells = fit_cells(pool.sample.features, pool.num_rows, seed=derive_seed(config.run.seed, "semantic"))
        placed = dict(each(_place, pool.shards, cells, workers=workers))
        by_shard = [placed[shard] for shard in range(len(pool.shards))]
        starts = np.cumsum([0, *(len(of_shard[0]) for of_shard in by_shard)])
        found = pieces(*(np.concatenate([of_shard[i] for of_shard in by_shard]) for i in range(3)))
        tasks = list(together(found, len, at_most=max(BYTES // (2 * cells.centroids.shape[1]), 1)))
        swept = each(_sweep, tasks, pool.shards, starts, threshold, workers=workers)
        table = pl.concat([frame({}, SEMANTIC), *(part for _, part in swept)])
        return table.sort("sample_id")

    return frozenset(run.once("ingest/semantic.parquet", find)["sample_id"].to_list())


def _place(shard: Shard, cells: Cells) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """(n,) cell, (n,) closeness to its centroid, and (n,) half of the id as a number, of a shard's rows."""
    block = shard.read()
    half = [int(sample_id[:16], 16) for sample_id in block.ids]
    return *cells.place(block.features), np.array(half, dtype=np.uint64)


def _sweep(task: list[np.ndarray], shards: tuple[Shard, ...], starts: np.ndarray, threshold: float) -> pl.DataFrame:
    """SEMANTIC of some pieces. starts: the first row of each shard, over all of the pool."""
    ids, features = _gathered(np.concatenate(task), shards, starts)
    ends = np.cumsum([len(piece) for piece in task])
    tables = []
    for start, end in zip([0, *ends[:-1]], ends, strict=True):
        kept_for, similarity = sweep(features[start:end], threshold)
        gone, names = np.flatnonzero(kept_for >= 0), ids[start:end]
        columns = {"sample_id": names[gone], "kept": names[kept_for[gone]], "similarity": similarity[gone]}
        tables.append(frame(columns, SEMANTIC))
    return pl.concat(tables)


def _gathered(rows: np.ndarray, shards: tuple[Shard, ...], starts: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(n,) ids and (n, d) features of these rows of the pool, in their order. Reads one shard at a time."""
    shard_of = np.searchsorted(starts, rows, side="right") - 1
    ids: np.ndarray = np.empty(len(rows), dtype=object)
    features = np.empty((0, 0))
    for number in np.unique(shard_of):
        block, inside = shards[number].read(), np.flatnonzero(shard_of == number)
        wanted = rows[inside] - starts[number]
        if not features.size:
            features = np.empty((len(rows), block.features.shape[1]), dtype=block.features.dtype)
        ids[inside], features[inside] = block.ids.gather(wanted).to_list(), block.features[wanted]
    return ids, features
