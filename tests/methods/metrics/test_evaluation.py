"""Evaluation against cases one can check by hand."""

import numpy as np
import pytest
from sklearn import metrics as sklearn_metrics

from adde_ray.labels import holds
from adde_ray.methods.metrics.evaluation import (
    areas,
    calibration_error,
    evaluate,
    forgetting,
    headline,
    rare_classes,
    regressions,
    reliability_curve,
)

CLASSES = ("a", "b", "c")


def test_perfect():
    record = evaluate(np.array([0, 1, 2]), np.eye(3, dtype=np.float32), CLASSES)
    assert record["macro_f1"] == record["accuracy"] == record["worst_class_recall"] == 1
    assert record["ece"] == 0 and record["recall"] == {"a": 1, "b": 1, "c": 1}


def test_one_class_missed_entirely():
    proba = np.array([[0.9, 0.1, 0], [0.9, 0.1, 0], [0.1, 0.9, 0], [0.8, 0.2, 0]], dtype=np.float32)
    record = evaluate(np.array([0, 0, 1, 1]), proba, CLASSES)
    assert record["recall"] == {"a": 1, "b": 0.5}  # c does not occur
    assert record["worst_class_recall"] == 0.5 and record["accuracy"] == 0.75
    assert record["macro_f1"] == pytest.approx((0.8 + 2 / 3) / 2, abs=1e-6)


def test_regressions_are_the_classes_that_fell():
    before, now = {"recall": {"a": 1.0, "b": 0.5, "c": 0.2}}, {"recall": {"a": 0.8, "b": 0.5, "c": 0.3, "d": 0.0}}
    assert regressions(before, now) == {"a": {"from": 1.0, "to": 0.8}}
    assert regressions({}, now) == regressions(before, {}) == {}


def test_no_rows():
    assert evaluate(np.zeros(0, int), np.zeros((0, 3), np.float32), CLASSES) == {}


def test_calibration_error_is_the_gap_between_confidence_and_accuracy():
    proba = np.tile([0.9, 0.1], (10, 1))
    labels = np.array([0] * 5 + [1] * 5)
    assert calibration_error(labels, proba) == pytest.approx(0.4)


def test_finite_at_certainty_of_the_wrong_class():
    assert np.isfinite(evaluate(np.array([0]), np.array([[0.0, 1.0, 0.0]], dtype=np.float32), CLASSES)["nll"])


NAN = np.nan


def test_multi_label_by_hand():
    targets = np.array([[1, 0, 0], [1, 1, NAN], [0, 1, 0], [0, 0, NAN]], dtype=np.float32)
    proba = np.array([[0.9, 0.2, 0.1], [0.4, 0.8, 0.9], [0.1, 0.6, 0.8], [0.2, 0.7, 0.9]], dtype=np.float32)
    record = evaluate(targets, proba, CLASSES)
    assert record["recall"] == {"a": 0.5, "b": 1.0} and record["worst_class_recall"] == 0.5  # c has no positive
    assert record["macro_f1"] == pytest.approx((2 / 3 + 4 / 5) / 2, abs=1e-6)
    assert record["micro_f1"] == pytest.approx(2 * 3 / (2 * 3 + 1 + 2), abs=1e-6)  # 3 hits, 1 miss, 2 false alarms
    assert record["accuracy"] == 0.25  # the first sample alone: a class that is not known cannot be wrong
    assert record["macro_auroc"] == pytest.approx((1.0 + 0.75) / 2)  # b: 0.6 lies under the negative's 0.7
    said = [0.9, 0.8, 0.9, 0.4, 0.8, 0.9, 0.6, 0.2, 0.8, 0.3]  # what was said of each known answer
    assert record["nll"] == pytest.approx(-np.mean(np.log(said)), abs=1e-5)
    assert all(0 <= record[k] <= 1 for k in ("ece", "macro_auprc"))


def test_multi_label_perfect_and_calibrated():
    targets = np.eye(3, dtype=np.float32)
    record = evaluate(targets, targets, CLASSES)
    names = ("macro_f1", "micro_f1", "accuracy", "worst_class_recall", "macro_auroc", "macro_auprc")
    assert {record[name] for name in names} == {1} and record["ece"] == 0
    half = evaluate(np.array([[1.0], [0.0]], np.float32), np.full((2, 1), 0.5, np.float32), ("a",))
    assert half["ece"] == pytest.approx(0)


@pytest.mark.parametrize("fill", [NAN, 0.0, 1.0])
def test_multi_label_degenerate_targets_give_finite_figures(fill):
    record = evaluate(np.full((4, 3), fill, np.float32), np.full((4, 3), 0.3, np.float32), CLASSES)
    assert all(np.isfinite(v) for v in record.values() if isinstance(v, float))
    assert not {"macro_auroc", "macro_auprc", "balanced_accuracy"} & record.keys()


