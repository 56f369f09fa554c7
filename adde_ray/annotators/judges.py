"""What a person who knows the domain would see in a synthetic sample: models trained on all true data.

They judge whether it is realistic; nothing else in a run may see them or that data.
"""

from __future__ import annotations

import numpy as np
from sklearn.ensemble import ExtraTreesClassifier
from sklearn.neighbors import KNeighborsClassifier


class Judges:
    """Two differently built classifiers fitted on all true data: what a person who knows the domain would see."""

    def __init__(self, features: np.ndarray, labels: np.ndarray, *, seed: int, min_confidence: float = 0.5):
        """features (n, d), labels (n,) class rows, or (n, C) targets of a multi-label task; NaN is taken for absent."""
        self._multi = labels.ndim == 2
        labels = np.nan_to_num(labels).astype(np.int64)  # both models take either form
        self._models = [
            KNeighborsClassifier(min(5, len(labels)), weights="distance").fit(features, labels),
            ExtraTreesClassifier(200, random_state=seed, n_jobs=1).fit(features, labels),
        ]
        self._min_confidence = min_confidence

    def recognise(self, features: np.ndarray) -> list[int | np.ndarray | None]:
        """The class row both are sure of, for each of (m, d) features; None where they do not recognise one.

        Multi-label: (C,) targets, NaN for the classes they differ on: those cannot be told. None where they agree on
        no class that holds. (To reject whatever they differ on would be to reject two of three real pictures.)
        """
        if len(features) == 0:
            return []
        if self._multi:
            seen = [model.predict(features) for model in self._models]
            told = np.where(seen[0] == seen[1], seen[0], np.nan).astype(np.float32)
            return [row if (row == 1).any() else None for row in told]
        proba = [model.predict_proba(features) for model in self._models]
        classes = self._models[0].classes_
        agree = proba[0].argmax(axis=1) == proba[1].argmax(axis=1)
        sure = np.mean(proba, axis=0).max(axis=1) >= self._min_confidence
        return [int(classes[p]) if ok else None for p, ok in zip(proba[0].argmax(axis=1), agree & sure, strict=True)]
