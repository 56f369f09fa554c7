"""Terms U and Div per candidate, and the score alpha U + beta Div + gamma Q.

probabilities (n, C), embeddings (n, e), gap membership (n, g) → scores (n,). All terms and scores lie in [0, 1]
and higher means "select first".
"""

from __future__ import annotations

import operator
from collections.abc import Callable
from dataclasses import dataclass
from functools import reduce

import numpy as np

from adde_ray.config.registry import Registry
from adde_ray.methods.numerics.matmul import nearest_distance
from adde_ray.methods.query import multilabel

RARITY = 0.6
"""Exponent of class rarity in the diversity term `balance`."""

Uncertainty = Callable[[np.ndarray], np.ndarray]
"""(n, C) calibrated probabilities, or (n, K, C) of an ensemble's members → (n,) in [0, 1]."""

# --- U: uncertainty of f, (n, C) calibrated probabilities → (n,) in [0, 1] ---------------------------------


def margin(proba: np.ndarray) -> np.ndarray:
    """1 - (p_first - p_second): 1 = f cannot tell its two best classes apart (Scheffer et al. 2001)."""
    if proba.shape[1] < 2:
        return np.zeros(len(proba), dtype=np.float32)
    rows, first = np.arange(len(proba)), proba.argmax(axis=1)
    rest = proba.copy()
    rest[rows, first] = -1.0
    return 1.0 - (proba[rows, first] - rest.max(axis=1))


def entropy(proba: np.ndarray) -> np.ndarray:
    """Shannon entropy over log C: 1 = uniform (Shannon 1948)."""
    if proba.shape[1] < 2:
        return np.zeros(len(proba), dtype=np.float32)
    p = np.clip(proba, 1e-12, 1.0)
    return np.clip(-(p * np.log(p)).sum(axis=1) / np.log(proba.shape[1]), 0.0, 1.0)


def least_confidence(proba: np.ndarray) -> np.ndarray:
    """(1 - p_first) · C / (C - 1): 1 = uniform (Lewis & Gale 1994)."""
    classes = proba.shape[1]
    if classes < 2:
        return np.zeros(len(proba), dtype=np.float32)
    return np.clip((1.0 - proba.max(axis=1)) * classes / (classes - 1), 0.0, 1.0)


def bald(members: np.ndarray) -> np.ndarray:
    """Root of the members' mutual information H(mean) - mean(H) over its maximum log min(K, C): 1 = they contradict.

    members: (n, K, C) probabilities (one member's, (n, C), agree with themselves: 0). High where the members
    disagree, not where all of them are unsure (Houlsby et al. 2011; Gal et al. 2017). The root, since the information
    itself is seldom above .1; it is then a metric between the members (Endres & Schindelin 2003).
    """
    if members.ndim == 2 or min(members.shape[1:]) < 2:
        return np.zeros(len(members), dtype=np.float32)
    p = np.clip(members, 1e-12, 1.0).astype(np.float64)
    mean = p.mean(axis=1)
    information = (p * np.log(p)).sum(axis=2).mean(axis=1) - (mean * np.log(mean)).sum(axis=1)
    return np.sqrt(np.clip(information / np.log(min(p.shape[1:])), 0.0, 1.0)).astype(np.float32)


# --- Div: what the candidate would add to the dataset --------------------------------------------------------


@dataclass(frozen=True)
class CandidateBatch:
    """What diversity terms look at. n candidates, m dataset rows, g open gaps."""

    proba: np.ndarray  # (n, C) calibrated
    embedding: np.ndarray  # (n, e)
    dataset_embedding: np.ndarray  # (m, e)
    class_counts: np.ndarray  # (C,) labelled samples of each class
    membership: np.ndarray  # (n, g) how much each would fill each open gap
    novelty_scale: float  # distance at which a candidate is as novel as can be; see `novelty_scale`
    multi: bool = False  # several classes may hold at once


DiversityTerm = Callable[[CandidateBatch], np.ndarray]
"""n candidates → (n,) in [0, 1]."""


def balance(s: CandidateBatch, power: float = RARITY) -> np.ndarray:
    """Expected rarity of the candidate's class: Σ_c p_c · (1 / (1 + labelled_c))^power, over its largest value.

    1 = f is sure of a class as short as the shortest.
    """
    rarity = (1.0 / (1.0 + s.class_counts)) ** power
    rarity = (rarity / rarity.max()).astype(np.float32)
    if s.multi:
        return multilabel.rarity(s.proba, rarity)
    # Row by row: a matrix-vector product adds in an order that depends on how many rows there are.
    return np.minimum((s.proba * rarity).sum(axis=1), 1.0)


