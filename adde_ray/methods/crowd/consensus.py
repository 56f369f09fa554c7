"""Several people's answers about an item become one label with a confidence.

Beside majority there are two models of who errs how, both of crowd-kit (extra `review`): Dawid and Skene (1979), a
confusion matrix for each worker, and MACE (Hovy et al. 2013), in which a worker knows the answer or guesses.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import polars as pl

from adde_ray import labels as codec
from adde_ray.errors import choose, needed
from adde_ray.methods.crowd.votes import Votes, classes_of, tasks

DIGITS = 9
"""Probabilities are rounded to these before they decide: what is equal but for the order of a sum is a tie."""


@dataclass(frozen=True)
class Consensus:
    """proba: (n, C) in [0, 1] of each item, in the order of `items`: a row sums to 1; multi-label: each class for
    itself, NaN where nobody knows it."""

    items: tuple[str, ...]
    classes: tuple[str, ...]
    proba: np.ndarray
    multi: bool = False

    def table(self) -> pl.DataFrame:
        """item, label, confidence: the likeliest label (of equals the first class; a class as likely as not does not
        hold) and its probability, multi-label the product over the classes that are known."""
        if self.multi:
            known = ~np.isnan(self.proba)
            holds = self.proba > codec.PRESENT
            label = codec.texts(np.where(known, holds, np.nan), self.classes)
            confidence = np.where(known, np.where(holds, self.proba, 1 - self.proba), 1.0).prod(axis=1)
        else:
            best = self.proba.argmax(axis=1) if len(self.items) else np.zeros(0, dtype=int)
            label = [self.classes[c] for c in best]
            confidence = self.proba[np.arange(len(best)), best]
        return pl.DataFrame(
            {"item": self.items, "label": label, "confidence": confidence},
            schema={"item": pl.String, "label": pl.String, "confidence": pl.Float64},
        )


def consensus(
    answers: pl.DataFrame,
    method: str = "majority",
    *,
    classes: Sequence[str] | None = None,
    multi: bool = False,
    seed: int = 0,
) -> Consensus:
    """What the answers (item, worker, label) add up to. Items that nobody has voted on are left out.

    method: one of METHODS; majority's probabilities are shares of votes. seed: of mace, which starts at random.
    Raises UserError: no such method, or crowd-kit is not installed.
    """
    estimate = choose(METHODS, method, where="review.consensus")
    names = tuple(classes) if classes is not None else classes_of(answers, multi=multi)
    found = {name: estimate(votes, seed) for name, votes in tasks(answers, names, multi=multi).items()}
    items = tuple(sorted(answers["item"].cast(pl.String).unique().to_list()))
    if multi:
        proba = np.stack([p[:, 1] for p in found.values()], axis=1) if found else np.zeros((len(items), 0))
        voted = set(answers.filter(pl.col("label").is_not_null())["item"].cast(pl.String))
        some = ~np.isnan(proba).all(axis=1) if names else np.ones(len(items), dtype=bool)
        kept = np.logical_and([item in voted for item in items], some)
    else:
        [proba] = found.values()
        kept = ~np.isnan(proba).any(axis=1)
    left = tuple(items[row] for row in np.flatnonzero(kept))
    return Consensus(left, names, np.round(proba[kept], DIGITS), multi)


def _majority(votes: Votes, seed: int) -> np.ndarray:
    counts = votes.counts()
    with np.errstate(invalid="ignore"):
        return counts / counts.sum(axis=1, keepdims=True)


def _dawid_skene(votes: Votes, seed: int) -> np.ndarray:
    needed("crowdkit", extra="review", where="review.consensus", value="dawid_skene")
    from crowdkit.aggregation import DawidSkene

    return _by_crowd_kit(lambda frame: DawidSkene(n_iter=100).fit_predict_proba(frame), votes)


def _mace(votes: Votes, seed: int) -> np.ndarray:
    needed("crowdkit", extra="review", where="review.consensus", value="mace")
    from crowdkit.aggregation import MACE

    def fit(frame):
        if frame["label"].nunique() < 2:  # what is guessed among one class says nothing
            return None
        # One start: crowd-kit would begin further ones at the same place.
        return MACE(n_restarts=1, n_iter=50, random_state=seed).fit_predict_proba(frame)

    return _by_crowd_kit(fit, votes)


def _by_crowd_kit(fit: Callable, votes: Votes) -> np.ndarray:
    """(n, C) probabilities, NaN for items without votes. Classes without votes have 0."""
    import pandas as pd

    found = np.full((len(votes.items), len(votes.classes)), np.nan)
    if not len(votes.item):
        return found
    frame = pd.DataFrame({"task": votes.item, "worker": votes.worker, "label": votes.label})
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of pandas, about how crowd-kit calls it
        proba = fit(frame)
    voted = np.unique(votes.item)
    found[voted] = 0.0
    if proba is None:
        found[voted, votes.label[0]] = 1.0
        return found
    proba = proba.reindex(voted)
    found[np.ix_(voted, proba.columns.to_numpy(dtype=int))] = proba.to_numpy(dtype=float)
    return found


METHODS: dict[str, Callable[[Votes, int], np.ndarray]] = {
    "majority": _majority, "dawid_skene": _dawid_skene, "mace": _mace
}  # fmt: skip
