"""Who is asked again: another opinion only where those so far leave doubt."""

from __future__ import annotations

import numpy as np


def wanted(proba: np.ndarray, answers: np.ndarray, *, confidence: float, most: int) -> np.ndarray:
    """(n,) bool: whether an item wants another opinion: it has fewer than `most` answers, and none or its likeliest
    class has a probability below `confidence`.

    proba: (n, C) as `belief` gives it. answers: (n,) answers so far.
    """
    return (answers < most) & ((answers == 0) | (proba.max(axis=1) < confidence))


def order(proba: np.ndarray, answers: np.ndarray) -> np.ndarray:
    """(n,) rows: the least confident item first; of equals the one with fewer answers, then the first."""
    return np.lexsort((np.arange(len(answers)), answers, np.round(proba.max(axis=1), 9)))
