"""The one queue: what tells most for its seconds comes first, or each kind has its share."""

import numpy as np
import pytest

from adde_ray.errors import UserError
from adde_ray.methods.crowd.worth import KINDS, answer_gain, gold_gain, queue

SECONDS = {"new": 2.0, "opinion": 2.0, "again": 4.0, "gold": 2.0}


def test_an_answer_tells_what_mutual_information_says():
    proba, accuracy = np.array([[0.5, 0.3, 0.2]]), 0.7
    joint = proba.T * np.where(np.eye(3, dtype=bool), accuracy, (1 - accuracy) / 2)
    told = (joint * np.log(joint / np.outer(joint.sum(axis=1), joint.sum(axis=0)))).sum()
    assert answer_gain(proba, accuracy)[0] == pytest.approx(told)


def test_it_tells_more_of_what_is_doubtful_and_by_who_is_right():
    doubt, sure = np.array([[0.5, 0.5]]), np.array([[0.99, 0.01]])
    assert answer_gain(doubt, 0.9) > answer_gain(sure, 0.9) > 0
    assert answer_gain(doubt, 0.9) > answer_gain(doubt, 0.6)
    assert answer_gain(doubt, 0.5) == pytest.approx(0)
    assert answer_gain(doubt, 1.0) == pytest.approx(np.log(2))
    assert answer_gain(np.ones((3, 1)), 0.9).tolist() == [0, 0, 0]


def test_classes_of_a_multi_label_task_add_up():
    two = np.array([[[0.5, 0.5], [0.9, 0.1]]])
    assert answer_gain(two, 0.8) == pytest.approx(answer_gain(two[:, 0], 0.8) + answer_gain(two[:, 1], 0.8))


def test_gold_tells_most_of_new_people_with_many_answers():
    assert gold_gain(np.array([100, 100, 10]), np.array([0, 9, 0])) == pytest.approx([25, 100 / 220, 2.5])


def test_gold_is_worth_what_the_variance_of_accuracy_costs():
    """Simulated: nats lost in each answer by taking a person's share of right gold answers for their accuracy."""
    rng, q = np.random.default_rng(0), 0.8

    def lost(gold: int) -> float:
        guess = (rng.binomial(gold, q, size=400_000) + q) / (gold + 1)
        return float(np.mean(q * np.log(q / guess) + (1 - q) * np.log((1 - q) / (1 - guess))))

    nats = sum(gold_gain(np.array([1.0]), np.array([g])).item() for g in range(60, 240))
    assert lost(60) - lost(240) == pytest.approx(nats, rel=0.15)


def test_the_best_for_its_seconds_comes_first():
    kinds, gains = np.array(["new", "again", "opinion", "gold"]), np.array([0.5, 0.8, 0.3, 0.3])
    found = queue(kinds, gains, SECONDS, 3)
    assert found.rows.tolist() == [0, 1, 2] and found.worth == pytest.approx([0.25, 0.2, 0.15])
    faster = queue(kinds, gains, SECONDS | {"again": 1.0}, 9)
    assert faster.rows.tolist() == [1, 0, 2, 3]
    assert queue(kinds, gains, SECONDS, 1, value=np.array([1, 1, 5, 1])).rows.tolist() == [2]


def test_shares_can_be_fixed_at_every_length():
    kinds = np.array(["new"] * 30 + ["opinion"] * 30 + ["again"] * 30)
    gains = np.linspace(1, 0.1, 90)
    rows = queue(kinds, gains, SECONDS, 20, shares={"new": 0.5, "opinion": 0.3, "again": 0.2}).rows
    for k in (10, 20):
        taken = kinds[rows[:k]].tolist()
        assert [taken.count(kind) for kind in KINDS[:3]] == [k // 2, 3 * k // 10, k // 5]
    assert sorted(rows[kinds[rows] == "again"]) == [60, 61, 62, 63]


def test_places_that_a_kind_cannot_fill_go_to_the_others():
    kinds, gains = np.array(["new", "new", "new", "gold"]), np.array([0.1, 0.3, 0.2, 0.9])
    assert queue(kinds, gains, SECONDS, 3, shares={"opinion": 1.0}).rows.tolist() == [3, 1, 2]
    assert queue(kinds, gains, SECONDS, 3, shares={"gold": 0.9, "new": 0.1}).rows.tolist() == [3, 1, 2]


def test_what_is_missing_is_told():
    kinds, gains = np.array(["new"]), np.array([1.0])
    with pytest.raises(UserError, match=r"seconds.new: no seconds above 0.* median seconds"):
        queue(kinds, gains, {"gold": 1.0}, 1)
    with pytest.raises(UserError, match="shares: shares do not sum to 1"):
        queue(kinds, gains, SECONDS, 1, shares={"new": 0.5})
