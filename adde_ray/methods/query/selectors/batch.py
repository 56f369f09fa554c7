"""The default selector: candidates -> rows of the batch, best first."""

from __future__ import annotations

import numpy as np

from adde_ray.methods.query.coverage import Coverage, greedy
from adde_ray.methods.query.selectors.candidates import Candidates
from adde_ray.methods.query.selectors.herding import KernelCoverage, centred, gauss, spread

MAX_COVERED = 2_000
"""Candidates that coverage is summed over, of those that score high."""


def batch_greedy(candidates: Candidates, size: int, *, redundancy: float, rng: np.random.Generator) -> np.ndarray:
    """One at a time by score · (apart^(1 - r) · coverage^r)^redundancy, with r the candidates' representativeness.

    A batch of top scores repeats itself, and its members are often odd. Apart is a candidate's distance to the batch
    so far in its own length, at most 1. Coverage is what it would add to how well dataset and batch stand for all that
    scores high, by a Gaussian kernel as wide as lengths say (as in Uncertainty Herding, Bae et al. 2025): little where
    few are near it. Without lengths, all are as long as the candidates are spread.
    """
    candidates, order = candidates.by_content()
    pool, dataset, unit = centred(candidates)
    length = np.full(len(pool), np.sqrt(spread(pool))) if candidates.length is None else candidates.length / unit
    coverage = KernelCoverage(pool, candidates.score, dataset, np.square(length), gauss, rng, most=MAX_COVERED)
    batch = Batch(coverage, length)
    of_coverage = redundancy * candidates.representativeness

    def merit(rows: np.ndarray | slice, pick: int) -> np.ndarray:
        worth = batch.apart(rows) ** (redundancy - of_coverage) * coverage.gain[rows] ** of_coverage
        # A tiny share of the plain score keeps the order among exact repeats of what is in the batch.
        return np.round(candidates.score[rows] * (worth + 1e-9), 12)

    return order[greedy(batch, size, merit)]


class Batch:
    """What n candidates would add to the batch so far: distance to it, and coverage of the others."""

    def __init__(self, coverage: KernelCoverage, length: np.ndarray):
        """length: (n,) distance from which on a candidate is as far from the batch as can be."""
        self.z, self._coverage, self._length = coverage.z, coverage, length
        self._members = Coverage(coverage.z, np.zeros((0, coverage.z.shape[1])))

    def apart(self, rows: np.ndarray | slice) -> np.ndarray:
        """Distance to the batch in lengths, at most 1: an upper bound, exact once refreshed."""
        near, length = self._members.distance(rows), self._length[rows]
        return np.clip(np.divide(near, length, where=length > 0, out=np.ones_like(near)), 0.0, 1.0)

    def is_exact(self, rows: np.ndarray | int) -> np.ndarray | bool:
        """Whether distance and coverage of a row, or (k,) of rows, are exact."""
        return self._coverage.is_exact(rows)

    def refresh(self, rows: np.ndarray) -> None:
        """Make distance and coverage of these rows (k,) exact."""
        self._coverage.refresh(rows)
        if self._members.count:
            self._members.refresh(rows)

    def choose(self, row: int) -> None:
        """Put a candidate into the batch."""
        self._coverage.choose(row)
        self._members.choose(row)
