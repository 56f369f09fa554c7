"""How good f is on a held-out split: labels and calibrated probabilities in, one flat record out."""

from __future__ import annotations

from collections.abc import Collection

import numpy as np

from adde_ray.labels import holds
from adde_ray.methods.metrics.confusion import Counts, answers, count

BINS = 15
"""Equal-width bins of confidence, for the calibration error and the reliability curve."""


def evaluate(labels: np.ndarray, proba: np.ndarray, classes: tuple[str, ...], rare: Collection[str] = ()) -> dict:
    """Quality of (n, C) probabilities against (n,) class rows, over the classes that occur in `labels`.

    In [0, 1]: macro_f1, micro_f1 and accuracy (which are the same where one class holds), balanced_accuracy (the mean
    recall), worst_class_recall, rare_recall (the mean recall of `rare`), macro_auroc and macro_auprc (each class
    against the rest), ece; recall and precision by class. nll in nats. reliability: see `reliability_curve`.
    rare_recall is absent where no rare class occurs, the areas where there is only one class. {} for no rows.
    (n, C) targets of a multi-label task: see `evaluate_multi`.
    """
    if len(labels) == 0:
        return {}
    if labels.ndim == 2:
        return evaluate_multi(labels, proba, classes, rare)
    right = proba.argmax(axis=1) == labels
    hits, positives, predicted = counts = count(labels, proba)
    present = np.flatnonzero(positives)
    said = np.clip(proba[np.arange(len(labels)), labels].astype(float), 1e-7, 1.0)
    truth = holds(labels, len(classes))
    recall = hits[present] / positives[present]
    rows = {
        "macro_f1": (2 * hits[present] / (positives + predicted)[present]).mean(),
        "micro_f1": right.mean(),
        "accuracy": right.mean(),
        "balanced_accuracy": recall.mean(),
        "ece": calibration_error(labels, proba),
        "nll": np.log(1 / said).mean(),
        **_macro_areas([(proba[:, c], truth[:, c]) for c in present]),
    }
    curve = reliability_curve(proba.max(axis=1), right)
    return _record(rows, classes, present, counts, rare) | {"reliability": curve}


def headline(labels: np.ndarray, proba: np.ndarray, num_classes: int) -> dict[str, float]:
    """`evaluate`'s macro_f1 and accuracy alone, at a fraction of its cost; of n >= 1 rows."""
    if labels.ndim == 2:
        found = evaluate_multi(labels, proba, tuple(map(str, range(num_classes))))
        return {name: found[name] for name in ("macro_f1", "accuracy")}
    hits, positives, predicted = count(labels, proba)
    present = positives > 0
    f1 = (2 * hits[present] / (positives + predicted)[present]).mean()
    return {"macro_f1": round(float(f1), 6), "accuracy": round(float(hits.sum() / len(labels)), 6)}


