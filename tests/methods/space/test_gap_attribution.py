"""A sample is said to lie in a gap only where labelling it would count as labelled in that gap."""

from dataclasses import replace

import numpy as np
import pytest
from toy import CLASSES, Toy

from adde_ray.methods.space.gaps import Gap, from_frame, home_gap, membership, to_frame


@pytest.fixture(scope="module")
def toy() -> Toy:
    sites = [("north", "south", None)[row % 3] for row in range(176)]
    return Toy(site=sites)


def named(found: list[Gap]) -> list[Gap]:
    return [replace(gap, gap_id=f"g{row:02d}") for row, gap in enumerate(found)]


def attributed(toy: Toy, found: list[Gap], proba: np.ndarray, *, multi: bool = False) -> list[str | None]:
    fills = membership(toy.space.points, proba, toy.subgroups, found, CLASSES)
    return home_gap(toy.space.points, proba, fills, found, toy.space, CLASSES, multi=multi)


def labelled_in(found: list[Gap], gap: Gap) -> int | None:
    """How many the same gap holds among those found; None where it is a gap no more."""
    same = [
        other
        for other in found
        if (other.kind, other.subgroup) == (gap.kind, gap.subgroup)
        and (other.label == gap.label or gap.kind != "class")
        and np.allclose(other.centroid, gap.centroid) | (gap.kind in ("class", "subgroup"))
    ]
    return same[0].num_labelled if same else None


@pytest.mark.parametrize("kind", ["density", "small_cluster", "class", "subgroup"])
def test_labelling_a_sample_of_a_gap_counts_in_that_gap(toy, kind):
    start = [*toy.of_class("a", 20), *toy.of_class("b", 4)]
    start = [row for row in start if toy.subgroups["site"][row] != "south"]
    found = named(toy.find(start, kinds=[kind]))
    of = attributed(toy, found, toy.proba)
    rows = [row for row in range(len(of)) if of[row] is not None and row not in start]
    assert found and rows
    for row in rows[:: max(len(rows) // 12, 1)]:
        gap = next(gap for gap in found if gap.gap_id == of[row])
        then = labelled_in(toy.find([*start, row], kinds=[kind]), gap)
        assert then is None or then == gap.num_labelled + 1


@pytest.mark.parametrize("kind", ["density", "small_cluster"])
def test_a_sample_beside_a_region_does_not_lie_in_it(toy, kind):
    found = named(toy.find([*toy.of_class("a", 20), *toy.of_class("b", 20), *toy.of_class("c", 20)], kinds=[kind]))
    of = attributed(toy, found, toy.proba)
    places = toy.space.cells if kind == "density" else toy.space.clusters
    for gap in found:
        home = {int(places[row]) for row in range(len(of)) if of[row] == gap.gap_id}
        assert len(home) == 1
        anchors = {int(places[toy.ids.index(anchor)]) for anchor in gap.anchors}
        assert home == anchors


def test_a_class_that_f_gives_a_few_percent_is_not_what_it_expects(toy):
    [gap] = named(toy.find([row for c in "abc" for row in toy.of_class(c, 20)], kinds=["class"]))
    of = attributed(toy, [gap], np.full((176, 4), 0.06) + 0.76 * np.eye(4)[toy.truth])
    assert {CLASSES[toy.truth[row]] for row in range(176) if of[row]} == {gap.label} == {"d"}
    # Of several classes at once it expects all that are more likely than not.
    proba = np.tile([0.9, 0.1, 0.2, 0.4], (176, 1))
    assert not any(attributed(toy, [gap], proba, multi=True))
    proba[5, 3] = 0.6
    assert np.flatnonzero([g is not None for g in attributed(toy, [gap], proba, multi=True)]).tolist() == [5]


def test_of_several_gaps_it_is_the_one_a_sample_fills_best(toy):
    found = named(toy.find([row for c in "abc" for row in toy.of_class(c, 20)], kinds=["class", "small_cluster"]))
    assert {gap.kind for gap in found} == {"class", "small_cluster"}
    of = attributed(toy, found, toy.proba)
    row = toy.of_class("d", 1)[0]
    fills = membership(toy.space.points, toy.proba, {}, found, CLASSES)[row]
    assert of[row] == found[int(fills.argmax())].gap_id
    filled = [replace(gap, status="filled") for gap in found]
    assert not any(attributed(toy, filled, toy.proba)) and attributed(toy, [], toy.proba) == [None] * 176


def test_tables_of_the_first_version_took_all_for_inside(toy):
    found = [replace(gap, num_asked=3, num_inside=2) for gap in named(toy.find(toy.of_class("a", 20)))]
    assert from_frame(to_frame(found)) == found
    assert {gap.num_inside for gap in from_frame(to_frame(found).drop("num_inside"))} == {3}
