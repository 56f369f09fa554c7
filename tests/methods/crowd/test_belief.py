"""What is believed of an item, and whom to ask again: calibrated with few answers, and led by the model's opinion."""

import numpy as np
import polars as pl
import pytest

from adde_ray.methods.crowd import overlap
from adde_ray.methods.crowd.belief import belief
from adde_ray.methods.crowd.votes import Votes, votes


def test_it_is_as_sure_as_it_is_right(crowd):
    given, truth = crowd([0.9, 0.8, 0.6], items=600, share=0.6)
    found = votes(given)
    proba = belief(found).proba
    true = dict(truth.iter_rows())
    right = np.array([found.classes[c] == true[i] for i, c in zip(found.items, proba.argmax(axis=1), strict=True)])
    assert proba.max(axis=1).mean() == pytest.approx(right.mean(), abs=0.04)
    assert np.allclose(proba.sum(axis=1), 1)


def test_who_is_right_more_often_counts_for_more(crowd):
    given, _ = crowd([0.95, 0.9, 0.5, 0.9], items=400)
    accuracy = belief(votes(given)).accuracy
    assert accuracy == pytest.approx([0.95, 0.9, 0.5, 0.9], abs=0.06)


def test_few_answers_leave_people_near_the_average():
    given = pl.DataFrame({"item": ["a", "b"], "worker": ["ann", "ben"], "label": ["x", "y"]})
    assert np.abs(belief(votes(given)).accuracy - 0.8).max() < 0.1


def test_the_model_decides_where_answers_do_not_and_gold_where_there_is_some():
    given = pl.DataFrame({"item": ["a", "a"], "worker": ["ann", "ben"], "label": ["x", "y"]})
    prior = np.array([[0.1, 0.9]])
    assert belief(votes(given), prior).proba[0] == pytest.approx([0.1, 0.9], abs=0.05)
    assert belief(votes(given), prior, gold={"a": 0}).proba.tolist() == [[1.0, 0.0]]


def test_a_prior_that_rules_a_class_out_can_be_outvoted():
    rows = [(f"i{i:02d}", f"w{w}", "xy"[i % 2]) for i in range(20) for w in range(3)]
    given = votes(pl.DataFrame(rows, schema=["item", "worker", "label"], orient="row"))
    prior = np.tile([0.5, 0.5], (20, 1))
    prior[0] = [1e-3, 1 - 1e-3]
    assert belief(given, prior).proba[0, 0] > 0.9


def test_people_who_take_one_class_for_another_are_understood():
    """Three of five call most of what is y an x, and nobody the other way round: an x of theirs says little."""
    rng = np.random.default_rng(0)
    true = rng.integers(2, size=500)
    said = np.stack([np.where((true == 1) & (rng.random(500) < p), 0, true) for p in (0.6, 0.6, 0.6, 0, 0)], axis=1)
    items = [(f"i{i:03d}", f"w{w}", "xy"[said[i, w]]) for i in range(500) for w in range(5)]
    found = belief(votes(pl.DataFrame(items, schema=["item", "worker", "label"], orient="row")))
    assert np.mean(said.sum(axis=1) // 3 == true) < 0.92 < 0.98 < np.mean(found.proba.argmax(axis=1) == true)


def test_without_answers_there_is_the_prior():
    nobody = Votes(("a",), (), ("x", "y"), *(np.zeros(0, dtype=int) for _ in range(3)))
    assert belief(nobody, np.array([[0.3, 0.7]])).proba.tolist() == [[pytest.approx(0.3), pytest.approx(0.7)]]


def test_another_opinion_is_wanted_where_there_is_doubt():
    proba = np.array([[0.95, 0.05], [0.6, 0.4], [0.6, 0.4], [0.99, 0.01]])
    answers = np.array([1, 1, 3, 0])
    assert overlap.wanted(proba, answers, confidence=0.9, most=3).tolist() == [False, True, False, True]
    assert overlap.order(proba, answers).tolist() == [1, 2, 0, 3]
