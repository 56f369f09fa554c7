"""A linear head on standardised features: what it solves, what it leaves out, what it takes from descriptions."""

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression

from adde_ray.methods.model.convex import Head, Problem, labelled, solve
from adde_ray.methods.model.head import FOLDS, Described, Fitter, Settings, folds_of, rehearsal
from adde_ray.methods.model.losses import Loss
from adde_ray.methods.model.standard import Standard

RNG = np.random.default_rng(0)


def blobs(number: int, *, classes: int = 3, dims: int = 6, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    labels = rng.integers(classes, size=number)
    centres = np.random.default_rng(9).normal(size=(classes, dims)) * 2
    return (rng.normal(size=(number, dims)) + centres[labels]).astype(np.float32), labels


def test_it_solves_what_scikit_learn_solves():
    x, y = blobs(120)
    rows = labelled(x, y, 3, Loss(balance=0.0))
    found = solve(Problem(rows, Loss(balance=0.0), 0.01, Head.zero(3, 6)), steps=500)
    # scikit-learn leaves the bias free: given as a feature, it is penalised as the weights are.
    ones = np.ones((len(x), 1))
    theirs = LogisticRegression(C=1 / (0.01 * len(x)), fit_intercept=False, tol=1e-8, max_iter=5000)
    theirs.fit(np.hstack([x, ones]), y)
    np.testing.assert_allclose(found.weight, theirs.coef_[:, :-1], atol=1e-2)
    np.testing.assert_allclose(found.bias, theirs.coef_[:, -1], atol=1e-2)


def test_several_classes_may_hold():
    x, y = blobs(80)
    targets = np.eye(3, dtype=np.float32)[y]
    targets[::7, 1] = np.nan
    loss = Loss()
    found = solve(Problem(labelled(x, targets, 3, loss), loss, 0.01, Head.zero(3, 6)), steps=300)
    said = found.logits(x) > 0
    known = ~np.isnan(targets)
    assert (said == (targets == 1))[known].mean() > 0.9


def test_without_rows_it_stays_where_it_is_drawn_to():
    toward = Head(RNG.normal(size=(3, 6)).astype(np.float32), np.zeros(3, np.float32))
    empty = labelled(np.zeros((0, 6), np.float32), np.zeros(0, np.int64), 3, Loss())
    assert solve(Problem(empty, Loss(), 1.0, toward), steps=10) is toward


@pytest.mark.parametrize("flatten", [0.0, 0.5, 1.0])
@pytest.mark.parametrize("rows", [40, 4])
def test_the_folded_head_says_of_features_as_they_are_what_it_says_of_standardised_ones(flatten, rows):
    x, y = blobs(rows)
    x = x * 3 + 100  # far from the origin
    fitter = Fitter(Standard.fit(x, seed=0), x, y, 3)
    settings = Settings(flatten=flatten)
    head = fitter.fit(settings)
    folded = fitter.folded(head, settings)
    np.testing.assert_allclose(folded.logits(x), fitter.logits(head, settings, x), rtol=1e-2, atol=1e-2)


@pytest.mark.parametrize("flatten", [0.0, 0.5, 1.0])
def test_standardised_features_are_centred_and_of_unit_length(flatten):
    x = (RNG.normal(size=(300, 8)) * np.arange(1, 9) + 50).astype(np.float32)
    seen = Standard.fit(x, seed=0).view(flatten).of(x)
    np.testing.assert_allclose(seen.mean(axis=0), 0, atol=1e-3)
    assert np.square(seen).sum(axis=1).mean() == pytest.approx(1, rel=0.05)
    spread = seen.std(axis=0)
    assert (spread.max() / spread.min() < 1.3) == (flatten == 1.0)


def test_features_that_are_all_the_same_do_no_harm():
    x = np.full((20, 4), 7, np.float32)
    for flatten in (0.0, 1.0):
        seen = Standard.fit(x, seed=0).view(flatten).of(x)
        assert np.isfinite(seen).all() and not seen.any()


def test_scale_and_place_of_the_features_do_not_matter():
    x, y = blobs(60)
    said = []
    for moved in (x, x * 1000 - 300):
        fitter = Fitter(Standard.fit(moved, seed=0), moved, y, 3)
        said.append(fitter.logits(fitter.fit(Settings()), Settings(), moved))
    np.testing.assert_allclose(said[0], said[1], atol=0.05)


def test_no_row_is_told_by_a_head_that_saw_it():
    """Labels are noise: a head that saw a row knows its label, one that did not cannot."""
    x = RNG.normal(size=(60, 100)).astype(np.float32)
    y = RNG.integers(2, size=60)
    fitter = Fitter(Standard.fit(x, seed=0), x, y, 2)
    seen = fitter.logits(fitter.fit(Settings(decay=0.1)), Settings(), x).argmax(axis=1)
    held_out, beside = fitter.held_out(Settings(decay=0.1), folds_of(y, seed=0), x[:5])
    assert (seen == y).mean() > 0.95 and (held_out.argmax(axis=1) == y).mean() < 0.75
    assert beside.shape == (5, 2)


def test_folds_spread_every_class():
    labels = np.repeat([0, 1, 2], [40, 8, 2])
    folds = folds_of(labels, seed=3)
    assert sorted(np.bincount(folds)) == [12, 12, 13, 13] and len(set(folds[labels == 1])) == FOLDS
    assert len(set(folds[labels == 2])) == 2
    assert folds_of(labels[:2], seed=0).tolist() in ([0, 1], [1, 0]) and len(folds_of(labels[:0], seed=0)) == 0


def test_a_described_class_without_a_sample_is_found():
    x, y = blobs(400, seed=1)
    prototypes = np.stack([x[y == c].mean(axis=0) for c in range(3)])
    known = y[:12] < 2
    few, labels = x[:12][known], y[:12][known]
    standard, found = Standard.fit(x, seed=0), {}
    for name, described in (("none", None), ("described", Described(prototypes, np.arange(3)))):
        fitter = Fitter(standard, few, labels, 3, described=described)
        settings = Settings(prototypes=None if described is None else 0.0)
        found[name] = fitter.logits(fitter.fit(settings), settings, x).argmax(axis=1)
    assert not (found["none"] == 2).any()
    assert (found["described"] == y).mean() > 0.9


def test_with_descriptions_alone_it_is_nearest_to_them():
    x, y = blobs(200)
    prototypes = np.stack([x[y == c].mean(axis=0) for c in (0, 2)])
    for drawn in (0.0, 10.0):
        fitter = Fitter(Standard.fit(x, seed=0), x[:0], y[:0], 3, described=Described(prototypes, np.array([0, 2])))
        settings = Settings(prototypes=drawn)
        said = fitter.logits(fitter.fit(settings), settings, x)
        others = y != 1
        assert (said.argmax(axis=1) == y)[others].mean() > 0.9


def test_pseudo_labelled_rows_are_the_surest_of_each_class_and_count_little():
    x, y = blobs(300)
    fitter = Fitter(Standard.fit(x, seed=0), x[:30], y[:30], 3)
    head = fitter.fit(Settings())
    pseudo = fitter.pseudo_labelled(head, Settings(), x[30:], 4)
    assert np.bincount(pseudo.labels).tolist() == [4, 4, 4] and pseudo.weights.mean() == pytest.approx(0.3)
    assert fitter.pseudo_labelled(head, Settings(), x[:0], 4) is None
    assert fitter.pseudo_labelled(head, Settings(), x, 0) is None


def test_the_seed_set_counts_for_its_share():
    of_seed = np.arange(100) < 10
    factor = rehearsal(of_seed, 0.5)
    assert factor[of_seed].sum() / factor.sum() == pytest.approx(0.5)
    assert rehearsal(of_seed, 0.05).tolist() == [1.0] * 100 and rehearsal(of_seed[10:], 0.5).tolist() == [1.0] * 90
