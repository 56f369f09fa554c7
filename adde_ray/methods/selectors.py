"""Selectors: choose a batch from the candidates, best first.

scores (n,), embeddings (n, e), probabilities (n, C) and the dataset's embeddings (m, e) → rows of the batch.
Rows come sorted by sample_id; ties go to the lower row. No selector holds anything n x n.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Protocol

import numpy as np

from adde_ray.errors import choose
from adde_ray.methods.coverage import Coverage, central_row, greedy
from adde_ray.methods.threads import one_thread


@dataclass(frozen=True)
class Candidates:
    """What selectors look at: n candidates and the m samples that are in the dataset."""

    score: np.ndarray  # (n,) in [0, 1]
    embedding: np.ndarray  # (n, e)
    proba: np.ndarray  # (n, C) calibrated
    dataset_embedding: np.ndarray  # (m, e)
    multi: bool = False  # several classes may hold at once

    def __len__(self) -> int:
        return len(self.score)

    def take(self, rows: np.ndarray) -> Candidates:
        """These candidates only."""
        return replace(self, score=self.score[rows], embedding=self.embedding[rows], proba=self.proba[rows])


class Selector(Protocol):
    def __call__(self, candidates: Candidates, size: int, *, redundancy: float, rng: np.random.Generator) -> np.ndarray:
        """Up to `size` distinct rows, best first; those of a smaller batch are the first of a larger one."""
        ...


def top_k(candidates: Candidates, size: int, *, redundancy: float, rng: np.random.Generator) -> np.ndarray:
    """The highest scores."""
    return np.argsort(-candidates.score, kind="stable")[:size]


def random(candidates: Candidates, size: int, *, redundancy: float, rng: np.random.Generator) -> np.ndarray:
    """Uniformly at random, whatever the score."""
    return rng.permutation(len(candidates))[:size]


def batch_greedy(candidates: Candidates, size: int, *, redundancy: float, rng: np.random.Generator) -> np.ndarray:
    """One at a time by score · (1 - similarity to the batch so far)^redundancy.

    A batch of top scores repeats itself; multiplying by the distance to what is already in it makes it
    diverse within itself. Similarity is 1 - d / d99, at least 0, with d the distance to the nearest chosen
    row and d99 the 99th percentile of the distances to the first chosen.
    """
    score = candidates.score
    if min(size, len(score)) == 0:
        return np.arange(0)
    first = int(np.argmax(score))
    batch = Coverage(candidates.embedding, candidates.embedding[[first]])
    batch.refresh(np.arange(len(score)))
    scale = np.percentile(batch.distance(slice(None)), 99)

    def merit(rows: np.ndarray | slice, pick: int) -> np.ndarray:
        near = batch.distance(rows)
        distance = np.clip(near / scale, 0.0, 1.0) if scale > 0 else np.ones_like(near)
        # A tiny share of the plain score keeps the order among exact repeats of what is in the batch.
        return np.round(score[rows] * (distance**redundancy + 1e-6), 9)

    return greedy(batch, size, merit, begun=[first])


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


def select(candidates: Candidates, size: int, *, selector: str, redundancy: float, rng) -> np.ndarray:
    """Rows of the batch, best first, by the selector of that name."""
    return choose(SELECTORS, selector, where="select.selector")(candidates, size, redundancy=redundancy, rng=rng)


def cap_synthetic(rows: np.ndarray, synthetic: np.ndarray, cap: int) -> np.ndarray:
    """`rows` in order, without the synthetic ones past the first `cap`."""
    return rows[~synthetic[rows] | (np.cumsum(synthetic[rows]) <= cap)]


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


SELECTORS: dict[str, Selector] = {
    "batch_greedy": batch_greedy,
    "top_k": top_k,
    "random": random,
    "k_center": k_center,
    "ranked_batch": ranked_batch,
    "badge": badge,
}

WHATEVER_SCORE = frozenset({"random", "k_center", "badge"})
"""Those that do not look at the score."""

FROM_ALL = WHATEVER_SCORE | {"ranked_batch"}
"""Those that must see every candidate, or a random sample where the pool is too large for memory: a shortlist of the
best scores would be a choice they did not make."""
