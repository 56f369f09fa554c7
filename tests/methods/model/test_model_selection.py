"""Choosing between models on val."""

import numpy as np
import pytest
from sklearn.metrics import f1_score

from adde_ray.methods.model.model_selection import favoured, macro_f1

RNG = np.random.default_rng(0)


def said(labels: np.ndarray, right: float, *, classes: int = 3, seed: int = 0) -> np.ndarray:
    """(v, C) probabilities that are right about a share of the labels."""
    rng = np.random.default_rng(seed)
    told = np.where(rng.random(len(labels)) < right, labels, rng.integers(classes, size=len(labels)))
    return (np.eye(classes)[told] * 0.8 + 0.1).astype(np.float32)


@pytest.mark.parametrize("multi", [False, True])
def test_macro_f1_is_that_of_scikit_learn(multi):
    proba = RNG.random((40, 4))
    truth = (RNG.random((40, 4)) < 0.4).astype(np.float32) if multi else RNG.integers(3, size=40)  # class 3 is absent
    weights = np.stack([np.ones(40), RNG.integers(4, size=40)])
    found = macro_f1(proba, truth, weights.astype(np.float32))
    told = (proba >= 0.5).astype(np.float32) if multi else proba.argmax(axis=1)
    for i, w in enumerate(weights):
        expected = f1_score(truth, told, average="macro", sample_weight=w, labels=None if multi else [0, 1, 2])
        assert found[i] == pytest.approx(expected, rel=1e-5)


def test_what_is_not_known_does_not_count():
    truth = np.array([[1, np.nan], [0, 1], [np.nan, 0]], np.float32)
    proba = np.array([[0.9, 0.9], [0.1, 0.9], [0.9, 0.1]])
    assert macro_f1(proba, truth, np.ones((1, 3), np.float32))[0] == pytest.approx(1)


def test_the_best_is_kept_where_it_is_clear():
    labels = RNG.integers(3, size=300)
    models = [said(labels, 0.5), said(labels, 0.9, seed=1), said(labels, 0.7, seed=2)]
    assert favoured(models, labels, seed=0) == 1 and favoured(models[::-1], labels, seed=0) == 1


def test_the_first_is_kept_where_the_others_are_no_better_or_by_luck():
    labels = RNG.integers(3, size=60)
    lucky = sum(
        favoured([said(labels, 0.6, seed=s), said(labels, 0.6, seed=s + 1)], labels, seed=0) for s in range(100)
    )
    assert 5 <= lucky <= 25  # one in six lies above one standard error
    assert favoured([said(labels, 0.6), said(labels, 0.6)], labels, seed=0) == 0
    assert favoured([said(labels, 0.9), said(labels, 0.5)], labels, seed=0) == 0


def test_the_incumbent_stays_until_another_is_clearly_better():
    labels = RNG.integers(3, size=300)
    worse = said(labels, 0.7)
    right, better = worse.argmax(axis=1) == labels, worse.copy()
    changed = np.concatenate([np.flatnonzero(~right)[:6], np.flatnonzero(right)[:4]])
    better[changed] = np.eye(3)[np.where(right, (labels + 1) % 3, labels)[changed]]  # six mended, four spoilt
    assert favoured([better, worse], labels, incumbent=1, seed=0) == 1
    assert favoured([said(labels, 0.9, seed=2), worse], labels, incumbent=1, seed=0) == 0


def test_where_no_class_holds_on_val_the_incumbent_stays():
    nothing = np.zeros((4, 2), np.float32)
    assert favoured([np.full((4, 2), 0.9), np.full((4, 2), 0.1)], nothing, incumbent=1, seed=0) == 1


def test_without_val_or_choice_it_is_the_first():
    nothing = np.zeros((0, 3), np.float32)
    assert favoured([nothing, nothing], np.zeros(0, int), seed=0) == 0
    assert favoured([said(np.zeros(5, int), 0)], np.zeros(5, int), seed=0) == 0
