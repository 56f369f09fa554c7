"""Terms of a multi-label task: the contract of those of a single-label one, and cases one can check by hand."""

import numpy as np
import pytest

from adde_ray.methods.query import multilabel, terms
from adde_ray.methods.query.multilabel import UNCERTAINTY
from adde_ray.methods.query.terms import CandidateBatch


def test_every_name_works_for_both_tasks():
    assert UNCERTAINTY.keys() == terms.UNCERTAINTY.keys()
    proba = np.full((2, 3), 0.5, dtype=np.float32)
    for name in UNCERTAINTY.keys() - set(terms.OF_MEMBERS):
        np.testing.assert_allclose(terms.uncertainty(proba, name, multi=True), 1, rtol=1e-6)


def test_bald_is_high_where_members_disagree_on_a_class():
    members = np.array([[[0.9, 0.1], [0.9, 0.1]], [[1, 0.1], [0, 0.1]], [[0.5, 0.5], [0.5, 0.5]]], dtype=np.float32)
    u = UNCERTAINTY["bald"](members)
    assert u[0] == pytest.approx(0, abs=1e-3) == u[2] and u[1] == pytest.approx(0.5**0.5, abs=1e-3)
    assert UNCERTAINTY["bald"](members[:, 0]).tolist() == [0, 0, 0]


@pytest.mark.parametrize("name", [name for name in UNCERTAINTY if name not in terms.OF_MEMBERS])
class TestUncertainty:
    def test_sure_of_every_class_is_least_uncertain(self, name):
        u = UNCERTAINTY[name](np.array([[0, 1, 1, 0], [0.5] * 4, [0, 1, 0.7, 0]], dtype=np.float32))
        assert u[0] == pytest.approx(0, abs=1e-5) and u[1] == pytest.approx(1) and 0 < u[2] < 1

    def test_degenerate(self, name):
        assert UNCERTAINTY[name](np.zeros((0, 3), np.float32)).shape == (0,)
        assert UNCERTAINTY[name](np.array([[0.5], [1.0]], np.float32)).tolist() == pytest.approx([1, 0], abs=1e-6)


def test_margin_does_not_sink_with_classes_that_are_surely_absent():
    few, many = np.full((1, 4), 0.01), np.full((1, 14), 0.01)
    few[0, :2] = many[0, :2] = 0.5
    assert multilabel.margin(few) == pytest.approx(multilabel.margin(many))
    assert multilabel.entropy(many)[0] < multilabel.entropy(few)[0]


def test_rarity_counts_every_class_that_may_hold_and_stays_within_one():
    of_class = np.array([1.0, 0.2], dtype=np.float32)
    proba = np.array([[1, 0], [0, 1], [1, 1], [0, 0], [0.5, 0.5]], dtype=np.float32)
    assert multilabel.rarity(proba, of_class).tolist() == pytest.approx([1, 0.2, 1, 0, 1 - 0.5 * 0.9])
    s = CandidateBatch(proba, np.zeros((5, 2)), np.zeros((0, 2)), np.array([0, 9]), np.zeros((5, 0)), 1.0, multi=True)
    assert terms.balance(s)[0] == 1 and terms.balance(s)[1] < 0.3


def test_payoff_is_for_what_f_did_not_know_of_classes_it_has_little_of():
    nan = np.nan
    proba = np.array([[0.1, 0.9]] * 4)
    targets = np.array([[1, 1], [0, 0], [nan, nan], [0, 1]])
    missed, false_alarm, nothing, knew = multilabel.payoff(proba, targets, np.array([0, 99]))
    assert missed > false_alarm > knew > nothing == 0
    assert missed == pytest.approx((0.9 + 0.1 * 0.1) / 2)
