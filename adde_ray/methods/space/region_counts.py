"""How many real samples lie where, over the whole pool and seed set: what gaps are counted in.

points of the real rows, in however many batches, and of those people have answered for -> `RegionCounts`. The reference
a `Space` was fitted on may be a sample of the rows counted here.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from adde_ray.methods.space.clustering import Space


@dataclass(frozen=True)
class Places:
    """Rows in each k-means cell (k,) and in each HDBSCAN cluster (c,), and in all."""

    cells: np.ndarray
    clusters: np.ndarray
    rows: int

    def __add__(self, other: Places) -> Places:
        return Places(self.cells + other.cells, self.clusters + other.clusters, self.rows + other.rows)


@dataclass(frozen=True)
class RegionCounts:
    """real: every real row. taken: those in D_t or asked about. rejected: those asked about and left out of D_t."""

    real: Places
    taken: Places
    rejected: Places


def places(space: Space, cells: np.ndarray, clusters: np.ndarray) -> Places:
    """Counts of rows by the cell and the cluster (-1 = none) of each."""
    return Places(
        np.bincount(cells, minlength=len(space.centroids)),
        np.bincount(clusters[clusters >= 0], minlength=space.num_clusters),
        len(cells),
    )


def count(space: Space, points: np.ndarray) -> Places:
    """Counts of (n, r) points of the space."""
    return places(space, space.cell_of(points), space.cluster_of(points))


def total(space: Space, counted: Iterable[Places]) -> Places:
    """The sum of counts of disjoint rows."""
    nothing = np.arange(0)
    return sum(counted, places(space, nothing, nothing))


def of_reference(space: Space, taken: np.ndarray, labelled: np.ndarray) -> RegionCounts:
    """The counts when the reference is all there is. taken, labelled: (n,) bool, over its rows."""

    def some(rows: np.ndarray) -> Places:
        return places(space, space.cells[rows], space.clusters[rows])

    return RegionCounts(some(np.ones(len(taken), dtype=bool)), some(taken), some(taken & ~labelled))
