"""A pool of any size on disk and a round's worth of knowledge about it, for the benchmarks of scale."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import polars as pl
import torch

from adde_ray.artifacts.features import write_features
from adde_ray.artifacts.run_dir import write_table
from adde_ray.artifacts.schema import UNLABELLED, Population, Split
from adde_ray.config import Clustering, Config
from adde_ray.config import Diversity as DiversityTargets
from adde_ray.methods.model import learner
from adde_ray.methods.query import terms
from adde_ray.methods.query.scoring import Scorer
from adde_ray.methods.space import gaps
from adde_ray.methods.space.clustering import fit_space
from adde_ray.methods.space.gap_tracking import track
from adde_ray.pool.shards import FileShard, Pool

SHARD_ROWS = 8192
CLASSES = tuple(f"c{i:02d}" for i in range(20))
LABELLED = 1_000
SAMPLE_ROWS = 20_000
CONFIG = Config.parse({"data": {"source": "digits"}, "select": {"shortlist": 5_000, "batch": 1_000}})


def mixture(dims: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """(60, d) centres and (60,) shares of a mixture: a few large groups, many small ones, tight and loose;
    three to a class."""
    rng = np.random.default_rng(seed)
    shares = 1 / np.arange(1, 61) ** 1.2
    return rng.normal(size=(60, dims)).astype(np.float32), shares / shares.sum()


def draw(rows: int, dims: int, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """(n, d) float32 features and (n,) group of each."""
    centres, shares = mixture(dims)
    group = rng.choice(len(shares), rows, p=shares)
    spread = np.linspace(0.3, 0.9, len(shares), dtype=np.float32)[np.random.default_rng(0).permutation(len(shares))]
    noise = rng.standard_normal((rows, dims), dtype=np.float32)
    return centres[group] + spread[group, None] * noise, group


def write_pool(folder: Path, rows: int, dims: int) -> Pool:
    """`rows` rows in shards as a run keeps them."""
    shards, sample = [], []
    for part, start in enumerate(range(0, rows, SHARD_ROWS)):
        rng = np.random.default_rng([1, part])
        n = min(SHARD_ROWS, rows - start)
        features, _ = draw(n, dims, rng)
        text = rng.bytes(16 * n).hex()
        ids = pl.Series("sample_id", sorted(text[32 * i : 32 * i + 32] for i in range(n)))
        shard = FileShard(folder / f"rows-{part:05d}.parquet", folder / f"features-{part:05d}.parquet", ())
        write_features(shard.features, ids, features.astype(np.float16))
        write_table(shard.rows, pl.DataFrame({"sample_id": ids, "text": ids.str.head(8)}))
        shards.append(shard)
        sample.append((ids, features.astype(np.float16).astype(np.float32)))
        if sum(len(i) for i, _ in sample) > 4 * SAMPLE_ROWS:
            sample = _smallest(sample)
    [(ids, features)] = _smallest(sample)
    table = pl.DataFrame({"sample_id": ids, "label": pl.Series([None] * len(ids), dtype=pl.String)})
    return Pool(tuple(shards), rows, Split(table, features))


def _smallest(parts: list[tuple[pl.Series, np.ndarray]]) -> list[tuple[pl.Series, np.ndarray]]:
    ids, features = pl.concat([i for i, _ in parts]), np.concatenate([f for _, f in parts])
    rows = ids.arg_sort()[:SAMPLE_ROWS]
    return [(ids[rows], features[rows.to_numpy()])]


def knowledge(pool: Pool) -> Scorer:
    """What a round would know of this pool after `LABELLED` labels: a model, a space, its open gaps."""
    dims = pool.sample.features.shape[1]
    features, group = draw(LABELLED, dims, np.random.default_rng(2))
    labels = group % len(CLASSES)
    network = learner.build(dims, len(CLASSES), CONFIG.train, seed=0)
    optimiser = torch.optim.Adam(network.parameters(), lr=0.05)
    x, y = torch.from_numpy(features), torch.from_numpy(labels)
    for _ in range(30):
        optimiser.zero_grad()
        torch.nn.functional.cross_entropy(network(x), y).backward()
        optimiser.step()
    model = learner.Model(network, 1.0)
    space = fit_space(pool.sample.features, Clustering(), seed=0)
    reference = Population(pool.sample.ids, space.points, np.full(len(pool.sample), UNLABELLED))
    dataset = Population([f"{i:032x}" for i in range(LABELLED)], space.reduce(features), labels)
    found = gaps.find_gaps(
        space,
        reference,
        dataset,
        asked=np.zeros(len(reference), dtype=bool),
        proba=model.proba(pool.sample.features),
        classes=CLASSES,
        config=CONFIG.gaps,
        diversity=DiversityTargets(),
    )
    named = track([], found, round=0, ids=reference.ids, points=space.points, tried={})
    return Scorer(
        model=model,
        space=space,
        classes=CLASSES,
        open_gaps=gaps.open_gaps(named, CONFIG.gaps),
        dataset_embedding=features,
        class_counts=np.bincount(labels, minlength=len(CLASSES)),
        novelty_scale=terms.novelty_scale(pool.sample.features, features),
        uncertainty=CONFIG.select.uncertainty,
        diversity=CONFIG.select.diversity,
        sharpness=terms.sharpness(terms.uncertainty(model.proba(pool.sample.features), CONFIG.select.uncertainty)),
        rarity=CONFIG.select.rarity,
        weights={"alpha": CONFIG.select.alpha, "beta": CONFIG.select.beta, "gamma": CONFIG.select.gamma},
    )
