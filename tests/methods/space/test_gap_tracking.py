from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from toy import Toy, kinds

from adde_ray.config import Clustering
from adde_ray.config.run import GAP_KINDS
from adde_ray.methods.space.clustering import fit_space
from adde_ray.methods.space.gap_tracking import LETTERS, track
from adde_ray.methods.space.gaps import Gap


@pytest.fixture(scope="module")
def toy() -> Toy:
    return Toy()


def test_a_gap_is_filled_and_reopens_under_its_name(toy):
    without = [row for label in "abc" for row in toy.of_class(label, 8)]
    first = toy.track([], toy.find(without), round=3)
    names = {(gap.kind, gap.label): gap.gap_id for gap in first}
    assert names["small_cluster", "d"] == "s003-01" and names["class", "d"] == "c003-01"
    assert all(gap.opened_round == 3 and gap.is_open and gap.filled_round is None for gap in first)

    second = toy.track(first, toy.find(without + toy.of_class("d", 8)), round=4, **{"s003-01": (4, 3, 2)})
    filled = {gap.gap_id: gap for gap in second if not gap.is_open}
    assert {"s003-01", "c003-01"} <= set(filled)
    island = filled["s003-01"]
    assert (island.filled_round, island.opened_round, island.severity) == (4, 3, 0)
    assert (island.num_synthesised, island.num_asked, island.num_confirmed) == (4, 3, 2)

    third = toy.track(second, toy.find(without + toy.of_class("d", 8)), round=5)
    assert {gap.gap_id: gap for gap in third}["s003-01"] == island  # once only

    fourth = toy.track(third, toy.find(without), round=6, **{"s003-01": (1, 1, 0)})
    island = {gap.gap_id: gap for gap in fourth}["s003-01"]
    assert island.is_open and island.filled_round is None and island.opened_round == 3
    assert (island.num_synthesised, island.num_asked, island.num_confirmed) == (5, 4, 2)
    assert len({gap.gap_id for gap in fourth}) == len(fourth)


def test_names_survive_an_embedding_that_moves(toy):
    labelled = [*toy.of_class("a", 20), *toy.of_class("b", 1)]
    first = toy.track([], toy.find(labelled), round=0)
    moved = Toy()
    rotation, _ = np.linalg.qr(np.random.default_rng(1).normal(size=(6, 6)))
    moved.space = fit_space((toy.z @ rotation * 30 + 100).astype(np.float32), Clustering(dims=5), seed=0)
    second = moved.track(first, moved.find(labelled), round=1)
    regions = [gap for gap in first if gap.kind in ("density", "small_cluster")]
    assert len(regions) >= 5
    again = {gap.gap_id for gap in second if gap.is_open} & {gap.gap_id for gap in regions}
    assert len(again) >= 0.7 * len(regions)  # the cells are cut anew
    before, after = ({gap.gap_id: gap for gap in part} for part in (first, second))
    for gap_id in again:
        assert before[gap_id].label == after[gap_id].label
        assert len(after[gap_id].centroid) == 5
    # Those that are filled lie in the new space as well.
    assert all(len(gap.centroid) == 5 for gap in second)


def test_each_gap_is_matched_once_and_to_the_nearest(toy):
    def region(x: float, anchor: int, gap_id: str = "") -> Gap:
        return replace(
            kinds(toy.find(toy.of_class("a", 8)))["density"][0],
            gap_id=gap_id,
            centroid=(x,) * 4,
            radius=3.0,
            anchors=(toy.ids[anchor],),
        )

    points = np.repeat(np.array([[0.0], [1.0], [1.5], [9.0]]), 4, axis=1).astype(np.float32)
    previous = [region(0, 0, "d000-01"), region(1, 1, "d000-02")]
    found = [region(1.5, 2), region(9, 3)]
    for order in (previous, previous[::-1]):
        tracked = track(order, found, round=1, ids=toy.ids[:4], points=points, tried={})
        assert [(gap.gap_id, gap.is_open) for gap in tracked] == [
            ("d000-02", True),
            ("d001-01", True),
            ("d000-01", False),
        ]
    # An open gap has the first claim, even when a filled one is nearer.
    claimed = [previous[0], replace(previous[1], status="filled", filled_round=0)]
    tracked = track(claimed, found[:1], round=1, ids=toy.ids[:4], points=points, tried={})
    assert [(gap.gap_id, gap.is_open) for gap in tracked] == [("d000-01", True), ("d000-02", False)]
    # Both sides are placed by their anchors: a centroid is only their mean when the anchors lie around it.
    shifted = replace(found[0], centroid=(7.0,) * 4)
    tracked = track(previous[1:], [shifted], round=1, ids=toy.ids[:4], points=points, tried={})
    assert [gap.gap_id for gap in tracked] == ["d000-02"] and tracked[0].centroid == shifted.centroid
    # Anchors that are gone leave the gap where it was.
    tracked = track(previous[1:], found[:1], round=1, ids=["x", "y", toy.ids[2]], points=points[:3], tried={})
    assert [gap.gap_id for gap in tracked] == ["d000-02"]


def test_nothing_found_nothing_tracked(toy):
    assert toy.track([], []) == []


# --- acting on them ------------------------------------------------------------------------------------


def test_every_kind_has_a_letter_of_its_own():
    assert set(LETTERS) == set(GAP_KINDS) and len(set(LETTERS.values())) == len(GAP_KINDS)
