"""Evaluation against cases one can check by hand."""

import numpy as np
import pytest

from adde_ray.methods.evaluation import calibration_error, evaluate, regressions

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
    assert all(np.isfinite(v) for k, v in record.items() if k != "recall")
    assert "macro_auroc" not in record
