"""What a round knows before it acts: its dataset, its model, and what they show of the latent space."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from adde_ray.data import Dataset
from adde_ray.methods.clustering import Space
from adde_ray.methods.gaps import Gap
from adde_ray.methods.learner import Model


@dataclass(frozen=True)
class Analysis:
    """Handed from the analyse step to those that follow. Reference rows are those of `Data.reference`."""

    dataset: Dataset  # D_t
    model: Model  # f, trained on it
    asked: set[str]  # ids people have been asked about before
    space: Space
    embedding: np.ndarray  # (n, e) of the reference rows
    dataset_embedding: np.ndarray  # (m, e)
    proba: np.ndarray  # (n, C) calibrated, of the reference rows
    open_gaps: list[Gap]  # those to act on now
