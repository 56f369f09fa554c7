from __future__ import annotations

import hashlib
import subprocess
import sys

import numpy as np
import pytest
from scipy.spatial.distance import cdist
from sklearn.datasets import make_blobs
from sklearn.metrics import adjusted_rand_score

from adde_ray.config import Clustering
from adde_ray.methods.space import clustering
from adde_ray.methods.space.clustering import Space, fit_regions, fit_space, neighbours

CENTERS = 20 * np.eye(6, 10)


def blobs(n: int = 300, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    z, labels = make_blobs(n, centers=CENTERS, cluster_std=1.0, random_state=seed)
    return z.astype(np.float32), labels


def arrays(space: Space) -> dict[str, np.ndarray]:
    return {name: values for name, values in vars(space).items() if isinstance(values, np.ndarray)}


def check(space: Space, n: int) -> None:
    """What holds for any space whatsoever."""
    r, k, c = space.points.shape[1], len(space.centroids), space.num_clusters
    assert space.components.shape == (r, len(space.mean)) and space.centroids.shape == (k, r)
    assert space.points.shape == (n, r) and space.membership.shape == (n, c) and space.reach.shape == (c,)
    for name, values in arrays(space).items():
        assert np.isfinite(values).all(), name
    for values in (space.cells, space.clusters, space.nn_distance, space.knn_distance):
        assert values.shape == (n,)
    assert space.cells.min() >= 0 and space.cells.max() < k
    assert space.clusters.min() >= -1 and space.clusters.max() < c
    assert (space.nn_distance <= space.knn_distance).all()
    assert (space.membership >= 0).all() and (space.membership.sum(axis=1) <= 1 + 1e-5).all()
    np.testing.assert_array_equal(space.cell_of(space.points), space.cells)
    assert len(space.cluster_of(space.points[:0])) == len(space.cell_of(space.points[:0])) == 0


def test_blobs_are_found():
    z, labels = blobs()
    space = fit_space(z, Clustering(), seed=0)
    check(space, len(z))
    assert adjusted_rand_score(labels, space.clusters) == 1
    np.testing.assert_array_equal(space.membership.argmax(axis=1), space.clusters)
    assert len(space.centroids) == round(300**0.5)


def test_reduce_keeps_distances_when_no_dimension_is_dropped():
    z, _ = blobs()
    space = fit_space(z, Clustering(dims=10), seed=0)
    np.testing.assert_allclose(cdist(space.points, space.points), cdist(z, z), atol=1e-3)
    np.testing.assert_allclose(space.reduce(z), space.points, atol=1e-4)
    # The components come in order of variance.
    assert (np.diff(space.points.var(axis=0)) < 1e-3).all()


def test_new_points_get_the_cluster_that_reaches_them():
    space = fit_space(blobs()[0], Clustering(), seed=0)
    fresh, fresh_labels = blobs(seed=1)
    found = space.cluster_of(space.reduce(fresh))
    assert (found >= 0).mean() > 0.9
    assert adjusted_rand_score(fresh_labels[found >= 0], found[found >= 0]) == 1
    between = space.reduce(CENTERS[:2].mean(axis=0, keepdims=True))
    np.testing.assert_array_equal(space.cluster_of(between), [-1])


def test_distances_to_neighbours_are_exact():
    z, _ = blobs(100)
    space = fit_space(z, Clustering(), seed=0)
    exact = np.sort(cdist(space.points, space.points), axis=1)
    np.testing.assert_allclose(space.nn_distance, exact[:, 1], rtol=1e-4)
    np.testing.assert_allclose(space.knn_distance, exact[:, clustering.NEIGHBOURS], rtol=1e-4)
    np.testing.assert_allclose(neighbours(z, z[:3], 2)[0], np.sort(cdist(z[:3], z))[:, :2], rtol=1e-4, atol=1e-3)


@pytest.mark.parametrize(
    "z",
    [
        np.ones((1, 4)),
        np.arange(8.0).reshape(2, 4),
        np.ones((60, 4)),
        np.full((60, 4), 1e6),
        np.random.default_rng(0).normal(size=(7, 40)),
        np.random.default_rng(0).normal(size=(4, 3)),
        np.random.default_rng(0).normal(size=(40, 1)),
        np.random.default_rng(0).normal(size=(60, 16)),  # all noise
        np.repeat(np.eye(3), 12, axis=0),  # clusters without extent
        np.r_[np.zeros((30, 3)), np.ones((1, 3))],
        np.random.default_rng(0).normal(size=(60, 4)) * 1e-12,
    ],
    ids=["one", "two", "equal", "far", "wide", "few", "line", "noise", "duplicates", "outlier", "tiny"],
)
def test_degenerate_rows(z):
    check(fit_space(z.astype(np.float32), Clustering(), seed=0), len(z))


def test_duplicates_are_clusters_without_extent():
    z = np.repeat(np.random.default_rng(0).normal(size=(3, 8)), 12, axis=0)
    space = fit_space(z, Clustering(), seed=0)
    assert space.num_clusters == 3
    np.testing.assert_allclose(space.membership.max(axis=1), 1)
    # Rounding does not put them out of reach of themselves.
    np.testing.assert_array_equal(space.cluster_of(space.reduce(z) * np.float32(1 + 1e-7)), space.clusters)


def test_nearly_all_rows_are_not_one_cluster():
    # Left alone, HDBSCAN calls the eight blobs one cluster and the ten rows far off the other.
    corners = 3.5 * np.array([[x, y, z, 0, 0, 0] for x in (0, 1) for y in (0, 1) for z in (0, 1)])
    rng = np.random.default_rng(0)
    z = np.concatenate([rng.normal(size=(40, 6)) * 0.5 + corner for corner in corners])
    z = np.concatenate([z, rng.normal(size=(10, 6)) * 0.5 + 60])
    assert fit_space(z, Clustering(), seed=0).num_clusters == 9


def test_num_cells_is_kept_and_bounded_by_the_rows():
    z, _ = blobs(50)
    assert len(fit_space(z, Clustering(num_cells=9), seed=0).centroids) == 9
    assert len(fit_space(z, Clustering(num_cells=99), seed=0).centroids) == 50


def test_large_references_are_fitted_on_a_sample(monkeypatch):
    z, labels = blobs(900)
    exact = fit_space(z, Clustering(), seed=0)
    monkeypatch.setattr(clustering, "MAX_FIT_ROWS", 600)
    monkeypatch.setattr(clustering, "MAX_CLUSTER_ROWS", 300)
    space = fit_space(z, Clustering(), seed=0)
    check(space, 900)
    assert len(space.centroids) == 30
    inside = space.clusters >= 0
    assert inside.mean() > 0.95 and adjusted_rand_score(labels[inside], space.clusters[inside]) == 1
    # Distances are to all rows, not to the sampled ones; only those across far cells may be missed.
    assert np.isclose(space.nn_distance, exact.nn_distance, rtol=0.05).mean() > 0.98


FRESH = """
import hashlib, sys
import numpy as np
from adde_ray.config import Clustering
from adde_ray.methods.space.clustering import fit_space
assert "ray" not in sys.modules
space = fit_space(np.random.default_rng(0).normal(size=(300, 20)) * np.arange(20), Clustering(), seed=5)
arrays = [v for v in vars(space).values() if isinstance(v, np.ndarray)]
print(hashlib.sha256(b"".join(np.ascontiguousarray(v).tobytes() for v in arrays)).hexdigest())
"""


def test_same_bits_in_a_fresh_process_and_other_cells_with_another_seed():
    z = np.random.default_rng(0).normal(size=(300, 20)) * np.arange(20)
    space = fit_space(z, Clustering(), seed=5)
    digest = hashlib.sha256(b"".join(np.ascontiguousarray(v).tobytes() for v in arrays(space).values())).hexdigest()
    fresh = subprocess.run([sys.executable, "-W", "ignore", "-c", FRESH], capture_output=True, text=True, check=True)
    assert fresh.stdout.strip() == digest
    assert not np.array_equal(space.centroids, fit_space(z, Clustering(), seed=6).centroids)


def test_regions_are_few_seeded_and_the_same_for_a_row_alone():
    z, truth = blobs()
    regions = fit_regions(z, 6, dims=16, seed=0)
    found = regions.of(z)
    assert len(regions) == 6 and adjusted_rand_score(truth, found) > 0.7
    assert np.array_equal(fit_regions(z, 6, dims=16, seed=0).of(z), found)
    assert np.array_equal(regions.of(z[5:6]), found[5:6]) and len(regions.of(z[:0])) == 0
    assert len(fit_regions(z[:3], 8, dims=16, seed=0)) == 3  # never more than rows
    assert np.array_equal(fit_regions(z[:1], 8, dims=16, seed=0).of(z[:4]), np.zeros(4))
