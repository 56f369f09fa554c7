from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from sklearn.datasets import load_digits
from toy import CLASSES, Toy, kinds

from adde_ray.artifacts.schema import GAPS, Population
from adde_ray.config import Clustering, Diversity, Gaps
from adde_ray.config.run import GAP_KINDS
from adde_ray.errors import UserError
from adde_ray.methods.space import gaps
from adde_ray.methods.space.clustering import fit_space
from adde_ray.methods.space.diversity import class_target
from adde_ray.methods.space.gap_tracking import track
from adde_ray.methods.space.gaps import Gap, find_gaps, from_frame, membership, open_gaps, to_frame


@pytest.fixture(scope="module")
def toy() -> Toy:
    return Toy()


# --- finding -------------------------------------------------------------------------------------------


def test_a_small_blob_nobody_labelled_is_one_region_and_one_class(toy):
    found = kinds(toy.find([*toy.of_class("a", 20), *toy.of_class("b", 20), *toy.of_class("c", 20)]))
    [island], [short] = found["small_cluster"], found["class"]
    assert not found["subgroup"]
    assert island.label == short.label == "d"
    assert island.severity == short.severity == 1 and island.density == short.density == 0
    assert island.num_labelled == 0 and island.num_pool == 8
    assert {toy.truth[toy.ids.index(anchor)] for anchor in island.anchors} == {3} and len(island.anchors) == 5
    inside = toy.space.points[toy.truth == 3]
    np.testing.assert_allclose(island.centroid, inside.mean(axis=0), atol=1e-4)
    assert (np.linalg.norm(inside - island.centroid, axis=1) <= island.radius).mean() >= 0.8
    # The cells inside it are no second gap.
    assert not any(np.linalg.norm(np.subtract(gap.centroid, island.centroid)) < 5 for gap in found["density"])


def test_a_large_blob_nobody_labelled_shows_as_sparse_cells():
    # A third of the rows is no small cluster.
    toy = Toy()
    found = kinds(toy.find([*toy.of_class("a", 20), *toy.of_class("b", 20), *toy.of_class("d", 5)]))
    assert not found["small_cluster"]
    assert sum(gap.num_pool for gap in found["density"] if gap.label == "c") >= 50
    assert {gap.label for gap in found["density"]} == {"c"}
    assert all(gap.severity == 1 and gap.num_labelled == 0 for gap in found["density"])


def test_labels_close_the_gap(toy):
    labelled = [row for label in CLASSES for row in toy.of_class(label, 8)]
    assert not kinds(toy.find(labelled))["class"]
    assert not kinds(toy.find(labelled))["small_cluster"]
    one = [row for label in "abc" for row in toy.of_class(label, 8)] + toy.of_class("d", 1)
    [island] = kinds(toy.find(one))["small_cluster"]
    assert island.severity == pytest.approx(2 / 3) and island.num_labelled == 1 and island.num_pool == 7
    assert island.density == pytest.approx(1 / 8)


def test_a_fragment_of_a_dense_region_is_no_small_cluster():
    rng = np.random.default_rng(0)
    toy = Toy()
    # Two thin places cut one cloud into clusters; neither piece is far from the rest.
    z = rng.uniform(-1, 1, size=(176, 6)).astype(np.float32)
    z[:, 0] += np.where(z[:, 0] > 0.8, 0.05, 0)
    toy.space = fit_space(z, Clustering(), seed=0)
    small = np.full(176, -1)
    small[z[:, 0] > 0.8] = 0
    small[z[:, 0] < -0.5] = 1
    toy.space = replace(toy.space, clusters=small, membership=np.zeros((176, 2)), reach=np.zeros(2))
    assert not toy.find(toy.of_class("a", 3), kinds=["small_cluster"], small_cluster_share=0.5)
    isolated = toy.space.points.copy()
    isolated[small == 0] += 5
    toy.space = replace(toy.space, points=isolated)
    assert len(toy.find(toy.of_class("b", 3), kinds=["small_cluster"], small_cluster_share=0.5)) == 1


