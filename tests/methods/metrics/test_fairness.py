"""Fairness against fairlearn's definitions, and where there is nothing to compare."""

import json

import numpy as np
import pytest
from fairlearn import metrics as fairlearn_metrics

from adde_ray.labels import holds
from adde_ray.methods.metrics.fairness import MIN_ROWS, measure

CLASSES = ("a", "b", "c")


def drawn(n: int = 400, seed: int = 0) -> tuple[list, np.ndarray, np.ndarray]:
    """Three groups, of which f serves the third worse, and of which each leans to another class."""
    rng = np.random.default_rng(seed)
    group = rng.integers(3, size=n)
    labels = np.where(rng.random(n) < 0.4, group, rng.integers(3, size=n))
    proba = rng.dirichlet(np.ones(3), n) + np.eye(3)[labels] * np.where(group == 2, 0.2, 1.0)[:, None]
    return [("x", "y", "z")[g] for g in group], labels, (proba / proba.sum(axis=1, keepdims=True)).astype(np.float32)


def test_differences_are_fairlearns():
    groups, labels, proba = drawn()
    found, said = measure(groups, labels, proba, CLASSES), proba.argmax(axis=1)

    def mean(score, of) -> float:
        return np.mean([score(labels == c, of == c, sensitive_features=groups) for c in range(3)])

    assert found["equalised_odds"] == pytest.approx(mean(fairlearn_metrics.equalized_odds_difference, said), abs=1e-6)
    assert found["demographic_parity"] == pytest.approx(
        mean(fairlearn_metrics.demographic_parity_difference, said), abs=1e-6
    )
    assert found["parity_of_truth"] == pytest.approx(
        mean(fairlearn_metrics.demographic_parity_difference, labels), abs=1e-6
    )
    frame = fairlearn_metrics.MetricFrame(
        metrics=lambda y, p: np.mean(y == p), y_true=labels, y_pred=said, sensitive_features=groups
    )
    assert found["accuracy"] == pytest.approx(frame.by_group.to_dict(), abs=1e-6)
    assert found["worst_group"] == "z" and found["worst_accuracy"] == pytest.approx(frame.group_min(), abs=1e-6)
    assert found["gap"] == pytest.approx(frame.overall - frame.group_min(), abs=1e-6)
    odds = {c: fairlearn_metrics.equalized_odds_difference(labels == i, said == i, sensitive_features=groups)
            for i, c in enumerate(CLASSES)}  # fmt: skip
    assert found["worst_class"] == max(odds, key=odds.get)
    assert found["worst_equalised_odds"] == pytest.approx(max(odds.values()), abs=1e-6)


def test_one_label_a_row_or_targets_of_each_class_are_the_same_to_parity_and_odds():
    groups, labels, proba = drawn()
    sharp = holds(proba.argmax(axis=1), 3).astype(np.float32)  # so that both predict the same
    one, several = (measure(groups, y, sharp, CLASSES) for y in (labels, holds(labels, 3).astype(np.float32)))
    assert one == several


def test_what_is_not_known_is_left_out():
    groups, labels, proba = drawn()
    targets = holds(labels, 3).astype(np.float32)
    hidden = targets.copy()
    hidden[::3, 1], hidden[:7] = np.nan, np.nan
    found, some = measure(groups, hidden, proba, CLASSES), slice(7, None)
    assert found["left_out"] == 7 and sum(found["rows"].values()) == 393
    alone = [c for c in (0, 2)]
    expected = measure(groups[some], targets[some][:, alone], proba[some][:, alone], ("a", "c"))
    said = [row for row in range(7, 400) if row % 3]
    of_b = measure([groups[i] for i in said], targets[said][:, [1]], proba[said][:, [1]], ("b",))
    both = (2 * expected["equalised_odds"] + of_b["equalised_odds"]) / 3
    assert found["equalised_odds"] == pytest.approx(both, abs=1e-6)


def test_small_groups_and_unknown_ones_are_left_out_and_counted():
    groups, labels, proba = drawn()
    groups[:5], groups[5:14] = [None] * 5, ["few"] * 9
    found = measure(groups, labels, proba, CLASSES)
    assert (
        found["left_out"] == 14
        and set(found["accuracy"]) == {"x", "y", "z"}
        and min(found["rows"].values()) >= MIN_ROWS
    )
    rest = measure(groups[14:], labels[14:], proba[14:], CLASSES)
    assert found == rest | {"left_out": 14}


def test_row_order_does_not_matter_and_all_is_finite_json():
    groups, labels, proba = drawn()
    order = np.random.default_rng(1).permutation(len(groups))
    found = measure(groups, labels, proba, CLASSES)
    assert measure([groups[i] for i in order], labels[order], proba[order], CLASSES) == found
    assert json.loads(json.dumps(found, allow_nan=False)) == found
    assert all(0 <= v <= 1 for v in found.values() if isinstance(v, float))


@pytest.mark.parametrize("groups", [["x"] * 40, [None] * 40, [*["x"] * 39, "y"]])
def test_one_group_has_nothing_to_be_compared_with(groups):
    found = measure(groups, np.arange(40) % 3, np.full((40, 3), 1 / 3, np.float32), CLASSES)
    assert found.keys() == {"accuracy", "rows", "left_out"}


def test_no_rows():
    assert measure([], np.zeros(0, int), np.zeros((0, 3), np.float32), CLASSES)["left_out"] == 0
    assert measure([], np.zeros((0, 3)), np.zeros((0, 3), np.float32), CLASSES)["accuracy"] == {}


def test_odds_need_rows_within_and_without_a_class():
    groups = ["x"] * 20 + ["y"] * 20
    proba = np.tile(np.array([[0.8, 0.2]], np.float32), (40, 1))
    only_a = measure(groups, np.zeros(40, int), proba, ("a", "b"))
    assert "equalised_odds" not in only_a and only_a["demographic_parity"] == only_a["gap"] == 0
    apart = measure(groups, np.repeat([0, 1], 20), proba, ("a", "b"))  # each group has one class
    assert "equalised_odds" not in apart and apart["parity_of_truth"] == 1 and apart["gap"] == 0.5
