"""How good f is on a held-out split: labels and calibrated probabilities in, one flat record out."""

from __future__ import annotations

import numpy as np
from sklearn.metrics import accuracy_score, f1_score, recall_score


def evaluate(labels: np.ndarray, proba: np.ndarray, classes: tuple[str, ...]) -> dict:
    """Quality of (n, C) probabilities against (n,) class rows, over the classes that occur in `labels`.

    macro_f1, accuracy, worst_class_recall, ece in [0, 1]; nll in nats; recall by class. {} for no rows.
    """
    if len(labels) == 0:
        return {}
    predicted = proba.argmax(axis=1)
    present = np.unique(labels)
    recall = recall_score(labels, predicted, labels=present, average=None, zero_division=0)
    rows = {
        "macro_f1": f1_score(labels, predicted, labels=present, average="macro", zero_division=0),
        "accuracy": accuracy_score(labels, predicted),
        "worst_class_recall": recall.min(),
        "ece": calibration_error(labels, proba),
        "nll": np.log(1 / np.clip(proba[np.arange(len(labels)), labels].astype(float), 1e-7, 1.0)).mean(),
    }
    return {name: round(float(value), 6) for name, value in rows.items()} | {
        "recall": {classes[c]: round(float(r), 6) for c, r in zip(present, recall, strict=True)}
    }


def regressions(before: dict, now: dict) -> dict[str, dict[str, float]]:
    """Classes whose recall fell from one round's `evaluate` to the next: class -> recall `from` and `to`."""
    old, new = before.get("recall", {}), now.get("recall", {})
    return {c: {"from": old[c], "to": new[c]} for c in sorted(old.keys() & new.keys()) if new[c] < old[c]}


def calibration_error(labels: np.ndarray, proba: np.ndarray, bins: int = 15) -> float:
    """Expected calibration error in [0, 1] over equal-width bins of confidence (Naeini et al. 2015)."""
    confidence = proba.max(axis=1)
    correct = proba.argmax(axis=1) == labels
    which = np.minimum((confidence * bins).astype(int), bins - 1)
    gap = np.bincount(which, weights=confidence, minlength=bins) - np.bincount(which, weights=correct, minlength=bins)
    return float(np.abs(gap).sum() / len(labels))
