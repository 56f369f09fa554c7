"""Generators: they make synthetic samples of a class near a point of the reduced space.

FitData (arrays, class probabilities, points) -> weights (name -> array) -> arrays in the space of the data.
To add one: a function that takes `config.Generate` and returns a `Generator`, and one line in `GENERATORS`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from adde_ray.artifacts.images import encode_images
from adde_ray.config import Generate
from adde_ray.config.registry import Registry
from adde_ray.errors import UserError


@dataclass(frozen=True)
class FitData:
    """What a generator learns from, labelled and unlabelled rows alike.

    arrays: images (n, c, h, w) float32 in [0, 1], or vectors (n, d) float32.
    class_probs: (n, C) float32, one-hot for labelled rows, f's calibrated probabilities for the rest.
    points: (n, r) float32, the same rows in the reduced space of this round.
    multi: several classes may hold of a row, so its class_probs need not sum to 1.
    """

    arrays: np.ndarray
    class_probs: np.ndarray
    points: np.ndarray
    multi: bool = False

    def __post_init__(self):
        assert self.arrays.ndim in (2, 4), self.arrays.shape
        assert len(self.arrays) == len(self.class_probs) == len(self.points), "rows differ"
        assert self.class_probs.ndim == self.points.ndim == 2

    def __len__(self) -> int:
        return len(self.arrays)


class Generator(Protocol):
    """Weights are plain arrays by name, so that they travel through Ray's object store and fit safetensors.

    Equal seeds give equal bits on a CPU with the same number of threads.
    """

    def fit(self, data: FitData, *, seed: int) -> dict[str, np.ndarray]:
        """Learn from n >= 1 rows."""
        ...

    def sample(
        self, weights: dict[str, np.ndarray], classes: np.ndarray, points: np.ndarray, *, temperature: float, seed: int
    ) -> np.ndarray:
        """(m, …) float32: one sample of each class row in `classes` (m,) near each of `points` (m, r).

        In a multi-label task `classes` is (m, C): 1 for each class that is to hold.
        temperature: spread of the draws, 1 = as wide as the data, 0 = the most typical sample.
        """
        ...


def generator_for(name: str, modality: str) -> str | None:
    """The name in `GENERATORS` that `name` means for a modality; None = nothing is synthesised.

    Raises UserError for an unknown name, or one that cannot make this modality.
    """
    GENERATORS.check(name)
    if name == "none":
        return None
    if name == "auto":
        return next((known for known in AUTO if modality in MAKES[known]), None)
    if modality not in MAKES[name]:
        raise UserError(
            f"makes {' and '.join(MAKES[name])} samples only, the data is {modality}",
            where="generate.generator",
            value=name,
            remedy="Use generate.generator = 'auto' or 'none'",
        )
    return name


def to_payload(arrays: np.ndarray, modality: str) -> list[bytes | np.ndarray]:
    """What a sample is kept as: PNG bytes of each image (n, c, h, w), or each vector (d,) float32."""
    if modality == "image":
        return encode_images(arrays).to_list()
    assert modality == "vector", modality
    return list(np.asarray(arrays, dtype=np.float32))


def _cvae(config: Generate) -> Generator:
    from adde_ray.methods.synthesis.generators.cvae import CVAE  # loads torch: seconds

    return CVAE(config)


AUTO = ("cvae",)
"""Of which the first that makes a modality is taken for it."""

MAKES: dict[str, tuple[str, ...]] = {"cvae": ("image", "vector")}
"""The modalities each generator can make."""

GENERATORS: Registry[Callable[[Generate], Generator]] = Registry(
    "generator", {"cvae": _cvae}, where="generate.generator", also=("auto", "none")
)
