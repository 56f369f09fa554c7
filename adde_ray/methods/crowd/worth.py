"""Where the next second of people goes: one queue for new samples, second opinions, old labels and gold.

Everything is worth what it is expected to tell, in nats, for each second it takes (the idea is ActiveLab's, Goh and
Mueller 2023, arXiv 2301.11856, which compares a new label with another opinion about an old one).

An answer about a sample, new or not, tells I(Y; A) = H(A) - H(A | Y), where Y is the class, p what is believed of it so
far (of a new sample the model's probabilities, of a labelled one these and the answers together), and A the answer of
somebody who is right with probability q and else names one of the other C - 1 classes, each as likely:

    P(A = a) = q p_a + (1 - q) (1 - p_a) / (C - 1)
    H(A | Y) = -q ln q - (1 - q) ln((1 - q) / (C - 1))

A gold sample tells how often its annotator is right. Not knowing that costs about 1 / (2 (g + 1)) nats in each of their
answers, g gold answers after the first guess (the variance of q, q (1 - q) / (g + 1), times half its Fisher
information 1 / (q (1 - q))), so that one more, where m answers stand, is worth m / (2 (g + 1) (g + 2)).

    worth = value × nats / seconds

value (1 unless it is given) says how much more a nat about one sample counts than one about another: a rare class's,
or a new sample's, of which a model also learns what it looks like.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from adde_ray.errors import UserError

KINDS = ("new", "opinion", "again", "gold")
"""A sample without a label; another opinion about one of this round; an old label worth another look; gold."""


def answer_gain(proba: np.ndarray, accuracy: float) -> np.ndarray:
    """(n,) nats that one more answer of somebody right with this probability tells. proba: (n, C), or of a multi-label
    task (n, C, 2), where the classes' gains are summed."""
    if proba.ndim == 3:
        return np.sum([answer_gain(proba[:, c], accuracy) for c in range(proba.shape[1])], axis=0)
    size = proba.shape[1]
    if size < 2:
        return np.zeros(len(proba))
    wrong = (1 - accuracy) / (size - 1)
    said = accuracy * proba + wrong * (1 - proba)
    noise = _surprise(np.array([accuracy])) + (size - 1) * _surprise(np.array([wrong]))
    return np.maximum(_surprise(said).sum(axis=1) - noise, 0.0)


def gold_gain(standing: np.ndarray, gold: np.ndarray) -> np.ndarray:
    """(W,) nats that one more gold sample tells of each person. standing: answers of theirs that count; gold: gold
    answers they have given."""
    return standing / (2 * (gold + 1) * (gold + 2))


@dataclass(frozen=True)
class Queue:
    """rows: what to ask about, in this order, as rows of what was given. worth: (k,) value × nats / seconds of each."""

    rows: np.ndarray
    worth: np.ndarray


def queue(
    kinds: np.ndarray,
    gains: np.ndarray,
    seconds: Mapping[str, float],
    number: int,
    *,
    value: np.ndarray | None = None,
    shares: Mapping[str, float] | None = None,
) -> Queue:
    """The `number` best of n candidates, by worth.

    kinds: (n,) of KINDS. gains: (n,) nats. seconds: what an answer of each kind takes. shares: kind -> share of the
    queue that is fixed; kinds left out have none, and places that a kind cannot fill go to the others by worth.
    Raises UserError: shares that do not sum to 1, or seconds of a kind that are missing or not above 0.
    """
    kinds = np.asarray(kinds, dtype=str)
    took = _seconds(kinds, seconds)
    worth = np.asarray(gains, dtype=float) * (1.0 if value is None else value) / took
    best = np.lexsort((np.arange(len(worth)), -np.round(worth, 12)))
    number = min(number, len(best))
    rows = best[:number] if shares is None else _shared(best, kinds, number, shares)
    return Queue(rows, worth[rows])


def _seconds(kinds: np.ndarray, seconds: Mapping[str, float]) -> np.ndarray:
    for kind in np.unique(kinds):
        if not seconds.get(str(kind), 0) > 0:
            remedy = "Give the median seconds of an answer of each kind"
            raise UserError("no seconds above 0", where=f"seconds.{kind}", value=seconds.get(str(kind)), remedy=remedy)
    return np.array([seconds[kind] for kind in kinds], dtype=float)


def _shared(best: np.ndarray, kinds: np.ndarray, number: int, shares: Mapping[str, float]) -> np.ndarray:
    """Rows by kind, best first, merged so that every beginning of the queue is near the shares."""
    if abs(sum(shares.values()) - 1) > 1e-6:
        raise UserError("shares do not sum to 1", where="shares", value=dict(shares))
    waiting = {kind: list(best[kinds[best] == kind]) for kind in KINDS if shares.get(kind, 0) > 0}
    taken, rows = dict.fromkeys(waiting, 0), []
    while len(rows) < number and any(waiting.values()):
        owed = {kind: shares[kind] * (len(rows) + 1) - taken[kind] for kind, left in waiting.items() if left}
        kind = max(owed, key=lambda k: (round(owed[k], 9), -KINDS.index(k)))
        rows.append(waiting[kind].pop(0))
        taken[kind] += 1
    rest = best[~np.isin(best, rows)]
    return np.array([*rows, *rest[: number - len(rows)]], dtype=int)


def _surprise(p: np.ndarray) -> np.ndarray:
    return -p * np.log(np.maximum(p, 1e-300))
