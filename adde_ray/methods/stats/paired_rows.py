"""Two models on the same rows: what they say of each in, the difference of their macro-F1 with its interval out.

One run has one seed, so seeds cannot say how far to trust it. Its held-out rows can, as far as it goes: the interval is
of which rows happened to be held out. What another seed would have chosen and learned, it does not cover.
"""

from __future__ import annotations

import numpy as np
from scipy import stats

from adde_ray.methods.metrics.confusion import answers, weighted
from adde_ray.methods.stats.statistics import LEVEL, Difference

DRAWS = 1000
"""Resamples: their spread is then known to 2 %."""


def row_difference(labels: np.ndarray, a: np.ndarray, b: np.ndarray, *, seed: int, level: float = LEVEL) -> Difference:
    """Macro-F1 of (n, C) probabilities `a` less that of `b`, as `evaluation.evaluate` has it; n >= 1 rows.

    labels: (n,) class rows, or (n, C) targets of a multi-label task. The interval is the normal one, by the spread of
    the difference over resampled rows (bootstrap), both models on the same resample; p is that interval's.
    """
    counts, truth, *said = _alike(labels, a, b)
    drawn = np.random.default_rng(seed).multinomial(len(labels), counts / counts.sum(), size=DRAWS)
    mean = float(np.subtract(*resampled_macro_f1(counts[None], truth, said))[0])
    error = float(np.subtract(*resampled_macro_f1(drawn, truth, said)).std(ddof=1))
    if error <= 1e-12:  # they say the same of every row
        return Difference(mean, mean, mean, len(labels), 1.0, None, 0.0)
    half = float(stats.norm.ppf((1 + level) / 2)) * error
    p = float(2 * stats.norm.sf(abs(mean) / error))
    return Difference(mean, mean - half, mean + half, len(labels), p, None, 0.0)


def _alike(labels: np.ndarray, a: np.ndarray, b: np.ndarray) -> tuple[np.ndarray, ...]:
    """Rows of which truth and both models say the same are one: how many (k,), and what is said of it, (k, C) bool.

    Where a class is not known of a row (NaN), none of the three says it.
    """
    _, true, said = answers(labels, a)
    _, _, other = answers(labels, b)
    rows, counts = np.unique(np.concatenate([true, said, other], axis=1), axis=0, return_counts=True)
    return counts, *np.split(rows, 3, axis=1)


def resampled_macro_f1(weights: np.ndarray, truth: np.ndarray, said: list[np.ndarray]) -> list[np.ndarray]:
    """(w,) for each of `said`, (k, C) bool as `truth` is: macro-F1 of rows that count `weights` (w, k) times, over the
    classes that occur."""
    found = []
    for one in said:
        hits, positives, predicted = weighted(weights.astype(np.float64), truth, one)
        occurs = positives > 0
        f1 = np.divide(2 * hits, positives + predicted, out=np.zeros_like(positives), where=occurs)
        found.append(f1.sum(axis=1) / np.maximum(occurs.sum(axis=1), 1))
    return found
