"""Every term and selector keeps the same contract; the registries say which there are."""

import numpy as np
import pytest

from adde_ray.errors import UserError
from adde_ray.methods import selection
from adde_ray.methods.selection import DIVERSITY, OF_MEMBERS, SELECTORS, UNCERTAINTY, Situation


def situation(n=40, m=12, classes=5, gaps=3, seed=0) -> Situation:
    rng = np.random.default_rng(seed)
    return Situation(
        proba=rng.dirichlet(np.ones(classes), n).astype(np.float32),
        embedding=rng.normal(size=(n, 4)).astype(np.float32),
        dataset_embedding=rng.normal(size=(m, 4)).astype(np.float32),
        class_counts=np.array([6, 4, 2, 0, 0])[:classes],
        membership=rng.random((n, gaps)).astype(np.float32),
        novelty_scale=2.0,
    )


def take(s: Situation, rows) -> Situation:
    return Situation(s.proba[rows], s.embedding[rows], s.dataset_embedding, s.class_counts, s.membership[rows], 2.0)


def test_bald_is_high_where_members_disagree_and_not_where_all_are_unsure():
    sure, other, unsure = [0.98, 0.01, 0.01], [0.01, 0.98, 0.01], [1 / 3] * 3
    members = np.array([[sure, sure], [sure, other], [unsure, unsure], [sure, unsure]], dtype=np.float32)
    u = selection.bald(members)
    assert u[0] == pytest.approx(0, abs=1e-3) == u[2] and 0.9 < u[1] <= 1 and 0 < u[3] < u[1]
    assert selection.bald(members[:0]).shape == (0,)
    certain = np.eye(3, dtype=np.float32)[np.array([[0, 0], [0, 1]])]
    assert selection.bald(certain).tolist() == [0, 1]
    # many members, few classes and the other way round
    for k, c in ((30, 2), (2, 30)):
        u = selection.bald(np.random.default_rng(0).dirichlet(np.ones(c) * 0.01, (50, k)).astype(np.float32))
        assert np.isfinite(u).all() and u.min() >= 0 and u.max() <= 1


def test_members_are_asked_for_only_by_who_needs_them():
    proba = situation().proba

    def never():
        raise AssertionError

    assert selection.uncertainty(proba, "margin", never).shape == (40,)
    members = np.stack([proba, proba[::-1]], axis=1)
    np.testing.assert_array_equal(selection.uncertainty(proba, "bald", lambda: members), selection.bald(members))


@pytest.mark.parametrize("name", [name for name in UNCERTAINTY if name not in OF_MEMBERS])
class TestUncertainty:
    def test_shape_range_and_order(self, name):
        proba = situation().proba
        u = UNCERTAINTY[name](proba)
        assert u.shape == (len(proba),) and np.isfinite(u).all() and u.min() >= 0 and u.max() <= 1
        order = np.random.default_rng(1).permutation(len(proba))
        np.testing.assert_array_equal(UNCERTAINTY[name](proba[order]), u[order])

    def test_uniform_is_most_and_certain_is_least_uncertain(self, name):
        u = UNCERTAINTY[name](np.array([[1, 0, 0], [1 / 3, 1 / 3, 1 / 3], [0.8, 0.1, 0.1]], dtype=np.float32))
        assert u[0] == pytest.approx(0, abs=1e-5) and u[1] == pytest.approx(1, abs=1e-5) and 0 < u[2] < 1

    def test_no_rows_and_one_class(self, name):
        assert UNCERTAINTY[name](np.zeros((0, 3), np.float32)).shape == (0,)
        assert UNCERTAINTY[name](np.ones((4, 1), np.float32)).tolist() == [0, 0, 0, 0]


@pytest.mark.parametrize("name", DIVERSITY)
class TestDiversity:
    def test_shape_range_and_order(self, name):
        s = situation()
        div = DIVERSITY[name](s)
        assert div.shape == (40,) and np.isfinite(div).all() and div.min() >= 0 and div.max() <= 1
        order = np.random.default_rng(1).permutation(40)
        np.testing.assert_allclose(DIVERSITY[name](take(s, order)), div[order], rtol=1e-6)

    @pytest.mark.parametrize("shape", [(0, 12, 5, 3), (40, 0, 5, 3), (1, 1, 2, 0)])
    def test_degenerate(self, name, shape):
        div = DIVERSITY[name](situation(*shape))
        assert div.shape == (shape[0],) and np.isfinite(div).all()

    def test_all_equal(self, name):
        s = situation()
        same = Situation(
            s.proba, np.ones_like(s.embedding), np.ones_like(s.dataset_embedding), s.class_counts, s.membership, 0.0
        )
        assert np.isfinite(DIVERSITY[name](same)).all()


def test_balance_favours_what_is_rare():
    proba = np.eye(3, dtype=np.float32)
    s = Situation(proba, np.zeros((3, 1)), np.zeros((1, 1)), np.array([9, 1, 0]), np.zeros((3, 0)), 1.0)
    common, rare, absent = DIVERSITY["balance"](s)
    assert common < rare < absent == 1


