"""Classes that no labelled sample shows, to a model that is not told what they are: where their descriptions say."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from adde_ray.config import Train
from adde_ray.methods.descriptions import Prototypes
from adde_ray.methods.model.learner import Model, from_prototypes, linear


@dataclass(frozen=True)
class Unseen:
    """by_words: the comparison with descriptions that f is before there is a label. class_rows: of such classes."""

    by_words: Model
    class_rows: np.ndarray

    def expected(self, proba: np.ndarray, features: np.ndarray) -> np.ndarray:
        """(n, C) probabilities: of these classes those of the comparison, of the others f's, of what is left to them.

        proba: (n, C) of f, which takes every sample for one of the others. features: (n, d) of the samples.
        """
        found, own = proba.copy(), self.by_words.proba(features)[:, self.class_rows]
        if not self.by_words.multi:
            others = 1 - proba[:, self.class_rows].sum(axis=1, keepdims=True)
            found *= np.maximum(1 - own.sum(axis=1, keepdims=True), 0) / np.maximum(others, 1e-6)
        found[:, self.class_rows] = own
        return found


def unseen(known: Prototypes, class_counts: np.ndarray, features: np.ndarray, *, multi: bool) -> Unseen | None:
    """Of the classes that are described and of which there is no labelled sample; None where there is no such class.

    class_counts: (C,) labelled samples. features: (n, d) of pool rows sorted by sample_id.
    """
    class_rows = np.flatnonzero(known.known & (class_counts == 0))
    if not len(class_rows):
        return None
    network = linear(features.shape[1], len(class_counts), Train())
    network = from_prototypes(network, known.vectors, known.known, features, multi=multi)
    return Unseen(Model(network, 1.0, multi=multi), class_rows)
