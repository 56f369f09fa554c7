"""Figures of one learning curve: labels bought (L,) and a figure (L,) that is better when larger."""

from __future__ import annotations

import numpy as np
from scipy.integrate import trapezoid


def on_grid(labels: np.ndarray, values: np.ndarray, grid: np.ndarray) -> np.ndarray:
    """The curve at other numbers of labels: straight lines between its points, its last value from there on.

    Of several points with as many labels the last counts: it is what the strategy ends up with for them.
    """
    order = np.argsort(labels, kind="stable")
    at, given = np.asarray(labels)[order], np.asarray(values, dtype=float)[order]
    last = np.append(at[1:] != at[:-1], True)
    return np.interp(grid, at[last], given[last])


def area(labels: np.ndarray, values: np.ndarray) -> float:
    """The mean over the curve, trapezoids between its points; the value itself for one point."""
    width = float(labels[-1] - labels[0])
    return float(trapezoid(values, labels) / width) if width else float(values[-1])


def labels_to(labels: np.ndarray, values: np.ndarray, level: float) -> float:
    """Labels at the first point that is at least `level`; inf when there is none: never, within this budget."""
    reached = np.flatnonzero(np.asarray(values) >= level - 1e-12)
    return float(labels[reached[0]]) if len(reached) else np.inf


def largest_fall(values: np.ndarray) -> float:
    """How far the curve was, at its worst, below the best it had been; 0 = it never fell."""
    return float((np.maximum.accumulate(values) - values).max())
