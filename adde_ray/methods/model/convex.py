"""A linear head by a solver for convex problems: features (n, k), labels and weights in, weight and bias out.

L-BFGS on all rows at once (Liu & Nocedal 1989) ends where stochastic steps go, in a quarter of the passes, and needs
no learning rate.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from scipy.optimize import minimize

from adde_ray.methods.model import losses
from adde_ray.methods.model.losses import Loss
from adde_ray.methods.numerics.threads import threads_for

TOLERANCE = 1e-6
"""Relative fall of the loss at which the solver is content."""


@dataclass(frozen=True)
class Rows:
    """What a head is fitted to. labels: (n,) class rows, or (n, C) targets of a multi-label task, NaN = not known."""

    features: np.ndarray  # (n, k) float32
    labels: np.ndarray
    weights: np.ndarray  # (n,) how much each counts, besides its class

    def __len__(self) -> int:
        return len(self.features)

    def __add__(self, others: Rows) -> Rows:
        both = zip(
            (self.features, self.labels, self.weights), (others.features, others.labels, others.weights), strict=True
        )
        return Rows(*(np.concatenate(pair) for pair in both))


@dataclass(frozen=True)
class Head:
    """weight (C, k) and bias (C,), float32."""

    weight: np.ndarray
    bias: np.ndarray

    @classmethod
    def zero(cls, num_classes: int, dims: int) -> Head:
        """The head that knows nothing."""
        return cls(np.zeros((num_classes, dims), np.float32), np.zeros(num_classes, np.float32))

    def logits(self, features: np.ndarray) -> np.ndarray:
        """(n, C) float32 of (n, k)."""
        return features @ self.weight.T + self.bias


def labelled(
    features: np.ndarray, labels: np.ndarray, num_classes: int, loss: Loss, factor: np.ndarray | float = 1.0
) -> Rows:
    """Rows that count as their class does (`losses.class_weights`), times `factor`; of a multi-label task all alike."""
    weights = np.ones(len(labels)) * factor
    if labels.ndim == 1 and len(labels):
        weights *= losses.class_weights(labels, num_classes, loss.balance)[labels]
    return Rows(features, labels, weights)


@dataclass(frozen=True)
class Problem:
    """What is made small: the mean loss of the rows, plus decay / 2 · |head - toward|².

    toward: where the head stays while nothing is labelled. The bias is penalised as weights are: a class that nothing
    is labelled as would have no optimum, and what the others are said to be would be too sure.
    """

    rows: Rows
    loss: Loss
    decay: float
    toward: Head


def solve(problem: Problem, *, steps: int) -> Head:
    """The head that solves it, within `steps` iterations.

    Multi-label: C yes-or-no questions, weighted by `losses.class_weights`.
    """
    rows, loss, toward = problem.rows, problem.loss, problem.toward
    if not len(rows):
        return toward
    num_classes, dims = toward.weight.shape
    x = torch.from_numpy(np.ascontiguousarray(rows.features, dtype=np.float32))
    labels, weights = torch.from_numpy(rows.labels), torch.from_numpy(rows.weights)
    of_class = np.ones(num_classes)
    if rows.labels.ndim == 2:
        of_class = losses.class_weights(rows.labels, num_classes, loss.balance)
    of_class, total = torch.from_numpy(of_class).double(), float(rows.weights.sum())
    centre = torch.from_numpy(_flat(toward)).view(dims + 1, num_classes)

    def value(flat: np.ndarray) -> tuple[float, np.ndarray]:
        head = torch.from_numpy(flat).view(dims + 1, num_classes)
        logits = torch.addmm(head[-1].float(), x, head[:-1].float()).double().requires_grad_()
        fit = losses.weighted_loss(logits, labels, of_class, weights, robustness=loss.robustness) / total
        [slope] = torch.autograd.grad(fit, logits)
        away = head - centre
        gradient = torch.cat([(x.T @ slope.float()).double(), slope.sum(0, keepdim=True)]) + problem.decay * away
        return float(fit.detach()) + 0.5 * problem.decay * float(away.square().sum()), gradient.reshape(-1).numpy()

    options = {"maxiter": steps, "ftol": TOLERANCE, "gtol": 1e-6}
    with threads_for(len(rows) * dims * num_classes):
        found = minimize(value, _flat(toward), jac=True, method="L-BFGS-B", options=options)
    both = found.x.reshape(dims + 1, num_classes).astype(np.float32)
    return Head(np.ascontiguousarray(both[:-1].T), both[-1])


def _flat(head: Head) -> np.ndarray:
    """Its weight and bias as one vector, float64."""
    return np.concatenate([head.weight.T, head.bias[None]]).astype(np.float64).ravel()
