"""Quality assurance: a sample of decided labels that somebody checks, and what it says of each class.

Rare classes have a minimum in the sample, so that they can be judged; overall accuracy weighs the classes as they are
in what was sampled from (a stratified estimate).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from adde_ray import labels as codec
from adde_ray.methods.crowd.intervals import Figure
from adde_ray.methods.stats.random_share import wilson


def draw(labels: Sequence[str], size: int, *, minimum: int = 5, multi: bool = False, seed: int = 0) -> np.ndarray:
    """(k,) rows, ascending: `minimum` of each class (all of it, where it has fewer), and others up to `size` by chance.

    k is above `size` only where the minima are. multi: a label counts for its rarest class.
    """
    classes = np.array(codec.rarest(labels) if multi else list(labels), dtype=object)
    rng = np.random.default_rng(seed)
    order = rng.permutation(len(classes))
    taken: list[int] = []
    for name in sorted(set(classes.tolist())):
        taken += order[classes[order] == name][:minimum].tolist()
    rest = order[~np.isin(order, taken)]
    taken += rest[: max(0, size - len(taken))].tolist()
    return np.array(sorted(taken), dtype=int)


@dataclass(frozen=True)
class Quality:
    """Accuracy by class, and overall; n: rows checked. A class without a checked row has NaN and [0, 1]."""

    classes: dict[str, Figure]
    overall: Figure


def quality(checked: Sequence[str], right: np.ndarray, population: Sequence[str], *, multi: bool = False) -> Quality:
    """What a check says. checked: labels of the sample; right: (k,) bool; population: labels of all it was drawn from.

    Intervals are Wilson's; the overall one has the effective size of the stratified sample. Classes that nobody checked
    count as the others' mean, and widen it.
    """
    names = sorted(set(_class(population, multi)))
    sample, right = np.array(_class(checked, multi), dtype=object), np.asarray(right, dtype=bool)
    everyone = np.array(_class(population, multi), dtype=object)
    found, means, weights, variances = {}, [], [], []
    for name in names:
        own = right[sample == name]
        share = wilson(float(own.mean()) if len(own) else 0.0, len(own))
        found[name] = Figure(share.value if len(own) else float("nan"), share.low, share.high, len(own))
        weights.append(float(np.mean(everyone == name)))
        smoothed = (own.sum() + 1) / (len(own) + 2)  # a class in which all were right is not known without error
        means.append(own.mean() if len(own) else np.nan)
        variances.append(smoothed * (1 - smoothed) / len(own) if len(own) else 0.25)
    return Quality(found, _overall(np.array(means), np.array(weights), np.array(variances), len(right)))


def _overall(means: np.ndarray, weights: np.ndarray, variances: np.ndarray, n: int) -> Figure:
    known = ~np.isnan(means)
    if not known.any():
        return Figure(float("nan"), 0.0, 1.0, 0)
    value = float(weights[known] @ means[known] / weights[known].sum())
    variance = float(weights**2 @ variances)
    inner = min(max(value, 1 / (n + 2)), 1 - 1 / (n + 2))
    share = wilson(value, min(inner * (1 - inner) / variance, n))
    return Figure(value, share.low, share.high, n)


def _class(labels: Sequence[str], multi: bool) -> list[str]:
    return codec.rarest(labels) if multi else list(labels)
