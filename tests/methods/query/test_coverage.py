"""Lazy distances are the plain ones wherever they are used."""

import numpy as np
import pytest
from scipy.spatial.distance import cdist

from adde_ray.methods.query import coverage
from adde_ray.methods.query.coverage import Coverage, central_row, greedy


def rows(n=300, e=7, seed=0) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=(n, e)).astype(np.float32)


@pytest.mark.parametrize("scale", [1e-12, 1.0, 1e12])
@pytest.mark.parametrize("shift", [0.0, 100.0])
def test_never_below_the_distance_and_exact_once_refreshed(scale, shift):
    z, centres = (np.float32(scale) * (x + np.float32(shift)) for x in (rows(), rows(20, seed=1)))
    covered, true = Coverage(z, centres), cdist(z, centres).min(axis=1)
    assert (covered.distance(slice(None)) >= true).all() and not covered.is_exact(slice(None)).any()
    covered.refresh(np.arange(0, 300, 2))
    tolerance = 1e-5 * np.linalg.norm(z, axis=1).max()
    np.testing.assert_allclose(covered.distance(slice(0, 300, 2)), true[::2], rtol=1e-4, atol=tolerance)
    assert covered.is_exact(np.arange(0, 300, 2)).all() and not covered.is_exact(1)


def test_refreshing_piecemeal_is_refreshing_at_once():
    z, more = rows(), rows(30, seed=1)
    covered, rng = Coverage(z, rows(5, seed=2)), np.random.default_rng(0)
    for centre in more:
        covered.add(centre)
        covered.refresh(rng.choice(300, 40, replace=False))
    covered.refresh(np.arange(300))
    at_once = Coverage(z, np.concatenate([rows(5, seed=2), more]))
    at_once.refresh(np.arange(300))
    np.testing.assert_array_equal(covered.squared, at_once.squared)


def test_copies_are_at_no_distance():
    z = rows()
    covered = Coverage(z, z[::-1])
    covered.refresh(np.arange(300))
    assert (covered.squared == 0).all()


def test_few_rows_are_ever_refreshed(monkeypatch):
    refreshed, refresh = [], Coverage.refresh
    monkeypatch.setattr(Coverage, "refresh", lambda self, rows: (refreshed.extend(rows.tolist()), refresh(self, rows)))
    covered = Coverage(rows(5000, 32), rows(20, 32, seed=1))
    greedy(covered, 50, lambda rows, pick: covered.squared[rows].copy())
    assert len(refreshed) < 50 * 5000 / 50


def test_blocks_cover_every_row(monkeypatch):
    whole = Coverage(rows(), rows(20, seed=1))
    monkeypatch.setattr(coverage, "_CELLS", 4096)
    parts = Coverage(rows(), rows(20, seed=1))
    np.testing.assert_allclose(parts.squared, whole.squared, rtol=1e-4)
    for c in (whole, parts):
        c.refresh(np.arange(300))
    np.testing.assert_array_equal(parts.squared, whole.squared)


def test_the_central_row():
    assert central_row(np.array([[0.0], [1.0], [2.1], [4.0], [9.0]], np.float32)) == 3
    assert central_row(np.ones((4, 2), np.float32)) == 0
