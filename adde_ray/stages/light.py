"""Synthetic samples as a search light: they look for real ones before anybody is asked about them.

A candidate made for a gap shows what is wanted there. Where the pool has a sample near it, that one is asked about in
its place: it is real, and its label costs the same. Only where there is none, people see the synthetic one. Where they
rejected what is nearest, nothing is shown and nothing looked for.

Near is as near as a real sample usually has its 10th neighbour: whoever lies there would count as part of the same
surroundings. Distances are those between the encoder's features, by which quality control tells copies: they are the
same however few labels f has seen, and with the linear head they are the embedding.
"""

from __future__ import annotations

import numpy as np
import polars as pl

from adde_ray.artifacts.run_dir import RoundDir, derive_seed
from adde_ray.config import Config
from adde_ray.dataset import Data, synthetic_rows
from adde_ray.methods.numerics.matmul import nearest
from adde_ray.methods.query import local_scale
from adde_ray.pool.nearest import nearest_to_each
from adde_ray.stages.round_state import Analysis
from adde_ray.stages.run_context import RunContext

LIT = {"sample_id": pl.String, "lit_by": pl.String, "distance": pl.Float64}
"""A real sample of the pool, the synthetic one that found it, and how far they lie apart."""


def is_on(config: Config) -> bool:
    """Whether candidates look for real samples; those that are made for no gap look for nothing."""
    return config.generate.search and config.generate.target == "gaps"


def reach(data: Data, config: Config) -> float:
    """The distance within which samples are near each other."""
    return local_scale.unit(data.reference.features, seed=derive_seed(config.run.seed, "light"))


def look_for(made: pl.DataFrame, features: np.ndarray, out: set[str], context: RunContext) -> pl.DataFrame:
    """LIT: of each synthetic sample the nearest row of the pool, where one is near, nearest first.

    made: SYNTHETIC rows with their features (m, d). out: ids of the pool that are not looked for.
    """
    config, data = context.config, context.data
    if made.is_empty() or not is_on(config):
        return pl.DataFrame(schema=LIT)
    workers = config.stream.workers if data.pool.is_streamed else 0
    found = nearest_to_each(data.pool.shards, features, without=out, workers=workers)
    found = found.with_columns(lit_by=made["sample_id"]).filter(pl.col("distance") <= reach(data, config))
    return found.select(*LIT).sort("distance", "lit_by")


def dim(judged: dict, features: np.ndarray, analysis: Analysis, context: RunContext, round_: RoundDir) -> dict:
    """The columns of quality control, in which what lies near a rejected sample is rejected, too.

    Near it, and nothing that people could name is as near: what they confirm there brightens the place again. Real
    samples of the pool are offered as ever: what was rejected may say more of the generator than of the place.
    """
    data, config = context.data, context.config
    asked, rejected = _asked(analysis, data, round_)
    if not is_on(config) or not len(features) or not rejected.any():
        return judged
    rows, distance = nearest(features, asked)
    dark = rejected[rows] & (distance <= reach(data, config))
    reasons = [
        f"near a sample that people rejected: distance {away:.3g}" if there and reason is None else reason
        for reason, there, away in zip(judged["reason"], dark, distance, strict=True)
    ]
    return judged | {"reason": reasons, "status": ["rejected" if reason else "kept" for reason in reasons]}


def _asked(analysis: Analysis, data: Data, round_: RoundDir) -> tuple[np.ndarray, np.ndarray]:
    """Features (n, d) of all that people were asked about, real and synthetic, and (n,) bool: what they rejected."""
    dataset, ids, features = analysis.dataset, [], []
    for t in range(round_.t):
        made = round_.run.round(t).read("synthetic.parquet")
        if made is not None and len(made := made.filter(pl.col("sample_id").is_in(list(analysis.asked)))):
            ids += made["sample_id"].to_list()
            features.append(synthetic_rows(made, data))
    ids, known = [*dataset.asked_ids, *ids], set(dataset.table["sample_id"].to_list())
    rejected = np.array([i not in known for i in ids], dtype=bool)
    return np.concatenate([dataset.asked_features, *features]), rejected