def test_what_people_rejected_is_not_asked_for_again(toy):
    labelled = [row for label in "abc" for row in toy.of_class(label, 8)]
    junk = toy.of_class("d", 3)
    assert kinds(toy.find(labelled))["small_cluster"]
    assert not kinds(toy.find(labelled, rejected=junk))["small_cluster"]
    [left] = kinds(toy.find(labelled, rejected=junk[:2]))["small_cluster"]
    assert (left.num_labelled, left.num_pool) == (0, 6)
    # The same holds for cells.
    [*cells] = toy.find(labelled[8:], kinds=["density"])
    in_a = {toy.ids[row] for row in np.flatnonzero(toy.truth == 0)}
    assert any(in_a & {*gap.anchors} for gap in cells)
    junk = np.flatnonzero(toy.truth == 0).tolist()[::2]
    assert not any(in_a & {*gap.anchors} for gap in toy.find(labelled[8:], rejected=junk, kinds=["density"]))
    # The class has no sample all the same.
    assert kinds(toy.find(labelled, rejected=junk))["class"][0].label == "d"


def test_a_class_is_short_below_tolerance_times_target(toy):
    def short(**config):
        rows = toy.of_class("a", 17) + toy.of_class("b", 20) + toy.of_class("c", 18) + toy.of_class("d", 8)
        return {gap.label: gap for gap in toy.find(rows[: 17 + 20 + 18 + 8], kinds=["class"], **config)}

    # 8 of 63 is 0.508 of a quarter.
    assert short() == {}
    assert set(short(tolerance=0.6)) == {"d"}
    assert short(tolerance=0.6)["d"].severity == pytest.approx(1 - 8 / 63 * 4)
    assert short(tolerance=0.6)["d"].density == pytest.approx(8 / 63 * 4)
    assert short(tolerance=0.6)["d"].num_pool == pytest.approx(113 * 0.025, abs=0.5)
    assert set(short(diversity=Diversity(class_target={"a": 0.7}))) == {"a"}
    assert set(short(diversity=Diversity(class_target={"d": 0}), tolerance=0.6)) == set()


def test_exactly_at_the_tolerance_is_not_short(toy):
    rows = toy.of_class("a", 7) + toy.of_class("b", 7) + toy.of_class("c", 7) + toy.of_class("d", 3)
    assert toy.find(rows, kinds=["class"], tolerance=0.5) == []
    [gap] = toy.find(rows, kinds=["class"], tolerance=0.51)
    assert {toy.ids.index(anchor) for anchor in gap.anchors} == {*toy.of_class("d", 3)}
    # 6 of 120 is half of a tenth, whatever the last bit of 0.5 * 0.1 * 120 says.
    held = np.array([6] + [13] * 6 + [12] * 3)
    assert not gaps._short(held, class_target(tuple("0123456789"), Diversity()), 0.5).any()


def test_a_single_sample_has_a_neighbourhood(toy):
    [gap] = [
        gap for gap in toy.find(toy.of_class("a", 8) + toy.of_class("d", 1)) if (gap.kind, gap.label) == ("class", "d")
    ]
    assert gap.num_labelled == 1 and gap.radius == pytest.approx(np.median(toy.space.knn_distance))


def test_a_class_nobody_found_is_looked_for_where_f_guesses_it(toy):
    labelled = [row for label in "abc" for row in toy.of_class(label, 8)]
    [gap] = toy.find(labelled, kinds=["class"])
    near = np.linalg.norm(toy.space.points - np.array(gap.centroid), axis=1)
    assert (near[toy.truth == 3].max() < near[toy.truth != 3]).all()
    assert len(gap.anchors) == 5
    nowhere = toy.find(labelled, kinds=["class"], proba=np.repeat([[0.4, 0.3, 0.3, 0.0]], len(toy.ids), axis=0))
    np.testing.assert_allclose(nowhere[0].centroid, toy.space.points.mean(axis=0), atol=1e-4)


def test_no_class_is_named_when_f_knows_nothing(toy):
    uniform = np.full((len(toy.ids), 4), 0.25)
    found = toy.find(toy.of_class("a", 8), kinds=["density", "small_cluster"], proba=uniform)
    assert found and all(gap.label is None for gap in found)


