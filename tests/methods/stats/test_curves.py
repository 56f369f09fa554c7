"""One learning curve: labels to a level, area, largest fall, other grids."""

import numpy as np
import pytest

from adde_ray.methods.stats import curves

LABELS = np.array([0, 10, 20, 40])


def test_area_by_hand():
    assert curves.area(LABELS, np.array([0.0, 1, 1, 0.5])) == pytest.approx((5 + 10 + 15) / 40)
    assert curves.area(LABELS, np.full(4, 0.7)) == pytest.approx(0.7)
    assert curves.area(np.array([30]), np.array([0.4])) == 0.4


@pytest.mark.parametrize(("level", "labels"), [(0.2, 0), (0.5, 10), (0.7, 40), (0.71, np.inf)])
def test_labels_to_a_level(level, labels):
    assert curves.labels_to(LABELS, np.array([0.2, 0.5, 0.4, 0.7]), level) == labels


def test_a_level_is_reached_whatever_its_last_bit():
    assert curves.labels_to(np.array([5]), np.array([0.3]), 0.1 + 0.2) == 5


def test_the_largest_fall_is_below_the_best_so_far():
    assert curves.largest_fall(np.array([0.5, 0.8, 0.7, 0.75, 0.6, 0.9])) == pytest.approx(0.2)
    assert curves.largest_fall(np.array([0.1, 0.1, 0.3])) == 0 and curves.largest_fall(np.array([0.4])) == 0


def test_other_grids():
    grid = np.array([0, 5, 40, 60])
    assert curves.on_grid(LABELS, np.array([0.0, 1, 0, 2]), grid).tolist() == [0, 0.5, 2, 2]
    # Rounds that bought nothing: the last of them counts, before and after.
    assert curves.on_grid(np.array([0, 0, 10, 10]), np.array([1.0, 2, 3, 5]), grid).tolist() == [2, 3.5, 5, 5]
    assert curves.on_grid(np.array([0, 0]), np.array([1.0, 0.5]), grid).tolist() == [0.5] * 4
