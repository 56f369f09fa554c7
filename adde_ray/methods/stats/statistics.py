"""What few seeds can tell: figures of one run each in → intervals, paired tests, ranks.

Three to five seeds are usual, and a bootstrap over them promises more than it keeps: even the whole range of three
values covers their mean three times in four only. So intervals of means are Student's, and those of medians come from
order statistics, which also serve values of which one only knows that they are larger than the budget.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike
from scipy import stats

LEVEL = 0.95
"""Of every interval; 1 - LEVEL is what a p-value is held against."""

EXACT_FLIPS = 12
"""Up to so many pairs every flip of signs is tried, 2 ** 12 of them; beyond, 9,999 random ones."""


@dataclass(frozen=True)
class Mean:
    """A mean over `n` values with its interval; no interval for a single value."""

    mean: float
    low: float | None
    high: float | None
    n: int


@dataclass(frozen=True)
class Median:
    """A median with an interval of `coverage`; any of the three may be infinite."""

    median: float
    low: float
    high: float
    coverage: float
    n: int


@dataclass(frozen=True)
class Difference(Mean):
    """A mean of paired differences. p: Student's; p_flip: of flipped signs, at least `floor` whatever the data."""

    p: float | None
    p_flip: float | None
    floor: float


@dataclass(frozen=True)
class Ranking:
    """Average ranks (1 = best) of k methods on `n` datasets, the p-value that they differ at all, and how far apart
    two ranks must be to differ (Nemenyi). groups: methods by position that cannot be told apart, best first."""

    ranks: tuple[float, ...]
    p: float
    critical: float
    groups: tuple[tuple[int, ...], ...]
    n: int


def mean_interval(values: ArrayLike, level: float = LEVEL, within: tuple[float, float] = (-np.inf, np.inf)) -> Mean:
    """Student's interval of the mean of (n,) finite values, cut to what the mean can be (`within`)."""
    x = np.asarray(values, dtype=float)
    mean = float(x.mean())
    if len(x) < 2:
        return Mean(mean, None, None, len(x))
    half = _half_width(x.std(ddof=1) / np.sqrt(len(x)), len(x) - 1, level)
    low, high = (float(np.clip(end, *within)) for end in _around(mean, half))
    return Mean(mean, low, high, len(x))


