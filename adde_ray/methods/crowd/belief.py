"""How likely each class is, by the answers so far and, where there is one, the model.

Dawid and Skene's model (1979) with each person's confusion matrix shrunk to that of all people together, and the
model's calibrated probabilities as the prior of each item. With few answers a person it is calibrated, where matrices
that are fitted without a prior are far too sure of themselves.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from adde_ray.methods.crowd.votes import Votes

MEAN, WEIGHT = 0.8, 4.0
"""Accuracy of people of whom nothing is known, and the answers of each class this counts for in what people are like
on average, …"""

SHRINK = 10.0
"""… and the answers of each class that the average counts for in one person's row."""

ROUNDS = 20
"""Of expectation and maximisation at most."""

LEAST = 1e-6
"""Probability below which nothing is ruled out, whatever a model is sure of."""


@dataclass(frozen=True)
class Belief:
    """proba: (n, C) of each item, rows sum to 1. accuracy: (W,) of each worker, shrunk to the average."""

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
    people = _People(votes, size)
    proba = people.items(start, fixed)
    for _ in range(ROUNDS):
        before = proba
        people.learn(proba)
        proba = people.items(start, fixed)
        if np.abs(proba - before).max(initial=0.0) < 1e-4:
            break
    return Belief(proba, people.accuracy(proba))


class _People:
    """Columns of the people's confusion matrices: only those of answers that somebody gave, which are few."""

    def __init__(self, votes: Votes, size: int):
        self._votes, self._size = votes, size
        pairs = votes.worker * size + votes.label
        kinds, self._kind = np.unique(pairs, return_inverse=True)
        self._worker, self._answer = kinds // size, kinds % size
        wrong = (1 - MEAN) / max(size - 1, 1)
        self._guess = np.where(np.eye(size, dtype=bool), MEAN if size > 1 else 1.0, wrong)
        self._chance = self._guess[:, self._answer].T  # (answers of people, true classes)

    def items(self, start: np.ndarray, fixed: dict[int, int]) -> np.ndarray:
        """(n, C) what is believed of the items."""
        score = start.copy()
        np.add.at(score, self._votes.item, np.log(self._chance)[self._kind])
        proba = np.exp(score - score.max(axis=1, keepdims=True))
        proba /= proba.sum(axis=1, keepdims=True)
        for i, label in fixed.items():
            proba[i] = np.arange(self._size) == label
        return proba

    def learn(self, proba: np.ndarray) -> None:
        """What people are like, given what is believed."""
        believed = proba[self._votes.item]
        said = np.zeros((len(self._worker), self._size))
        np.add.at(said, self._kind, believed)
        often = np.zeros((len(self._votes.workers), self._size))
        np.add.at(often, self._votes.worker, believed)
        together = WEIGHT * self._guess
        np.add.at(together.T, self._answer, said)
        together /= together.sum(axis=1, keepdims=True)
        self._chance = (said + SHRINK * together[:, self._answer].T) / (often[self._worker] + SHRINK)

    def accuracy(self, proba: np.ndarray) -> np.ndarray:
        """(W,) how often each is right, by what is believed."""
        right, often = np.zeros(len(self._votes.workers)), np.zeros(len(self._votes.workers))
        np.add.at(right, self._votes.worker, proba[self._votes.item, self._votes.label])
        np.add.at(often, self._votes.worker, 1.0)
        mean = (right.sum() + MEAN * WEIGHT) / (often.sum() + WEIGHT)
        return np.clip((right + mean * SHRINK) / (often + SHRINK), 0.01, 0.99)
