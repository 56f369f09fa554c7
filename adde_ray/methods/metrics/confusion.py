"""What f says held against what is true, class by class: labels and probabilities in → counts out.

Every figure of classification here is made of these counts. Labels are (n,) class rows, or the (n, C) targets of a
multi-label task, of which NaN ones, that nobody knows, count nowhere.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from adde_ray.labels import PRESENT, holds


class Counts(NamedTuple):
    """Rows by class, (C,) or (w, C) under w weightings: truly of it and said to be, truly of it, said to be of it."""

    hits: np.ndarray
    positives: np.ndarray
    predicted: np.ndarray


def answers(labels: np.ndarray, proba: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """(n, C) bool each: what is known, what holds, and what (n, C) probabilities say holds, of what is known."""
    num = proba.shape[1]
    true = holds(labels, num)
    if labels.ndim == 1:
        return np.ones_like(true), true, holds(proba.argmax(axis=1), num)
    known = ~np.isnan(labels)
    return known, true, (proba >= PRESENT) & known


def count(labels: np.ndarray, proba: np.ndarray) -> Counts:
    """(C,) int counts of n rows."""
    if labels.ndim == 1:  # as `answers` has it, without its matrices
        said, num = proba.argmax(axis=1), proba.shape[1]
        return Counts(*(np.bincount(rows, minlength=num) for rows in (labels[said == labels], labels, said)))
    _, true, said = answers(labels, proba)
    return Counts(*(part.sum(axis=0) for part in (true & said, true, said)))


def weighted(weights: np.ndarray, true: np.ndarray, said: np.ndarray) -> Counts:
    """(w, C) counts of rows that count `weights` (w, n) times, in its float type. true, said: (n, C) bool."""
    return Counts(*(weights @ part.astype(weights.dtype) for part in (true & said, true, said)))