def test_subgroups():
    sex = ["m"] * 100 + ["f"] * 75 + [None]
    toy = Toy(sex=sex, site=["x"] * 176)
    labelled = [*range(30), 100, 101, 175]
    [gap] = toy.find(labelled, kinds=["subgroup"])
    assert (gap.kind, gap.subgroup, gap.label) == ("subgroup", "sex=f", None)
    assert gap.num_labelled == 2 and gap.num_pool == 73
    assert gap.density == pytest.approx(2 / 32 * 2) and gap.severity == pytest.approx(1 - 2 / 32 * 2)
    assert all(sex[toy.ids.index(anchor)] == "f" for anchor in gap.anchors)
    target = Diversity(subgroup_target={"sex": {"f": 0.06, "m": 0.94}})
    assert toy.find(labelled, kinds=["subgroup"], diversity=target) == []
    # A value nobody has is a gap too, if the user asks for it.
    target = Diversity(subgroup_target={"sex": {"x": 0.2}})
    [nobody] = [gap for gap in toy.find(labelled, kinds=["subgroup"], diversity=target) if gap.subgroup == "sex=x"]
    assert nobody.severity == 1 and nobody.num_pool == 0 and nobody.anchors == ()


def test_a_target_for_an_unknown_class_is_a_user_error(toy):
    with pytest.raises(UserError, match=r"diversity.class_target.*nope"):
        toy.find([0], diversity=Diversity(class_target={"nope": 0.5}))


def test_kinds_are_switched_by_the_config(toy):
    labelled = toy.of_class("a", 20)
    everything = toy.find(labelled)
    for kind in GAP_KINDS:
        alone = toy.find(labelled, kinds=[kind])
        assert {gap.kind for gap in alone} <= {kind}
        if kind in ("class", "small_cluster"):  # cells inside a small cluster count when that kind is off
            assert alone == [gap for gap in everything if gap.kind == kind]


@pytest.mark.parametrize(
    "z",
    [
        np.ones((1, 3)),
        np.ones((30, 3)),
        np.arange(6.0).reshape(2, 3),
        np.random.default_rng(0).normal(size=(4, 9)),
        np.random.default_rng(0).normal(size=(50, 9)),
        np.repeat(np.eye(3), 12, axis=0),
    ],
    ids=["one", "equal", "two", "wide", "noise", "duplicates"],
)
@pytest.mark.parametrize("num_labelled", [0, 1])
def test_degenerate_data(z, num_labelled):
    n = len(z)
    space = fit_space(z.astype(np.float32), Clustering(), seed=0)
    ids, labels = [f"{row:032x}" for row in range(n)], np.full(n, -1)
    labels[:num_labelled] = 0
    reference = Population(ids, space.points, labels, {"sex": [None] * n})
    dataset = Population(ids[:num_labelled], space.points[:num_labelled], labels[:num_labelled])
    proba = np.full((n, 2), 0.5)
    found = find_gaps(
        space,
        reference,
        dataset,
        asked=labels >= 0,
        proba=proba,
        classes=("a", "b"),
        config=Gaps(),
        diversity=Diversity(),
    )
    assert ("class", "b") in {(gap.kind, gap.label) for gap in found}
    tracked = track([], found, round=0, ids=ids, points=space.points, tried={})
    for gap in tracked:
        assert 0 <= gap.severity <= 1 and np.isfinite([*gap.centroid, gap.radius, gap.density]).all()
    weights = membership(space.points, proba, {}, tracked, ("a", "b"))
    assert weights.shape == (n, len(found)) and (weights >= 0).all() and (weights <= 1).all()
    # Its own members fill a region, even one without extent.
    for column, gap in enumerate(tracked):
        if gap.kind != "class":
            assert weights[[ids.index(anchor) for anchor in gap.anchors], column].max() > 0.1 * gap.severity
    assert from_frame(to_frame(tracked)) == tracked


def test_frames_keep_everything_exactly(toy):
    found = toy.track([], toy.find([*toy.of_class("a", 20), *toy.of_class("d", 1)]))
    table = to_frame(found)
    assert table.columns == GAPS.names and len(found) > 3
    assert from_frame(table) == found
    assert from_frame(to_frame([])) == []


# --- tracking ------------------------------------------------------------------------------------------


