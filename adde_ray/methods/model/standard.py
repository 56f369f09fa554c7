"""Features as a linear head should see them: centred on the pool's mean, of root-mean-square length 1, flattened.

An encoder's features may lie in a narrow cone far from the origin, and a penalty that suits one encoder's head stifles
another's. Standardised, one penalty suits all; what is learned there is folded back, so that the head reads features
as they are.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

MAX_ROWS = 2_000
"""Rows the statistics are of, drawn by the seed."""

COMPONENTS = 512
"""Principal components kept where features are flattened."""

LEAST_DEVIATION = 0.03
"""Added to a component's deviation, as a share of the largest: components that are noise stay small."""


@dataclass(frozen=True)
class View:
    """A linear map of features: (x - mean) @ matrix."""

    mean: np.ndarray  # (d,) float32
    matrix: np.ndarray  # (d, k) float32, or () of what only scales

    def of(self, features: np.ndarray) -> np.ndarray:
        """(n, k) float32 of (n, d)."""
        centred = features - self.mean
        return centred * self.matrix if self.matrix.ndim == 0 else centred @ self.matrix

    def fold(self, weight: np.ndarray, bias: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """The head (h, k), (h,) on these features as one on features as they are: (h, d), (h,)."""
        own = weight * self.matrix if self.matrix.ndim == 0 else weight @ self.matrix.T
        return own.astype(np.float32), (bias - own @ self.mean).astype(np.float32)


@dataclass(frozen=True)
class Standard:
    """What is known of a pool's features: their mean (d,), principal axes (d, c) and deviations (c,), largest first."""

    mean: np.ndarray
    axes: np.ndarray
    deviations: np.ndarray
    length: float  # root mean square of the centred features' lengths

    @classmethod
    def fit(cls, features: np.ndarray, *, seed: int) -> Standard:
        """Of n >= 1 rows (n, d)."""
        if len(features) > MAX_ROWS:
            rows = np.random.default_rng(seed).choice(len(features), MAX_ROWS, replace=False)
            features = features[np.sort(rows)]
        x = features.astype(np.float64)
        mean = x.mean(axis=0)
        x = x - mean
        length = float(np.sqrt(np.square(x).sum(axis=1).mean())) or 1.0
        # Of the smaller of both Gram matrices: as many axes as there are rows or dimensions.
        if len(x) < x.shape[1]:
            values, left = np.linalg.eigh(x @ x.T)
            order = np.argsort(-values)[:COMPONENTS]
            scale = np.sqrt(np.maximum(values[order], 1e-12 * max(values.max(), 1e-12)))
            axes = x.T @ (left[:, order] / scale)
        else:
            values, axes = np.linalg.eigh(x.T @ x)
            order = np.argsort(-values)[:COMPONENTS]
            axes = axes[:, order]
        deviations = np.sqrt(np.maximum(values[order], 0) / len(x))
        return cls(mean.astype(np.float32), axes.astype(np.float32), deviations.astype(np.float32), length)

    def view(self, flatten: float) -> View:
        """Features with their components divided by deviation^flatten: 0 leaves them, 1 whitens.

        Root-mean-square length 1 on what was fitted. Flattening is what little labels say of many components: the
        largest are not those that tell classes apart.
        """
        if not flatten or not self.deviations.any():
            return View(self.mean, np.array(1 / self.length, dtype=np.float32))
        relative = self.deviations / self.deviations.max()
        factor = (relative + LEAST_DEVIATION) ** -flatten
        scale = np.sqrt(np.square(factor * self.deviations).sum()) or 1.0
        return View(self.mean, (self.axes * (factor / scale)).astype(np.float32))
