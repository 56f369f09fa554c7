"""What rows drawn by chance tell of the pool, against pools of which all is known."""

import numpy as np
import pytest

from adde_ray.methods.stats.random_share import (
    Drawn,
    class_shares,
    none_share,
    of_labels,
    quality,
    unseen_mass,
    wilson,
)

C = 3


def one_run(seed: int, rounds: int = 30, pool: int = 400) -> tuple[Drawn, np.ndarray, np.ndarray]:
    """Each round takes four rows of the rarest class, as long as there are, and draws one of what is left.

    Rows of class -1 are rejected. Also the number rejected before each draw, and the true shares, the rejected last.
    """
    rng = np.random.default_rng(seed)
    labels = rng.choice([0, 1, 2, -1], p=[0.6, 0.2, 0.1, 0.1], size=pool)
    left, drawn, lefts, asked, rejected = np.ones(pool, bool), [], [], [], []
    counts = np.zeros(C + 1, int)
    for _ in range(rounds):
        taken = np.append(np.flatnonzero(left & (labels == 2))[:4], rng.choice(np.flatnonzero(left & (labels != 2))))
        row = rng.choice(np.flatnonzero(left))
        drawn.append(labels[row])
        lefts.append(left.sum())
        asked.append(counts[:C].copy())
        rejected.append(counts[C])
        taken = np.unique(np.append(taken, row))
        left[taken] = False
        counts += np.bincount(labels[taken] % (C + 1), minlength=C + 1)
    true, known = of_labels(np.array(drawn), C)
    truth = np.bincount(labels % (C + 1), minlength=C + 1) / pool
    return Drawn(true, known, np.array(lefts), np.array(asked), pool), np.array(rejected), truth


def test_shares_are_right_in_the_mean_though_selection_takes_one_class_away():
    found, raw = [], []
    for seed in range(300):
        drawn, rejected, truth = one_run(seed)
        found.append([e.value for e in (*class_shares(drawn), none_share(drawn, rejected))] - truth)
        raw.append(drawn.true.mean(axis=0)[2] - truth[2])
    assert np.abs(np.mean(found, axis=0)).max() < 0.015
    assert np.mean(raw) < -0.05  # what the answers alone would say of the class that selection takes


def test_intervals_hold_the_pools_shares():
    held = []
    for seed in range(200):
        drawn, rejected, truth = one_run(seed)
        estimates = (*class_shares(drawn), none_share(drawn, rejected))
        held.append([e.low <= t <= e.high for e, t in zip(estimates, truth, strict=True)])
    assert (np.mean(held, axis=0) > 0.9).all()


def test_what_is_not_known_of_a_row_says_nothing_of_its_class():
    labels = np.array([[1, np.nan], [0, np.nan], [1, 1], [1, np.nan]])
    true, known = of_labels(labels, 2)
    first, second = class_shares(Drawn(true, known, np.full(4, 10), np.zeros((4, 2)), 10))
    assert (first.value, second.value) == (0.75, 1.0)
    assert second.low < first.low
    [nothing] = class_shares(Drawn(true[:2, 1:], known[:2, 1:], np.full(2, 10), np.zeros((2, 1)), 10))
    assert (nothing.low, nothing.high) == (0, 1)


@pytest.mark.parametrize("power", [0.0, 1.0, 2.0])
def test_the_interval_holds_the_mass_of_unseen_classes(power):
    held, errors = [], []
    p = np.arange(1, 31.0) ** -power
    p /= p.sum()
    for seed in range(300):
        rng = np.random.default_rng(seed)
        labels = rng.choice(30, p=p, size=40)
        base = np.bincount(rng.choice(30, p=p, size=5), minlength=30) > 0
        true, known = of_labels(labels, 30)
        drawn = Drawn(true, known, np.full(40, 10**6), np.zeros((40, 30)), 10**6)
        found = unseen_mass(drawn, np.tile(base, (40, 1)))
        mass = p[~base & ~true.any(axis=0)].sum()
        if mass:  # that all classes are there is seen, and not estimated
            held.append(found.low <= mass <= found.high)
        errors.append(found.value - mass)
    assert np.mean(held) > 0.9
    assert abs(np.mean(errors)) < 0.02


def test_a_class_that_selection_found_after_a_draw_still_counts_as_found_by_it():
    true, known = of_labels(np.array([0, 0, 0, 1]), 2)
    drawn = Drawn(true, known, np.full(4, 100), np.zeros((4, 2)), 100)
    seen = np.array([[True, False]] * 4)
    assert unseen_mass(drawn, seen).value == 0.25
    assert unseen_mass(drawn, np.ones_like(seen)).value == 0


def test_a_share_of_no_rows_is_not_known():
    assert (wilson(0.0, 0).low, wilson(0.0, 0).high) == (0, 1)
    assert wilson(0.0, 20).high == pytest.approx(0.161, abs=1e-3)  # 3.84 / 23.84


def test_quality_is_that_of_the_rows_with_an_interval_around_it():
    labels = np.array([0, 0, 0, 1, 1, 1, 0, 0])
    proba = np.eye(2)[[0, 0, 0, 1, 1, 0, 0, 0]]
    found = quality(labels, proba, seed=0)
    assert found["accuracy"]["value"] == 0.875
    assert found["macro_f1"]["value"] == pytest.approx((10 / 11 + 0.8) / 2, abs=1e-4)
    assert all(0 < f["low"] < f["value"] < f["high"] <= 1 for f in found.values())
    assert found == quality(labels, proba, seed=0)


def test_of_several_classes_a_row_is_right_with_all_of_them_that_are_known():
    targets = np.array([[1, 0], [1, np.nan], [0, 1], [0, 1]])
    proba = np.array([[0.9, 0.1], [0.9, 0.9], [0.9, 0.9], [0.1, 0.9]])
    assert quality(targets, proba, seed=0)["accuracy"]["value"] == 0.75
