"""Intervals that cover what they say, p-values that keep their level, tables of the literature."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from scipy import stats

from adde_ray.methods.stats import statistics

DRAWS = {
    "normal": (lambda rng, shape: rng.normal(size=shape), 0.0),
    "uniform": (lambda rng, shape: rng.uniform(-1, 1, shape), 0.0),
    "heavy tails": (lambda rng, shape: rng.standard_t(3, shape), 0.0),
    "skewed": (lambda rng, shape: rng.beta(2, 8, shape), 0.2),
}


def test_mean_interval_is_scipys():
    x = np.random.default_rng(0).normal(size=7)
    found = statistics.mean_interval(x)
    low, high = stats.ttest_1samp(x, 0).confidence_interval(0.95)
    assert (found.mean, found.low, found.high, found.n) == pytest.approx((x.mean(), low, high, 7))
    one = statistics.mean_interval([0.5])
    assert (one.mean, one.low, one.high) == (0.5, None, None)


@pytest.mark.parametrize("n", [3, 5])
@pytest.mark.parametrize("kind", DRAWS)
def test_the_interval_of_few_seeds_covers_the_mean_and_a_bootstrap_would_not(kind, n):
    draw, mean = DRAWS[kind]
    rng = np.random.default_rng(n)
    samples = draw(rng, (1500, n))
    found = [statistics.mean_interval(x) for x in samples]
    assert np.mean([e.low <= mean <= e.high for e in found]) >= 0.90
    resampled = samples[:, rng.integers(0, n, (500, n))].mean(axis=2)
    low, high = np.quantile(resampled, [0.025, 0.975], axis=1)
    assert ((low <= mean) & (mean <= high)).mean() < 0.88


def test_median_interval_by_hand():
    five = statistics.median_interval([40, 10, np.inf, 30, 20])
    assert (five.median, five.low, five.high) == (30, 10, np.inf) and five.coverage == pytest.approx(1 - 2 / 32)
    # Of nine, the second from either end: 1 - 2 · (1 + 9) / 512.
    nine = statistics.median_interval(range(9))
    assert (nine.median, nine.low, nine.high) == (4, 1, 7) and nine.coverage == pytest.approx(1 - 20 / 512)
    assert statistics.median_interval([10, 20, np.inf, np.inf]).median == np.inf  # half never: no finite median
    assert statistics.median_interval([np.inf] * 3).median == np.inf
    one = statistics.median_interval([7])
    assert (one.median, one.low, one.high, one.coverage) == (7, 7, 7, 0)


@pytest.mark.parametrize("n", [3, 5, 8, 12])
def test_median_interval_covers_what_it_says(n):
    samples = np.random.default_rng(n).exponential(size=(4000, n))
    found = [statistics.median_interval(x) for x in samples]
    covered = np.mean([e.low <= np.log(2) <= e.high for e in found])
    assert covered == pytest.approx(found[0].coverage, abs=0.02)
    assert (found[0].coverage >= 0.95) == (n >= 6)


def test_paired_difference_is_scipys():
    rng = np.random.default_rng(0)
    a, b = rng.normal(size=(2, 6))
    found, test = statistics.paired_difference(a, b), stats.ttest_rel(a, b)
    low, high = test.confidence_interval(0.95)
    assert (found.mean, found.low, found.high, found.p) == pytest.approx(((a - b).mean(), low, high, test.pvalue))
    # Every flip of six signs, counted by hand.
    sums = [abs(np.dot(signs, a - b)) for signs in itertools.product([1, -1], repeat=6)]
    assert found.p_flip == pytest.approx(np.mean([s >= abs((a - b).sum()) - 1e-12 for s in sums]))
    assert found.floor == 2 / 64


def test_five_seeds_cannot_speak_through_their_signs():
    found = statistics.paired_difference([0.9, 0.91, 0.92, 0.9, 0.93], [0.1, 0.1, 0.12, 0.1, 0.1])
    assert found.p < 1e-4 and found.p_flip == found.floor == 0.0625


def test_differences_without_spread_or_with_one_seed_claim_nothing():
    same = statistics.paired_difference([0.51, 0.61, 0.71], [0.5, 0.6, 0.7])
    assert same.p == same.p_flip == 0.25
    none = statistics.paired_difference([0.5, 0.5], [0.5, 0.5])
    assert none.p == 1 and none.mean == 0
    one = statistics.paired_difference([0.6], [0.5])
    assert one.mean == pytest.approx(0.1) and one.low is one.p is one.p_flip is None


@pytest.mark.parametrize("n", [3, 5])
def test_few_seeds_without_a_difference_are_seldom_called_one(n):
    rng = np.random.default_rng(n)
    draws = {
        "normal": (rng.normal(size=(1500, n)), 0.06),
        "heavy tails": (rng.standard_t(3, (1500, n)), 0.06),
        "one or two rows of a small test set": (rng.integers(-2, 3, (1500, n)) / 100, 0.08),
    }
    for kind, (rows, limit) in draws.items():
        called = np.mean([statistics.paired_difference(row, np.zeros(n)).p <= 0.05 for row in rows])
        assert 0.01 < called <= limit, kind


def test_pooled_differences_weigh_datasets_alike():
    rng = np.random.default_rng(1)
    groups = [rng.normal(0.3, 0.1, 3), rng.normal(0.1, 0.4, 8)]
    found = statistics.pooled_difference(groups)
    assert found.mean == pytest.approx((groups[0].mean() + groups[1].mean()) / 2) and found.n == 11
    # With the second group's sign turned it is half of Welch's test.
    welch = stats.ttest_ind(groups[0], -groups[1], equal_var=False)
    low, high = welch.confidence_interval(0.95)
    assert (found.low, found.high, found.p) == pytest.approx((low / 2, high / 2, welch.pvalue))
    assert statistics.pooled_difference([groups[0], np.array([1.0])]).low is None


def test_many_pairs_are_flipped_at_random_and_the_same_every_time():
    x = np.random.default_rng(3).normal(0.25, 1, 40)
    first, again = (statistics.pooled_difference([x]) for _ in range(2))
    assert first == again
    assert first.p_flip == pytest.approx(stats.ttest_1samp(x, 0).pvalue, abs=0.02)


def test_holm_by_hand():
    # Sorted .01, .02, .03, .04 times 4, 3, 2, 1: .04, .06, .06, .04, never falling.
    assert statistics.holm([0.04, 0.01, 0.03, 0.02]) == pytest.approx([0.06, 0.04, 0.06, 0.06])
    assert statistics.holm([0.6, 0.5]) == [1.0, 1.0] and statistics.holm([0.03]) == [0.03] and statistics.holm([]) == []


def test_holm_keeps_the_level_of_a_family():
    p = np.random.default_rng(0).random((4000, 6))
    assert np.mean([min(statistics.holm(row)) <= 0.05 for row in p]) == pytest.approx(0.05, abs=0.01)


@pytest.mark.parametrize(("k", "q"), [(2, 1.960), (3, 2.343), (5, 2.728), (10, 3.164)])
def test_critical_differences_are_those_of_the_table(k, q):
    """Table 5 (a) of Demšar 2006."""
    assert statistics.critical_difference(k, 14) == pytest.approx(q * np.sqrt(k * (k + 1) / (6 * 14)), abs=1e-3)


def test_ranking_by_hand():
    scores = np.array([[0.9, 0.7, 0.8, 0.1], [0.5, 0.5, 0.6, 0.4], [0.3, 0.2, 0.1, 0.0], [0.9, 0.8, 0.8, 0.8]])
    found = statistics.rank(scores)
    # Ties share their places: 1 + 2.5 + 1 + 1, 3 + 2.5 + 2 + 3, 2 + 1 + 3 + 3, 4 + 4 + 4 + 3, each over 4.
    assert found.ranks == (1.375, 2.625, 2.25, 3.75) and found.n == 4
    chi2 = stats.friedmanchisquare(*scores.T).statistic
    assert found.p == pytest.approx(stats.f.sf(3 * chi2 / (12 - chi2), 3, 9))
    # 2.569 of Demšar's table for four methods: 2.345, less than 3.75 - 1.375, more than 3.75 - 2.25.
    assert found.critical == pytest.approx(2.569 * np.sqrt(4 * 5 / (6 * 4)), abs=1e-3)
    assert found.groups == ((0, 2, 1), (2, 1, 3))


def test_groups_are_the_longest_runs():
    scores = np.array([[4.0, 3, 2, 1]] * 14)
    found = statistics.rank(scores)
    assert found.ranks == (1, 2, 3, 4) and found.groups == ((0, 1), (1, 2), (2, 3)) and found.p == 0


def test_two_methods_and_no_difference_at_all():
    a = np.random.default_rng(0).random(8)
    found = statistics.rank(np.stack([a + 0.1, a], axis=1))
    assert found.ranks == (1, 2) and found.p == pytest.approx(2 / 2**8)
    same = statistics.rank(np.ones((4, 3)))
    assert same.p == 1 and same.ranks == (2, 2, 2) and same.groups == ((0, 1, 2),)