def novelty(s: CandidateBatch) -> np.ndarray:
    """Distance to the nearest dataset embedding over `novelty_scale`, at most 1; 1 while the dataset is empty."""
    if len(s.dataset_embedding) == 0 or len(s.embedding) == 0:
        return np.ones(len(s.embedding), dtype=np.float32)
    if s.novelty_scale <= 0:
        return np.zeros(len(s.embedding), dtype=np.float32)
    return np.minimum(nearest_distance(s.embedding, s.dataset_embedding) / np.float32(s.novelty_scale), 1.0)


def novelty_scale(embedding: np.ndarray, dataset_embedding: np.ndarray) -> float:
    """The 99th percentile of the distances from unlabelled rows (n, e) to the nearest of the dataset's (m, e)."""
    if len(embedding) == 0 or len(dataset_embedding) == 0:
        return 0.0
    return float(np.percentile(nearest_distance(embedding, dataset_embedding), 99))


def gaps(s: CandidateBatch) -> np.ndarray:
    """Membership in the open gap the candidate fits best; 0 without gaps."""
    return s.membership.max(axis=1) if s.membership.shape[1] else np.zeros(len(s.proba), dtype=np.float32)


def uncertainty(
    proba: np.ndarray, name: str, *, multi: bool = False, members: Callable[[], np.ndarray] | None = None
) -> np.ndarray:
    """U of (n, C) probabilities by the term of that name, (n,) in [0, 1]. multi: several classes may hold at once.

    members: gives the (n, K, C) probabilities of an ensemble, asked for only by terms in `OF_MEMBERS`.
    """
    term = (multilabel.UNCERTAINTY if multi else UNCERTAINTY)[name]
    return term(members() if members and name in OF_MEMBERS else proba)


def sharpness(u: np.ndarray) -> float:
    """The power, from 1 to 20, at which the median of uncertainties (n,) is 1/2; 1 where it is less already.

    Flat probabilities make nearly all margins alike, and whatever else is in the score would decide alone.
    """
    if not len(u):
        return 1.0
    median = np.clip(np.median(u.astype(np.float64)), 1e-3, 0.999)
    return round(float(np.clip(np.log(0.5) / np.log(median), 1.0, 20.0)), 6)


def weighted(u: np.ndarray, s: CandidateBatch, *, sharpness: float, rarity: float) -> np.ndarray:
    """U of the score, (n,) in [0, 1]: uncertainty^sharpness times class balance of the power `rarity`."""
    weighted = np.clip(u, 0.0, 1.0).astype(np.float64) ** sharpness
    if rarity > 0:
        weighted *= balance(s, rarity)
    # Where a power ends in float's last bits depends on how many rows there are.
    return np.round(weighted, 6).astype(np.float32)


def diversity(s: CandidateBatch, shares: dict[str, float]) -> np.ndarray:
    """Div, (n,) in [0, 1]: the mean of the diversity terms named in `shares`, weighted by them."""
    total = sum(shares.values())
    terms = {name: DIVERSITY[name] for name in sorted(shares)}
    if total <= 0:
        return np.zeros(len(s.proba), dtype=np.float32)
    return reduce(operator.add, ((shares[name] / total) * term(s) for name, term in terms.items()))


def gap_of(membership: np.ndarray, gap_ids: list[str], threshold: float = 0.05) -> list[str | None]:
    """The id of the gap each candidate fits best, whether it lies in it or near it; None below `threshold`."""
    if membership.shape[1] == 0:
        return [None] * len(membership)
    best = membership.argmax(axis=1)
    return [gap_ids[g] if membership[row, g] >= threshold else None for row, g in enumerate(best)]


def weighted_sum(u: np.ndarray, div: np.ndarray, q: np.ndarray, weights: dict[str, float]) -> np.ndarray:
    """(α·U + β·Div + γ·Q) / (α + β + γ), (n,) in [0, 1]; all 0 when the weights are.

    Rounded to 1e-6: the last bits of a float are not worth a different batch.
    """
    total = sum(weights.values()) or 1.0
    return np.round((weights["alpha"] * u + weights["beta"] * div + weights["gamma"] * q) / total, 6).astype(np.float64)


_UNCERTAINTY: dict[str, Uncertainty] = {
    "margin": margin, "entropy": entropy, "least_confidence": least_confidence, "bald": bald
}  # fmt: skip
UNCERTAINTY: Registry[Uncertainty] = Registry("uncertainty", _UNCERTAINTY, where="select.uncertainty")
OF_MEMBERS = {"bald"}
"""Those of them that look at the members of an ensemble."""
_DIVERSITY: dict[str, DiversityTerm] = {"balance": balance, "novelty": novelty, "gaps": gaps}
DIVERSITY: Registry[DiversityTerm] = Registry("diversity term", _DIVERSITY, where="select.diversity")
