import json

import numpy as np
import pytest

from adde_ray.labels import holds
from adde_ray.methods.metrics.amplification import amplification, imbalance, misstatement


def test_imbalance_is_the_distance_to_the_target():
    even = np.full(4, 0.25)
    assert imbalance(np.array([5, 5, 5, 5]), even) == 0
    assert imbalance(np.array([9, 0, 0, 0]), even) == 0.75
    assert imbalance(np.array([3, 1]), np.array([0.75, 0.25])) == 0
    assert imbalance(np.zeros(4), even) == 0


def test_misstatement_by_hand():
    labels = np.array([0, 0, 1, 1])
    proba = np.eye(3, dtype=np.float32)[[0, 0, 0, 2]]  # says 3/4, 0, 1/4 where 1/2, 1/2, 0 is true
    assert misstatement(labels, proba) == pytest.approx(0.5)
    assert misstatement(labels, proba, ["x", "x", "y", "y"]) == pytest.approx((0 + 1) / 2)
    # Errors that cancel within all rows do not within groups.
    swapped = np.eye(3, dtype=np.float32)[[1, 0, 0, 1]]
    assert misstatement(labels, swapped) == 0 and misstatement(labels, swapped, [*"xyxy"]) == 0
    assert misstatement(labels, swapped, ["x", "y", "y", "x"]) == pytest.approx(0.5)


def test_misstatement_of_several_classes_leaves_out_what_is_not_known():
    targets = np.array([[1, 0], [0, np.nan], [0, np.nan], [1, 1]], dtype=np.float32)
    proba = np.array([[0.9, 0.9], [0.9, 0.9], [0.1, 0.9], [0.9, 0.9]], dtype=np.float32)
    assert misstatement(targets, proba) == pytest.approx((1 / 4 + 1 / 2) / 2)


def test_misstatement_without_a_group_large_enough():
    labels, proba = np.arange(6) % 2, np.full((6, 2), 0.5, np.float32)
    assert misstatement(labels, proba, ["x", "x", "y", "y", None, None], min_rows=3) is None
    assert misstatement(labels, proba, [None] * 6) is None
    assert misstatement(np.zeros(0, int), np.zeros((0, 2), np.float32)) is None


def test_misstatement_does_not_depend_on_the_order_of_rows():
    rng = np.random.default_rng(0)
    labels, proba, groups = (
        rng.integers(3, size=50),
        rng.dirichlet(np.ones(3), 50),
        rng.integers(4, size=50).astype(str),
    )
    order = rng.permutation(50)
    for y in (labels, holds(labels, 3).astype(np.float32)):
        once, again = (
            misstatement(y, proba, groups.tolist()),
            misstatement(y[order], proba[order], groups[order].tolist()),
        )
        assert once == pytest.approx(again, abs=1e-7) and 0 <= once <= 1


def record(level: float) -> dict:
    return {
        "imbalance": {"label": {"dataset": level, "pool": 0.5}, "sex": {"dataset": 0.1}},
        "fairness": {"val": {"sex": {"gap": 0.9 - level}}, "test": {"sex": {"gap": level, "demographic_parity": 0.2}}},
        "misstatement": {"test": {"label": 2 * level}},
    }


def test_signs_and_means():
    found = amplification(record(0.3), record(0.2), shown="test")
    assert found["imbalance"] == {"label": {"seed": 0.1, "pool": -0.2}, "sex": {"seed": 0.0}}
    assert found["gaps"] == {"val": {"sex": {"gap": -0.1}}, "test": {"sex": {"gap": 0.1, "demographic_parity": 0.0}}}
    assert (found["mean_imbalance"], found["mean_gaps"], found["mean_misstatement"]) == (0.05, 0.1, 0.2)
    assert found["overall"] == pytest.approx(0.35 / 3, abs=1e-6)
    assert json.loads(json.dumps(found, allow_nan=False)) == found
    shrunk = amplification(record(0.2), record(0.3), shown="test")
    assert shrunk["overall"] == -found["overall"]


def test_nothing_has_changed_in_the_first_round():
    found = amplification(record(0.2), record(0.2), shown="test")
    assert found["overall"] == found["mean_gaps"] == 0 and found["imbalance"]["label"]["pool"] == -0.3


def test_what_one_of_the_rounds_lacks_is_left_out():
    first = record(0.2)
    first["fairness"]["test"] = {}
    found = amplification(record(0.3), first, shown="test")
    assert found["gaps"]["test"] == {"sex": {}} and "mean_gaps" not in found
    assert found["overall"] == pytest.approx((0.05 + 0.2) / 2)
    only = amplification({"imbalance": {}, "fairness": {}, "misstatement": {}}, first, shown="val")
    assert "overall" not in only
