"""Embedding and scoring on Ray clusters of 1, 2 and 4 nodes: how evenly the work spreads, and what one node must hold.

    python benchmarks/simulated_cluster.py
    python benchmarks/simulated_cluster.py --quick         # a smaller pool

The nodes are simulated (`ray.cluster_utils.Cluster`): real raylets, object stores and schedulers of one CPU each, all
on this machine's cores. So placement and traffic are real and speed is not: rows a second are shown and prove nothing.
Every shard that is embedded (Ray Data's actors) and scored (tasks) writes down the node it was done on.

imbalance/N: the busiest node's rows over the mean, of N nodes. largest_part/N: the busiest node's share of the pool:
what no node exceeds, since a worker holds one shard at a time and the driver the shortlist alone.
"""

from __future__ import annotations

import tempfile
import time
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import polars as pl
import ray
from common import arguments, finish, show
from large_pool import CONFIG, SHARD_ROWS, knowledge, write_pool
from ray.cluster_utils import Cluster

from adde_ray.artifacts.run_dir import write_table
from adde_ray.config import Encoder
from adde_ray.pool.embed import embed_shards
from adde_ray.pool.fitted_encoder import Encoding
from adde_ray.pool.shards import Pool
from adde_ray.stages import score

NODES = (1, 2, 4)


@dataclass(frozen=True)
class Traced(Encoding):
    """An encoding that writes down where each shard was encoded."""

    def shard(self, ids: pl.Series, payloads: pl.Series, out: Path) -> None:
        super().shard(ids, payloads, out)
        out.with_suffix(".node").write_text(ray.get_runtime_context().get_node_id())

    def __reduce__(self) -> tuple:
        return Traced, (self.settings, self.modality, self.folder)


@dataclass(frozen=True)
class TracedShard:
    """A shard that writes down where it was read."""

    shard: object
    trace: Path

    def read(self):
        block = self.shard.read()
        self.trace.write_text(ray.get_runtime_context().get_node_id())
        time.sleep(0.2)  # as scoring a shard of 8,192 x 384 does; else start-up would decide who gets it
        return block


def embedded(folder: Path, parts: list[Path], encode: Traced, nodes: int) -> tuple[Counter, float]:
    out, began = folder / f"embedded-{nodes}", time.perf_counter()
    files = [(path, out / path.name) for path in parts]
    embed_shards(files, encode, rows=len(parts) * 512, workers=nodes)
    seconds = time.perf_counter() - began
    return Counter(path.with_suffix(".node").read_text() for _, path in files), seconds


def scored(folder: Path, pool: Pool, scorer, nodes: int) -> tuple[Counter, float, str]:
    traces = [folder / f"scored-{nodes}-{row}" for row in range(len(pool.shards))]
    traced = Pool(tuple(map(TracedShard, pool.shards, traces)), pool.num_rows, pool.sample)
    began = time.perf_counter()
    best = score.best_of_pool(traced, scorer, set(), CONFIG.select.shortlist, workers=nodes)
    seconds = time.perf_counter() - began
    return Counter(path.read_text() for path in traces), seconds, str(best.table["sample_id"].hash().sum())


def main() -> None:
    args = arguments(__doc__).parse_args()
    num_parts, rows = (24, 32 * SHARD_ROWS) if args.quick else (96, 128 * SHARD_ROWS)
    figures, table, results = {}, [], set()
    with tempfile.TemporaryDirectory() as root:
        folder = Path(root)
        pool = write_pool(folder / "pool", rows, 64)
        scorer = knowledge(pool)
        rng, parts = np.random.default_rng(0), []
        for part in range(num_parts):
            vectors = pl.Series("vector", rng.normal(size=(512, 64)).astype(np.float32)).cast(pl.List(pl.Float32))
            ids = pl.Series("sample_id", [f"{part:016x}{row:016x}" for row in range(512)])
            write_table(path := folder / "rows" / f"part-{part:05d}.parquet", pl.DataFrame([ids, vectors]))
            parts.append(path)
        encode = Traced(Encoder(name="raw"), "vector", folder / "encoder")
        encode.fit(pl.read_parquet(parts[0])["vector"], seed=0)
        for nodes in NODES:
            cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 1})
            for _ in range(nodes - 1):
                cluster.add_node(num_cpus=1)
            cluster.wait_for_nodes()
            ray.init(address=cluster.address, log_to_driver=False)
            try:
                where, seconds = embedded(folder, parts, encode, nodes)
                table.append(_row("embed", nodes, where, 512 * num_parts / seconds))
                figures |= _figures("embed", nodes, where)
                where, seconds, result = scored(folder, pool, scorer, nodes)
                table.append(_row("score", nodes, where, rows / seconds))
                figures |= _figures("score", nodes, where)
                results.add(result)
            finally:
                ray.shutdown()
                cluster.shutdown()
    assert len(results) == 1, "the shortlist depends on the number of nodes"
    columns = ["stage", "nodes", "shards by node", "imbalance", "largest part", "rows/s, start-up included"]
    show(
        f"{num_parts} parts embedded, {len(pool.shards)} shards scored; the same shortlist on every cluster",
        columns,
        table,
    )
    finish("simulated_cluster", figures, {f"{s}/imbalance/{n}": "<= 1.34" for s in ("embed", "score") for n in (2, 4)})


def _figures(stage: str, nodes: int, where: Counter) -> dict[str, float]:
    total, most = sum(where.values()), max(where.values())
    return {f"{stage}/imbalance/{nodes}": most * nodes / total, f"{stage}/largest_part/{nodes}": most / total}


def _row(stage: str, nodes: int, where: Counter, rate: float) -> list[object]:
    counts = sorted(where.values(), reverse=True) + [0] * (nodes - len(where))
    total = sum(counts)
    return [stage, nodes, " ".join(map(str, counts)), counts[0] * nodes / total, counts[0] / total, f"{rate:,.0f}"]


if __name__ == "__main__":
    main()
