"""Selectors that spread the batch over what is not covered yet: candidates -> rows of the batch, best first."""

from __future__ import annotations

import numpy as np

from adde_ray.methods.numerics.threads import one_thread
from adde_ray.methods.query.coverage import Coverage, central_row, greedy
from adde_ray.methods.query.selectors.candidates import Candidates


def k_center(candidates: Candidates, size: int, *, redundancy: float, rng: np.random.Generator) -> np.ndarray:
    """The candidate farthest from dataset and batch, one at a time, whatever the score: greedy k-center, or
    CoreSet (Sener & Savarese 2018). Without a dataset it begins with the candidate nearest to the mean."""
    covered, begun = _covered_by_dataset(candidates)
    return greedy(covered, size, lambda rows, pick: covered.squared[rows].copy(), begun=begun[:size])


def ranked_batch(candidates: Candidates, size: int, *, redundancy: float, rng: np.random.Generator) -> np.ndarray:
    """One at a time by a · (1 - similarity to dataset and batch) + (1 - a) · score, with a the unlabelled share of
    dataset and candidates and similarity 1 / (1 + d): new regions while labels are few (Cardoso et al. 2017)."""
    covered, begun = _covered_by_dataset(candidates)
    n, m = len(candidates), len(candidates.dataset_embedding)

    def merit(rows: np.ndarray | slice, pick: int) -> np.ndarray:
        unlabelled = (n - pick) / (n + m)
        novelty = 1 - 1 / (1 + covered.distance(rows))
        return np.round(unlabelled * novelty + (1 - unlabelled) * candidates.score[rows], 9)

    return greedy(covered, size, merit, begun=begun[:size], varies=True)


def badge(candidates: Candidates, size: int, *, redundancy: float, rng: np.random.Generator) -> np.ndarray:
    """k-means++ on the gradients a label would give, (p - onehot(argmax p)) ⊗ z, whatever the score (Ash et al. 2020).

    The longest gradient first, then at random with a chance that grows with the squared distance to the nearest
    chosen gradient and to 0: what the model is sure of would teach nothing. Gradients have C · e entries and are
    never made: their inner products are those of the residuals times those of the embeddings. Where several classes
    may hold, the label taken for granted is every class above one half.
    """
    size = min(size, len(candidates))
    if size == 0:
        return np.arange(0)
    z = np.ascontiguousarray(candidates.embedding, dtype=np.float32)
    residual = candidates.proba.astype(np.float32)  # a copy
    if candidates.multi:
        residual -= residual > 0.5
    else:
        residual[np.arange(len(z)), residual.argmax(axis=1)] -= 1
    norm = np.einsum("ij,ij->i", z, z) * np.einsum("ij,ij->i", residual, residual)
    squared, chosen = norm.copy(), [int(np.argmax(norm))]
    with one_thread():  # the number of threads must not tip a draw
        while len(chosen) < size:
            last = chosen[-1]
            both = norm + norm[last]
            distance = both - 2 * (z @ z[last]) * (residual @ residual[last])
            distance[distance < 1e-5 * both] = 0  # float32 noise: a copy
            np.minimum(squared, distance, out=squared)
            squared[last] = 0
            chosen.append(_draw(squared, chosen, rng))
    return np.array(chosen)


def _covered_by_dataset(candidates: Candidates) -> tuple[Coverage, list[int]]:
    """What the dataset covers; without a dataset, the central candidate, which then is the first chosen."""
    covered = Coverage(candidates.embedding, candidates.dataset_embedding)
    if covered.count or not len(candidates):
        return covered, []
    first = central_row(candidates.embedding)
    covered.add(candidates.embedding[first])
    return covered, [first]


def _draw(weights: np.ndarray, taken: list[int], rng: np.random.Generator) -> int:
    """A row with a chance proportional to its weight; when all are 0, any row that is not taken."""
    upto = np.cumsum(weights, dtype=np.float64)
    if upto[-1] == 0:
        weights = np.ones(len(weights))
        weights[taken] = 0
        upto = np.cumsum(weights)
    return int(np.searchsorted(upto / upto[-1], rng.random(), side="right"))
