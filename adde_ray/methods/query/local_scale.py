"""How far apart two samples must lie to be unlike each other: a length for each, by how dense its surroundings are.
And how much it counts that a sample stands for others.

Plain distances favour outliers: they are far from everything. Where such samples are as telling as others that is what
is wanted (digits: coverage wins); where they are noise it costs more than it gains. Val tells which: the labels of its
rows in thin regions are as easy to tell from their neighbours as those in dense ones, or they are not.

val with labels, reference features (n, d) → an exponent in [0, 1]; a `Space` and points in it → lengths.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from adde_ray.methods.space.clustering import NEIGHBOURS, Space, neighbours, sample_rows

NEIGHBOUR = 10
"""A region's density is seen by the distance to the neighbour of this rank."""

MAX_ROWS = (2_000, 5_000)
"""Rows of val and of the reference that are looked at, at most."""

SLOPE = 3.0
"""Fully local from thin rows on that are right two thirds as often as dense ones."""

FAR = 1.5
"""Units from which on two samples are unlike each other."""

FLOOR = 0.2
"""In medians: copies have no surroundings, and are not unlike each other for that."""


@dataclass(frozen=True)
class LocalScale:
    """What decides how far apart two samples must lie. exponent: see `exponent`. unit: see `unit`."""

    exponent: float
    unit: float

    @property
    def representativeness(self) -> float:
        """How much it counts what a sample stands for, beside how far it lies from the batch: in [0, 1/2].

        Where outliers are noise, what has many others near it is worth more; but never more than distance is: at 1
        instead of 1/2, macro-F1 on long-tailed CIFAR-10 falls by .02.
        """
        return min(self.exponent, 0.5)

    def lengths(self, space: Space, points: np.ndarray) -> np.ndarray:
        """(m,) how far from each of m points of the space what is unlike it begins.

        1.5 units, times (how far its neighbours lie / how far they usually do)^exponent.
        """
        usual, everywhere = float(np.median(space.knn_distance)), np.full(len(points), FAR * self.unit)
        if self.exponent == 0 or usual <= 0 or not len(points):
            return everywhere
        k = min(NEIGHBOURS, len(space.points) - 1)
        distances = neighbours(space.points, points, k + 1)[0].astype(np.float64)
        own = distances[:, 0] <= space.tolerance  # a row of the reference finds itself first
        away = np.where(own, distances[:, k], distances[:, max(k - 1, 0)])
        return everywhere * np.round(np.maximum(away / usual, FLOOR), 6) ** self.exponent


def exponent(val: np.ndarray, labels: np.ndarray, reference: np.ndarray, *, seed: int) -> float:
    """How local lengths should be, in [0, 1]: 0 = one length for all, 1 = in proportion to the surroundings.

    val (v, d) with labels (v,), or (v, C) of a multi-label task, is cut at the median distance to its 10th neighbour
    among reference (n, d). With r the accuracy of its nearest neighbour within val (leave-one-out) of the thin half
    over that of the dense half, it is 3 (1 - r), within its bounds. Tuned on variants of digits and CIFAR-10.
    """
    rng = np.random.default_rng(seed)
    chosen, among = (sample_rows(len(rows), most, rng) for rows, most in zip((val, reference), MAX_ROWS, strict=True))
    val, labels = np.asarray(val, np.float32)[chosen], np.asarray(labels)[chosen]
    if len(val) < 4:
        return 0.5
    thin = surroundings(val, np.asarray(reference, np.float32)[among])
    thin = thin > np.median(thin)
    nearest = _others(neighbours(val, val, 2)[1])
    right = _alike(labels, labels[nearest])
    in_thin, in_dense = ((right[rows].sum() + 1) / (rows.sum() + 2) for rows in (thin, ~thin))
    return round(float(np.clip(SLOPE * (1 - in_thin / in_dense), 0.0, 1.0)), 4)


def surroundings(points: np.ndarray, reference: np.ndarray) -> np.ndarray:
    """(m,) distance from each point to its 10th nearest reference row, or to the last there is."""
    return neighbours(reference, points, min(NEIGHBOUR, len(reference)))[0][:, -1]


def unit(embedding: np.ndarray, *, seed: int) -> float:
    """A usual distance of a row of embedding (n, e) to its 10th neighbour: the median over 500 rows."""
    rows = sample_rows(len(embedding), 500, np.random.default_rng(seed))
    if len(embedding) < 2:
        return 0.0
    k = min(NEIGHBOUR, len(embedding) - 1)
    return float(np.median(neighbours(embedding, embedding[rows], k + 1)[0][:, -1]))


def _others(nearest: np.ndarray) -> np.ndarray:
    """(n,) the first of two neighbours that is not the row itself."""
    own = nearest[:, 0] == np.arange(len(nearest))
    return np.where(own, nearest[:, 1], nearest[:, 0])


def _alike(labels: np.ndarray, others: np.ndarray) -> np.ndarray:
    """(n,) bool: the labels agree, as far as they are known."""
    if labels.ndim == 1:
        return labels == others
    return ((labels == others) | np.isnan(labels) | np.isnan(others)).all(axis=1)
