"""Features of several encoders compared on a few labels."""

import numpy as np
import pytest

from adde_ray.methods.encoders import probe
from adde_ray.methods.stats.folds import spread


def blobs(n=60, classes=3, dims=12, distance=2.0, seed=0):
    """Features whose first dimensions tell the classes, and the classes, the last of which is the rarest."""
    rng = np.random.default_rng(seed)
    labels = np.sort(rng.choice(classes, n, p=np.arange(classes, 0, -1) / (classes * (classes + 1) / 2)))
    x = rng.normal(size=(n, dims))
    x[:, :classes] += distance * np.eye(classes)[labels]
    return x, labels


def by_hand(x, labels, folds):
    """`held_out_scores` by fitting each head anew."""
    counts = np.bincount(labels)
    root = np.sqrt(len(x) / (len(counts) * counts[labels]))[:, None]
    x = x - x.mean(axis=0)
    x = np.column_stack([x / np.sqrt(np.square(x).sum(axis=1).mean()), np.full(len(x), 10.0)])
    y = np.eye(len(counts))[labels]

    def head(rows, penalty):
        a, b = root[rows] * x[rows], root[rows] * y[rows]
        return np.linalg.solve(a.T @ a + penalty * len(x) * np.eye(x.shape[1]), a.T @ b)

    found = np.zeros_like(y)
    for fold in range(probe.FOLDS):
        errors = []
        for penalty in probe.PENALTIES:
            error = 0.0
            for inner in set(range(probe.FOLDS)) - {fold}:
                held = folds == inner
                missed = x[held] @ head((folds != fold) & ~held, penalty) - y[held]
                error += np.square(root[held] * missed).sum()
            errors.append(error)
        held = folds == fold
        found[held] = x[held] @ head(~held, probe.PENALTIES[int(np.argmin(errors))])
    return found


@pytest.mark.parametrize("dims", [12, 90])  # fewer and more than rows
def test_the_closed_form_is_what_fitting_each_head_anew_gives(dims):
    x, labels = blobs(dims=dims)
    folds = np.stack([spread(labels, probe.FOLDS, np.random.default_rng(seed)) for seed in (0, 1)])
    found = probe.held_out_scores(x, labels, folds)
    for scores, fold in zip(found, folds, strict=True):
        assert np.allclose(scores, by_hand(x, labels, fold), atol=1e-5)


def test_what_tells_the_classes_wins_and_noise_has_what_guessing_has():
    x, labels = blobs(n=150)
    noise = np.random.default_rng(9).normal(size=(150, 20))
    scores = probe.compare([noise, x, np.zeros((150, 3))], labels, seed=0)
    assert scores.means[1] > 0.8 and scores.means[0] < 0.5 and scores.means[2] < 0.5 and scores.chosen() == 1
    low, high = scores.interval(1)
    assert low < scores.means[1] < high and 0.02 < high - low < 0.25
    again = probe.compare([noise, x, np.zeros((150, 3))], labels, seed=0)
    assert np.array_equal(again.means, scores.means) and again.interval(1) == (low, high)


def test_the_first_is_taken_among_those_that_noise_cannot_tell_apart():
    x, labels = blobs(n=150)
    slightly = x + 0.05 * np.random.default_rng(1).normal(size=x.shape)
    assert {probe.compare([a, b], labels, seed=0).chosen() for a, b in ((x, slightly), (slightly, x))} == {0}


def test_intervals_cover_what_more_labels_would_tell():
    """The mean over many draws of labels lies in nearly all of their intervals."""
    scores = [probe.compare([x], labels, seed=seed) for seed in range(30) for x, labels in [blobs(n=80, seed=seed)]]
    truth = np.mean([one.means[0] for one in scores])
    inside = [low <= truth <= high for low, high in (one.interval(0) for one in scores)]
    assert np.mean(inside) >= 0.85


def test_rare_classes_count_as_much_as_common_ones():
    x, labels = blobs(n=200, classes=2, distance=3.0)
    rare = np.concatenate([np.flatnonzero(labels == 0), np.flatnonzero(labels == 1)[:6]])
    scores = probe.compare([x[rare]], labels[rare], seed=0)
    assert scores.means[0] > 0.7  # saying the common class of all has less than .5


def test_several_classes_at_once_and_what_nobody_knows():
    x, labels = blobs(n=120)
    targets = np.stack([labels == 0, labels > 0], axis=1).astype(float)
    targets[::7, 1] = np.nan
    noise = np.random.default_rng(2).normal(size=x.shape)
    scores = probe.compare([x, noise], targets, seed=0)
    assert scores.means[0] > 0.8 > 0.7 > scores.means[1]
    assert len(probe.usable(targets)) == 120 and not len(probe.usable(np.ones((9, 2))))


def test_rows_that_can_be_compared():
    assert probe.usable(np.array([0, 0, 1, 2, 2, -1])).tolist() == [0, 1, 3, 4]
    assert not len(probe.usable(np.array([0, 0, 0, 1, -1]))) and not len(probe.usable(np.zeros(0, int)))


def test_every_first_part_of_the_order_is_balanced_in_pairs():
    labels = np.array([0] * 50 + [1] * 4 + [2] * 9)
    order = probe.balanced(labels, np.random.default_rng(0))
    assert sorted(order) == list(range(63))
    assert np.bincount(labels[order[:6]]).tolist() == [2, 2, 2]
    assert np.bincount(labels[order[:12]]).tolist() == [4, 4, 4]
