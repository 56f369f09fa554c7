"""Losses: weights of classes, labels, rows and members."""

import numpy as np
import pytest
import torch

from adde_ray.config import Train
from adde_ray.methods.model import losses
from adde_ray.methods.model.losses import Loss

NAN = float("nan")


def test_class_weights_balance():
    labels = np.array([0, 0, 0, 1])
    weights = losses.class_weights(labels, 3, balance=1.0)
    assert weights[1] == pytest.approx(3 * weights[0]) and weights[2] == 0
    assert weights[labels].mean() == pytest.approx(1)
    assert losses.class_weights(labels, 3, balance=0.0)[:2].tolist() == [1, 1]


def test_row_weights_are_repetitions():
    logits, labels = torch.randn(4, 3, generator=torch.Generator().manual_seed(0)), torch.tensor([0, 1, 2, 0])
    weights, times = torch.tensor([1.0, 2.0, 0.5]), torch.tensor([1, 3, 0, 2])
    twice = losses.weighted_loss(logits.repeat_interleave(times, 0), labels.repeat_interleave(times), weights)
    assert losses.weighted_loss(logits, labels, weights, times.float()) == pytest.approx(float(twice), rel=1e-6)


def test_weights_balance_each_class_by_itself_and_pass_over_what_is_not_known():
    targets = np.array([[1, 0, 0, NAN], [0, 1, 0, NAN], [0, 1, 0, NAN], [0, NAN, 0, NAN]], dtype=np.float32)
    weights = losses.class_weights(targets, 4, balance=1.0)
    assert weights[1, 0] == pytest.approx(3 * weights[0, 0]) and weights[1, 1] == pytest.approx(0.5 * weights[0, 1])
    assert weights[0, 2] == 1 and weights[:, 3].tolist() == [0, 0]  # no positive; nothing known
    assert weights[(targets[:, 0] == 1).astype(int), 0].mean() == pytest.approx(1)
    assert losses.class_weights(targets, 4, balance=0.0)[:, :3].tolist() == [[1, 1, 1], [1, 1, 1]]
    lone = np.zeros((500, 1), np.float32)
    lone[0] = 1
    high = losses.class_weights(lone, 1, balance=1.0)
    assert high[1, 0] / high[0, 0] == pytest.approx(losses.MAX_RATIO)


def test_shards_of_a_batch_add_up_and_the_unknown_has_no_gradient():
    logits, labels, weights = batch(multi=True)
    whole = losses.weighted_loss(logits, labels, weights)
    parts = sum(losses.weighted_loss(logits[i::2], labels[i::2], weights) for i in range(2))
    torch.testing.assert_close(whole, parts)
    whole.backward()
    assert torch.equal(logits.grad == 0, torch.isnan(labels))


def batch(*, multi: bool) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Six rows of three classes: logits, labels and the classes' weights."""
    rng = np.random.default_rng(0)
    logits = torch.tensor(rng.normal(size=(6, 3)), requires_grad=True)
    if multi:
        return logits, torch.tensor(rng.choice([0, 1, NAN], (6, 3))), torch.tensor(rng.random((2, 3)))
    return logits, torch.tensor(rng.choice(3, 6)), torch.tensor(rng.random(3))


@pytest.mark.parametrize("multi", [False, True])
class TestRobustness:
    def test_it_is_cross_entropy_at_zero_and_near_it(self, multi):
        plain, nearly = (losses.weighted_loss(*batch(multi=multi), robustness=q) for q in (0.0, 1e-7))
        assert nearly.item() == pytest.approx(plain.item(), rel=1e-5)

    def test_a_label_counts_less_the_less_likely_it_is(self, multi):
        """The gradient is cross-entropy's times p^q."""
        gradients = []
        for q in (0.0, 0.7):
            logits, labels, weights = batch(multi=multi)
            losses.weighted_loss(logits, labels, weights, robustness=q).backward()
            gradients.append(logits.grad)
        logits, labels, _ = batch(multi=multi)
        if multi:
            p = torch.where(labels == 1, torch.sigmoid(logits), torch.sigmoid(-logits))
        else:
            p = torch.softmax(logits, dim=1)[torch.arange(6), labels][:, None]
        torch.testing.assert_close(gradients[1], gradients[0] * p**0.7)
        assert torch.isfinite(gradients[1]).all()

    def test_shards_of_a_batch_add_up(self, multi):
        logits, labels, weights = batch(multi=multi)
        whole = losses.weighted_loss(logits, labels, weights, robustness=0.5)
        parts = (losses.weighted_loss(logits[i::2], labels[i::2], weights, robustness=0.5) for i in range(2))
        torch.testing.assert_close(whole, sum(parts))

    def test_members_are_each_robust(self, multi):
        logits, labels, weights = batch(multi=multi)
        both, ones = torch.stack([logits, logits], dim=1), torch.ones(6, 2)
        found = losses.members_loss(both, labels, weights, ones, robustness=0.5)
        torch.testing.assert_close(found, losses.weighted_loss(logits, labels, weights, robustness=0.5))


def test_the_losses_of_a_config():
    assert Loss.offered(Train()) == [Loss(1.0, 0.0)]
    several = Loss.offered(Train(balance=[1, 0.5], robustness=[0, 0.7]))
    assert several[0] == Loss(1.0, 0.0) and set(several[1:]) == {Loss(1.0, 0.7), Loss(0.5, 0.0), Loss(0.5, 0.7)}