def test_novelty_grows_with_distance_to_the_dataset():
    x, y = np.array([[0.0], [1.0], [5.0]]), np.array([[0.0]])
    scale = selection.novelty_scale(x, y)
    assert scale == pytest.approx(np.percentile([0, 1, 5], 99), rel=1e-6)
    near, far, farther = DIVERSITY["novelty"](Situation(np.ones((3, 1)), x, y, np.array([1]), np.zeros((3, 0)), scale))
    assert near == 0 < far < farther == 1
    assert selection.novelty_scale(x[:0], y) == selection.novelty_scale(x, y[:0]) == 0


def test_gap_of_names_the_best_gap_or_none():
    assert selection.gap_of(np.array([[0.1, 0.9], [0.0, 0.01]]), ["a", "b"]) == ["b", None]
    assert selection.gap_of(np.zeros((2, 0)), []) == [None, None]


@pytest.mark.parametrize("name", SELECTORS)
class TestSelectors:
    def select(self, name, score, embedding, size, seed=0):
        return SELECTORS[name](score, embedding, size, redundancy=0.5, rng=np.random.default_rng(seed))

    def test_distinct_rows_and_seeded(self, name):
        s, score = situation(), np.random.default_rng(3).random(40)
        rows = self.select(name, score, s.embedding, 10)
        assert len(rows) == len(set(rows.tolist())) == 10
        np.testing.assert_array_equal(rows, self.select(name, score, s.embedding, 10))

    @pytest.mark.parametrize(("n", "size", "expected"), [(0, 5, 0), (3, 5, 3), (5, 0, 0), (1, 1, 1)])
    def test_small(self, name, n, size, expected):
        rows = self.select(name, np.linspace(0, 1, n), np.zeros((n, 2)), size)
        assert sorted(rows.tolist()) == sorted(set(rows.tolist())) and len(rows) == expected

    def test_a_smaller_batch_is_a_prefix(self, name):
        s, score = situation(), np.random.default_rng(3).random(40)
        whole = self.select(name, score, s.embedding, 12)
        np.testing.assert_array_equal(self.select(name, score, s.embedding, 5), whole[:5])


@pytest.mark.parametrize("name", [n for n in SELECTORS if n != "random"])
def test_selection_does_not_depend_on_row_order(name):
    s, score = situation(), np.random.default_rng(3).permutation(40) / 40
    order = np.random.default_rng(4).permutation(40)
    rng = np.random.default_rng(0)
    straight = SELECTORS[name](score, s.embedding, 10, redundancy=0.5, rng=rng)
    shuffled = SELECTORS[name](score[order], s.embedding[order], 10, redundancy=0.5, rng=rng)
    np.testing.assert_array_equal(straight, order[shuffled])


def test_batch_greedy_spreads_where_top_k_repeats_itself():
    embedding = np.array([[0.0], [0.01], [0.02], [5.0]])
    score, rng = np.array([1.0, 0.99, 0.98, 0.9]), np.random.default_rng(0)
    assert SELECTORS["top_k"](score, embedding, 2, redundancy=0.5, rng=rng).tolist() == [0, 1]
    assert SELECTORS["batch_greedy"](score, embedding, 2, redundancy=0.5, rng=rng).tolist() == [0, 3]


def test_batch_greedy_with_identical_rows_still_fills_the_batch():
    rows = SELECTORS["batch_greedy"](np.ones(6), np.zeros((6, 2)), 4, redundancy=0.5, rng=None)
    assert sorted(rows.tolist()) == [0, 1, 2, 3]


def test_random_ignores_the_score():
    picks = [
        SELECTORS["random"](np.arange(50.0), None, 1, redundancy=0, rng=np.random.default_rng(s))[0] for s in range(60)
    ]
    assert len(set(picks)) > 20


def test_weighted_sum():
    u, div, q = np.array([1.0, 0.0]), np.array([0.0, 1.0]), np.array([1.0, 1.0])
    assert selection.weighted_sum(u, div, q, {"alpha": 2, "beta": 1, "gamma": 1}).tolist() == [0.75, 0.5]
    assert selection.weighted_sum(u, div, q, {"alpha": 0, "beta": 0, "gamma": 0}).tolist() == [0, 0]


def test_cap_synthetic_keeps_order_and_real_rows():
    synthetic = np.array([True, False, True, True, False])
    assert selection.cap_synthetic(np.array([3, 4, 0, 1, 2]), synthetic, 2).tolist() == [3, 4, 0, 1]
    assert selection.cap_synthetic(np.array([3, 4]), synthetic, 0).tolist() == [4]


def test_unknown_names_list_the_valid_ones():
    with pytest.raises(UserError, match="margin"):
        selection.uncertainty(np.ones((1, 2)), "margins")
    with pytest.raises(UserError, match="novelty"):
        selection.diversity(situation(), {"newness": 1.0})
    with pytest.raises(UserError, match="batch_greedy"):
        selection.select(np.ones(1), np.ones((1, 1)), 1, selector="greedy", redundancy=0, rng=None)
