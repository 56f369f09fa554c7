"""Requests to the generator: how many samples for which gap, where each is aimed, and what it holds."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest

from adde_ray.methods.synthesis.generators import FitData
from adde_ray.methods.synthesis.requests import Request, aim, plan_requests, to_hold, untargeted_requests

CLASSES = ("a", "b", "c")


def gap(gap_id, severity, label="a", status="open", centroid=(0.0, 1.0), kind="density"):
    return SimpleNamespace(
        gap_id=gap_id, kind=kind, label=label, status=status, severity=severity, centroid=centroid, radius=0.5
    )


def counts(gaps, per_round, **kwargs):
    return {r.gap_id: r.count for r in plan_requests(gaps, per_round=per_round, classes=CLASSES, **kwargs)}


def test_requests_follow_severity():
    assert counts([gap("x", 0.6), gap("y", 0.3), gap("z", 0.1)], 10) == {"x": 6, "y": 3, "z": 1}
    assert counts([gap("x", 0.5), gap("y", 0.5), gap("z", 0.5)], 10) == {"x": 4, "y": 3, "z": 3}
    assert counts([gap(f"g{i:02d}", 1.0 if i == 7 else 0.5) for i in range(20)], 3) == {"g00": 1, "g01": 1, "g07": 1}
    assert counts([gap("x", 0.0), gap("y", 0.0)], 4) == {"x": 2, "y": 2}


@pytest.mark.parametrize("per_round", [1, 7, 32])
def test_requests_add_up_and_ignore_order(per_round):
    rng = np.random.default_rng(per_round)
    gaps = [gap(f"g{i:02d}", float(s)) for i, s in enumerate(rng.random(13).round(1))]
    wanted = counts(gaps, per_round)
    assert sum(wanted.values()) == per_round
    assert counts(gaps[::-1], per_round) == wanted


def test_requests_pass_over_what_cannot_be_aimed_at():
    gaps = [
        gap("ok", 0.2, label="b"),
        gap("no_class", 1.0, label=None),
        gap("filled", 1.0, status="filled"),
        gap("nowhere", 1.0, centroid=()),
        gap("nor_here", 1.0, centroid=None),
    ]
    [request] = plan_requests(gaps, per_round=5, classes=CLASSES)
    assert (request.gap_id, request.label, request.count, request.radius) == ("ok", 1, 5, 0.5)
    assert request.point.dtype == np.float32 and request.point.tolist() == [0.0, 1.0]
    [of_class] = plan_requests([gap("c", 0.2, kind="class")], per_round=5, classes=CLASSES)
    assert of_class.radius > request.radius, "a class reaches further than the samples it has"
    assert plan_requests(gaps[1:], per_round=5, classes=CLASSES) == []
    assert plan_requests([], per_round=5, classes=CLASSES) == []
    assert plan_requests(gaps, per_round=0, classes=CLASSES) == []
    assert counts([gap("x", 0.5), gap("new", 0.5, label="c")], 4, known={0, 1}) == {"x": 4}


@pytest.fixture
def line():
    """Rows along a line in three dimensions, x = 0 ... 9; class 0 below 5, class 1 above, row 2 perhaps either."""
    points = np.zeros((10, 3), np.float32)
    points[:, 0] = np.arange(10)
    probs = np.eye(2, dtype=np.float32)[(np.arange(10) >= 5).astype(int)]
    probs[2] = 0.5
    return points, probs


def test_aims_lie_between_rows_of_the_class_inside_the_gap(line):
    request = Request("g", 0, np.array([2.5, 0, 0], np.float32), 1.6, 300)  # reaches rows 1 to 4
    aims, rows = aim(request, *line, seed=1)
    assert aims.shape == (300, 3) and aims.dtype == np.float32 and rows.shape == (300, 2)
    assert set(rows.ravel()) == {1, 2, 3, 4}
    assert np.linalg.norm(aims - request.point, axis=1).max() <= 1.6
    assert np.abs(aims[:, 1:]).max() == 0, "nothing off the line"
    low, high = line[0][rows].min(axis=1), line[0][rows].max(axis=1)
    assert (low <= aims + 1e-5).all() and (aims <= high + 1e-5).all()
    drawn = np.bincount(rows.ravel(), minlength=5) / rows.size
    assert drawn[2] < 0.75 * drawn[[1, 3, 4]].mean(), "half as likely of the class, half as often"
    _, rows = aim(Request("g", 1, request.point, 1.6, 20), *line, seed=1)
    assert set(rows.ravel()) == {2}


def test_untargeted_requests_are_as_many_of_each_class_as_the_dataset_has(line):
    requests = untargeted_requests(np.array([6, 0, 3]), per_round=10, dims=2)
    assert [(r.gap_id, r.label, r.count) for r in requests] == [(None, 0, 7), (None, 2, 3)]
    assert untargeted_requests(np.array([0, 0]), per_round=10, dims=2) == []
    points, probs = line
    for request in untargeted_requests(np.array([1, 1]), per_round=400, dims=3):
        aims, rows = aim(request, points, probs, seed=0)
        assert len(aims) == 200 and np.isfinite(aims).all()
        assert set(rows.ravel()) == set(np.flatnonzero(probs[:, request.label])), "from all of the class"


def test_aims_without_a_row_go_anywhere_within_the_radius(line):
    request = Request("g", 1, np.array([0, 5, 0], np.float32), 0.5, 200)
    aims, rows = aim(request, *line, seed=1)
    away = np.linalg.norm(aims - request.point, axis=1)
    assert (rows == -1).all() and 0.4 < away.max() <= 0.5 + 1e-6 and away.min() < 0.1
    still, _ = aim(Request("g", 1, request.point, 0.0, 2), *line, seed=1)
    assert np.array_equal(still, np.stack([request.point] * 2))


def test_aims_are_seeded_by_gap(line):
    request = Request("g", 0, np.array([2, 0, 0], np.float32), 3.0, 8)
    aims, rows = aim(request, *line, seed=1)
    again = aim(request, *line, seed=1)
    assert np.array_equal(aims, again[0]) and np.array_equal(rows, again[1])
    other_gap = Request("h", 0, request.point, 3.0, 8)
    assert not np.array_equal(aims, aim(request, *line, seed=2)[0])
    assert not np.array_equal(aims, aim(other_gap, *line, seed=1)[0])


def test_classes_go_together_as_they_do_in_the_rows_aimed_between():
    class_probs = np.array([[1, 0, 1], [0.2, 0.7, 0.1], [0, 0, 0]], dtype=np.float32)
    data = FitData(np.zeros((3, 2), np.float32), class_probs, np.zeros((3, 2), np.float32), multi=True)
    request = Request("g", label=0, point=np.zeros(2), radius=1.0, count=4)
    between = np.array([[0, 1], [1, 0], [2, 2], [-1, -1]])
    assert to_hold(request, between, data).tolist() == [[1, 0, 1], [1, 1, 0], [1, 0, 0], [1, 0, 0]]
    assert to_hold(request, between, replace(data, multi=False)).tolist() == [0, 0, 0, 0]
