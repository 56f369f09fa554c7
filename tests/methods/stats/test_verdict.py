"""Who is ahead, and whether that is more than noise."""

import numpy as np
import pytest

from adde_ray.methods.metrics.evaluation import evaluate
from adde_ray.methods.stats.paired_rows import row_difference
from adde_ray.methods.stats.statistics import paired_difference
from adde_ray.methods.stats.verdict import judge, sentence

OURS, THEIRS, OF = ("adde", 0.8), ("random", 0.76), "macro-F1 on test, 5 seeds"


def said(a: list[float], b: list[float], **others: list[float]) -> str:
    found = {"adde": paired_difference(a, b), **{name: paired_difference(x, b) for name, x in others.items()}}
    return sentence(OURS, THEIRS, judge(found)["adde"], OF)


def test_a_lead_beyond_noise_is_told_with_its_interval_from_the_leaders_side():
    a, b = [0.80, 0.82, 0.84, 0.79, 0.83], [0.76, 0.77, 0.81, 0.76, 0.78]
    assert said(a, b) == "adde is ahead of random by 0.040 [0.028, 0.052] in macro-F1 on test, 5 seeds"
    assert said(b, a) == "random is ahead of adde by 0.040 [0.028, 0.052] in macro-F1 on test, 5 seeds"


def test_a_lead_within_noise_is_none():
    told = said([0.379, 0.381], [0.380, 0.378])
    assert told.startswith("no difference beyond noise between adde (0.800) and random (0.760) in macro-F1 on test")
    assert "ahead" not in told


def test_a_lead_that_many_others_tried_for_must_be_larger():
    a, b = [0.80, 0.81, 0.84, 0.79], [0.78, 0.80, 0.81, 0.78]
    rng = np.random.default_rng(0)
    assert "ahead" in said(a, b)
    assert "noise" in said(a, b, **{f"other {i}": list(rng.normal(0.79, 0.02, 4)) for i in range(12)})


def test_one_seed_crowns_nobody():
    assert said([0.9], [0.1]).endswith("one seed cannot tell a difference from noise")


# --- one run's rows ------------------------------------------------------------------------------------


def answers(labels: np.ndarray, right: float, rng: np.random.Generator, num: int = 4) -> np.ndarray:
    """(n, C) probabilities that are right so often."""
    wrong = (labels + rng.integers(1, num, len(labels))) % num
    return np.eye(num)[np.where(rng.random(len(labels)) < right, labels, wrong)] * 0.7 + 0.075


def test_the_difference_is_that_of_the_figures_reported():
    rng = np.random.default_rng(0)
    labels = rng.choice(5, 80, p=[0.4, 0.3, 0.2, 0.1, 0])  # a class that does not occur counts for neither
    a, b = answers(labels, 0.9, rng, 5), answers(labels, 0.5, rng, 5)
    f1 = [evaluate(labels, p, tuple("abcde"))["macro_f1"] for p in (a, b)]
    found = row_difference(labels, a, b, seed=0)
    assert found.mean == pytest.approx(f1[0] - f1[1], abs=2e-6) and found.n == 80
    assert found.low < found.mean < found.high and found.low > 0 and found.p < 0.01
    back = row_difference(labels, b, a, seed=0)
    assert back.mean == pytest.approx(-found.mean) and back.low == pytest.approx(-found.high, abs=0.02)


def test_the_same_of_several_classes_at_once_where_unknown_ones_count_for_neither():
    rng = np.random.default_rng(1)
    targets = (rng.random((120, 3)) < 0.4).astype(float)
    a = np.clip(targets * 0.8 + 0.1 + rng.normal(0, 0.2, targets.shape), 0, 1)
    b = rng.random(targets.shape)
    targets[rng.random(targets.shape) < 0.1] = np.nan
    f1 = [evaluate(targets, p, tuple("abc"))["macro_f1"] for p in (a, b)]
    found = row_difference(targets, a, b, seed=0)
    assert found.mean == pytest.approx(f1[0] - f1[1], abs=2e-6) and found.low > 0


def test_models_that_say_the_same_differ_by_nothing():
    labels = np.arange(40) % 4
    p = answers(labels, 0.6, np.random.default_rng(0))
    found = judge({"adde": row_difference(labels, p, p, seed=0)})["adde"]
    assert found.mean == found.low == found.high == 0 and found.is_noise


def test_equally_good_models_differ_by_noise_in_19_of_20_cases():
    calls = 0
    for trial in range(100):
        rng = np.random.default_rng(trial)
        labels = rng.choice(4, 90, p=[0.5, 0.3, 0.15, 0.05])
        found = row_difference(labels, answers(labels, 0.7, rng), answers(labels, 0.7, rng), seed=trial)
        calls += not judge({"a": found})["a"].is_noise
    assert calls <= 12  # 5 expected; more than 12 in one of 500