def test_open_gaps_alternate_between_kinds_severest_and_least_asked_about_first(toy):
    some = toy.track([], toy.find(toy.of_class("a", 8)))[0]

    def gap(gap_id: str, kind: str, severity: float, tries: int = 0, status: str = "open") -> Gap:
        return replace(some, gap_id=gap_id, kind=kind, severity=severity, num_asked=tries, status=status)

    given = [
        gap("c1", "class", 1.0, tries=9),
        gap("c2", "class", 1.0),
        gap("c3", "class", 1.0, status="filled"),
        gap("d1", "density", 0.5),
        gap("d2", "density", 0.7),
        gap("s1", "small_cluster", 0.3),
    ]
    assert [gap.gap_id for gap in open_gaps(given, Gaps())] == ["d2", "s1", "c2", "d1", "c1"]
    assert [gap.gap_id for gap in open_gaps(given, Gaps(max_open=2))] == ["d2", "s1"]
    # What was synthesised and never asked about turns the query to no other gap.
    busy = [replace(gap, num_synthesised=9 * (gap.gap_id == "c2")) for gap in given]
    assert [gap.gap_id for gap in open_gaps(busy, Gaps())] == ["d2", "s1", "c2", "d1", "c1"]


def test_membership_of_each_kind(toy):
    [island] = kinds(toy.find(toy.of_class("a", 8)))["small_cluster"]
    island = replace(island, severity=0.8)
    points = np.array(island.centroid) + np.array([[0.0], [1.0], [2.0]]) * island.radius * np.eye(
        1, toy.space.points.shape[1]
    )
    gaps_ = [
        island,
        replace(island, kind="class", label="c", severity=0.5),
        replace(island, kind="subgroup", label=None, subgroup="sex=f"),
        replace(island, status="filled"),
    ]
    proba = np.array([[0, 0, 1, 0], [0.5, 0, 0.5, 0], [1, 0, 0, 0]])
    values = membership(points, proba, {"site": ["f", "f", None], "sex": ["f", "m", None]}, gaps_, CLASSES)
    np.testing.assert_allclose(values[:2, 0], [0.8, 0.4], rtol=1e-5)
    assert values[2, 0] < 1e-4
    np.testing.assert_allclose(values[:, 1], [0.5, 0.25, 0])
    np.testing.assert_allclose(values[:, 2], [0.8, 0, 0])
    assert (values[:, 3] == 0).all()


def test_a_class_held_out_of_the_digits_is_found_filled_and_asked_for():
    digits = load_digits()
    rng = np.random.default_rng(0)
    rows = np.sort(rng.choice(len(digits.data), 600, replace=False))
    z, truth = digits.data[rows].astype(np.float32), digits.target[rows]
    classes = tuple("0123456789")
    ids = [f"{row:032x}" for row in range(600)]
    space = fit_space(z, Clustering(), seed=0)
    # f has never seen a 4: it spreads those over the other classes.
    proba = np.eye(10)[truth] * 0.9 + 0.01
    proba[truth == 4] = 0.11
    proba[truth == 4, 4] = 0.01

    def look(labelled):
        parts = [
            Population([ids[row] for row in keep], space.points[keep], np.where(labelled, truth, -1)[keep])
            for keep in (np.arange(600), np.flatnonzero(labelled))
        ]
        return find_gaps(
            space, *parts, asked=labelled, proba=proba, classes=classes, config=Gaps(), diversity=Diversity()
        )

    labelled = (truth != 4) & (rng.random(600) < 0.3)
    first = track([], look(labelled), round=0, ids=ids, points=space.points, tried={})
    [held_out] = kinds(first)["class"]
    assert held_out.label == "4" and held_out.severity == 1
    # The emptiest regions are where the 4s are, and lead to them.
    empty = [gap for gap in first if gap.kind != "class" and gap.severity == 1]
    assert {truth[ids.index(anchor)] for gap in empty for anchor in gap.anchors} == {4}
    assert sum(gap.num_pool for gap in empty) > 0.8 * np.sum(truth == 4)
    best = membership(space.points, proba, {}, empty, classes).max(axis=1)
    assert np.mean(truth[np.argsort(-best)[:30]] == 4) > 0.9
    second = track(
        first,
        look(labelled | ((truth == 4) & (rng.random(600) < 0.5))),
        round=1,
        ids=ids,
        points=space.points,
        tried={},
    )
    assert not next(gap for gap in second if gap.gap_id == held_out.gap_id).is_open
    names = {gap.gap_id for gap in second if gap.is_open}
    assert not names & {gap.gap_id for gap in empty}


def test_no_gaps_no_membership(toy):
    assert membership(toy.space.points, toy.proba, {}, [], CLASSES).shape == (len(toy.ids), 0)


def test_every_kind_has_a_finder():
    assert set(gaps.FINDERS) == set(GAP_KINDS)
