"""A selector, a diversity term, a generator and a source, each known to configs by its name once this is imported."""

from typing import Literal

import numpy as np
import polars as pl
from pydantic import Field

from adde_ray.artifacts.run_dir import derive_rng
from adde_ray.artifacts.schema import payload_series
from adde_ray.config.data import Section
from adde_ray.plugins import register_diversity, register_generator, register_selector, register_source
from adde_ray.sources import WHERE, Rows


@register_selector("spaced")
def spaced(candidates, size, *, redundancy, rng):
    """The best score first; what lies near somebody chosen waits until there is nothing else."""
    left = np.argsort(-candidates.score, kind="stable")
    z, chosen = candidates.embedding, []
    near = 0.5 * np.sqrt(z.var(axis=0).sum()) if len(z) else 0.0
    while len(left) and len(chosen) < size:
        waiting = []
        for row in left:
            away = np.linalg.norm(z[chosen] - z[row], axis=1)
            (chosen if len(chosen) < size and (away > near).all() else waiting).append(row)
        if len(waiting) == len(left):  # all of them are near somebody
            chosen, waiting = [*chosen, *waiting][:size], []
        left = np.array(waiting, dtype=int)
    return np.array(chosen, dtype=int)


@register_diversity("typicality")
def typicality(batch):
    """1 = in the middle of the dataset, 0 = twice as far from it as what counts as novel."""
    if len(batch.dataset_embedding) == 0 or batch.novelty_scale == 0:
        return np.zeros(len(batch.embedding))
    away = np.linalg.norm(batch.embedding - batch.dataset_embedding.mean(axis=0), axis=1)
    return np.clip(1 - away / (2 * batch.novelty_scale), 0, 1)


@register_generator("blend", modalities=("image", "vector"))
class Blend:
    """Blends two samples of the class near the point: no training, something to hold others against."""

    def __init__(self, config):
        pass

    def fit(self, data, *, seed):
        rows = np.random.default_rng(seed).choice(len(data), len(data))
        return {"arrays": data.arrays[rows], "probs": data.class_probs[rows], "points": data.points[rows]}

    def sample(self, weights, classes, points, *, temperature, seed):
        rng, arrays = np.random.default_rng(seed), weights["arrays"]
        made = np.empty((len(classes), *arrays.shape[1:]), np.float32)
        for i, (held, point) in enumerate(zip(classes, points, strict=True)):
            columns = np.flatnonzero(held) if classes.ndim == 2 else [held]  # several of a multi-label task
            near = 1 / (1 + np.linalg.norm(weights["points"] - point, axis=1))
            chance = weights["probs"][:, columns].prod(axis=1) * near + 1e-9
            a, b = rng.choice(len(arrays), 2, p=chance / chance.sum())
            made[i] = arrays[a] + min(temperature, 1.0) * rng.random() * (arrays[b] - arrays[a])
        return np.clip(made, arrays.min(axis=0), arrays.max(axis=0))


class RingsData(Section):
    """Points on rings around one centre, a class each; the outer ones are rare. Needs no files."""

    source: Literal["rings"]
    rings: int = Field(4, ge=2, le=20)
    """How many."""
    rows: int = Field(200, ge=20, le=100_000)
    """Pool rows on the innermost ring; each further one has half as many."""
    noise: float = Field(0.15, ge=0, le=1)
    """Standard deviation across a ring, whose neighbours are 1 away."""


@register_source("rings", section=RingsData)
def rings(config, *, seed):
    """Seed set and pool have few outer points; val and test have as many of each ring."""
    rng = derive_rng(seed, "rings")
    names = tuple(f"ring{ring:02d}" for ring in range(config.rings))

    def points(split, sizes):
        ring = np.repeat(np.arange(config.rings), sizes)
        radius, angle = 1 + ring + config.noise * rng.normal(size=len(ring)), rng.uniform(0, 2 * np.pi, len(ring))
        vectors = (radius[:, None] * np.column_stack([np.cos(angle), np.sin(angle)])).astype(np.float32)
        return pl.DataFrame(
            {
                "vector": payload_series(list(vectors), "vector"),
                "label": [names[r] for r in ring],
                WHERE: [f"{split}:{row}" for row in range(len(ring))],
            }
        )

    rare = [max(config.rows >> ring, 5) for ring in range(config.rings)]
    sizes = {"seed": [3] * 2 + [0] * (config.rings - 2), "pool": rare, "val": 20, "test": 50}
    splits = {split: points(split, np.broadcast_to(size, config.rings)) for split, size in sizes.items()}
    return Rows(splits=splits, modality="vector", classes=names)
