"""Clusters and gaps of a million rows, against `hdbscan` fitted on all of a subset of 50,000.

    python benchmarks/gaps.py                              # 1,000,000 x 64
    python benchmarks/gaps.py --quick                      # 100,000 x 64, subset of 10,000

The space (principal components, k-means cells, HDBSCAN clusters) is fitted on a sample and the rest is assigned in one
pass over the shards; then the gaps of a dataset that lacks a third of the groups are found. The reference clusters all
rows of a subset with the `hdbscan` package in the same principal components. Adjusted Rand index over the subset's rows
that it puts into a cluster; and, as the harsher figure, over all of its rows, noise counted as one cluster of its own.
Timed: everything from the features on disk to the gaps, on all cores.
"""

from __future__ import annotations

import tempfile
import time
import warnings
from pathlib import Path

import hdbscan
import numpy as np
from common import arguments, finish, show
from large_pool import CLASSES, CONFIG, SAMPLE_ROWS, draw, mixture, write_pool
from sklearn.metrics import adjusted_rand_score

from adde_ray.artifacts.schema import UNLABELLED, Population
from adde_ray.distributed.tasks import each
from adde_ray.methods.space import gaps, region_counts
from adde_ray.methods.space.clustering import Space, fit_space
from adde_ray.methods.space.region_counts import RegionCounts
from adde_ray.pool.shards import Pool

DIMS = 64


def find(pool: Pool, missing: np.ndarray) -> tuple[Space, list[gaps.Gap], dict[str, float]]:
    """The space, the gaps, and the seconds of each step. missing: groups the dataset has nothing of."""
    seconds = {}
    at = time.perf_counter()
    space = fit_space(pool.sample.features, CONFIG.clustering, seed=0)
    seconds["fit on the sample"] = time.perf_counter() - at
    at = time.perf_counter()
    real = region_counts.total(space, (found for _, found in each(_places, pool.shards, space, workers=0)))
    seconds["assign all rows"] = time.perf_counter() - at
    at = time.perf_counter()
    features, group = draw(2_000, DIMS, np.random.default_rng(2))
    features, group = features[~np.isin(group, missing)], group[~np.isin(group, missing)]
    points = space.reduce(features)
    labels = group % len(CLASSES)
    reference = Population(pool.sample.ids, space.points, np.full(len(pool.sample), UNLABELLED))
    dataset = Population([f"{i:032x}" for i in range(len(labels))], points, labels)
    taken = region_counts.count(space, points)
    nothing = region_counts.total(space, [])
    proba = np.full((len(reference), len(CLASSES)), 1 / len(CLASSES))
    found = gaps.find_gaps(
        space,
        reference,
        dataset,
        asked=np.zeros(len(reference), dtype=bool),
        proba=proba,
        classes=CLASSES,
        config=CONFIG.gaps,
        diversity=CONFIG.diversity,
        counts=RegionCounts(real, taken, nothing),
    )
    seconds["find the gaps"] = time.perf_counter() - at
    return space, found, seconds


def _places(shard, space: Space) -> region_counts.Places:
    return region_counts.count(space, space.reduce(shard.read().features.astype(np.float32)))


def by_hdbscan(points: np.ndarray) -> np.ndarray:
    """Labels by the package, every row fitted, as the run's configuration has it."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        model = hdbscan.HDBSCAN(
            min_cluster_size=CONFIG.clustering.min_cluster_size, max_cluster_size=int(0.9 * len(points))
        )
        return model.fit_predict(points.astype(np.float64))


def main() -> None:
    args = arguments(__doc__).parse_args()
    rows, subset = (100_000, 10_000) if args.quick else (1_000_000, 50_000)
    with tempfile.TemporaryDirectory() as root:
        pool = write_pool(Path(root), rows, DIMS)
        missing = np.arange(0, len(mixture(DIMS)[1]), 3)
        space, found, seconds = find(pool, missing)
    features, group = draw(subset, DIMS, np.random.default_rng(3))
    points = space.reduce(features)
    at = time.perf_counter()
    theirs = by_hdbscan(points)
    seconds_theirs = time.perf_counter() - at
    ours = space.cluster_of(points)
    clustered = theirs >= 0
    rand, rand_all = adjusted_rand_score(theirs[clustered], ours[clustered]), adjusted_rand_score(theirs, ours)
    regions = [g for g in found if g.kind in ("density", "small_cluster")]
    centres = space.reduce(mixture(DIMS)[0])
    nearest = {int(np.linalg.norm(centres - np.array(g.centroid), axis=1).argmin()) for g in regions}
    hit = len(nearest & set(missing.tolist())) / len(missing)
    show(
        f"{rows:,} x {DIMS}, fitted on {SAMPLE_ROWS:,}; subset {subset:,}: {theirs.max() + 1} clusters by hdbscan, "
        f"{space.num_clusters} by ours, of {len(mixture(DIMS)[1])} groups",
        ["step", "seconds"],
        [*seconds.items(), ["all", sum(seconds.values())], [f"hdbscan on {subset:,} alone", seconds_theirs]],
    )
    truth = adjusted_rand_score(group, ours), adjusted_rand_score(group, theirs)
    show(
        "agreement",
        ["", "adjusted Rand"],
        [
            ["with hdbscan, rows it clusters", rand], ["with hdbscan, noise included", rand_all],
            ["ours with the true groups", truth[0]], ["hdbscan with the true groups", truth[1]],
            ["missing groups a region gap lies in", hit],
        ],
    )  # fmt: skip
    figures = {
        "rand": rand, "rand_noise_included": rand_all, "minutes": sum(seconds.values()) / 60,
        "missing_groups_found": hit, "rand_truth/ours": truth[0], "rand_truth/hdbscan": truth[1],
    }  # fmt: skip
    finish("gaps", {k: float(v) for k, v in figures.items()}, {"rand": ">= 0.9", "minutes": "<= 10"})


if __name__ == "__main__":
    main()