def drawn(n: int, num: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Labels and probabilities that have to do with them, rounded so that some are equal."""
    rng = np.random.default_rng(seed)
    labels = rng.integers(num, size=n)
    proba = np.round(rng.dirichlet(np.ones(num), n) + np.eye(num)[labels] * 0.3, 2) + 0.001
    return labels, (proba / proba.sum(axis=1, keepdims=True)).astype(np.float32)


def test_figures_are_scikit_learns():
    labels, proba = drawn(200, 4)
    labels[labels == 3] = 0  # class 3 is predicted, and never true
    said, names = proba.argmax(axis=1), ("a", "b", "c", "d")
    record = evaluate(labels, proba, names, rare=("b", "d"))
    assert record["micro_f1"] == record["accuracy"] == pytest.approx(sklearn_metrics.accuracy_score(labels, said))
    options = {"labels": [0, 1, 2], "average": None, "zero_division": 0}
    for name, score in (("recall", "recall_score"), ("precision", "precision_score")):
        by_class = getattr(sklearn_metrics, score)(labels, said, **options)
        assert record[name] == pytest.approx(dict(zip("abc", by_class, strict=True)), abs=1e-6)
    assert record["macro_f1"] == pytest.approx(sklearn_metrics.f1_score(labels, said, **options).mean(), abs=1e-6)
    balanced = sklearn_metrics.recall_score(labels, said, **options).mean()
    assert record["balanced_accuracy"] == pytest.approx(balanced, abs=1e-6)
    true = holds(labels, 4)
    for name, score in (("macro_auroc", "roc_auc_score"), ("macro_auprc", "average_precision_score")):
        each = [getattr(sklearn_metrics, score)(true[:, c], proba[:, c]) for c in range(3)]
        assert record[name] == pytest.approx(np.mean(each), abs=1e-6)
    assert record["rare_recall"] == record["recall"]["b"]  # d does not occur
    assert headline(labels, proba, 4) == {k: record[k] for k in ("macro_f1", "accuracy")}


def test_areas_where_all_scores_are_equal():
    assert areas(np.full(5, 0.3), np.array([1, 0, 0, 0, 1], bool)) == (0.5, 0.4)


def test_multi_label_precision_balance_and_rarity():
    targets = np.array([[1, 0], [1, 1], [0, 1], [0, NAN]], dtype=np.float32)
    proba = np.array([[0.9, 0.6], [0.1, 0.8], [0.7, 0.2], [0.2, 0.9]], dtype=np.float32)
    record = evaluate(targets, proba, ("a", "b"), rare=("b",))
    assert record["precision"] == {"a": 0.5, "b": 0.5} and record["rare_recall"] == 0.5
    assert record["balanced_accuracy"] == pytest.approx(((0.5 + 0.5) / 2 + (0.5 + 0.0) / 2) / 2)
    assert sum(record["reliability"]["rows"]) == 7
    assert headline(targets, proba, 2) == {k: record[k] for k in ("macro_f1", "accuracy")}


@pytest.mark.parametrize("multi", [False, True])
def test_the_order_of_rows_does_not_matter(multi):
    labels, proba = drawn(60, 3)
    labels = holds(labels, 3).astype(np.float32) if multi else labels
    order = np.random.default_rng(1).permutation(60)
    assert evaluate(labels[order], proba[order], CLASSES) == evaluate(labels, proba, CLASSES)


def test_one_class_has_no_areas():
    record = evaluate(np.zeros(3, int), np.full((3, 2), 0.5, np.float32), ("a", "b"))
    assert not {"macro_auroc", "macro_auprc", "rare_recall"} & record.keys() and record["recall"] == {"a": 1}


def test_reliability_has_the_bins_with_rows():
    curve = reliability_curve(np.array([0.05, 0.06, 0.95, 1.0]), np.array([0, 1, 1, 1]), bins=10)
    assert curve == {"confidence": [0.055, 0.975], "accuracy": [0.5, 1.0], "rows": [2, 2]}
    assert reliability_curve(np.zeros(0), np.zeros(0)) == {"confidence": [], "accuracy": [], "rows": []}


@pytest.mark.parametrize(
    ("seed", "val", "expected"),
    [
        ([0, 0, 1, 2, 3, 3], [0, 1, 2, 3, 4, 5], ("e", "f")),
        ([0, 0, 1, 1, 2, 2], [0, 0, 1, 2, 2, 2, 3, 3, 4, 4, 4, 5], ("d", "f")),
        ([0, 1, 2], [3, 3, 4, 4, 5, 5], ("d", "e", "f")),  # equals stay together
        ([0, 1, 2, 3, 4, 5], [0, 1, 2, 3, 4, 5], ()),
    ],
)
def test_rare_is_what_seed_set_and_val_have_least_of(seed, val, expected):
    names = ("a", "b", "c", "d", "e", "f")
    assert rare_classes(names, np.array(seed), np.array(val)) == expected
    as_targets = [holds(np.array(labels), 6).astype(np.float32) for labels in (seed, val)]
    assert rare_classes(names, *as_targets) == expected


def test_forgetting_is_from_the_best():
    far, best = forgetting({}, {"a": 0.5, "b": 0.5})
    assert far == 0 and best == {"a": 0.5, "b": 0.5}
    far, best = forgetting({"a": 0.9, "c": 1.0}, {"a": 0.5, "b": 0.7})
    assert far == pytest.approx(0.2) and best == {"a": 0.9, "b": 0.7, "c": 1.0}
    assert forgetting({}, {}) == (0.0, {})
