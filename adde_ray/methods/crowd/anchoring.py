"""Whether people accept a guess because they saw it: acceptance where it was shown against where it was hidden.

The difference speaks of the guess alone only where chance decided which questions hid it.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from adde_ray.methods.crowd.intervals import Figure
from adde_ray.methods.stats.random_share import wilson


@dataclass(frozen=True)
class Anchoring:
    """shown, hidden: share of answers equal to the guess. difference: shown - hidden; NaN where one has no answer."""

    shown: Figure
    hidden: Figure
    difference: Figure


def anchoring(accepted: np.ndarray, shown: np.ndarray) -> Anchoring:
    """accepted: (n,) bool, whether the answer is what the model guessed; shown: (n,) bool, whether it was seen first.

    The interval of the difference is Newcombe's (1998), from Wilson's of both. Given the answers alone whose guess was
    wrong, it says how many wrong labels the guess brings in.
    """
    accepted, shown = np.asarray(accepted, dtype=bool), np.asarray(shown, dtype=bool)
    with_guess, without = _share(accepted[shown]), _share(accepted[~shown])
    gap = with_guess.value - without.value
    low = gap - np.hypot(with_guess.value - with_guess.low, without.high - without.value)
    high = gap + np.hypot(with_guess.high - with_guess.value, without.value - without.low)
    return Anchoring(with_guess, without, Figure(float(gap), float(low), float(high), len(accepted)))


def _share(right: np.ndarray) -> Figure:
    if not len(right):
        return Figure(float("nan"), 0.0, 1.0, 0)
    found = wilson(float(right.mean()), len(right))
    return Figure(found.value, found.low, found.high, len(right))
