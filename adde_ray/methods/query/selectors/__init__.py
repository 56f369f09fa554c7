"""Selectors: choose a batch from the candidates, best first.

scores (n,), embeddings (n, e), probabilities (n, C) and the dataset's embeddings (m, e) → rows of the batch.
Rows come sorted by sample_id; ties go to the lower row. No selector holds anything n x n.
"""

from __future__ import annotations

import numpy as np

from adde_ray.config.registry import Registry
from adde_ray.methods.query.selectors.batch import batch_greedy
from adde_ray.methods.query.selectors.candidates import Candidates, Selector
from adde_ray.methods.query.selectors.clusters import cluster_margin, typiclust
from adde_ray.methods.query.selectors.herding import prob_cover, uncertainty_herding
from adde_ray.methods.query.selectors.scores import most_confident, random, top_k
from adde_ray.methods.query.selectors.spread import badge, k_center, ranked_batch

__all__ = [
    "BY_LENGTH",
    "FOR_SIZE",
    "FROM_ALL",
    "SELECTORS",
    "WHATEVER_SCORE",
    "Candidates",
    "Selector",
    "cap_synthetic",
    "scores_nothing",
    "select",
]


def select(candidates: Candidates, size: int, *, selector: str, redundancy: float, rng) -> np.ndarray:
    """Rows of the batch, best first, by the selector of that name."""
    return SELECTORS[selector](candidates, size, redundancy=redundancy, rng=rng)


def scores_nothing(selector: str, num_labelled: int) -> bool:
    """Whether all candidates score alike to the default selector: while so many samples are labelled, none.

    Scores rest on no label then, and the best of them repeat what f happens to be unsure of. Of BANKING77's 77 intents
    a first batch of 100 by score showed 40, or 53 where names describe them; with equal scores 67, at random 50.
    """
    return selector == "batch_greedy" and not num_labelled


def cap_synthetic(rows: np.ndarray, synthetic: np.ndarray, cap: int) -> np.ndarray:
    """`rows` in order, without the synthetic ones past the first `cap`."""
    return rows[~synthetic[rows] | (np.cumsum(synthetic[rows]) <= cap)]


_SELECTORS: dict[str, Selector] = {
    "batch_greedy": batch_greedy,
    "top_k": top_k,
    "random": random,
    "k_center": k_center,
    "ranked_batch": ranked_batch,
    "badge": badge,
    "typiclust": typiclust,
    "prob_cover": prob_cover,
    "cluster_margin": cluster_margin,
    "uncertainty_herding": uncertainty_herding,
    "most_confident": most_confident,
}
SELECTORS: Registry[Selector] = Registry("selector", _SELECTORS, where="select.selector")

WHATEVER_SCORE = {"random", "k_center", "badge", "typiclust", "prob_cover", "most_confident"}
"""Those that do not look at the score."""

FROM_ALL = WHATEVER_SCORE | {"ranked_batch", "uncertainty_herding"}
"""Those that must see every candidate, or a random sample where the pool is too large for memory: a shortlist of the
best scores would be a choice they did not make."""

BY_LENGTH = {"batch_greedy"}
"""Those that look at how near one sample must be to another to stand for it."""

FOR_SIZE = {"typiclust", "cluster_margin"}
"""Those that cluster for the size asked for: their smaller batch is another one, not the first of a larger one."""
