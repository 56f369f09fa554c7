"""Where the samples lie: principal components or UMAP, k-means cells and HDBSCAN clusters of embeddings.

z (n, d) of the reference rows (all real samples, pool and seed) -> a `Space`, in which gaps are found and
diversity is measured. Large references are fitted on a seeded sample of rows, and the rest is assigned.
"""

from __future__ import annotations

import warnings
from dataclasses import dataclass, field, replace
from functools import cached_property

import numpy as np
import torch

from adde_ray.config import Clustering
from adde_ray.methods.numerics.matmul import nearest, product
from adde_ray.methods.space.layout import COMPONENTS, Layout, fit_layout

MAX_FIT_ROWS = 20_000
"""PCA and k-means learn from at most this many reference rows."""

MAX_CLUSTER_ROWS = 5_000
"""HDBSCAN does, which is quadratic in the rows; the others go to the cluster that reaches them. UMAP lays out these."""

NEIGHBOURS = 5
"""`Space.knn_distance` looks this many rows far (Naeem et al. 2020 use the same number)."""


@dataclass(frozen=True)
class Projection:
    """Principal components. mean: (d,), components: (r, d). layout: with UMAP, of their p, in r dimensions."""

    mean: np.ndarray
    components: np.ndarray
    layout: Layout | None = field(default=None, kw_only=True)

    def reduce(self, z: np.ndarray) -> np.ndarray:
        """(m, r) float32: embeddings as points of the reduced space."""
        z = np.asarray(z, dtype=np.float32).reshape(len(z), len(self.mean))
        points = _project(z, self.mean, self.components)
        return points if self.layout is None else self.layout.place(points)


