"""How near samples are to what somebody looks for: features (n, d) in → closeness (n,) out, the higher the nearer.

To a vector by cosine, whatever lengths features have; to a place of the reduced space by distance; to a class by f's
probability. A row's closeness is the same whatever batch it comes in.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import torch

from adde_ray.methods.model.learner import Model
from adde_ray.methods.numerics.matmul import product
from adde_ray.methods.space.clustering import Projection

ROWS = 1024
"""Rows at a time: what is computed of them should stay in the cache."""


class Closeness(Protocol):
    """Small to pickle: what a pass over the pool takes along."""

    @property
    def measure(self) -> str:
        """What `shown` gives: similarity, distance or probability."""
        ...

    def __call__(self, features: np.ndarray) -> np.ndarray:
        """(n,) float32 of features (n, d), float16 or float32."""
        ...

    def shown(self, closeness: np.ndarray) -> np.ndarray:
        """The same as people read it: a distance is the smaller the nearer."""
        ...


@dataclass(frozen=True)
class ToVector:
    """Cosine similarity to `vector` (d,), in [-1, 1]; 0 of a row of zeros."""

    vector: np.ndarray
    measure: str = "similarity"

    def __call__(self, features: np.ndarray) -> np.ndarray:
        """(n,) float32."""
        unit = self.vector / max(float(np.linalg.norm(self.vector)), 1e-12)
        return _in_batches(self._cosine, features, torch.from_numpy(np.asarray(unit, dtype=np.float32)[:, None]))

    def shown(self, closeness: np.ndarray) -> np.ndarray:
        """As it is."""
        return closeness

    @staticmethod
    def _cosine(rows: torch.Tensor, unit: torch.Tensor) -> torch.Tensor:
        lengths = (rows * rows).sum(1).sqrt_().clamp_(min=1e-12)
        return (product(rows, unit)[:, 0] / lengths).clamp_(-1.0, 1.0)


@dataclass(frozen=True)
class ToPlace:
    """Less the Euclidean distance to `place` (r,) in the reduced space of a round. embed: features (n, d) → (n, e)."""

    embed: Callable[[np.ndarray], np.ndarray]
    projection: Projection
    place: np.ndarray
    measure: str = "distance"

    def __call__(self, features: np.ndarray) -> np.ndarray:
        """(n,) float32, at most 0."""
        return _in_batches(self._away, features, torch.from_numpy(np.asarray(self.place, dtype=np.float32)))

    def shown(self, closeness: np.ndarray) -> np.ndarray:
        """The distance."""
        return -closeness

    def _away(self, rows: torch.Tensor, place: torch.Tensor) -> torch.Tensor:
        points = torch.from_numpy(self.projection.reduce(self.embed(rows.numpy())))
        return -(points - place).square().sum(1).sqrt()


@dataclass(frozen=True)
class ToClasses:
    """f's calibrated probability of the likeliest of some classes."""

    model: Model
    class_rows: tuple[int, ...]
    measure: str = "probability"

    def __call__(self, features: np.ndarray) -> np.ndarray:
        """(n,) float32 in [0, 1]."""
        rows = list(self.class_rows)
        return _in_batches(lambda x: torch.from_numpy(self.model.proba(x.numpy())[:, rows].max(axis=1)), features)

    def shown(self, closeness: np.ndarray) -> np.ndarray:
        """As it is."""
        return closeness


def _in_batches(function: Callable[..., torch.Tensor], features: np.ndarray, *common: torch.Tensor) -> np.ndarray:
    found = np.zeros(len(features), np.float32)
    for start in range(0, len(features), ROWS):
        # Torch turns float16 into float32 in half of NumPy's time, and takes no array that cannot be written to.
        x = torch.from_numpy(features[start : start + ROWS].copy()).float()
        found[start : start + ROWS] = function(x, *common).numpy()
    return found
