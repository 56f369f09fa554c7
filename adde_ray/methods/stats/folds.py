"""Rows cut into parts, each of which is held out in turn."""

from __future__ import annotations

import numpy as np


def spread(labels: np.ndarray, parts: int, rng: np.random.Generator) -> np.ndarray:
    """(n,) a part in 0 … parts - 1 for each row: the rows of a class are spread evenly, and so are the parts' sizes.

    labels: (n,) class rows, or (n, C) targets of a multi-label task, which are spread by chance.
    """
    order = rng.permutation(len(labels))
    if labels.ndim == 1:
        order = order[np.argsort(labels[order], kind="stable")]
    found = np.zeros(len(labels), dtype=int)
    found[order] = np.arange(len(labels)) % parts
    return found