@dataclass(frozen=True)
class Space(Projection):
    """The reduced space of one round, and the n reference rows it was fitted on.

    centroids: (k, r) of the k-means cells.
    points: (n, r) float32. cells: (n,) row of the nearest centroid. clusters: (n,) HDBSCAN labels, -1 = noise.
    membership: (n, c) float32, soft membership in each of the c clusters; a row sums to at most 1.
    reach: (c,) how far from its nearest member a point may lie and still belong to a cluster.
    nn_distance: (n,) distance to the nearest other reference row. knn_distance: (n,) to the fifth nearest.
    """

    centroids: np.ndarray
    points: np.ndarray
    cells: np.ndarray
    clusters: np.ndarray
    membership: np.ndarray
    reach: np.ndarray
    nn_distance: np.ndarray
    knn_distance: np.ndarray

    @property
    def num_clusters(self) -> int:
        """How many HDBSCAN clusters there are, noise not counted."""
        return self.membership.shape[1]

    @cached_property
    def tolerance(self) -> float:
        """Distances that differ by less than this are equal: float32 rounding at the scale of the points."""
        return 1e-5 * float(np.abs(self.points).max(initial=1e-30))

    def nearest(self, points: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """(m,) row of the nearest reference row and (m,) distance to it."""
        return nearest(points, self.points)

    def cell_of(self, points: np.ndarray) -> np.ndarray:
        """(m,) int64: the nearest centroid's row."""
        return nearest(points, self.centroids)[0]

    def cluster_of(self, points: np.ndarray) -> np.ndarray:
        """(m,) int64: cluster of the nearest clustered reference row if that cluster reaches so far, else -1."""
        members = np.flatnonzero(self.clusters >= 0)
        if not len(members) or not len(points):
            return np.full(len(points), -1, dtype=np.int64)
        rows, distances = nearest(points, self.points[members])
        clusters = self.clusters[members[rows]]
        return np.where(distances <= self.reach[clusters] + self.tolerance, clusters, -1)


def fit_space(z: np.ndarray, config: Clustering, *, seed: int) -> Space:
    """PCA or UMAP, then k-means and HDBSCAN of what they give, over n >= 1 reference rows z (n, d).

    The rows must come in a fixed order (sorted by sample_id): k-means starts from rows drawn by the seed.
    """
    z = np.asarray(z, dtype=np.float32)
    n = len(z)
    assert n >= 1 and z.ndim == 2 and np.isfinite(z).all(), z.shape
    fitted, clustered = _drawn(n, seed)
    projection = _projection(z, config, fitted, clustered, seed)
    points = projection.reduce(z)
    centroids = _kmeans(points[fitted], config.num_cells or min(round(n**0.5), 256), seed)
    cells = nearest(points, centroids)[0]
    clusters, membership = _hdbscan(points[clustered], config.min_cluster_size)
    reach = _reach(points[clustered], clusters, membership.shape[1])
    near = _distances_within(points, centroids)
    space = Space(
        projection.mean, projection.components, centroids, points, cells, clusters, membership, reach,
        near[:, 0], near[:, -1], layout=projection.layout,
    )  # fmt: skip
    return space if len(clustered) == n else _assign_rest(space, clustered)


def fit_projection(z: np.ndarray, config: Clustering, *, seed: int) -> Projection:
    """That of `fit_space` with the same arguments, in a fraction of its time."""
    z = np.asarray(z, dtype=np.float32)
    return _projection(z, config, *_drawn(len(z), seed), seed)


def _drawn(n: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """The rows components and cells learn from, and those that are clustered and laid out."""
    rng = np.random.default_rng(seed)
    return sample_rows(n, MAX_FIT_ROWS, rng), sample_rows(n, MAX_CLUSTER_ROWS, rng)


def _projection(z: np.ndarray, config: Clustering, fitted: np.ndarray, clustered: np.ndarray, seed: int) -> Projection:
    if config.reduction == "pca":
        return Projection(*_pca(z[fitted], config.dims))
    mean, components = _pca(z[fitted], max(config.dims, COMPONENTS))
    layout = fit_layout(_project(z[clustered], mean, components), config.dims, seed=seed)
    return Projection(mean, components if layout else components[: config.dims], layout=layout)


@dataclass(frozen=True)
class Regions:
    """A few large k-means cells, to be looked at as one looks at subgroups."""

    mean: np.ndarray
    components: np.ndarray
    centroids: np.ndarray

    def __len__(self) -> int:
        return len(self.centroids)

    def of(self, z: np.ndarray) -> np.ndarray:
        """(m,) int64: the region each row of z (m, d) lies in."""
        return nearest(_project(np.asarray(z, dtype=np.float32), self.mean, self.components), self.centroids)[0]


def fit_regions(z: np.ndarray, num: int, *, dims: int, seed: int) -> Regions:
    """`num` regions of n >= 1 rows z (n, d), in a fixed order, by k-means of `dims` principal components.

    Cut anew instead of merged from a space's many cells: it takes 3 ms, and needs no space that stands still.
    """
    z = np.asarray(z, dtype=np.float32)
    z = z[sample_rows(len(z), MAX_FIT_ROWS, np.random.default_rng(seed))]
    mean, components = _pca(z, dims)
    return Regions(mean, components, _kmeans(_project(z, mean, components), num, seed))


def neighbours(reference: np.ndarray, points: np.ndarray, k: int) -> tuple[np.ndarray, np.ndarray]:
    """(m, k) Euclidean distances to and (m, k) rows of the k nearest of n reference points, nearest first."""
    from sklearn.neighbors import NearestNeighbors

    if not len(points):
        return np.zeros((0, k), np.float32), np.zeros((0, k), np.int64)
    search = NearestNeighbors(n_neighbors=k, algorithm="brute").fit(np.asarray(reference, dtype=np.float32))
    distances, rows = search.kneighbors(np.asarray(points, dtype=np.float32))
    return distances, rows


def _project(z: np.ndarray, mean: np.ndarray, components: np.ndarray) -> np.ndarray:
    """(n, r) float32, each row the same whatever the others are."""
    return product(torch.from_numpy(z - mean), torch.from_numpy(components.T)).numpy()


def sample_rows(n: int, most: int, rng: np.random.Generator) -> np.ndarray:
    """(min(n, most),) of n rows, ascending: all of them, or as many drawn."""
    return np.arange(n) if n <= most else np.sort(rng.choice(n, most, replace=False))


def _pca(z: np.ndarray, dims: int) -> tuple[np.ndarray, np.ndarray]:
    from sklearn.decomposition import PCA

    n, d = z.shape
    if n == 1:
        return z[0], np.eye(min(dims, 1), d, dtype=np.float32)
    # Both solvers are exact and fix the signs; each is by far the faster one for its shape.
    solver = "covariance_eigh" if n > d else "full"
    with np.errstate(all="ignore"):  # rows that are all equal have no variance to divide by
        pca = PCA(min(dims, n, d), svd_solver=solver).fit(z.astype(np.float64))
    return np.asarray(pca.mean_, dtype=np.float32), np.asarray(pca.components_, dtype=np.float32)


def _kmeans(points: np.ndarray, num_cells: int, seed: int) -> np.ndarray:
    import faiss

    num_cells = min(num_cells, len(points))
    # The bounds only steer sampling and warnings: every row is used, however few a cell gets.
    kmeans = faiss.Kmeans(
        points.shape[1], num_cells, niter=25, seed=seed, min_points_per_centroid=1, max_points_per_centroid=len(points)
    )
    kmeans.train(np.ascontiguousarray(points))
    return np.asarray(kmeans.centroids, dtype=np.float32).reshape(num_cells, -1)


def _hdbscan(points: np.ndarray, min_cluster_size: int) -> tuple[np.ndarray, np.ndarray]:
    """(n,) labels and (n, c) soft membership (McInnes, Healy & Astels 2017)."""
    import hdbscan

    n = len(points)
    nothing = np.full(n, -1, dtype=np.int64), np.zeros((n, 0), dtype=np.float32)
    if n < 2 * min_cluster_size:  # two clusters are the fewest it ever finds
        return nothing
    with warnings.catch_warnings(), np.errstate(all="ignore"):  # duplicates make it divide by zero
        warnings.simplefilter("ignore")
        model = hdbscan.HDBSCAN(
            min_cluster_size=min_cluster_size,
            # Left alone it may call nearly all rows one cluster, in which no gap can be seen.
            max_cluster_size=int(0.9 * n),
            algorithm="prims_kdtree",  # the default's spanning tree is approximate, and slower in one process
            core_dist_n_jobs=1,
            prediction_data=True,
        )
        labels = model.fit_predict(points.astype(np.float64)).astype(np.int64)
        num_clusters = int(labels.max()) + 1
        if num_clusters == 0:
            return nothing
        membership = np.asarray(hdbscan.all_points_membership_vectors(model), dtype=np.float32)
    hard = np.eye(num_clusters + 1, dtype=np.float32)[labels, :num_clusters]
    if membership.shape != hard.shape:
        return labels, hard
    # Clusters of duplicates have no extent, hence no soft membership: their rows get the hard one.
    membership = np.where(np.isfinite(membership).all(axis=1, keepdims=True), membership, hard)
    return labels, membership / np.maximum(membership.sum(axis=1, keepdims=True), 1)


def _reach(points: np.ndarray, clusters: np.ndarray, num_clusters: int) -> np.ndarray:
    """(c,) the largest distance from a member to its nearest fellow."""
    reach = np.zeros(num_clusters, dtype=np.float32)
    for cluster in range(num_clusters):
        members = points[clusters == cluster]
        reach[cluster] = neighbours(members, members, 2)[0][:, 1].max()
    return reach


def _distances_within(points: np.ndarray, centroids: np.ndarray) -> np.ndarray:
    """(n, k) distances of each row to its k = min(NEIGHBOURS, n - 1) nearest others; (n, 1) zeros for n = 1."""
    n = len(points)
    if n == 1:
        return np.zeros((1, 1), dtype=np.float32)
    k = min(NEIGHBOURS, n - 1)
    if n <= MAX_FIT_ROWS:
        return neighbours(points, points, k + 1)[0][:, 1:].astype(np.float32)
    import faiss

    # Exact search is quadratic; looking into the 8 nearest cells only misses next to nothing.
    quantizer = faiss.IndexFlatL2(points.shape[1])
    quantizer.add(centroids)
    index = faiss.IndexIVFFlat(quantizer, points.shape[1], len(centroids))
    index.train(centroids)
    index.add(points)
    index.nprobe = min(8, len(centroids))
    squared, rows = index.search(points, k + 1)
    squared = np.where(rows >= 0, squared, np.nan)  # fewer than k + 1 rows in those cells
    squared = np.where(np.isnan(squared), np.nanmax(squared, axis=1, keepdims=True), squared)
    return np.sqrt(np.maximum(squared[:, 1:], 0))


def _assign_rest(space: Space, clustered: np.ndarray) -> Space:
    """Clusters and membership for all rows, from those of the clustered rows."""
    sample = replace(space, points=space.points[clustered])
    clusters = sample.cluster_of(space.points)
    clusters[clustered] = space.clusters
    return replace(space, clusters=clusters, membership=space.membership[sample.nearest(space.points)[0]])
