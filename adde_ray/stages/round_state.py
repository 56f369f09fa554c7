"""What the steps of a round hand to each other, besides files."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import polars as pl

from adde_ray.dataset import Dataset
from adde_ray.methods.model.learner import Model
from adde_ray.methods.model.unseen import Unseen
from adde_ray.methods.query.local_scale import LocalScale
from adde_ray.methods.space.clustering import Space
from adde_ray.methods.space.gaps import Gap


@dataclass(frozen=True)
class Analysis:
    """What a round knows before it acts: its dataset, its model, and what they show of the latent space.

    Reference rows are those of `Data.reference`.
    """

    dataset: Dataset  # D_t
    model: Model  # f, trained on it
    asked: set[str]  # ids people have been asked about before
    space: Space
    embedding: np.ndarray  # (n, e) of the reference rows
    dataset_embedding: np.ndarray  # (m, e)
    proba: np.ndarray  # (n, C) calibrated, of the reference rows
    open_gaps: list[Gap]  # those to act on now
    local_scale: LocalScale | None  # where the selector asks how far is far enough
    history: list[dict]  # metrics.json of all rounds so far, this one last
    unseen: Unseen | None = None  # classes that only descriptions tell of
    sought: Unseen | None = None  # classes without a labelled sample that their descriptions may find


@dataclass(frozen=True)
class Shortlist:
    """What the query is chosen from: CANDIDATES sorted by sample_id, and row-aligned with it the features and the row
    of the pool's shard each lies in."""

    table: pl.DataFrame
    features: np.ndarray  # (n, d)
    shards: np.ndarray  # (n,), -1 for synthetic ones
    wished: np.ndarray = field(default_factory=lambda: np.zeros(0, dtype=np.int64))  # rows that come first, in order
    drawn: frozenset[str] = frozenset()  # ids of rows that were drawn by chance, and are asked about in any case

    def __len__(self) -> int:
        return len(self.table)

    @property
    def is_drawn(self) -> np.ndarray:
        """(n,) bool: which rows are `drawn`."""
        return self.table["sample_id"].is_in(list(self.drawn)).to_numpy()

    @property
    def is_synthetic(self) -> np.ndarray:
        """(n,) bool."""
        return (self.table["origin"] == "synthetic").to_numpy()

    def of(self, rows: np.ndarray) -> Shortlist:
        """These rows, none of which comes first or was drawn."""
        return Shortlist(self.table[rows], self.features[rows], self.shards[rows])


@dataclass(frozen=True)
class Answers:
    """What people were asked about in a round, and what they said."""

    query: pl.DataFrame  # QUERY
    synthetic: pl.DataFrame  # SYNTHETIC + payload, of all candidates
    decisions: pl.DataFrame  # DECISIONS
