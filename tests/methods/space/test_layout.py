"""UMAP of the reference: groups are pulled apart, and a row's place is the same whatever comes with it."""

import numpy as np
import pytest
import torch
from scipy.spatial.distance import cdist
from sklearn.datasets import load_digits, make_blobs
from sklearn.metrics import adjusted_rand_score

from adde_ray.config import Clustering
from adde_ray.methods.space import clustering
from adde_ray.methods.space.clustering import Space, fit_projection, fit_space
from adde_ray.methods.space.layout import Layout

UMAP = Clustering(reduction="umap", dims=4)


def digits(n: int = 600) -> tuple[np.ndarray, np.ndarray]:
    data = load_digits()
    return (data.data[:n] / 16).astype(np.float32), data.target[:n]


@pytest.fixture(scope="module")
def space() -> Space:
    return fit_space(digits()[0], UMAP, seed=0)


def test_groups_are_pulled_apart(space):
    z, truth = digits()
    plain = fit_space(z, Clustering(dims=4), seed=0)
    assert space.points.shape == plain.points.shape == (600, 4)
    found, before = (adjusted_rand_score(truth, s.clusters) for s in (space, plain))
    assert found > before + 0.2 and np.mean(space.clusters < 0) < np.mean(plain.clusters < 0)


def test_a_place_is_the_same_in_any_batch(space):
    z, _ = digits()
    assert np.array_equal(space.reduce(z), space.points)
    fresh = np.concatenate([z[:40] + np.float32(0.01), 100 * z[:1]])
    whole = space.reduce(fresh)
    order = np.random.default_rng(1).permutation(len(fresh))
    assert np.array_equal(space.reduce(fresh[order]), whole[order])
    for rows in (0, 1, 7, 33):
        assert np.array_equal(space.reduce(fresh[:rows]), whole[:rows])
    assert np.array_equal(fit_projection(z, UMAP, seed=0).reduce(fresh), whole)


def test_a_new_row_lies_among_its_neighbours(space):
    z, _ = digits()
    beside = space.reduce(z + np.float32(1e-4))
    np.testing.assert_allclose(beside, space.points, atol=0.05 * np.ptp(space.points))
    far = space.reduce(1000 * z)
    assert (far >= space.points.min(axis=0) - 1e-5).all() and (far <= space.points.max(axis=0) + 1e-5).all()


def test_places_by_hand():
    sources = np.array([[0.0], [2.0]], dtype=np.float32)
    layout = Layout(sources, np.array([[0.0, 10.0], [4.0, 20.0]], dtype=np.float32))
    np.testing.assert_allclose(layout.place(sources), layout.places, atol=1e-5)
    np.testing.assert_allclose(layout.place(np.array([[1.0]], dtype=np.float32)), [[2.0, 15.0]])
    np.testing.assert_allclose(layout.place(np.array([[-1.0]], dtype=np.float32)), [[0.4, 11.0]], rtol=1e-5)  # 9 to 1


def test_large_references_are_laid_out_by_a_sample(monkeypatch):
    monkeypatch.setattr(clustering, "MAX_CLUSTER_ROWS", 150)
    z, truth = digits()
    space = fit_space(z, UMAP, seed=0)
    assert space.layout is not None and len(space.layout.sources) == 150 and len(space.points) == 600
    near = cdist(space.points, space.points) + 1e9 * np.eye(600)
    assert np.mean(truth[near.argmin(axis=1)] == truth) > 0.85
    assert np.array_equal(fit_projection(z, UMAP, seed=0).reduce(z), space.points)


def test_torch_keeps_its_threads():
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        fit_space(digits(60)[0], UMAP, seed=0)
        assert torch.get_num_threads() == 1
    finally:
        torch.set_num_threads(before)


@pytest.mark.parametrize(
    "z",
    [
        np.ones((1, 4)),
        np.arange(8.0).reshape(2, 4),
        np.ones((60, 4)),
        np.full((60, 4), 1e6),
        np.random.default_rng(0).normal(size=(7, 40)),
        np.random.default_rng(0).normal(size=(12, 40)),
        np.random.default_rng(0).normal(size=(40, 1)),
        np.random.default_rng(0).normal(size=(60, 2)) @ np.ones((2, 6)),
        np.repeat(np.eye(3), 12, axis=0),
        np.repeat(np.random.default_rng(0).normal(size=(20, 8)), 4, axis=0),
        np.random.default_rng(0).normal(size=(60, 4)) * 1e-12,
        np.r_[np.random.default_rng(0).normal(size=(40, 6)), np.full((1, 6), 1e4)],
    ],
    ids=[
        *("one", "two", "equal", "far", "few", "wide", "flat", "line", "three places", "four times over", "tiny"),
        "outlier",
    ],
)
def test_whatever_rows_there_are(z):
    z = z.astype(np.float32)
    space = fit_space(z, Clustering(reduction="umap"), seed=0)
    assert np.isfinite(space.points).all() and space.points.shape == (len(z), len(space.centroids[0]))
    np.testing.assert_allclose(space.reduce(z), space.points, atol=1e-5 * max(1, np.abs(space.points).max()))
    for same in np.unique(z, axis=0, return_inverse=True)[1:]:
        assert all(np.ptp(space.points[same == i], axis=0).max() == 0 for i in np.unique(same))


def test_blobs_stay_blobs():
    z, truth = make_blobs(200, centers=20 * np.eye(6, 10), random_state=0)
    space = fit_space(z.astype(np.float32), Clustering(reduction="umap"), seed=0)
    inside = space.clusters >= 0
    assert inside.mean() > 0.9 and adjusted_rand_score(truth[inside], space.clusters[inside]) > 0.95
