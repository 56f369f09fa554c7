"""Every term keeps the same contract; the registries say which there are."""

import numpy as np
import pytest

from adde_ray.errors import UserError
from adde_ray.methods.query import terms
from adde_ray.methods.query.terms import DIVERSITY, OF_MEMBERS, UNCERTAINTY, CandidateBatch


def batch(n=40, m=12, classes=5, gaps=3, seed=0) -> CandidateBatch:
    rng = np.random.default_rng(seed)
    return CandidateBatch(
        proba=rng.dirichlet(np.ones(classes), n).astype(np.float32),
        embedding=rng.normal(size=(n, 4)).astype(np.float32),
        dataset_embedding=rng.normal(size=(m, 4)).astype(np.float32),
        class_counts=np.array([6, 4, 2, 0, 0])[:classes],
        membership=rng.random((n, gaps)).astype(np.float32),
        novelty_scale=2.0,
    )


def test_bald_is_high_where_members_disagree_and_not_where_all_are_unsure():
    sure, other, unsure = [0.98, 0.01, 0.01], [0.01, 0.98, 0.01], [1 / 3] * 3
    members = np.array([[sure, sure], [sure, other], [unsure, unsure], [sure, unsure]], dtype=np.float32)
    u = terms.bald(members)
    assert u[0] == pytest.approx(0, abs=1e-3) == u[2] and 0.9 < u[1] <= 1 and 0 < u[3] < u[1]
    assert terms.bald(members[:0]).shape == (0,)
    certain = np.eye(3, dtype=np.float32)[np.array([[0, 0], [0, 1]])]
    assert terms.bald(certain).tolist() == [0, 1]
    # many members, few classes and the other way round
    for k, c in ((30, 2), (2, 30)):
        u = terms.bald(np.random.default_rng(0).dirichlet(np.ones(c) * 0.01, (50, k)).astype(np.float32))
        assert np.isfinite(u).all() and u.min() >= 0 and u.max() <= 1


def test_members_are_asked_for_only_by_who_needs_them():
    proba = batch().proba

    def never():
        raise AssertionError

    assert terms.uncertainty(proba, "margin", members=never).shape == (40,)
    members = np.stack([proba, proba[::-1]], axis=1)
    np.testing.assert_array_equal(terms.uncertainty(proba, "bald", members=lambda: members), terms.bald(members))


@pytest.mark.parametrize("name", [name for name in UNCERTAINTY if name not in OF_MEMBERS])
class TestUncertainty:
    def test_uniform_is_most_and_certain_is_least_uncertain(self, name):
        u = UNCERTAINTY[name](np.array([[1, 0, 0], [1 / 3, 1 / 3, 1 / 3], [0.8, 0.1, 0.1]], dtype=np.float32))
        assert u[0] == pytest.approx(0, abs=1e-5) and u[1] == pytest.approx(1, abs=1e-5) and 0 < u[2] < 1

    def test_no_rows_and_one_class(self, name):
        assert UNCERTAINTY[name](np.zeros((0, 3), np.float32)).shape == (0,)
        assert UNCERTAINTY[name](np.ones((4, 1), np.float32)).tolist() == [0, 0, 0, 0]


def test_balance_favours_what_is_rare():
    proba = np.eye(3, dtype=np.float32)
    s = CandidateBatch(proba, np.zeros((3, 1)), np.zeros((1, 1)), np.array([9, 1, 0]), np.zeros((3, 0)), 1.0)
    common, rare, absent = DIVERSITY["balance"](s)
    assert common < rare < absent == 1


def test_novelty_grows_with_distance_to_the_dataset():
    x, y = np.array([[0.0], [1.0], [5.0]]), np.array([[0.0]])
    scale = terms.novelty_scale(x, y)
    assert scale == pytest.approx(np.percentile([0, 1, 5], 99), rel=1e-6)
    near, far, farther = DIVERSITY["novelty"](
        CandidateBatch(np.ones((3, 1)), x, y, np.array([1]), np.zeros((3, 0)), scale)
    )
    assert near == 0 < far < farther == 1
    assert terms.novelty_scale(x[:0], y) == terms.novelty_scale(x, y[:0]) == 0


def test_gap_of_names_the_best_gap_or_none():
    assert terms.gap_of(np.array([[0.1, 0.9], [0.0, 0.01]]), ["a", "b"]) == ["b", None]
    assert terms.gap_of(np.zeros((2, 0)), []) == [None, None]


def test_weighted_sum():
    u, div, q = np.array([1.0, 0.0]), np.array([0.0, 1.0]), np.array([1.0, 1.0])
    assert terms.weighted_sum(u, div, q, {"alpha": 2, "beta": 1, "gamma": 1}).tolist() == [0.75, 0.5]
    assert terms.weighted_sum(u, div, q, {"alpha": 0, "beta": 0, "gamma": 0}).tolist() == [0, 0]


def test_unknown_names_list_the_valid_ones():
    with pytest.raises(UserError, match="margin"):
        terms.uncertainty(np.ones((1, 2)), "margins")
    with pytest.raises(UserError, match="novelty"):
        terms.diversity(batch(), {"newness": 1.0})


def test_flat_uncertainties_are_sharpened_until_half_are_below_a_half():
    u = 1 - np.random.default_rng(0).uniform(0, 0.2, 501)
    assert np.median(u ** terms.sharpness(u)) == pytest.approx(0.5, abs=1e-3)
    assert terms.sharpness(u / 3) == 1 and terms.sharpness(np.zeros(0)) == 1
    assert terms.sharpness(np.ones(9)) == 20 and terms.sharpness(np.zeros(9)) == 1


def test_uncertainty_is_weighed_by_the_rarity_of_what_f_sees():
    proba = np.array([[1.0, 0.0], [0.0, 1.0]])
    s = CandidateBatch(proba, np.zeros((2, 1)), np.zeros((1, 1)), np.array([15, 0]), np.zeros((2, 0)), 1.0)
    np.testing.assert_allclose(terms.weighted(np.full(2, 0.5), s, sharpness=2.0, rarity=0.5), [0.25 / 4, 0.25])
    np.testing.assert_allclose(terms.weighted(np.full(2, 0.5), s, sharpness=1.0, rarity=0.0), [0.5, 0.5])
