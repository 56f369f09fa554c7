"""Which of several models val favours: calibrated probabilities (v, C) of each, and labels → the one to keep."""

from __future__ import annotations

import numpy as np

from adde_ray.methods.metrics.confusion import answers, weighted

DRAWS = 200
"""Bootstrap draws of val."""


def favoured(proba: list[np.ndarray], labels: np.ndarray, *, incumbent: int = 0, seed: int) -> int:
    """The model with the best macro-F1 on val; the incumbent, unless another's is larger by more than a standard error.

    The error is of the paired difference, by bootstrap over val's rows: the one-standard-error rule (Breiman et al.
    1984). Val is small, and what it tells by luck it tells otherwise in the next round.
    proba: (v, C) of each model. labels: (v,) class rows, or (v, C) targets of a multi-label task, NaN = not known.
    """
    if len(labels) == 0 or len(proba) == 1:
        return incumbent
    drawn = np.random.default_rng(seed).multinomial(len(labels), np.full(len(labels), 1 / len(labels)), size=DRAWS)
    weights = np.concatenate([np.ones((1, len(labels))), drawn]).astype(np.float32)
    f1 = np.stack([macro_f1(p, labels, weights) for p in proba])
    gain = f1 - f1[incumbent]
    clear = gain[:, 0] > gain[:, 1:].std(axis=1)
    clear[incumbent] = True
    return int(np.where(clear, f1[:, 0], -1.0).argmax())


def macro_f1(proba: np.ndarray, labels: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """(b,) macro-F1 in [0, 1] over the classes that occur, under each of b weightings (b, v) of the rows."""
    _, true, said = answers(labels, proba)
    hits, positives, predicted = weighted(weights, true, said)
    occur = true.any(axis=0)
    if not occur.any():
        return np.zeros(len(weights))
    return (2 * hits / np.maximum(predicted + positives, 1e-9))[:, occur].mean(axis=1, dtype=np.float64)
