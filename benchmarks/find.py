"""The nearest of a million samples: seconds, and what the driver's memory grows by.

    python benchmarks/find.py                              # 1,000,000 x 384 float16
    python benchmarks/find.py --quick                      # 100,000 x 384

What `adde find` does to a pool in shards as a run keeps them, without a run around it: one pass over the features, with
5,000 rows that are left out. The first search finds libraries and threads cold, the others what is timed. Memory is the
peak of the process over what it held before its first search, the files it maps included. Beside stands a search that
holds all of the pool as one array of float32, if there is memory for it (--whole): the same rows, and what it takes.
"""

from __future__ import annotations

import os
import re
import tempfile
import time
from pathlib import Path

import numpy as np
from common import arguments, finish, show
from large_pool import mixture, write_pool

from adde_ray.methods.query.closeness import ToVector
from adde_ray.pool.nearest import Near, nearest
from adde_ray.pool.shards import Pool

DIMS = 384
NUMBER = 30
WITHOUT = 5_000
SEARCHES = 5


def memory(kind: str) -> float:
    """MiB of this process by /proc: VmRSS now, VmHWM at its peak."""
    return int(re.search(rf"{kind}:\s+(\d+)", Path("/proc/self/status").read_text())[1]) / 1024


def forget_peak() -> None:
    Path("/proc/self/clear_refs").write_text("5")


def search(pool: Pool, vector: np.ndarray, without: set[str]) -> tuple[float, float, Near]:
    """Seconds, and those of processors, which say more on a machine that others use as well."""
    began, used = time.perf_counter(), time.process_time()
    found = nearest(pool.shards, ToVector(vector), NUMBER, without=without)
    return time.perf_counter() - began, time.process_time() - used, found


def whole(pool: Pool, vector: np.ndarray, without: set[str]) -> tuple[float, list[str]]:
    """The same by one product over an array that holds everything."""
    batches = [shard.read() for shard in pool.shards]
    ids = np.concatenate([batch.ids.to_numpy() for batch in batches])
    features = np.concatenate([batch.features for batch in batches]).astype(np.float32)
    gone = np.array([i in without for i in ids])
    began = time.perf_counter()
    near = features @ vector / np.linalg.norm(features, axis=1) / np.linalg.norm(vector)
    near[gone] = -np.inf
    best = np.argpartition(-near, NUMBER)[:NUMBER]
    return time.perf_counter() - began, ids[best].tolist()


def main() -> None:
    parser = arguments(__doc__)
    parser.add_argument("--whole", action="store_true", help="also by one array in memory, 2.3 GB for a million rows")
    args = parser.parse_args()
    rows = 100_000 if args.quick else 1_000_000
    with tempfile.TemporaryDirectory() as root:
        pool = write_pool(Path(root), rows, DIMS)
        vector = mixture(DIMS)[0][7]
        without = {i for shard in pool.shards[: -(-WITHOUT // 1000)] for i in shard.read().ids[:1000]}
        forget_peak()
        before = memory("VmRSS")
        cold, cold_cpu, _ = search(pool, vector, without)
        seconds, cpu, found = zip(*(search(pool, vector, without) for _ in range(SEARCHES)), strict=True)
        growth = memory("VmHWM") - before
        at_once, same = whole(pool, vector, without) if args.whole or args.quick else (None, None)
    named = set(found[0].table["sample_id"])
    assert not named & without and all(near.table.equals(found[0].table) for near in found)
    figures = {
        "first_s": cold,
        "median_s": float(np.median(seconds)),
        "slowest_s": max(seconds),
        "cpu_s": float(np.median(cpu)),
        "memory_growth_mb": growth,
        "agreement": None if same is None else len(named & set(same)) / NUMBER,
    }
    table = [
        ["the first", cold, cold_cpu, rows / cold / 1e6, f"+{growth:.0f}"],
        ["after it, median", figures["median_s"], figures["cpu_s"], rows / figures["median_s"] / 1e6, ""],
        ["after it, slowest", figures["slowest_s"], max(cpu), rows / figures["slowest_s"] / 1e6, ""],
    ]
    if at_once is not None:
        table.append(["one array in memory", at_once, "", rows / at_once / 1e6, f"{rows * DIMS * 4 / 2**20:.0f}"])
    show(
        f"{rows:,} x {DIMS} float16 in {len(pool.shards)} shards, the {NUMBER} nearest, {os.cpu_count()} cores",
        ["search", "seconds", "of processors", "million rows/s", "memory, MB"],
        table,
    )
    finish("find", figures, {"slowest_s": "<= 3", "memory_growth_mb": "<= 200"})


if __name__ == "__main__":
    main()
