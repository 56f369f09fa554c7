"""Learners: shapes, determinism, class balance, calibration, the embedding."""

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import torch

from adde_ray.config import Train
from adde_ray.errors import UserError
from adde_ray.methods.model import learner
from adde_ray.methods.model.learner import LEARNERS, Model


@pytest.mark.parametrize("name", LEARNERS)
class TestEveryLearner:
    def test_shapes_and_seed(self, name):
        config = Train(learner=name, hidden=8)
        features = np.random.default_rng(0).normal(size=(5, 6)).astype(np.float32)
        model = Model(learner.build(6, 3, config, seed=1), 1.0)
        again = Model(learner.build(6, 3, config, seed=1), 1.0)
        proba = model.proba(features)
        assert proba.shape == (5, 3) and proba.dtype == np.float32
        np.testing.assert_allclose(proba.sum(axis=1), 1, rtol=1e-5)
        np.testing.assert_array_equal(proba, again.proba(features))
        assert model.embed(features).shape == (5, 8 if model.moves else 6)

    def test_building_leaves_the_global_generator_alone(self, name):
        torch.manual_seed(3)
        expected = torch.rand(1)
        torch.manual_seed(3)
        learner.build(4, 2, Train(learner=name), seed=9)
        assert torch.rand(1) == expected

    def test_no_rows(self, name):
        model = Model(learner.build(4, 2, Train(learner=name), seed=0), 1.0)
        assert model.proba(np.zeros((0, 4), np.float32)).shape == (0, 2)


def test_unknown_learner_lists_the_valid_ones():
    with pytest.raises(UserError, match="linear"):
        learner.build(2, 2, Train(learner="tree"), seed=0)


def test_batches_cover_every_row_each_epoch_and_are_seeded():
    drawn = list(learner.batches(10, 4, 5, seed=0))
    assert sorted(np.concatenate(drawn[:2]).tolist()) == sorted(set(np.concatenate(drawn[:2]).tolist()))
    assert set(np.concatenate(drawn).tolist()) == set(range(10))
    assert all((a == b).all() for a, b in zip(drawn, learner.batches(10, 4, 5, seed=0), strict=True))
    assert [len(b) for b in learner.batches(3, 4, 2, seed=0)] == [3, 3]


def test_temperature_undoes_overconfidence():
    rng = np.random.default_rng(0)
    logits = rng.normal(size=(4000, 3))
    labels = np.array([rng.choice(3, p=np.exp(row) / np.exp(row).sum()) for row in logits])
    assert learner.fit_temperature(logits * 4, labels) == pytest.approx(4, rel=0.15)
    assert learner.fit_temperature(logits[:0], labels[:0]) == 1


@pytest.mark.parametrize("settings", [{}, {"learner": "mlp"}, {"learner": "mlp", "dropout": 0.5}], ids=str)
def test_members_have_their_own_opinions_and_f_is_one_model(settings):
    config = Train(ensemble=4, hidden=8, **settings)
    heads, f = (learner.build(6, 3, c, seed=1) for c in (config, config.model_copy(update={"ensemble": 1})))
    for network in (heads, f):
        with torch.no_grad():
            network.head.weight.normal_(generator=torch.Generator().manual_seed(0))
    members = None if config.dropout else heads
    model = Model(f, 2.0, ensemble=config.ensemble, members=members)
    features = np.random.default_rng(0).normal(size=(5, 6)).astype(np.float32)
    members = model.member_proba(features)
    assert members.shape == (5, 4, 3) and members.dtype == np.float32
    np.testing.assert_allclose(members.sum(axis=2), 1, rtol=1e-5)
    assert all(not np.allclose(members[:, 0], members[:, k]) for k in range(1, 4))
    np.testing.assert_array_equal(members, model.member_proba(features))
    np.testing.assert_allclose(members[[3, 0]], model.member_proba(features[[3, 0]]), rtol=1e-5)
    np.testing.assert_array_equal(model.proba(features), Model(f, 2.0).proba(features))
    assert model.proba(features).shape == (5, 3) and model.logits(features[:0]).shape == (0, 3)
    assert model.embed(features).shape == (5, 8 if model.moves else 6)


def test_threads_do_not_see_each_others_masks():
    """Shards are scored by several threads at a time, with one model."""
    config = Train(learner="mlp", dropout=0.5, ensemble=4)
    model = Model(learner.build(12, 3, config, seed=0), 1.0, ensemble=4)
    x = np.random.default_rng(0).normal(size=(2000, 12)).astype(np.float32)
    f, members = model.proba(x), model.member_proba(x)
    with ThreadPoolExecutor(4) as threads:
        asked = [threads.submit(model.member_proba if i % 2 else model.proba, x) for i in range(40)]
    for i, answer in enumerate(asked):
        np.testing.assert_array_equal(answer.result(), members if i % 2 else f)


def test_one_member_is_f_itself():
    model = Model(learner.build(6, 3, Train(learner="mlp"), seed=1), 1.5)
    features = np.random.default_rng(0).normal(size=(5, 6)).astype(np.float32)
    np.testing.assert_array_equal(model.member_proba(features)[:, 0], model.proba(features))


