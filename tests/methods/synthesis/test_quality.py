"""Quality control of synthetic samples, and the quality term Q."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import polars as pl
import pytest

from adde_ray.config import QualityControl
from adde_ray.errors import UserError
from adde_ray.methods.synthesis.quality import QUALITY_MODELS, quality_control, quality_scores

# --- quality control -----------------------------------------------------------------------------------


@pytest.fixture
def world():
    """Two clusters in the plane, class 0 near (0, 0) and class 1 near (10, 0), labelled; f knows them."""
    rng = np.random.default_rng(0)
    features = np.concatenate([rng.normal(0, 1, (30, 2)), rng.normal((10, 0), 1, (12, 2))]).astype(np.float32)
    return SimpleNamespace(features=features, labels=np.repeat([0, 1], [30, 12]))


def control(world, features, intended, proba=None, min_confidence=0.3, **config):
    features = np.asarray(features, np.float32).reshape(-1, 2)
    intended = np.asarray(intended, dtype=int)
    if proba is None:
        proba = [[0.9, 0.1, 0.0] if x < 5 else [0.1, 0.9, 0.0] for x, _ in features]
    return quality_control(
        features,
        intended,
        np.asarray(proba, np.float32).reshape(-1, 3),
        dataset_features=world.features,
        dataset_labels=world.labels,
        real_features=world.features,
        config=QualityControl(**{"models": ("knn", "trees", "bayes"), **config}),
        min_confidence=min_confidence,
        seed=0,
    )


def test_filters_say_what_was_short(world):
    far_off = [0.0, 3.5]
    judged = control(
        world,
        [far_off, far_off, [10.0, 3.5], world.features[3]],
        [0, 1, 1, 0],
        proba=[[0.6, 0.4, 0], [0.6, 0.4, 0], [0.88, 0.12, 0], [0.9, 0.1, 0]],
    )
    assert judged["status"] == ["kept", "rejected", "rejected", "rejected"]
    assert judged["reason"] == [
        None,
        "agreement 0.00 < 0.50",
        "confidence 0.12 < 0.30",
        "copy of a real sample: nearest-neighbour ratio 0.00 < 0.25",
    ]
    assert judged["agreement"].tolist() == [1.0, 0.0, 0.75, 1.0]
    assert judged["confidence"] == pytest.approx([0.6, 0.4, 0.12, 0.9])
    assert judged["nn_ratio"][3] == 0.0 and judged["nn_ratio"][0] > 1
    both = control(world, [far_off], [1], proba=[[0.9, 0.1, 0]])
    assert both["reason"] == ["confidence 0.10 < 0.30; agreement 0.00 < 0.50"]


def test_thresholds_are_obeyed(world):
    row = [[10.0, 3.5]], [1], [[0.88, 0.12, 0]]
    assert control(world, *row, min_confidence=0.1)["status"] == ["kept"]
    assert control(world, *row, min_confidence=0.1, min_agreement=0.8)["reason"] == ["agreement 0.75 < 0.80"]
    copy = [world.features[3]], [0]
    assert control(world, *copy, near_copy=0.0)["status"] == ["kept"]


def test_of_synthetic_copies_the_surest_is_kept_whatever_the_order(world):
    features = np.array([[0, 3.5], [0, 3.51], [0.001, 3.5], [0, -3.5]], np.float32)
    proba = np.array([[0.6, 0.4, 0], [0.8, 0.2, 0], [0.7, 0.3, 0], [0.5, 0.5, 0]])
    for order in ([0, 1, 2, 3], [3, 2, 1, 0], [1, 3, 0, 2]):
        judged = control(world, features[order], np.zeros(4), proba[order])
        status = dict(zip(order, judged["status"], strict=True))
        assert status == {0: "rejected", 1: "kept", 2: "rejected", 3: "kept"}
        assert judged["reason"][order.index(0)].startswith("copy of another synthetic sample")


def test_a_reject_does_not_knock_out_its_neighbour(world):
    judged = control(world, [[0, 3.5], [0, 3.5]], [0, 1], proba=[[0.35, 0.65, 0]] * 2)
    assert judged["status"] == ["kept", "rejected"]


def test_same_result_twice_and_in_any_order(world):
    rng = np.random.default_rng(5)
    features, intended = rng.normal(0, 4, (40, 2)).astype(np.float32), rng.integers(0, 2, 40)
    first, second = control(world, features, intended), control(world, features, intended)
    order = rng.permutation(40)
    shuffled = control(world, features[order], intended[order])
    for name in first:
        assert list(first[name]) == list(second[name])
        assert [first[name][i] for i in order] == list(shuffled[name])


@pytest.mark.parametrize("name", QUALITY_MODELS)
def test_quality_models_contract(name, world):
    model = QUALITY_MODELS[name](world.labels, 0).fit(world.features, world.labels)
    assert (model.predict(world.features) == world.labels).mean() > 0.95
    lone = np.repeat([0, 1], [30, 1])  # a class with a single sample
    model = QUALITY_MODELS[name](lone, 0).fit(world.features[:31], lone)
    assert model.predict(world.features[30:31]).tolist() == [1]


@pytest.mark.filterwarnings("error")
def test_degenerate_input(world):
    judged = control(world, [], [])
    assert [len(judged[name]) for name in ("confidence", "agreement", "nn_ratio", "status", "reason")] == [0] * 5

    one = SimpleNamespace(features=world.features[:1], labels=world.labels[:1])
    judged = control(one, [world.features[0], [0, 3.5]], [0, 0])
    assert judged["nn_ratio"].tolist() == [0.0, 1.0] and judged["status"] == ["rejected", "kept"]
    assert control(one, [[0, 3.5]], [1])["agreement"].tolist() == [0.0]

    equal = SimpleNamespace(features=np.ones((5, 2), np.float32), labels=np.zeros(5, int))
    judged = control(equal, [[1, 1], [2, 2]], [0, 0])
    assert judged["nn_ratio"].tolist() == [0.0, 1.0]

    equal.labels[3:] = 1
    assert control(equal, [[2, 2]], [0])["agreement"].tolist() == [1.0], "the common class wins where rows are equal"

    empty = SimpleNamespace(features=np.zeros((0, 2), np.float32), labels=np.zeros(0, int))
    judged = control(empty, [[0, 0]], [0])
    assert np.isfinite(judged["nn_ratio"]).all() and judged["status"] == ["rejected"]
    # A class nobody has labelled yet: agreement can only come from f.
    assert control(world, [[0, 3.5]], [2], proba=[[0, 0, 1]])["reason"] == ["agreement 0.25 < 0.50"]


def test_unknown_model_lists_the_known_ones(world):
    with pytest.raises(UserError, match=r"forest.*bayes, knn, trees"):
        control(world, [[0, 0]], [0], models=("forest",))


# --- Q -------------------------------------------------------------------------------------------------


def past(n, *, both=True):
    rng = np.random.default_rng(0)
    ratio = rng.random(n)
    return pl.DataFrame(
        {
            "confidence": rng.random(n),
            "agreement": rng.choice([0.5, 1.0], n),
            "nn_ratio": ratio,
            "confirmed": ratio > 0.5 if both else np.ones(n, bool),
        }
    )


def test_q_prefers_medium_confidence_before_there_are_decisions():
    confidence = np.array([0.0, 0.3, 0.6, 0.8, 1.0])
    for decisions in (None, past(5), past(40, both=False), past(0)):
        q = quality_scores(confidence, np.ones(5), np.ones(5), decisions, QualityControl())
        assert q[2] == q.max() == 1.0 and q[0] == 0.0 and q[0] < q[1] < q[2] > q[3] > q[4] > 0


def test_q_learns_from_decisions():
    decisions = past(40)
    ratio = np.array([0.1, 0.4, 0.9])
    q = quality_scores(np.full(3, 0.6), np.ones(3), ratio, decisions, QualityControl())
    assert q[0] < q[1] < q[2] and q[0] < 0.3 and q[2] > 0.7 and q.min() >= 0 and q.max() <= 1
    shuffled = decisions.sample(fraction=1.0, shuffle=True, seed=3)
    assert np.array_equal(q, quality_scores(np.full(3, 0.6), np.ones(3), ratio, shuffled, QualityControl()))
    assert quality_scores(np.zeros(0), np.zeros(0), np.zeros(0), decisions, QualityControl()).shape == (0,)


def test_q_passes_over_decisions_with_missing_values():
    decisions = past(25).with_columns(pl.when(pl.int_range(25) < 10).then(None).otherwise("nn_ratio").alias("nn_ratio"))
    confidence = np.array([0.6, 1.0])
    q = quality_scores(confidence, np.ones(2), np.ones(2), decisions, QualityControl(min_decisions=20))
    assert q[0] == 1.0 > q[1]


class TestMultiLabel:
    def world(self):
        """Two dimensions, one class each: it holds where the coordinate is high. Of some rows one is not known."""
        rng = np.random.default_rng(0)
        targets = np.array([[0, 0], [1, 0], [0, 1], [1, 1]])[np.arange(80) % 4].astype(np.float32)
        features = (targets * 8 + rng.normal(size=(80, 2))).astype(np.float32)
        targets[::7, 1] = np.nan
        return features, targets

    def control(self, features, intended, proba, **kwargs):
        known, targets = self.world()
        return quality_control(
            np.array(features, dtype=np.float32),
            np.array(intended),
            np.array(proba),
            dataset_features=known,
            dataset_labels=targets,
            real_features=known,
            config=QualityControl(models=tuple(QUALITY_MODELS), near_copy=0),
            min_confidence=0.3,
            seed=0,
            **kwargs,
        )

    def test_the_intended_class_is_judged_by_itself_whatever_else_holds(self):
        made = [[8, 8], [8, 0], [0, 8], [8, 8]]
        judged = self.control(made, [0, 0, 0, 1], [[0.9, 0.9], [0.6, 0.1], [0.2, 0.9], [0.9, 0.4]])
        assert judged["agreement"].tolist() == [1, 1, 0, 0.75]  # f alone misses the last one's
        assert judged["confidence"].tolist() == pytest.approx([0.9, 0.6, 0.2, 0.4])
        assert judged["status"] == ["kept", "kept", "rejected", "kept"]

    def test_no_rows(self):
        assert self.control(np.zeros((0, 2)), np.zeros(0, int), np.zeros((0, 2)))["status"] == []
