"""Selectors that go by the score, or by chance: candidates -> rows of the batch, best first."""

from __future__ import annotations

import numpy as np

from adde_ray.methods.query import terms
from adde_ray.methods.query.selectors.candidates import Candidates


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
