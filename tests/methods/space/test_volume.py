"""Volumes by hand, and of points that have none."""

import math
from typing import Literal

import numpy as np
import pytest

from adde_ray.artifacts.schema import Population
from adde_ray.config import Clustering, Diversity
from adde_ray.methods.space import diversity
from adde_ray.methods.space.clustering import fit_space
from adde_ray.methods.space.diversity import measure
from adde_ray.methods.space.volume import alpha_for, alpha_volume, hull_volume, thinned

SQUARE = np.array([[0.0, 0.0], [1.0, 0.0], [0.0, 1.0], [1.0, 1.0]])


def two_squares(n: int = 400) -> np.ndarray:
    """Unit squares, nine apart."""
    points = np.random.default_rng(0).uniform(size=(n, 2))
    points[::2, 0] += 10
    return np.random.default_rng(1).permutation(points)


def test_the_alpha_shape_of_a_square():
    """Both its triangles have a circle of radius 1/√2."""
    assert alpha_volume(SQUARE, math.sqrt(0.5)) == pytest.approx(1)
    assert alpha_volume(SQUARE, 0.99 * math.sqrt(0.5)) == 0
    assert alpha_for(SQUARE) == pytest.approx(math.sqrt(0.5))
    cube = np.array([[x, y, z] for x in (0, 1) for y in (0, 1) for z in (0, 1)], dtype=float)
    assert alpha_volume(cube, 0.9) == pytest.approx(1) and alpha_volume(cube, 0.85) == 0  # √3 / 2
    line = np.array([[3.0], [0.0], [1.0], [1.0]])
    assert alpha_volume(line, 0.5) == 1 and alpha_volume(line, 1) == 3


def test_with_a_large_alpha_it_is_the_convex_hull():
    points = np.random.default_rng(0).normal(size=(60, 3))
    assert alpha_volume(points, 1e9) == pytest.approx(hull_volume(points))


def test_the_room_between_groups_is_left_out():
    points = two_squares()
    assert hull_volume(points) == pytest.approx(11, rel=0.05)
    alpha = alpha_for(points)
    assert 0.1 < alpha < 2 and alpha_volume(points, alpha) == pytest.approx(2, rel=0.15)
    assert alpha_volume(5 * points, 5 * alpha_for(points)) == pytest.approx(25 * alpha_volume(points, alpha))


@pytest.mark.parametrize(
    "points",
    [
        np.zeros((0, 2)),
        np.zeros((1, 3)),
        np.arange(6.0).reshape(3, 2),
        np.zeros((40, 3)),
        np.repeat(np.eye(3), 20, axis=0),
        np.random.default_rng(0).normal(size=(60, 2)) @ np.ones((2, 3)),
        np.full((30, 1), 1e6),
        np.random.default_rng(0).normal(size=(60, 2)) @ np.eye(2, 3),
    ],
    ids=["none", "one", "line of three", "equal", "three places", "line", "far", "plane"],
)
def test_what_has_no_extent_has_no_volume(points):
    assert hull_volume(points) == alpha_volume(points, 1e3) == alpha_for(points) == 0


def test_duplicates_change_nothing():
    points = np.random.default_rng(0).normal(size=(40, 3))
    alpha = alpha_for(points)
    assert alpha_volume(np.repeat(points, 3, axis=0), alpha) == pytest.approx(alpha_volume(points, alpha))


def test_thinned_keeps_every_kth():
    points = np.arange(10.0)[:, None]
    assert thinned(points, 5)[:, 0].tolist() == [0, 2, 4, 6, 8] and len(thinned(points, 10)) == 10
    assert len(thinned(points[:0], 5)) == 0


def test_a_dataset_of_one_group_holds_half_of_two(monkeypatch):
    z = two_squares().astype(np.float32)
    space, rows = fit_space(z, Clustering(), seed=0), np.flatnonzero(z[:, 0] > 5)

    def share(hull: Literal["convex", "alpha"], rows: np.ndarray) -> float:
        everyone, held = (
            Population([str(i) for i in some], space.points[some], np.zeros(len(some), dtype=int))
            for some in (np.arange(len(z)), rows)
        )
        config = Diversity(hull=hull, hull_dims=2)
        return measure(space, everyone, held, z, z[rows], classes=("a",), config=config)["hull_volume"]

    assert share("convex", rows) < 0.15 and share("alpha", rows) == pytest.approx(0.5, abs=0.05)
    assert share("alpha", np.arange(len(z))) == 1
    monkeypatch.setattr(diversity, "MAX_ROWS", 150)  # of the dataset as of the reference
    assert share("alpha", rows) == pytest.approx(0.5, abs=0.2) and share("alpha", np.arange(len(z))) == 1


def test_more_than_four_dimensions_are_refused():
    with pytest.raises(ValueError, match="hull_dims must not be above 4"):
        Diversity(hull="alpha", hull_dims=5)
    assert Diversity(hull_dims=6).hull == "convex"
