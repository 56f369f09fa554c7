"""How far apart is far enough: what val says, and the lengths that follow."""

import numpy as np
import pytest

from adde_ray.config import Clustering
from adde_ray.methods.query import local_scale
from adde_ray.methods.query.local_scale import FAR, LocalScale
from adde_ray.methods.space.clustering import fit_space


def two_groups(n=300, seed=0):
    """A dense group and one three times as wide, with rows of both classes in each."""
    rng = np.random.default_rng(seed)
    wide = rng.random(n) < 0.5
    x = rng.normal(size=(n, 4)) * np.where(wide, 3.0, 0.3)[:, None] + np.where(wide, 20.0, 0.0)[:, None]
    return x.astype(np.float32), wide


def test_plain_where_thin_rows_are_as_telling_as_dense_ones():
    x, wide = two_groups()
    assert local_scale.exponent(x, wide.astype(int), x, seed=0) == 0


def test_local_where_thin_rows_are_noise():
    x, wide = two_groups()
    labels = np.where(wide, np.random.default_rng(1).integers(2, size=len(x)), 0)
    assert local_scale.exponent(x, labels, x, seed=0) > 0.9


def test_several_labels_at_once_and_unknown_ones():
    x, wide = two_groups()
    targets = np.stack([wide, ~wide], axis=1).astype(float)
    targets[::7, 0] = np.nan
    assert local_scale.exponent(x, targets, x, seed=0) == 0


def test_standing_for_others_counts_as_far_as_outliers_are_noise_and_never_more_than_distance():
    assert [LocalScale(e, unit=1.0).representativeness for e in (0.0, 0.3, 0.5, 1.0)] == [0.0, 0.3, 0.5, 0.5]


@pytest.mark.parametrize("rows", [1, 2, 3, 5])
def test_few_rows_give_no_error(rows):
    x, wide = two_groups(rows)
    assert 0 <= local_scale.exponent(x, wide.astype(int), x, seed=0) <= 1
    space = fit_space(x, Clustering(), seed=0)
    lengths = LocalScale(1.0, local_scale.unit(x, seed=0)).lengths(space, space.points)
    assert np.isfinite(lengths).all() and (lengths >= 0).all()


def test_lengths_follow_the_surroundings():
    x, wide = two_groups()
    space, unit = fit_space(x, Clustering(), seed=0), local_scale.unit(x, seed=0)
    plain, local = (LocalScale(power, unit).lengths(space, space.points) for power in (0.0, 1.0))
    assert np.all(plain == FAR * unit)
    assert np.median(local[wide]) > 5 * np.median(local[~wide])
    assert np.median(local) == pytest.approx(FAR * unit, rel=0.01)


def test_a_row_of_the_reference_does_not_count_as_its_own_neighbour():
    x, _ = two_groups()
    space = fit_space(x, Clustering(), seed=0)
    inside = LocalScale(1.0, 1.0).lengths(space, space.points)
    expected = FAR * np.maximum(space.knn_distance / np.median(space.knn_distance), local_scale.FLOOR)
    np.testing.assert_allclose(inside, expected, rtol=1e-4)


def test_row_order_does_not_matter():
    x, _ = two_groups()
    space, order = fit_space(x, Clustering(), seed=0), np.random.default_rng(0).permutation(300)
    local = LocalScale(0.7, 1.0)
    np.testing.assert_array_equal(local.lengths(space, space.points)[order], local.lengths(space, space.points[order]))
