"""Selectors that go by the score, or by chance: candidates -> rows of the batch, best first."""

from __future__ import annotations

import numpy as np

from adde_ray.methods import terms
from adde_ray.methods.coverage import Coverage, greedy
from adde_ray.methods.selectors.candidates import Candidates


def top_k(candidates: Candidates, size: int, *, redundancy: float, rng: np.random.Generator) -> np.ndarray:
    """The highest scores."""
    return np.argsort(-candidates.score, kind="stable")[:size]


def random(candidates: Candidates, size: int, *, redundancy: float, rng: np.random.Generator) -> np.ndarray:
    """Uniformly at random, whatever the score."""
    return rng.permutation(len(candidates))[:size]


def most_confident(candidates: Candidates, size: int, *, redundancy: float, rng: np.random.Generator) -> np.ndarray:
    """What f is surest of, whatever the score: the choice of self-training (Yarowsky 1995)."""
    doubt = terms.uncertainty(candidates.proba, "least_confidence", multi=candidates.multi)
    return np.argsort(np.round(doubt, 6), kind="stable")[:size]


def batch_greedy(candidates: Candidates, size: int, *, redundancy: float, rng: np.random.Generator) -> np.ndarray:
    """One at a time by score · min(distance to the batch so far / length, 1)^redundancy.

    A batch of top scores repeats itself; multiplying by the distance to what is already in it makes it diverse within
    itself. A row's length says how far away is far enough (`locality`); without, it is the 99th percentile of the
    distances to the first chosen.
    """
    score = candidates.score
    if min(size, len(score)) == 0:
        return np.arange(0)
    first = int(np.argmax(score))
    batch = Coverage(candidates.embedding, candidates.embedding[[first]])
    batch.refresh(np.arange(len(score)))
    length = candidates.length
    if length is None:
        length = np.full(len(score), np.percentile(batch.distance(slice(None)), 99))

    def merit(rows: np.ndarray | slice, pick: int) -> np.ndarray:
        near = batch.distance(rows)
        enough = length[rows]
        distance = np.clip(np.divide(near, enough, where=enough > 0, out=np.ones_like(near)), 0.0, 1.0)
        # A tiny share of the plain score keeps the order among exact repeats of what is in the batch.
        return np.round(score[rows] * (distance**redundancy + 1e-6), 9)

    return greedy(batch, size, merit, begun=[first])
