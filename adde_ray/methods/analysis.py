"""What a round knows about its latent space, for the steps that act on it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from adde_ray.methods.clustering import Space
from adde_ray.methods.gaps import Gap


@dataclass(frozen=True)
class Analysis:
    """What a round knows about its latent space. Reference rows are those of `Data.reference`."""

    space: Space
    embedding: np.ndarray  # (n, e) of the reference rows
    dataset_embedding: np.ndarray  # (m, e)
    proba: np.ndarray  # (n, C) calibrated, of the reference rows
    gaps: list[Gap]  # every gap ever seen
    open_gaps: list[Gap]  # those to act on now
    metrics: dict
