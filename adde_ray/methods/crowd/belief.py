"""How likely each class is, by the answers so far and, where there is one, the model.

A one-coin model (Dawid and Skene 1979 with a single accuracy a person), shrunk to what people are like on average,
with the model's calibrated probabilities as the prior of each item. With few answers a person it is calibrated where a
whole confusion matrix, fitted without a prior, is far too sure of itself.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from adde_ray.methods.crowd.votes import Votes

MEAN, WEIGHT = 0.8, 4.0
"""Accuracy of people of whom nothing is known, and the answers this counts for in their average, …"""

SHRINK = 10.0
"""… and the answers that the average counts for in the accuracy of one."""

ROUNDS = 20
"""Of expectation and maximisation at most."""

LEAST = 1e-6
"""Probability below which nothing is ruled out, whatever a model is sure of."""


@dataclass(frozen=True)
class Belief:
    """proba: (n, C) of each item, rows sum to 1. accuracy: (W,) of each worker."""

    proba: np.ndarray
    accuracy: np.ndarray


def belief(votes: Votes, prior: np.ndarray | None = None, gold: dict[str, int] | None = None) -> Belief:
    """votes of a single-label task, or of one class of a multi-label one.

    prior: (n, C) probabilities of a model that saw none of these labels, in the items' order; without it, how often
    classes are named. gold: item -> true class row.
    """
    n, size = len(votes.items), max(len(votes.classes), 1)
    if prior is None:
        named = votes.counts().sum(axis=0) + 1.0 if votes.classes else np.ones(1)
        prior = np.broadcast_to(named / named.sum(), (n, size))
    start = np.log(np.maximum(prior, LEAST))
    fixed = {i: gold[item] for i, item in enumerate(votes.items) if item in gold} if gold else {}
    accuracy = np.full(len(votes.workers), MEAN)
    proba = _items(votes, start, accuracy, fixed)
    for _ in range(ROUNDS):
        before, accuracy = accuracy, _people(votes, proba)
        proba = _items(votes, start, accuracy, fixed)
        if np.abs(accuracy - before).max(initial=0.0) < 1e-5:
            break
    return Belief(proba, accuracy)


def _items(votes: Votes, start: np.ndarray, accuracy: np.ndarray, fixed: dict[int, int]) -> np.ndarray:
    others = max(start.shape[1] - 1, 1)
    odds = np.log(accuracy) - np.log((1 - accuracy) / others)
    score = start.copy()
    np.add.at(score, (votes.item, votes.label), odds[votes.worker])
    proba = np.exp(score - score.max(axis=1, keepdims=True))
    proba /= proba.sum(axis=1, keepdims=True)
    for i, label in fixed.items():
        proba[i] = np.arange(proba.shape[1]) == label
    return proba


def _people(votes: Votes, proba: np.ndarray) -> np.ndarray:
    right, often = np.zeros(len(votes.workers)), np.zeros(len(votes.workers))
    np.add.at(right, votes.worker, proba[votes.item, votes.label])
    np.add.at(often, votes.worker, 1.0)
    mean = (right.sum() + MEAN * WEIGHT) / (often.sum() + WEIGHT)
    return np.clip((right + mean * SHRINK) / (often + SHRINK), 0.01, 0.99)