def rare_classes(classes: tuple[str, ...], seed: np.ndarray, val: np.ndarray) -> tuple[str, ...]:
    """The rarest third of the classes: those with the fewest labels in the seed set, among equals in val.

    Equals stay together, so it may be more than a third; it is none where all classes are equal. Seed set and val are
    the labels a run is given: they are the same for every strategy and in every round, and nothing hidden is read.
    The seed set counts first, since val is often made balanced, and what the seed set lacks is what is hard to find.
    """
    counts = [holds(labels, len(classes)).sum(axis=0).tolist() for labels in (seed, val)]
    counts = list(zip(*counts, strict=True))
    limit = sorted(counts)[-(-len(classes) // 3) - 1]
    found = tuple(c for c, n in zip(classes, counts, strict=True) if n <= limit)
    return found if len(found) < len(classes) else ()


def forgetting(best: dict[str, float], recall: dict[str, float]) -> tuple[float, dict[str, float]]:
    """[0, 1]: how far recall lies under the best it has been, the mean over the classes; and the best up to now.

    best: class -> its best recall in the rounds before. After Chaudhry et al. 2018, but a class that is better than
    ever counts 0, not less, so that it cannot hide one that was forgotten.
    """
    now = {c: max(r, best.get(c, 0.0)) for c, r in recall.items()}
    return float(np.mean([now[c] - r for c, r in recall.items()])) if recall else 0.0, best | now


def regressions(before: dict, now: dict) -> dict[str, dict[str, float]]:
    """Classes whose recall fell from one round's `evaluate` to the next: class -> recall `from` and `to`."""
    old, new = before.get("recall", {}), now.get("recall", {})
    return {c: {"from": old[c], "to": new[c]} for c in sorted(old.keys() & new.keys()) if new[c] < old[c]}


def evaluate_multi(
    targets: np.ndarray, proba: np.ndarray, classes: tuple[str, ...], rare: Collection[str] = ()
) -> dict:
    """The same of (n, C) multi-label targets; NaN ones are left out everywhere.

    A class is predicted from `labels.PRESENT` on. macro_f1, worst_class_recall, recall and precision are over the
    classes with a positive; accuracy is the share of samples with every known class right; balanced_accuracy is the
    mean of recall and specificity, and like the areas over the classes with both outcomes; ece is class by class,
    averaged (Kull et al. 2019), the reliability curve over all classes together; nll is per sample and class.
    """
    known, true, said = answers(targets, proba)
    hits, positives, predicted = counts = count(targets, proba)
    negatives = known.sum(axis=0) - positives
    present, both = np.flatnonzero(positives), np.flatnonzero((positives > 0) & (negatives > 0))
    some = known.any(axis=1)
    right = (said == true) | ~known
    p, y = np.clip(proba[known].astype(float), 1e-7, 1 - 1e-7), true[known]
    specificity = 1 - (predicted - hits)[both] / negatives[both]
    rows = {
        "macro_f1": (2 * hits[present] / (positives + predicted)[present]).mean() if len(present) else 0.0,
        "micro_f1": 2 * hits.sum() / max((positives + predicted).sum(), 1),
        "accuracy": right[some].all(axis=1).mean() if some.any() else 0.0,
        "ece": np.mean(errors) if (errors := _calibration_by_class(targets, proba)) else 0.0,
        "nll": -np.log(np.where(y, p, 1 - p)).mean() if len(p) else 0.0,
        **_macro_areas([(proba[known[:, c], c], true[known[:, c], c]) for c in both]),
    }
    if len(both):
        rows["balanced_accuracy"] = (hits[both] / positives[both] + specificity).mean() / 2
    curve = reliability_curve(proba[known], y)
    return _record(rows, classes, present, counts, rare) | {"reliability": curve}


def areas(scores: np.ndarray, true: np.ndarray) -> tuple[float, float]:
    """Area under the ROC curve and average precision of n scores, both in [0, 1]; some are true and some not.

    What scikit-learn's roc_auc_score and average_precision_score give, a hundred times as fast on a few hundred rows:
    all that is needed is how many scores lie under and how many up to each true one.
    """
    ordered, own = np.sort(scores), np.sort(scores[true])
    below, upto = (np.searchsorted(ordered, own, side) for side in ("left", "right"))
    n, p = len(ordered), len(own)
    auroc = ((below + upto + 1).sum() / 2 - p * (p + 1) / 2) / (p * (n - p))
    return float(auroc), float(((p - np.searchsorted(own, own, "left")) / (n - below)).mean())


def reliability_curve(confidence: np.ndarray, correct: np.ndarray, bins: int = BINS) -> dict[str, list]:
    """Of each bin with rows in it, in order: mean confidence, share correct (both in [0, 1]), rows."""
    which = _bin(confidence, bins)
    rows = np.bincount(which, minlength=bins)
    sums = (np.bincount(which, weights=values, minlength=bins) for values in (confidence, correct))
    mean, share = (np.round(total[rows > 0] / rows[rows > 0], 4).tolist() for total in sums)
    return {"confidence": mean, "accuracy": share, "rows": rows[rows > 0].tolist()}


def calibration_error(labels: np.ndarray, proba: np.ndarray, bins: int = BINS) -> float:
    """Expected calibration error in [0, 1] over equal-width bins of confidence (Naeini et al. 2015)."""
    return _gap_by_bin(proba.max(axis=1), proba.argmax(axis=1) == labels, bins)


def _record(rows: dict, classes: tuple[str, ...], present: np.ndarray, counts: Counts, rare: Collection[str]) -> dict:
    """`rows` with what is made of recall, rounded; recall and precision by class. present: rows of the classes."""
    hits, positives, predicted = counts
    recall = hits[present] / positives[present]
    rows = {**rows, "worst_class_recall": recall.min(initial=1.0) if len(present) else 0.0}
    if len(scarce := [r for c, r in zip(present, recall, strict=True) if classes[c] in rare]):
        rows["rare_recall"] = np.mean(scarce)
    by_class = {"recall": recall, "precision": hits[present] / np.maximum(predicted[present], 1)}
    return {name: round(float(value), 6) for name, value in rows.items()} | {
        name: {classes[c]: round(float(x), 6) for c, x in zip(present, values, strict=True)}
        for name, values in by_class.items()
    }


def _macro_areas(by_class: list[tuple[np.ndarray, np.ndarray]]) -> dict[str, float]:
    """macro_auroc and macro_auprc of (scores, truth) of classes; nothing where no class has both outcomes."""
    found = [areas(scores, true) for scores, true in by_class if not true.all()]
    return dict(zip(("macro_auroc", "macro_auprc"), np.mean(found, axis=0), strict=True)) if found else {}


def _calibration_by_class(targets: np.ndarray, proba: np.ndarray, bins: int = BINS) -> list[float]:
    by_class = zip(targets.T, proba.T, strict=True)
    return [_gap_by_bin(p[known], y[known], bins) for y, p in by_class if (known := ~np.isnan(y)).any()]


def _bin(confidence: np.ndarray, bins: int) -> np.ndarray:
    return np.minimum((confidence * bins).astype(int), bins - 1)


def _gap_by_bin(confidence: np.ndarray, correct: np.ndarray, bins: int) -> float:
    which = _bin(confidence, bins)
    gap = np.bincount(which, weights=confidence, minlength=bins) - np.bincount(which, weights=correct, minlength=bins)
    return float(np.abs(gap).sum() / len(confidence))