@pytest.mark.parametrize(("batch_size", "share"), [(8, 0.5), (8, 0.3), (100, 0.5), (100, 0.05), (1, 0.5), (2, 0.9)])
def test_rehearsal_draws_its_share_of_the_first_rows(batch_size, share):
    first = np.array([0, 3, 7, 11])
    drawn = list(learner.batches(40, batch_size, 60, seed=3, rehearsed=first, share=share))
    again = list(learner.batches(40, batch_size, 60, seed=3, rehearsed=first, share=share))
    assert len(drawn) == 60 and all((a == b).all() for a, b in zip(drawn, again, strict=True))
    held = np.isin(np.concatenate(drawn), first).mean()
    if batch_size == 100:  # taken whole, so a smaller share than they have anyway changes nothing
        assert held == pytest.approx(max(share, 0.1), abs=0.02)
        assert all(set(range(40)) == set(batch.tolist()) for batch in drawn)
    elif batch_size > 1:
        assert all(len(batch) == batch_size and abs(np.isin(batch, first).mean() - share) <= 0.5 for batch in drawn)
        assert held == pytest.approx(min(max(round(share * batch_size), 1), batch_size - 1) / batch_size)
    assert set(np.concatenate(drawn).tolist()) == set(range(40))


@pytest.mark.parametrize("first", [None, [], list(range(10))], ids=str)
def test_rehearsal_of_nothing_or_of_everything_is_none(first):
    rows = None if first is None else np.array(first, dtype=int)
    plain = learner.batches(10, 4, 7, seed=0)
    rehearsed = learner.batches(10, 4, 7, seed=0, rehearsed=rows, share=0.5)
    assert all((a == b).all() for a, b in zip(plain, rehearsed, strict=True))


NAN = float("nan")


class TestMultiLabel:
    def test_probabilities_are_sigmoids(self):
        model = Model(learner.build(2, 3, Train(), seed=0), 2.0, multi=True)
        with torch.no_grad():
            model.network.head.bias.copy_(torch.tensor([0.0, 2.0, -200.0]))
        np.testing.assert_allclose(
            model.proba(np.zeros((1, 2), np.float32)), [[0.5, 1 / (1 + np.exp(-1)), 0]], atol=1e-6
        )

    def test_temperature_undoes_overconfidence(self):
        rng = np.random.default_rng(0)
        logits = rng.normal(size=(2000, 3))
        labels = (rng.random((2000, 3)) < 1 / (1 + np.exp(-logits))).astype(np.float32)
        labels[rng.random((2000, 3)) < 0.2] = np.nan
        assert learner.fit_temperature(logits * 4, labels) == pytest.approx(4, rel=0.15)
        assert learner.fit_temperature(logits, np.full((2000, 3), np.nan)) == 1


def points(seed: int = 0) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Three prototypes, and rows around them with the class of each."""
    rng = np.random.default_rng(seed)
    vectors = (np.eye(3, 5) * 3 + 1).astype(np.float32)
    labels = rng.integers(3, size=90)
    return vectors, (vectors[labels] + rng.normal(size=(90, 5))).astype(np.float32), labels


def untrained(learner_name: str, num_classes: int = 3, **settings) -> learner.Network:
    return learner.build(5, num_classes, Train(learner=learner_name, **settings), seed=0)


@pytest.mark.parametrize("settings", [{}, {"ensemble": 3}], ids=["one head", "three heads"])
@pytest.mark.parametrize("name", ["linear", "mlp"])
def test_a_head_by_prototypes_tells_classes_apart_and_is_moderately_sure(name, settings):
    vectors, features, labels = points()
    network = learner.from_prototypes(untrained(name, **settings), vectors, np.ones(3, bool), features)
    proba = learner.Model(network, 1.0).proba(features) if not settings else None
    if proba is None:
        members = learner.Model(network, 1.0, ensemble=3, members=network).member_proba(features)
        assert np.array_equal(members[:, 0], members[:, 2])
        proba = members[:, 0]
    assert (proba.argmax(axis=1) == labels).mean() > 0.8
    assert proba.max(axis=1).mean() == pytest.approx(1 / 3 + learner.MODERATE * 2 / 3, abs=0.02)


def test_a_class_without_a_prototype_is_as_likely_as_the_others_are_in_the_mean():
    vectors, features, _ = points()
    vectors[1] = 0
    network = learner.from_prototypes(untrained("linear"), vectors, np.array([True, False, True]), features)
    logits = learner.Model(network, 1.0).logits(features)
    assert logits[:, 1] == pytest.approx(logits[:, [0, 2]].mean(axis=1), abs=1e-3)


def test_one_prototype_alone_tells_nothing_apart():
    vectors, features, _ = points()
    network = learner.from_prototypes(untrained("linear"), vectors, np.array([True, False, False]), features)
    assert learner.Model(network, 1.0).proba(features) == pytest.approx(1 / 3)


def test_copies_of_one_row_break_no_prototypes():
    vectors, features, _ = points()
    same = np.repeat(features[:1], 20, axis=0)
    network = learner.from_prototypes(untrained("linear"), vectors, np.ones(3, bool), same)
    assert np.isfinite(learner.Model(network, 1.0).proba(same)).all()


def test_of_several_classes_each_holds_of_its_share_of_the_pool():
    vectors, features, labels = points()
    described = np.array([True, True, False])
    network = learner.from_prototypes(untrained("linear"), vectors, described, features, multi=True)
    proba = learner.Model(network, 1.0, multi=True).proba(features)
    assert (proba[:, :2] > 0.5).mean(axis=0) == pytest.approx(1 / 3, abs=0.02)
    assert proba[labels == 0, 0].mean() > 0.6 > 0.4 > proba[labels != 0, 0].mean()
    assert proba[:, 2] == pytest.approx(1 / 3)


@pytest.mark.parametrize("name", ["linear", "mlp"])
def test_a_uniform_head_takes_every_class_for_as_likely(name):
    _, features, _ = points()
    assert learner.Model(learner.uniform(untrained(name)), 1.0).proba(features) == pytest.approx(1 / 3)