def median_interval(values: ArrayLike, level: float = LEVEL) -> Median:
    """The median of (n,) values, inf among them for "more than was measured", between two of these values.

    They are the closest pair, as far from either end, that encloses the median in a share `level` of all samples, by
    the binomial distribution of how many values lie under it; the range where even that does not (n < 6 for .95),
    with the share it reaches, 1 - 2 ** (1 - n).
    """
    x = np.sort(np.asarray(values, dtype=float))
    n = len(x)
    inside = [1 - 2 * stats.binom.cdf(k, n, 0.5) for k in range((n + 1) // 2)]  # between the k-th from either end
    k = max((k for k, share in enumerate(inside) if share >= level), default=0)
    middle = x[[(n - 1) // 2, n // 2]]
    median = middle[0] if middle[0] == middle[1] else middle.mean()  # inf - inf is nobody's median
    return Median(float(median), float(x[k]), float(x[n - 1 - k]), float(inside[k]), n)


def paired_difference(a: ArrayLike, b: ArrayLike, level: float = LEVEL) -> Difference:
    """a - b, pair by pair: (n,) values each, one pair a seed."""
    return pooled_difference([np.asarray(a, dtype=float) - np.asarray(b, dtype=float)], level)


def pooled_difference(groups: Sequence[np.ndarray], level: float = LEVEL) -> Difference:
    """The mean of the groups' means (n_g,): each dataset counts alike, however many seeds it has.

    Degrees of freedom are those of Welch and Satterthwaite. p is Student's, that of the interval. Differences that
    are all the same have no spread to judge by: then p is that of the flipped signs, which needs none.
    """
    weighted = np.concatenate([x / (len(x) * len(groups)) for x in groups])
    mean, n = float(weighted.sum()), len(weighted)
    floor = 2.0 ** (1 - n)
    if any(len(x) < 2 for x in groups):
        return Difference(mean, None, None, n, None, None, floor)
    p_flip = _flip_p(weighted)
    parts = np.array([x.var(ddof=1) / len(x) for x in groups]) / len(groups) ** 2
    error, freedom = np.sqrt(parts.sum()), np.array([len(x) - 1 for x in groups])
    if error <= 1e-9 * (abs(mean) + 1e-9):
        return Difference(mean, mean, mean, n, p_flip, p_flip, floor)
    freedom = float(parts.sum() ** 2 / (parts**2 / freedom).sum())
    p = float(2 * stats.t.sf(abs(mean) / error, freedom))
    return Difference(mean, *_around(mean, _half_width(error, freedom, level)), n, p, p_flip, floor)


def holm(p: Sequence[float]) -> list[float]:
    """Adjusted p-values of a family of tests, in their order (Holm 1979)."""
    order = np.argsort(p)
    stepped = np.asarray(p, dtype=float)[order] * np.arange(len(p), 0, -1)
    adjusted = np.empty(len(p))
    adjusted[order] = np.minimum(np.maximum.accumulate(stepped), 1.0)
    return adjusted.tolist()


def rank(scores: np.ndarray, level: float = LEVEL) -> Ranking:
    """Ranks the columns of (n datasets, k methods), larger = better; at least two of each.

    Friedman's test in the form of Iman and Davenport, then Nemenyi's critical difference (Demšar 2006). Of two
    methods the test is Wilcoxon's, and the critical difference that of two ranks all the same.
    """
    n, k = scores.shape
    ranks = stats.rankdata(-np.round(scores, 9), axis=1).mean(axis=0)
    critical = critical_difference(k, n, level)
    order = np.argsort(ranks, kind="stable")
    return Ranking(tuple(ranks.tolist()), _any_p(scores), critical, _groups(ranks, order, critical), n)


def critical_difference(k: int, n: int, level: float = LEVEL) -> float:
    """How far apart average ranks of two of k methods on n datasets must be to differ (Nemenyi)."""
    return float(stats.studentized_range.ppf(level, k, np.inf) / np.sqrt(2) * np.sqrt(k * (k + 1) / (6 * n)))


def _any_p(scores: np.ndarray) -> float:
    n, k = scores.shape
    if np.ptp(scores, axis=1).max() == 0:
        return 1.0  # the same everywhere
    if k == 2:
        found = stats.wilcoxon(*scores.T, zero_method="zsplit")
        return float(found.pvalue)  # pyright: ignore[reportAttributeAccessIssue] scipy makes this class at run time
    chi2 = stats.friedmanchisquare(*scores.T).statistic
    rest = n * (k - 1) - chi2
    return float(stats.f.sf((n - 1) * chi2 / rest, k - 1, (k - 1) * (n - 1))) if rest > 1e-9 else 0.0


def _groups(ranks: np.ndarray, order: np.ndarray, critical: float) -> tuple[tuple[int, ...], ...]:
    # The longest runs of neighbours in rank that lie within the critical difference; a run inside another is dropped.
    found: list[tuple[int, ...]] = []
    for start in range(len(order)):
        run = tuple(int(i) for i in order[start:] if ranks[i] - ranks[order[start]] <= critical)
        if len(run) > 1 and not any(set(run) <= set(longer) for longer in found):
            found.append(run)
    return tuple(found)


def _flip_p(x: np.ndarray) -> float:
    exact = len(x) <= EXACT_FLIPS
    found = stats.permutation_test(
        (x,),
        lambda rows, axis: rows.sum(axis=axis),
        permutation_type="samples",
        vectorized=True,
        n_resamples=2 ** len(x) if exact else 9999,
        rng=None if exact else np.random.default_rng(0),
    )
    return float(min(1.0, found.pvalue))


def _half_width(error: float, freedom: float, level: float) -> float:
    return float(stats.t.ppf((1 + level) / 2, freedom) * error)


def _around(mean: float, half: float) -> tuple[float, float]:
    return mean - half, mean + half
