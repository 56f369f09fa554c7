"""Whether a person changes over time: accuracy and seconds in windows of their answers, with a test of a trend.

The test is Spearman's rank correlation with the order of the answers, which takes any monotone trend. Several people
or figures make several tests: `holm` of `methods.stats.statistics` corrects their p-values.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import stats

from adde_ray.methods.crowd.intervals import Figure
from adde_ray.methods.stats.random_share import wilson
from adde_ray.methods.stats.statistics import median_interval

WINDOWS, LEAST = 4, 8
"""Windows, and the values below which no trend is looked for."""


@dataclass(frozen=True)
class Drift:
    """windows: the figure in each, in order of time. trend: Spearman's correlation with time in [-1, 1]; p: of the test
    that it is 0. NaN with fewer than LEAST values, or where all are equal."""

    windows: tuple[Figure, ...]
    trend: float
    p: float


def accuracy_drift(right: np.ndarray, windows: int = WINDOWS) -> Drift:
    """Of (n,) answers that were right or not, in order of time; intervals are Wilson's."""
    right = np.asarray(right, dtype=float)
    found = []
    for part in _cut(right, windows):
        share = wilson(float(part.mean()), len(part))
        found.append(Figure(share.value, share.low, share.high, len(part)))
    return Drift(tuple(found), *_trend(right))


def seconds_drift(seconds: np.ndarray, windows: int = WINDOWS) -> Drift:
    """Of (n,) seconds an answer took, in order of time: medians, with intervals from order statistics."""
    seconds = np.asarray(seconds, dtype=float)
    found = []
    for part in _cut(seconds, windows):
        middle = median_interval(part)
        found.append(Figure(middle.median, middle.low, middle.high, len(part)))
    return Drift(tuple(found), *_trend(seconds))


def _cut(values: np.ndarray, windows: int) -> list[np.ndarray]:
    return [part for part in np.array_split(values, max(1, min(windows, len(values)))) if len(part)]


def _trend(values: np.ndarray) -> tuple[float, float]:
    if len(values) < LEAST or np.ptp(values) == 0:
        return float("nan"), float("nan")
    found = stats.spearmanr(np.arange(len(values)), values)
    return float(found.statistic), float(found.pvalue)  # pyright: ignore[reportAttributeAccessIssue] made at run time
