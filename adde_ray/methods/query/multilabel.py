"""Uncertainty, rarity and payoff in a multi-label task, where a sample's classes are C yes-or-no questions.

(n, C) calibrated probabilities, a sigmoid each → (n,) in [0, 1]. The names are those of `selection.UNCERTAINTY`.
"""

from __future__ import annotations

import numpy as np

from adde_ray.config.registry import Registry

TOP = 3
"""Classes a sample's margin is taken over: its most uncertain ones. The mean over all of them, the usual way to
aggregate (Reyes, Morell & Ventura 2018), is mostly about the many classes a sample surely lacks, and so sinks as
their number grows; the maximum sees one open question and not a second."""


def margin(proba: np.ndarray) -> np.ndarray:
    """1 - |2p - 1|, the mean over the `TOP` classes where it is largest: 1 = f cannot tell whether these hold."""
    each = 1.0 - np.abs(2.0 * proba - 1.0)
    top = min(TOP, proba.shape[1])
    return np.sort(each, axis=1)[:, proba.shape[1] - top :].mean(axis=1)


def entropy(proba: np.ndarray) -> np.ndarray:
    """Binary entropy over log 2, the mean over all classes: 1 = every class is a toss of a coin."""
    p = np.clip(proba, 1e-12, 1.0)
    q = np.clip(1.0 - proba, 1e-12, 1.0)
    return np.clip(-(p * np.log(p) + q * np.log(q)).mean(axis=1) / np.log(2), 0.0, 1.0)


def least_confidence(proba: np.ndarray) -> np.ndarray:
    """1 - the chance of the likeliest label, over its largest value: 1 = every label is as likely as any other.

    The classes are taken as independent of each other, as f takes them.
    """
    likeliest = np.maximum(proba, 1.0 - proba).prod(axis=1)
    return np.clip((1.0 - likeliest) / (1.0 - 0.5 ** proba.shape[1]), 0.0, 1.0)


def bald(members: np.ndarray) -> np.ndarray:
    """Root of the members' mutual information in bits, the mean over the classes. See `terms.bald`.

    members: (n, K, C) probabilities; one member's, (n, C), agree with themselves: 0.
    """
    if members.ndim == 2 or min(members.shape[1:]) < 1:
        return np.zeros(len(members), dtype=np.float32)
    p = np.clip(members.astype(np.float64), 1e-12, 1.0 - 1e-12)
    information = (_bits(p.mean(axis=1)) - _bits(p).mean(axis=1)).mean(axis=1)
    return np.sqrt(np.clip(information, 0.0, 1.0)).astype(np.float32)


def _bits(p: np.ndarray) -> np.ndarray:
    return -(p * np.log2(p) + (1.0 - p) * np.log2(1.0 - p))


def rarity(proba: np.ndarray, of_class: np.ndarray) -> np.ndarray:
    """Chance that at least one class holds whose rarity counts: 1 - Π (1 - p_c · of_class_c), of_class (C,) in [0, 1].

    For small probabilities that is their sum, as where one class holds; and it does not leave [0, 1].
    """
    return 1.0 - (1.0 - proba * of_class).prod(axis=1)


def payoff(proba: np.ndarray, targets: np.ndarray, labelled: np.ndarray) -> np.ndarray:
    """What each answer was worth: surprise times need, the mean over the classes. See `adaptation.payoff`.

    targets: (n, C), what people said; a class that is not known pays nothing. labelled: (C,) samples of each before.
    Whether a rare class was found where f saw none or seen where there is none, both are news about it.
    """
    need = (1.0 / (1.0 + labelled)) ** 0.5
    return (np.nan_to_num(np.abs(targets - proba)) * need).mean(axis=1)


_UNCERTAINTY = {"margin": margin, "entropy": entropy, "least_confidence": least_confidence, "bald": bald}
UNCERTAINTY = Registry("uncertainty", _UNCERTAINTY, where="select.uncertainty")
