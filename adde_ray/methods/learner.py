"""The model f: a linear head on frozen features, or a small network trained whole.

features (n, d) → class probabilities (n, C) and embedding (n, e). The embedding is what everything
downstream looks at: the features themselves for the linear head, the penultimate layer for a network.

Labels are (n,) class rows, learned by softmax and cross-entropy, or the (n, C) targets of a multi-label task,
learned as C yes-or-no questions on one body: sigmoids and binary cross-entropy, NaN targets left out.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
import torch
from scipy.optimize import minimize_scalar
from scipy.special import expit
from torch import nn

from adde_ray.config import Train
from adde_ray.errors import choose
from adde_ray.methods.products import product

ROWS = 65_536
"""Rows a model is applied to at a time."""


class Network(nn.Module):
    """`body` maps features to the embedding, `head` the embedding to class logits."""

    def __init__(self, body: nn.Module, embedding_dims: int, num_classes: int):
        super().__init__()
        self.body = body
        self.head = nn.Linear(embedding_dims, num_classes)

    def forward(self, features: torch.Tensor) -> torch.Tensor:
        return self.head(self.body(features))


def linear(dims: int, num_classes: int, config: Train) -> Network:
    """A head on the frozen encoder; the embedding is the encoder's."""
    network = Network(nn.Identity(), dims, num_classes)
    # Zero is the optimum's own starting point for a convex head: no seed matters, no class is favoured.
    nn.init.zeros_(network.head.weight)
    nn.init.zeros_(network.head.bias)
    return network


def mlp(dims: int, num_classes: int, config: Train) -> Network:
    """Two hidden layers trained whole."""
    body = nn.Sequential(nn.Linear(dims, config.hidden), nn.ReLU(), nn.Linear(config.hidden, config.hidden), nn.ReLU())
    return Network(body, config.hidden, num_classes)


def build(dims: int, num_classes: int, config: Train, *, seed: int) -> Network:
    """A freshly initialised network; equal seeds give equal weights."""
    make = choose(LEARNERS, config.learner, where="train.learner")
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return make(dims, num_classes, config)


MAX_RATIO = 20.0
"""A multi-label class's positives weigh at most this many times its negatives, and at least the inverse: one
positive among hundreds must not decide alone."""


def class_weights(labels: np.ndarray, num_classes: int, balance: float) -> np.ndarray:
    """(C,) float32 loss weight of each class: n_c^-balance, mean 1 over the labelled rows; 0 for absent classes.

    Multi-label: (2, C), the same for "does not hold" and "holds" of each class, so that positives weigh
    (negatives / positives)^balance times as much as negatives; 0 for classes nothing is known of.
    """
    if labels.ndim == 2:
        counts = np.stack([(labels == 0).sum(axis=0), (labels == 1).sum(axis=0)]).astype(float)
        ratio = np.clip((counts[0] / np.maximum(counts[1], 1)) ** balance, 1 / MAX_RATIO, MAX_RATIO)
        weights = np.stack([np.ones_like(ratio), ratio])
        total = (weights * counts).sum(axis=0)
        return (weights * np.divide(counts.sum(axis=0), total, where=total > 0, out=total)).astype(np.float32)
    counts = np.bincount(labels, minlength=num_classes).astype(float)
    weights = np.divide(1.0, counts**balance, where=counts > 0, out=np.zeros(num_classes))
    return (weights / (weights[labels].mean() or 1.0)).astype(np.float32)


def weighted_loss(logits: torch.Tensor, labels: torch.Tensor, weights: torch.Tensor) -> torch.Tensor:
    """Summed (not averaged) class-weighted cross-entropy, so that shards of a batch add up exactly.

    Multi-label: binary cross-entropy, summed over the classes that are known of each row.
    """
    if labels.ndim == 2:
        holds = torch.nan_to_num(labels)  # masked, not multiplied by NaN: its gradient would be NaN too
        each = torch.where(torch.isnan(labels), 0.0, torch.where(holds > 0, weights[1], weights[0]))
        return nn.functional.binary_cross_entropy_with_logits(logits, holds, weight=each, reduction="sum")
    return nn.functional.cross_entropy(logits, labels, weight=weights, reduction="sum")


def batches(num_rows: int, batch_size: int, steps: int, *, seed: int) -> Iterator[np.ndarray]:
    """`steps` global batches of rows: the whole set when it fits, else seeded epochs without replacement."""
    rng = np.random.default_rng(seed)
    order = np.arange(0)
    for _ in range(steps):
        if num_rows <= batch_size:
            yield np.arange(num_rows)
            continue
        if len(order) < batch_size:
            order = np.concatenate([order, rng.permutation(num_rows)])
        yield order[:batch_size]
        order = order[batch_size:]


@dataclass(frozen=True)
class Model:
    """A trained, calibrated network."""

    network: Network
    temperature: float
    multi: bool = False  # a sigmoid for each class instead of one softmax

    def logits(self, features: np.ndarray) -> np.ndarray:
        """(n, C) float32 uncalibrated; a row's do not depend on what it is batched with."""
        head = self.network.head
        weight = head.weight.detach().T.contiguous()
        return self._apply(lambda x: product(self.network.body(x), weight) + head.bias, features)

    def proba(self, features: np.ndarray) -> np.ndarray:
        """(n, C) float32 calibrated class probabilities; of a multi-label task, a row need not sum to 1."""
        scaled = self.logits(features) / self.temperature
        if self.multi:
            return expit(scaled).astype(np.float32)
        scaled -= scaled.max(axis=1, keepdims=True)
        p = np.exp(scaled)
        return (p / p.sum(axis=1, keepdims=True)).astype(np.float32)

    def embed(self, features: np.ndarray) -> np.ndarray:
        """(n, e) float32 penultimate representation; the features themselves for the linear head."""
        if isinstance(self.network.body, nn.Identity):
            return features
        return self._apply(self.network.body, features)

    @property
    def moves(self) -> bool:
        """Whether the embedding changes when the model is trained again."""
        return not isinstance(self.network.body, nn.Identity)

    @torch.inference_mode()
    def _apply(self, function: Callable[[torch.Tensor], torch.Tensor], features: np.ndarray) -> np.ndarray:
        self.network.eval()
        device, rows = self.network.head.weight.device, torch.from_numpy(features)
        return torch.cat([function(part.to(device).float()).cpu() for part in rows.split(ROWS)]).numpy()


def fit_temperature(logits: np.ndarray, labels: np.ndarray) -> float:
    """The temperature in [0.05, 20] that minimises the negative log-likelihood on val (Guo et al. 2017).

    logits (n, C), labels (n,), or (n, C) of a multi-label task. 1 when there is nothing to fit on.
    """
    known = ~np.isnan(labels) if labels.ndim == 2 else slice(None)
    if labels[known].size == 0:
        return 1.0

    def nll(log_t: float) -> float:
        scaled = logits / np.exp(log_t)
        if labels.ndim == 2:
            return float(np.mean((np.logaddexp(0, scaled) - labels * scaled)[known]))
        top = scaled.max(axis=1)
        return float(
            np.mean(np.log(np.exp(scaled - top[:, None]).sum(axis=1)) + top - scaled[np.arange(len(labels)), labels])
        )

    best = minimize_scalar(nll, bounds=(np.log(0.05), np.log(20.0)), method="bounded", options={"xatol": 1e-3})
    return float(np.exp(best.x))


LEARNERS = {"linear": linear, "mlp": mlp}
