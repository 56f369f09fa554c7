"""Exact intervals and bounds of a share, and intervals of figures whose items are drawn again."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import stats

from adde_ray.methods.stats.statistics import LEVEL

DRAWS = 1000
"""Bootstrap samples."""


@dataclass(frozen=True)
class Figure:
    """A figure with its interval of level `LEVEL`, from n items. NaN: it cannot be told from these."""

    value: float
    low: float
    high: float
    n: int

    def rounded(self) -> dict[str, float | int | None]:
        """As JSON takes it: None for NaN."""
        found = {name: getattr(self, name) for name in ("value", "low", "high")}
        return {name: None if np.isnan(x) else round(float(x), 4) for name, x in found.items()} | {"n": self.n}


def exact(right: int, n: int, level: float = LEVEL) -> Figure:
    """The share right / n with the interval of Clopper and Pearson (1934), which covers the truth at least so often."""
    if n == 0:
        return Figure(float("nan"), 0.0, 1.0, 0)
    low, high = lower_bound(right, n, (1 + level) / 2), upper_bound(right, n, (1 + level) / 2)
    return Figure(right / n, low, high, n)


def lower_bound(right: int, n: int, level: float = LEVEL) -> float:
    """Exact one-sided bound: a share under it gives so many right of n in at most 1 - level of all samples."""
    return float(stats.beta.ppf(1 - level, right, n - right + 1)) if right else 0.0


def upper_bound(right: int, n: int, level: float = LEVEL) -> float:
    """Exact one-sided bound from above, as `lower_bound`."""
    return float(stats.beta.ppf(level, right + 1, n - right)) if right < n else 1.0


def resampled(rows: np.ndarray, figure, *, seed: int, draws: int = DRAWS, level: float = LEVEL) -> Figure:
    """figure of (n, d) rows, one an item, with the interval of bootstrap percentiles over items.

    figure: takes sums over items of these rows, (b, d), and gives (b,) values. Equal rows are drawn together, by their
    multinomial counts, which is the same draw and takes b × (distinct rows) numbers instead of b × n.
    """
    if not len(rows):
        return Figure(float("nan"), float("nan"), float("nan"), 0)
    distinct, often = np.unique(rows, axis=0, return_counts=True)
    rng = np.random.default_rng(seed)
    values = []
    block = max(1, min(draws, 5_000_000 // len(distinct)))
    for start in range(0, draws, block):
        drawn = rng.multinomial(len(rows), often / len(rows), size=min(block, draws - start))
        values.append(figure(drawn @ distinct))
    found = np.concatenate(values)
    found = found[np.isfinite(found)]
    [value] = figure(rows.sum(axis=0, keepdims=True))
    ends = np.quantile(found, [(1 - level) / 2, (1 + level) / 2]) if len(found) else (np.nan, np.nan)
    return Figure(float(value), float(ends[0]), float(ends[1]), len(rows))
