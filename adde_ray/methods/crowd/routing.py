"""Labels that may be taken unseen: a threshold of confidence that gold has proved, and audits that close it.

A threshold is chosen among a few fixed beforehand, each tested on gold by an exact binomial bound. Several tests make a
lucky one likely, so each is held to a share of the error (Bonferroni), and how many were tried is told. Afterwards a
sample of what went through is audited in every round; whether accuracy has fallen below the target is asked again and
again, so the error is spent over the rounds, 1 / (t (t + 1)) of it in the t-th, which sums to 1.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import polars as pl
from scipy import stats

from adde_ray.methods.crowd import audit
from adde_ray.methods.crowd.intervals import lower_bound
from adde_ray.methods.stats.statistics import LEVEL

THRESHOLDS = (0.8, 0.9, 0.95, 0.98, 0.99)
"""Calibrated confidences that are tried."""

ALL = ""
"""Stands for all classes together."""


@dataclass(frozen=True)
class Route:
    """threshold: samples of at least this confidence may be accepted unseen. right of gold: how they did on gold;
    bound: their accuracy is at least this, at the level asked for, over all that were `tried`."""

    threshold: float
    right: int
    gold: int
    bound: float
    tried: int


def route(
    confidence: np.ndarray,
    right: np.ndarray,
    *,
    target: float,
    thresholds: Sequence[float] = THRESHOLDS,
    level: float = LEVEL,
) -> Route | None:
    """The lowest threshold whose accuracy on gold is proved to be `target` or more; None where none is.

    confidence: (n,) calibrated, of gold samples that are as what will be routed; right: (n,) bool. thresholds must not
    be chosen by these samples.
    """
    confidence, right = np.asarray(confidence, dtype=float), np.asarray(right, dtype=bool)
    each = 1 - (1 - level) / len(thresholds)
    for threshold in sorted(thresholds):
        above = right[confidence >= threshold]
        bound = lower_bound(int(above.sum()), len(above), each)
        if len(above) and bound >= target:
            return Route(float(threshold), int(above.sum()), len(above), bound, len(thresholds))
    return None


def routed(confidence: np.ndarray, suggested: Sequence[str], found: Route, closed: Sequence[str] = ()) -> np.ndarray:
    """(n,) bool: which samples may be accepted unseen: confident enough, and of a class that is not closed."""
    if ALL in closed:
        return np.zeros(len(suggested), dtype=bool)
    shut = np.array([label in closed for label in suggested], dtype=bool)
    return (np.asarray(confidence) >= found.threshold) & ~shut


def audit_sample(suggested: Sequence[str], size: int, *, minimum: int = 2, seed: int = 0) -> np.ndarray:
    """Rows of a round's routed samples that people check, some of each class."""
    return audit.draw(suggested, size, minimum=minimum, seed=seed)


def closed(audits: pl.DataFrame, *, target: float, level: float = LEVEL) -> list[str]:
    """Classes that may no longer be routed, and ALL where no sample may.

    audits: round, label, right (bool), one row for each sample audited. After each round an exact test asks whether all
    audits so far of a class, and of all classes, would be so bad were their accuracy `target`; each of these series
    has an equal part of the error 1 - level. What is closed stays closed. Where rare classes are audited more than they
    are common, ALL speaks of the audits: it closes sooner if they are worse than the common ones.
    """
    names = sorted(audits["label"].unique().to_list())
    share = (1 - level) / (len(names) + 1)
    return [
        name for name in (ALL, *names) if _falls(audits if name == ALL else audits.filter(label=name), target, share)
    ]


def _falls(audits: pl.DataFrame, target: float, error: float) -> bool:
    by_round = audits.group_by("round").agg(pl.col("right").sum(), pl.len().alias("n")).sort("round")
    right, n = by_round["right"].cum_sum().to_list(), by_round["n"].cum_sum().to_list()
    return any(
        stats.binom.cdf(r, k, target) <= error / (t * (t + 1)) for t, (r, k) in enumerate(zip(right, n, strict=True), 1)
    )
