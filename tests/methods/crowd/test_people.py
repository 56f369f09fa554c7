"""What each person is like: whom they mix up, how often they are right, and whether that changes."""

import numpy as np
import polars as pl
import pytest

from adde_ray.methods.crowd import drift, people
from adde_ray.methods.crowd.votes import votes


def table(*rows) -> pl.DataFrame:
    return pl.DataFrame(rows, schema=["item", "worker", "label"], orient="row")


GOLD = pl.DataFrame({"item": ["a", "b", "c"], "label": ["x", "y", "x"]})


def test_a_confusion_matrix_has_what_is_true_in_rows():
    given = table(("a", "ann", "x"), ("b", "ann", "x"), ("c", "ann", "z"), ("d", "ann", "y"), ("a", "ben", "y"))
    found = people.confusions(given, GOLD)
    assert found["ann"].tolist() == [[1, 0, 1], [1, 0, 0], [0, 0, 0]]
    assert found["ben"].tolist() == [[0, 1, 0], [0, 0, 0], [0, 0, 0]]


def test_without_gold_the_others_decide_but_not_where_they_are_divided():
    given = table(
        ("a", "ann", "x"), ("a", "ben", "y"), ("a", "cy", "y"), ("b", "ann", "x"), ("b", "ben", "x"), ("c", "ann", "y")
    )  # fmt: skip
    assert people.of_others(votes(given)).tolist() == [1, -1, -1, 0, 0, -1]
    found = people.confusions(given)
    assert found["ann"].tolist() == [[1, 0], [1, 0]]


def test_accuracy_on_gold_is_near_what_it_is(crowd):
    given, truth = crowd([0.95, 0.7], items=400)
    found = people.accuracy(given, truth)
    for person, accuracy in (("w00", 0.95), ("w01", 0.7)):
        assert found[person].n == 400 and found[person].low < accuracy < found[person].high
    assert people.accuracy(given, truth.with_columns(pl.lit("elsewhere").alias("item"))) == {}


def test_a_multi_label_task_is_judged_class_by_class():
    gold = pl.DataFrame({"item": ["a", "b"], "label": ["p|q", "?p"]})
    given = table(("a", "ann", "p|?q"), ("a", "ben", "q"), ("b", "ann", "p"))
    found = people.confusions(given, gold, multi=True)
    assert found["ann"].tolist() == [[[0, 0], [0, 1]], [[1, 0], [0, 0]]]
    assert people.accuracy(given, gold, multi=True)["ben"].value == 0.5
    judged = people.judged(given, gold, multi=True)
    assert judged.rows() == [("a", "ann", True), ("a", "ben", False), ("b", "ann", True)]


class TestDrift:
    def test_one_who_gets_worse_is_seen_and_one_who_does_not_rarely(self):
        rng = np.random.default_rng(0)
        worse = drift.accuracy_drift(rng.random(200) < np.linspace(0.95, 0.5, 200))
        assert worse.p < 0.01 and worse.trend < 0
        assert worse.windows[0].value > worse.windows[-1].value and sum(w.n for w in worse.windows) == 200
        steady = [drift.accuracy_drift(rng.random(100) < 0.8).p for _ in range(300)]
        assert np.mean(np.array(steady) < 0.05) < 0.09

    def test_one_who_gets_faster_is_seen(self):
        rng = np.random.default_rng(1)
        found = drift.seconds_drift(rng.lognormal(size=80) * np.linspace(4, 1, 80), windows=2)
        assert found.p < 0.01 and found.trend < 0
        assert found.windows[0].value > found.windows[1].value

    def test_few_answers_and_equal_ones_tell_nothing(self):
        assert np.isnan(drift.accuracy_drift(np.array([True, False])).p)
        assert np.isnan(drift.seconds_drift(np.full(50, 2.0)).p)
        assert drift.accuracy_drift(np.zeros(0, dtype=bool)).windows == ()


@pytest.mark.parametrize("multi", [False, True])
def test_nobody_is_judged_where_nobody_answered(multi):
    nothing = table(("a", "ann", "x"))[:0]
    assert people.confusions(nothing, multi=multi) == {} and people.judged(nothing, multi=multi).is_empty()
