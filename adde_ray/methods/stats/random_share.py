"""What a random part of the answers tells of the pool: shares of the classes, mass of those not seen, quality of f.

Rows that were drawn by chance, in the order in which they were asked about, in; figures with intervals out. They are
simple random samples of what the pool still had at the time.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import stats

from adde_ray.labels import holds
from adde_ray.methods.metrics.confusion import answers
from adde_ray.methods.stats.paired_rows import resampled_macro_f1
from adde_ray.methods.stats.statistics import LEVEL

DRAWS = 1000
"""Resamples: their spread is then known to 2 %."""


@dataclass(frozen=True)
class Estimate:
    """A figure in [0, 1] with the interval it lies in, of level `LEVEL`."""

    value: float
    low: float
    high: float

    def rounded(self, name: str) -> dict[str, float]:
        """As it is kept, the figure itself as `name`."""
        return {name: round(self.value, 4), "low": round(self.low, 4), "high": round(self.high, 4)}


def wilson(share: float, n: float, level: float = LEVEL) -> Estimate:
    """A share of n >= 0 rows with Wilson's interval (1927), which holds for few rows and for shares of 0 and 1."""
    if n <= 0:
        return Estimate(0.0, 0.0, 1.0)
    z2 = float(stats.norm.ppf((1 + level) / 2)) ** 2
    middle = (share + z2 / (2 * n)) / (1 + z2 / n)
    half = np.sqrt(z2 * (share * (1 - share) / n + z2 / (4 * n * n))) / (1 + z2 / n)
    return Estimate(float(share), max(float(middle - half), 0.0), min(float(middle + half), 1.0))


@dataclass(frozen=True)
class Drawn:
    """K >= 1 rows that were drawn by chance, and what was known of the pool when each was.

    true: (K, C) bool, the classes that hold; none of a rejected row. known: (K, C) bool, where that is known.
    left: (K,) rows that the pool still had. asked: (K, C) rows of each class among those it no longer had.
    num_pool: its rows at the start.
    """

    true: np.ndarray
    known: np.ndarray
    left: np.ndarray
    asked: np.ndarray
    num_pool: int

    def __len__(self) -> int:
        return len(self.true)


def class_shares(drawn: Drawn) -> list[Estimate]:
    """Each class's share of all of the pool as it was at the start.

    Rows were taken away by score between the draws, so each draw is of another population. But what was taken is
    labelled and need not be estimated: rows of a class in the pool = those among the rows taken before the draw + rows
    left x share among the rows left. Every draw gives that sum without bias whatever took the rows away, and it is
    averaged over the draws. Only the second part has an error: Wilson's, of K draws, a little too wide where they are a
    large part of the pool.
    """
    return [_share(drawn, drawn.true[:, c], drawn.asked[:, c], drawn.known[:, c]) for c in range(drawn.true.shape[1])]


def none_share(drawn: Drawn, rejected: np.ndarray) -> Estimate:
    """The same of rows that people said are of no class. rejected: (K,) rows taken before each draw that were."""
    return _share(drawn, drawn.true.sum(axis=1) == 0, rejected, np.ones(len(drawn), dtype=bool))


def _share(drawn: Drawn, is_one: np.ndarray, taken: np.ndarray, known: np.ndarray) -> Estimate:
    if not known.any():
        return Estimate(0.0, 0.0, 1.0)
    left = drawn.left[known].astype(np.float64)
    among = wilson(float(left @ is_one[known] / max(left.sum(), 1.0)), int(known.sum()))
    base, scale = float(taken[known].mean()) / drawn.num_pool, float(left.mean()) / drawn.num_pool
    value, low, high = (min(base + scale * x, 1.0) for x in (among.value, among.low, among.high))
    return Estimate(value, low, high)


def unseen_mass(drawn: Drawn, seen: np.ndarray) -> Estimate:
    """Share of the pool that is of classes nobody has seen: Good-Turing (Good 1953), with the variance of Esty
    (1983) in Wilson's interval.

    seen: (K, C) bool, the classes that other rows of the dataset showed by the time of each draw. A draw counts that
    shows a class which neither they nor any other draw did: left out, it would be unseen. What selection has found
    since does not speak against it, for it may have looked there because of this draw. So the estimate is rather too
    large.
    """
    times, k = drawn.true.sum(axis=0), len(drawn)
    new = drawn.true & ~seen
    once = int((new & (times == 1)).any(axis=1).sum())
    twice = int(((times == 2) & (new.sum(axis=0) == 2)).sum())
    # Half a row more of either kind: few draws may show none, and then say little of how much that varies.
    often, pairs = min(once + 0.5, k - 0.5) / k, twice + 0.5
    variance = (often * (1 - often) * k + 2 * pairs) / k**2
    return wilson(once / k, often * (1 - often) / variance)


def quality(labels: np.ndarray, proba: np.ndarray, *, seed: int) -> dict[str, dict[str, float]]:
    """`accuracy` and `macro_f1` of (n, C) probabilities of n >= 1 rows by models that never saw them, with intervals:
    Wilson's, and that of resampled rows (bootstrap percentiles).

    labels: (n,) class rows, or (n, C) targets of a multi-label task: there a row is right with all its classes.
    """
    known, true, said = answers(labels, proba)
    right = float((~known | (true == said)).all(axis=1).mean())
    drawn = np.random.default_rng(seed).multinomial(len(labels), np.full(len(labels), 1 / len(labels)), size=DRAWS)
    [value], [over] = (resampled_macro_f1(w, true, [said]) for w in (np.ones((1, len(labels))), drawn))
    low, high = np.quantile(over, [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
    f1 = Estimate(float(value[0]), float(min(low, value[0])), float(max(high, value[0])))
    return {"accuracy": wilson(right, len(labels)).rounded("value"), "macro_f1": f1.rounded("value")}


def of_labels(labels: np.ndarray, num_classes: int) -> tuple[np.ndarray, np.ndarray]:
    """`true` and `known` of labels as numbers; (n,) class rows of which -1 is a rejected row, or (n, C) targets."""
    if labels.ndim == 2:
        return holds(labels, num_classes), ~np.isnan(labels)
    true = np.zeros((len(labels), num_classes), dtype=bool)
    rows = np.flatnonzero(labels >= 0)
    true[rows, labels[rows]] = True
    return true, np.ones_like(true)
