"""A row's product is the same whatever it is multiplied with, to the last bit: queries of large pools stand on it."""

import numpy as np
import pytest
import torch
from scipy.spatial.distance import cdist

from adde_ray.methods.numerics.matmul import nearest, nearest_distance, product, several_nearest, squared_distances


@pytest.mark.parametrize("columns", [1, 2, 7, 10, 16, 33, 150])
@pytest.mark.parametrize("dims", [3, 16, 64, 384])
def test_rows_do_not_know_each_other(dims, columns):
    x, w = torch.randn(700, dims), torch.randn(dims, columns)
    whole = product(x, w)
    assert torch.allclose(whole, x @ w, rtol=1e-4, atol=1e-4)
    order = torch.randperm(700)
    assert torch.equal(product(x[order], w), whole[order])
    for rows in (1, 2, 5, 31, 100, 511):
        assert torch.equal(product(x[:rows], w), whole[:rows]), rows


def test_nor_threads():
    x, w, before = torch.randn(5000, 64), torch.randn(64, 10), torch.get_num_threads()
    results = []
    for threads in (1, 2, 3):
        torch.set_num_threads(threads)
        results.append(product(x, w))
    torch.set_num_threads(before)
    assert all(torch.equal(r, results[0]) for r in results)


@pytest.mark.parametrize("shift", [0.0, 1000.0])
def test_distances(shift):
    rng = np.random.default_rng(0)
    x, y = (rng.normal(size=(n, 20)).astype(np.float32) + np.float32(shift) for n in (3000, 50))
    x[7] = y[3]
    true = cdist(x, y)
    np.testing.assert_allclose(nearest_distance(x, y), true.min(axis=1), atol=1e-2 if shift else 2e-3)
    rows, distances = nearest(x, y)
    assert rows[7] == 3 and distances[7] == 0
    assert np.mean(rows == true.argmin(axis=1)) > (0.95 if shift else 0.999)
    np.testing.assert_allclose(distances, true[np.arange(3000), rows], atol=1e-3 if shift else 1e-5)
    if not shift:
        found = squared_distances(torch.from_numpy(x), torch.from_numpy(y))
        np.testing.assert_allclose(found, true**2, atol=1e-3)


@pytest.mark.parametrize("shift", [0.0, 1000.0])
def test_several_nearest(shift):
    rng = np.random.default_rng(0)
    x, y = (rng.normal(size=(n, 20)).astype(np.float32) + np.float32(shift) for n in (1500, 50))
    x[7] = y[3]
    rows, distances = several_nearest(x, y, 4)
    true = cdist(x, y)
    assert rows[7, 0] == 3 and distances[7, 0] == 0 and (np.diff(distances, axis=1) >= 0).all()
    assert np.mean(rows == true.argsort(axis=1)[:, :4]) > (0.95 if shift else 0.999)
    np.testing.assert_allclose(distances, np.take_along_axis(true, rows, axis=1), atol=1e-3 if shift else 1e-5)
    order = rng.permutation(1500)
    for some in (order, np.arange(1), np.arange(33)):
        assert np.array_equal(several_nearest(x[some], y, 4)[0], rows[some])
        assert np.array_equal(several_nearest(x[some], y, 4)[1], distances[some])
    assert several_nearest(y, y, 50)[0].shape == (50, 50) and several_nearest(x[:0], y, 3)[0].shape == (0, 3)


def test_nothing_and_one():
    none, one = np.zeros((0, 4), np.float32), np.ones((1, 4), np.float32)
    assert nearest_distance(none, one).shape == (0,) and nearest(none, one)[0].shape == (0,)
    assert nearest_distance(one, one).tolist() == [0] and nearest(one, one)[0].tolist() == [0]
