"""What f is trained to make small: cross-entropy in which classes, labels and members weigh differently.

logits (n, C) and labels → a sum over the rows. Labels are (n,) class rows, or the (n, C) targets of a multi-label
task, NaN where a class is not known.
"""

from __future__ import annotations

import itertools
import operator
from dataclasses import dataclass
from functools import reduce

import numpy as np
import torch
from torch import nn

from adde_ray.config import Train


@dataclass(frozen=True)
class Loss:
    """How much it counts how rare a class is (`class_weights`), and how little an unlikely label (`generalised`)."""

    balance: float = 1.0
    robustness: float = 0.0

    @classmethod
    def offered(cls, config: Train) -> list[Loss]:
        """Those of a config: all values of the one with all of the other, the first ones first."""
        return [cls(*both) for both in itertools.product(config.balance, config.robustness)]


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


def weighted_loss(
    logits: torch.Tensor,
    labels: torch.Tensor,
    weights: torch.Tensor,
    row_weights: torch.Tensor | None = None,
    *,
    robustness: float = 0.0,
) -> torch.Tensor:
    """Summed (not averaged) class-weighted cross-entropy, so that shards of a batch add up exactly.

    Multi-label: binary cross-entropy, summed over the classes that are known of each row. row_weights: (n,) of single
    rows, on top of their class's; None = all 1. robustness: see `generalised`; 0 is plain cross-entropy.
    """
    how = "sum" if row_weights is None and not robustness else "none"
    if labels.ndim == 2:
        holds = torch.nan_to_num(labels)  # masked, not multiplied by NaN: its gradient would be NaN too
        each = torch.where(torch.isnan(labels), 0.0, torch.where(holds > 0, weights[1], weights[0]))
        if robustness:
            loss = nn.functional.binary_cross_entropy_with_logits(logits, holds, reduction=how)
            loss = each * generalised(loss, robustness)
        else:
            loss = nn.functional.binary_cross_entropy_with_logits(logits, holds, weight=each, reduction=how)
        return loss.sum() if row_weights is None else (loss.sum(dim=1) * row_weights).sum()
    if robustness:
        loss = weights[labels] * generalised(nn.functional.cross_entropy(logits, labels, reduction=how), robustness)
    else:
        loss = nn.functional.cross_entropy(logits, labels, weight=weights, reduction=how)
    return loss.sum() if row_weights is None else (loss * row_weights).sum()


def generalised(cross_entropy: torch.Tensor, q: float) -> torch.Tensor:
    """(1 - p^q) / q of -log p, with q in (0, 1]: generalised cross-entropy (Zhang & Sabuncu 2018).

    People err, and cross-entropy, its limit at q = 0, learns a wrong label the harder, the less it fits. Here a label
    counts p^q times as much: good where labels are wrong and features strong, harmful where f is unsure of most.
    """
    return -torch.expm1(-q * cross_entropy) / q


def members_loss(
    logits: torch.Tensor,
    labels: torch.Tensor,
    weights: torch.Tensor,
    row_weights: torch.Tensor,
    *,
    robustness: float = 0.0,
) -> torch.Tensor:
    """The mean over the heads of each one's `weighted_loss`. logits (n, heads, C), row_weights (n, heads)."""
    heads = range(logits.shape[1])
    each = (weighted_loss(logits[:, h], labels, weights, row_weights[:, h], robustness=robustness) for h in heads)
    return reduce(operator.add, each) / len(heads)


def member_weights(num_rows: int, heads: int, *, seed: int) -> torch.Tensor:
    """(n, heads) float32 exponential row weights of mean 1: the Bayesian bootstrap (Rubin 1981).

    No weight is 0, so a class with a single sample is known to every member.
    """
    drawn = np.random.default_rng(seed).exponential(size=(num_rows, heads))
    return torch.from_numpy(drawn.astype(np.float32))
