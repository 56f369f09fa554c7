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
