"""What selection is worth, where both learning curves are known."""

import numpy as np
import pytest

from adde_ray.methods.stats import selection_worth
from adde_ray.methods.stats.selection_worth import Curve, Worth, sentence, stretch, worth

ROUNDS = np.arange(0, 121, 10)


def quality(labels):
    """Macro-F1 of random selection with so many labels."""
    return 0.3 + 0.6 * (1 - (1 + np.asarray(labels) / 30) ** -1.0)


@pytest.mark.parametrize("times", [0.3, 1.0, 3.0])
def test_a_curve_run_through_faster_is_seen(times):
    drawn = np.array([12, 6, 6])
    found = stretch(ROUNDS, drawn, np.concatenate([quality(times * ROUNDS), quality(drawn)]))
    assert found == pytest.approx(times, rel=0.15)


def said(level: float, rng: np.random.Generator, labels: np.ndarray) -> np.ndarray:
    """Probabilities that are right about a share of the rows."""
    right = rng.random(len(labels)) < level
    return np.eye(2)[np.where(right, labels, 1 - labels)]


def judged(times: float, seed: int = 0, drawn=(12, 6, 6), rows: int = 400, num_pool: int = 10_000) -> Worth | None:
    rng, labels = np.random.default_rng(seed), np.arange(rows) % 2
    ours = Curve(ROUNDS, [said(quality(times * n), rng, labels) for n in ROUNDS])
    theirs = Curve(np.array(drawn), [said(quality(n), rng, labels) for n in drawn])
    return worth(labels, ours, theirs, num_pool=num_pool, seed=seed)


def test_the_interval_holds_the_truth_and_follows_it():
    found = [judged(times, seed) for times in (0.3, 1.0, 3.0) for seed in range(6)]
    truths = [120 * times for times in (0.3, 1.0, 3.0) for _ in range(6)]
    assert np.mean([f.low <= t <= f.high for f, t in zip(found, truths, strict=True)]) > 0.9
    by = np.array([f.as_random for f in found]).reshape(3, 6).mean(axis=1)
    assert by[0] < 90 < by[1] < 220 < by[2]


def test_no_more_labels_are_named_than_the_pool_has():
    found = judged(3.0, num_pool=200)
    assert found.high == found.pool == 200
    assert "all 200 of the pool" in sentence(found.kept(), 12)


def test_nothing_is_said_from_three_random_answers_or_before_any_round():
    assert selection_worth.MIN_DRAWN == 4
    assert judged(1.0, drawn=(3, 2, 1)) is None
    labels = np.arange(10) % 2
    curve = Curve(np.array([0]), [np.eye(2)[labels]])
    assert worth(labels, curve, Curve(np.array([8]), [np.eye(2)[labels]]), num_pool=50, seed=0) is None


@pytest.mark.parametrize(
    ("low", "as_random", "high", "told"),
    [
        (260, 340, 520, "as good as random with 340 labels would be [260, 520]: 140 saved"),
        (50, 90, 150, "random would have been better here: 200 labels are as good as random with 90 labels would be"),
        (90, 340, 900, "cannot be told yet: random would be as good with 340 labels [90, 900], 200 were bought; 20"),
    ],
)
def test_the_sentence_claims_what_the_whole_interval_claims(low, as_random, high, told):
    assert told in sentence(Worth(200, as_random, low, high, 5000, 20).kept(), 20)


def test_without_a_figure_the_sentence_says_how_many_answers_there_are():
    assert sentence({}, 1).endswith("cannot be told yet: 1 random answer")
    assert sentence({}, 3).endswith("cannot be told yet: 3 random answers")
