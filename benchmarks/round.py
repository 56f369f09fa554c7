"""One round on a large pool: a scoring pass and the selection of 1,000, against the matrix products it stands on.

    python benchmarks/round.py                             # 1,000,000 x 384, then 10k to 10M x 64 (13 GB of disk)
    python benchmarks/round.py --quick                     # 100,000 x 384, then 10k to 300k x 64

The products no scoring can do without are those of every row with the head's weights, with the labelled samples (for
novelty) and with the principal components (for gaps). The bare loop reads the same features, turns them into float32
and multiplies, block by block, with every thread, and keeps nothing. Ours reads the shards, computes U, Div and the
score of every row, keeps the best 5,000, picks 1,000 greedily and fetches them. By turns, after one pass each.

The second table: the same round on ever larger pools, each in a fresh process, whose peak of memory is taken from the
round's start to its end (Linux).
"""

from __future__ import annotations

import json
import re
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import torch
from common import arguments, console, finish, show
from large_pool import CONFIG, LABELLED, SAMPLE_ROWS, knowledge, write_pool

from adde_ray.artifacts.features import read_features
from adde_ray.methods.query import selectors
from adde_ray.methods.query.local_scale import LocalScale
from adde_ray.methods.query.scoring import Scorer
from adde_ray.pool.shards import Pool
from adde_ray.stages.score import best_of_pool

BLOCK = 4096

LOCAL = LocalScale(exponent=1.0, unit=1.0)
"""As local as can be, which costs the most."""


def ours(pool: Pool, scorer: Scorer, workers: int) -> float:
    """Seconds of a round's scoring, selection and fetching."""
    began = time.perf_counter()
    best = best_of_pool(pool, scorer, set(), CONFIG.select.shortlist, workers=workers)
    score = best.table["score"].to_numpy().astype(np.float64)
    proba, lengths = scorer.model.proba(best.features), LOCAL.lengths(scorer.space, scorer.space.reduce(best.features))
    offered = selectors.Candidates(
        score,
        best.features,
        proba,
        scorer.dataset_embedding,
        length=lengths,
        representativeness=LOCAL.representativeness,
    )
    rows = selectors.select(
        offered,
        CONFIG.select.batch,
        selector=CONFIG.select.selector,
        redundancy=CONFIG.select.redundancy,
        rng=np.random.default_rng(0),
    )
    chosen = best.table[rows]
    taken = sum(len(pool.shards[s].take(of["sample_id"].to_list())) for (s,), of in chosen.group_by("shard"))
    assert taken == CONFIG.select.batch
    return time.perf_counter() - began


def bare(pool: Pool, scorer: Scorer) -> tuple[float, float]:
    """Seconds of reading, converting and multiplying; and of multiplying alone."""
    head = scorer.model.network.head.weight.detach().T.contiguous()
    labelled = torch.from_numpy(scorer.dataset_embedding).T.contiguous()
    components = torch.from_numpy(np.ascontiguousarray(scorer.space.components.T))
    began, multiplying = time.perf_counter(), 0.0
    with torch.inference_mode():
        for shard in pool.shards:
            _, features = read_features(shard.features)
            for start in range(0, len(features), BLOCK):
                x = torch.from_numpy(features[start : start + BLOCK].astype(np.float32))
                at = time.perf_counter()
                x @ head, x @ labelled, x @ components
                multiplying += time.perf_counter() - at
    return time.perf_counter() - began, multiplying


def side_by_side(rows: int, dims: int, repeats: int) -> dict[str, float]:
    with tempfile.TemporaryDirectory() as folder:
        pool = write_pool(Path(folder), rows, dims)
        scorer = knowledge(pool)
        ours(pool, scorer, 0), bare(pool, scorer)
        times = [(ours(pool, scorer, 0), *bare(pool, scorer)) for _ in range(repeats)]
    loop, whole, products = (float(np.median(column)) for column in zip(*times, strict=True))
    show(
        f"{rows:,} x {dims}, {LABELLED:,} labelled, {len(scorer.open_gaps)} gaps, 1,000 chosen; median of {repeats}",
        ["", "seconds", "ratio"],
        [
            ["ours", loop, 1.0],
            ["read, convert, multiply", whole, loop / whole],
            ["multiply", products, loop / products],
        ],
    )
    ratios = [a / b for a, b, _ in times]
    return {"ratio": float(np.median(ratios)), "ratio_products_alone": float(np.median([a / c for a, _, c in times]))}


def one_size(rows: int) -> None:
    """In a process of its own: seconds of a round and the peak of memory, as JSON."""
    with tempfile.TemporaryDirectory() as folder:
        pool = write_pool(Path(folder), rows, 64)
        scorer = knowledge(pool)
        small = Pool(pool.shards[:1], SAMPLE_ROWS, pool.sample)
        if rows > CONFIG.select.shortlist:
            best_of_pool(small, scorer, set(), 100, workers=0)  # warm
        Path("/proc/self/clear_refs").write_text("5")  # the peak so far was that of making the pool
        seconds = ours(pool, scorer, 0)
        peak = re.search(r"VmHWM:\s+(\d+)", Path("/proc/self/status").read_text())[1]
    print(json.dumps({"seconds": seconds, "peak_mb": int(peak) / 1024}))


def growth(sizes: list[int]) -> dict[str, float]:
    found = {}
    for rows in sizes:
        done = subprocess.run([sys.executable, __file__, "--one", str(rows)], capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
        found[rows] = json.loads(done.stdout.splitlines()[-1])
        console.print(f"{rows:,}: {found[rows]['seconds']:.2f} s")
    show(
        "rows x 64, one round in this process",
        ["rows", "seconds", "µs a row", "peak memory in the round, MB"],
        [[f"{n:,}", f["seconds"], 1e6 * f["seconds"] / n, f"{f['peak_mb']:.0f}"] for n, f in found.items()],
    )
    first, last = sizes[1], sizes[-1]  # from 100k on: below, the selection of 1,000 is most of it
    slope = np.polyfit(np.log(sizes), np.log([found[n]["seconds"] for n in sizes]), 1)[0]
    return {
        "slope": float(slope),
        "slope_from_100k": float(np.log(found[last]["seconds"] / found[first]["seconds"]) / np.log(last / first)),
        "memory_growth_mb": found[last]["peak_mb"] - found[first]["peak_mb"],
    }


def main() -> None:
    parser = arguments(__doc__)
    parser.add_argument("--one", type=int, help="one size of the second table, for this script itself")
    args = parser.parse_args()
    if args.one:
        one_size(args.one)
        return
    figures = side_by_side(100_000 if args.quick else 1_000_000, 384, 3)
    figures |= growth([10_000, 100_000, 300_000] if args.quick else [10_000, 100_000, 1_000_000, 10_000_000])
    targets = {"ratio": "<= 1.5", "slope": "<= 1.05", "slope_from_100k": "<= 1.05", "memory_growth_mb": "<= 200"}
    finish("round", figures, targets)


if __name__ == "__main__":
    main()
