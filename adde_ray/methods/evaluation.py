"""How good f is on a held-out split: labels and calibrated probabilities in, one flat record out."""

from __future__ import annotations

import numpy as np
from sklearn.metrics import accuracy_score, average_precision_score, f1_score, recall_score, roc_auc_score

from adde_ray.labels import PRESENT


def evaluate(labels: np.ndarray, proba: np.ndarray, classes: tuple[str, ...]) -> dict:
    """Quality of (n, C) probabilities against (n,) class rows, over the classes that occur in `labels`.

    macro_f1, accuracy, worst_class_recall, ece in [0, 1]; nll in nats; recall by class. {} for no rows.
    (n, C) targets of a multi-label task: see `evaluate_multi`.
    """
    if len(labels) == 0:
        return {}
    if labels.ndim == 2:
        return evaluate_multi(labels, proba, classes)
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


def evaluate_multi(targets: np.ndarray, proba: np.ndarray, classes: tuple[str, ...]) -> dict:
    """The same of (n, C) multi-label targets; NaN ones are left out everywhere.

    A class is predicted from `labels.PRESENT` on. macro_f1, worst_class_recall and recall are over the classes with
    a positive; accuracy is the share of samples with every known class right; ece is class by class, averaged (Kull
    et al. 2019); nll is per sample and class. Beside them micro_f1, and macro_auroc and macro_auprc over the classes
    with both outcomes, absent where there is none. All but nll lie in [0, 1].
    """
    known, holds, predicted = ~np.isnan(targets), targets == 1, proba >= PRESENT
    hits, misses = (predicted & holds).sum(axis=0), (~predicted & holds).sum(axis=0)
    false = (predicted & known & ~holds).sum(axis=0)
    positives = hits + misses
    present = np.flatnonzero(positives)
    f1, recall = 2 * hits / np.maximum(positives + hits + false, 1), hits / np.maximum(positives, 1)
    some = known.any(axis=1)
    right = (predicted == holds) | ~known
    p = np.clip(proba[known].astype(float), 1e-7, 1 - 1e-7)
    rows = {
        "macro_f1": f1[present].mean() if len(present) else 0.0,
        "micro_f1": 2 * hits.sum() / max((positives + hits + false).sum(), 1),
        "accuracy": right[some].all(axis=1).mean() if some.any() else 0.0,
        "worst_class_recall": recall[present].min(initial=1.0) if len(present) else 0.0,
        "ece": np.mean(errors) if (errors := _calibration_by_class(targets, proba)) else 0.0,
        "nll": -np.log(np.where(holds[known], p, 1 - p)).mean() if known.any() else 0.0,
    }
    both = [c for c in present if (targets[:, c] == 0).any()]
    for name, score in (("macro_auroc", roc_auc_score), ("macro_auprc", average_precision_score)):
        if both:
            rows[name] = np.mean([score(holds[known[:, c], c], proba[known[:, c], c]) for c in both])
    return {name: round(float(value), 6) for name, value in rows.items()} | {
        "recall": {classes[c]: round(float(recall[c]), 6) for c in present}
    }


def calibration_error(labels: np.ndarray, proba: np.ndarray, bins: int = 15) -> float:
    """Expected calibration error in [0, 1] over equal-width bins of confidence (Naeini et al. 2015)."""
    return _gap_by_bin(proba.max(axis=1), proba.argmax(axis=1) == labels, bins)


def _calibration_by_class(targets: np.ndarray, proba: np.ndarray, bins: int = 15) -> list[float]:
    by_class = zip(targets.T, proba.T, strict=True)
    return [_gap_by_bin(p[known], y[known], bins) for y, p in by_class if (known := ~np.isnan(y)).any()]


def _gap_by_bin(confidence: np.ndarray, correct: np.ndarray, bins: int) -> float:
    which = np.minimum((confidence * bins).astype(int), bins - 1)
    gap = np.bincount(which, weights=confidence, minlength=bins) - np.bincount(which, weights=correct, minlength=bins)
    return float(np.abs(gap).sum() / len(confidence))
