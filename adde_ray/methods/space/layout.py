"""UMAP of principal components (n, p): a few rows are laid out (k, r), and any row is placed among them.

UMAP's own transform moves new points together, by draws they share, so a point's place depends on what comes with it.
Here a row lies at the mean of the places of its nearest rows that were laid out, weighted by inverse squared distance
(Shepard 1968), which is alike to where UMAP's transform begins: the same bits in whatever batch, and in workers that
have no UMAP.
"""

from __future__ import annotations

import warnings
from dataclasses import dataclass

import numpy as np

from adde_ray.errors import needed
from adde_ray.methods.numerics.matmul import several_nearest
from adde_ray.methods.numerics.threads import threads_kept

COMPONENTS = 50
"""Principal components UMAP sees, at least."""

NEIGHBOURS, EPOCHS = 15, 200
"""UMAP's own default for neighbours, and as many rounds of layout as the report's map has."""

MIN_ROWS = 10
"""Fewer different rows have no neighbourhoods to speak of."""

PLACED_BY = 5
"""Rows a row is placed by."""


@dataclass(frozen=True)
class Layout:
    """sources: (k, p) float32 principal components of the rows that were laid out. places: (k, r) float32."""

    sources: np.ndarray
    places: np.ndarray

    def place(self, points: np.ndarray) -> np.ndarray:
        """(m, r) float32 of points (m, p): among the places, and at its own for a row that was laid out."""
        rows, distances = several_nearest(points, self.sources, min(PLACED_BY, len(self.sources)))
        unit = max(float(np.square(self.sources, dtype=np.float64).mean()), 1e-30)
        weights = 1 / (np.square(distances, dtype=np.float64) / unit + 1e-12)
        weighted = weights[:, :, None] * self.places[rows].astype(np.float64)
        return (weighted.sum(axis=1) / weights.sum(axis=1, keepdims=True)).astype(np.float32)


def fit_layout(points: np.ndarray, dims: int, *, seed: int) -> Layout | None:
    """UMAP (McInnes et al. 2018) of points (k, p), whose columns are principal components, in `dims` dimensions or as
    many as they vary in. None where rows are few, alike or on a line. Raises UserError: umap-learn is not installed."""
    needed("umap", extra="map", where="clustering.reduction", value="umap")
    points = np.asarray(points, dtype=np.float32)
    extent = np.ptp(points, axis=0) if len(points) else np.zeros(points.shape[1])
    dims = min(dims, int(np.count_nonzero(extent > 1e-5 * extent.max(initial=1e-30))))
    if dims < 2 or len(points) <= dims or len(np.unique(points.round(6), axis=0)) < MIN_ROWS:
        return None
    import umap

    rows, distances = several_nearest(points, points, min(NEIGHBOURS, len(points)))
    with warnings.catch_warnings(), threads_kept():
        warnings.simplefilter("ignore")  # that it has no search index and cannot place new points, which `place` does
        places = umap.UMAP(
            n_neighbors=rows.shape[1],
            n_components=dims,
            n_epochs=EPOCHS,
            min_dist=0.0,  # for clusters, not for the eye
            init=np.ascontiguousarray(points[:, :dims]),  # pyright: ignore[reportArgumentType] as its documentation has
            random_state=seed,
            n_jobs=1,
            precomputed_knn=(rows, distances),
        ).fit_transform(points)
    places = np.nan_to_num(np.asarray(places, dtype=np.float32))
    return Layout(points, places - places.mean(axis=0))
