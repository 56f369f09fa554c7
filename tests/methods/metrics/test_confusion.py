"""Counts by class against cases one can check by hand, and one way of counting against the other."""

import numpy as np

from adde_ray.methods.metrics.confusion import answers, count, weighted


def test_one_class_holds():
    proba = np.array([[0.9, 0.1, 0], [0.9, 0.1, 0], [0.1, 0.9, 0], [0.8, 0.2, 0]], dtype=np.float32)
    hits, positives, predicted = count(np.array([0, 2, 1, 1]), proba)
    assert hits.tolist() == [1, 1, 0] and positives.tolist() == [1, 2, 1] and predicted.tolist() == [3, 1, 0]


def test_what_is_not_known_counts_nowhere():
    proba = np.array([[0.9, 0.9], [0.9, 0.1]], dtype=np.float32)
    hits, positives, predicted = count(np.array([[np.nan, 1.0], [0.0, 1.0]]), proba)
    assert hits.tolist() == [0, 1] and positives.tolist() == [0, 2] and predicted.tolist() == [1, 1]


def test_rows_that_count_more_than_once_are_as_good_as_repeated():
    rng = np.random.default_rng(0)
    proba = rng.random((20, 4)).astype(np.float32)
    targets = np.where(rng.random((20, 4)) < 0.2, np.nan, rng.integers(2, size=(20, 4)))
    for labels in (rng.integers(4, size=20), targets):
        times = rng.integers(3, size=20)
        _, true, said = answers(labels, proba)
        found = weighted(times[None].astype(np.float32), true, said)
        repeated = count(np.repeat(labels, times, axis=0), np.repeat(proba, times, axis=0))
        assert all(np.array_equal(one[0], another) for one, another in zip(found, repeated, strict=True))
