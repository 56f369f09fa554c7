from __future__ import annotations

import numpy as np
import polars as pl
import pytest
from sklearn.datasets import make_blobs

from adde_ray.artifacts.m_div import BESIDE, IN_M_DIV
from adde_ray.artifacts.schema import Population
from adde_ray.config import Clustering, Diversity
from adde_ray.errors import UserError
from adde_ray.methods.space import diversity
from adde_ray.methods.space.clustering import Space, fit_space
from adde_ray.methods.space.diversity import class_target, coverage, measure, subgroup_targets, vendi_score

CLASSES = ("a", "b", "c", "d")
RAW = {"min_inter_cluster", "max_intra_cluster", "vendi"}


def blobs(n: int = 240) -> tuple[np.ndarray, np.ndarray, Space]:
    z, truth = make_blobs(n, centers=10 * np.eye(4, 6), cluster_std=1.0, random_state=0)
    return z, truth, fit_space(z, Clustering(), seed=0)


def population(space: Space, truth: np.ndarray, rows=None, **subgroups) -> Population:
    rows = np.arange(len(truth)) if rows is None else np.asarray(rows, dtype=int)
    columns = {name: [values[row] for row in rows] for name, values in subgroups.items()}
    return Population([f"{row:032x}" for row in rows], space.points[rows], truth[rows], columns)


def measured(z, truth, space, rows, config=None, **subgroups) -> dict[str, float]:
    return measure(
        space,
        population(space, truth, **subgroups),
        population(space, truth, rows, **subgroups),
        z,
        z[rows],
        classes=CLASSES,
        config=config or Diversity(),
    )


def check(metrics: dict[str, float], m: int) -> None:
    for name, value in metrics.items():
        assert type(value) is float and np.isfinite(value) and value >= 0, (name, value)
        assert name in RAW or value <= 1, (name, value)
    assert metrics["vendi"] <= m + 1e-9 and (metrics["vendi"] >= 1 or m == 0)
    assert metrics["m_div"] == pytest.approx(np.mean([metrics[name] for name in IN_M_DIV if name in metrics]))


def test_the_whole_reference_is_as_diverse_as_can_be():
    z, truth, space = blobs()
    metrics = measured(z, truth, space, np.arange(240))
    check(metrics, 240)
    for name in ("coverage", "hull_volume", "vendi_share", "class_representation"):
        assert metrics[name] == pytest.approx(1), name
    # The cells are not all equally large, so the reference's own entropy is not quite 1.
    assert metrics["coverage_entropy"] > 0.85 and metrics["cluster_entropy"] > 0.99 and metrics["m_div"] > 0.97
    assert "subgroup_representation" not in metrics
    # Four blobs at the corners: 10 sqrt(2) apart, and a row is some standard deviations from its centre.
    assert metrics["min_inter_cluster"] == pytest.approx(10 * 2**0.5, rel=0.1)
    assert 3 < metrics["max_intra_cluster"] < 6


def test_m_div_and_every_term_rise_when_blobs_are_added():
    z, truth, space = blobs()
    rng = np.random.default_rng(0)
    order = np.concatenate([rng.permutation(np.flatnonzero(truth == label))[:15] for label in range(4)])
    sex = np.array(["m", "f"])[(truth >= 2).astype(int)].tolist()
    before = measured(z, truth, space, order[:15], sex=sex)
    for blobs_held in (2, 3, 4):
        metrics = measured(z, truth, space, order[: 15 * blobs_held], sex=sex)
        check(metrics, 15 * blobs_held)
        for name in (*IN_M_DIV, *BESIDE):
            assert metrics[name] >= before[name] - 1e-9, (name, blobs_held)
        assert metrics["m_div"] > before["m_div"] + 0.05
        before = metrics


def test_more_of_the_same_is_not_more_diverse():
    z, truth, space = blobs()
    few, many = np.flatnonzero(truth == 0)[:20], np.flatnonzero(truth == 0)[:60]
    assert measured(z, truth, space, many)["m_div"] < measured(z, truth, space, few)["m_div"] + 0.1
    spread = np.arange(20)
    assert measured(z, truth, space, spread)["m_div"] > measured(z, truth, space, many)["m_div"] + 0.15


def test_the_order_of_rows_does_not_matter():
    z, truth, space = blobs()
    rows = np.arange(50)
    one, other = (measured(z, truth, space, order) for order in (rows, np.random.default_rng(0).permutation(rows)))
    assert one == pytest.approx(other, abs=1e-9)


@pytest.mark.parametrize(
    "z",
    [
        np.ones((1, 4)),
        np.ones((40, 4)),
        np.zeros((40, 4)),
        np.arange(8.0).reshape(2, 4),
        np.random.default_rng(0).normal(size=(40, 1)),
        np.random.default_rng(0).normal(size=(5, 30)),
        np.random.default_rng(0).normal(size=(60, 2)) @ np.ones((2, 6)),  # a line
        np.repeat(np.eye(3), 12, axis=0),
        np.random.default_rng(0).normal(size=(60, 16)),
    ],
    ids=["one", "equal", "zero", "two", "flat", "wide", "line", "duplicates", "noise"],
)
@pytest.mark.parametrize("m", [0, 1, 2, None])
@pytest.mark.parametrize("hull", ["convex", "alpha"])
def test_degenerate_data(z, m, hull):
    space = fit_space(z, Clustering(), seed=0)
    truth = np.zeros(len(z), dtype=int)
    rows = np.arange(len(z))[:m]
    config = Diversity(hull=hull)
    metrics = measured(z, truth, space, rows, config, site=[None] * len(z), sex=["f"] + [None] * (len(z) - 1))
    check(metrics, len(rows))
    assert {*IN_M_DIV, *BESIDE, *RAW, "m_div"} == set(metrics)
    if m == 0:
        assert not any(metrics.values())


def test_coverage_by_hand():
    # Rows 0, 1, …, 9 on a line: the fifth neighbour of row 0 is at 5, that of row 4 at 3 (1, 1, 2, 2, 3).
    z = np.arange(10.0)[:, None]
    space = fit_space(z, Clustering(), seed=0)
    np.testing.assert_allclose(space.knn_distance, [5, 4, 3, 3, 3, 3, 3, 3, 4, 5], rtol=1e-6)
    assert coverage(space, space.reduce(np.array([[0.0]]))) == 0.4  # rows 0 to 3
    assert coverage(space, space.reduce(np.array([[7.0]]))) == 0.6  # rows 4 to 9
    assert coverage(space, space.reduce(np.array([[100.0]]))) == 0
    assert coverage(space, space.points[:0]) == 0


def test_duplicates_cover_themselves():
    z = np.repeat(np.random.default_rng(0).normal(size=(3, 8)), 12, axis=0)
    space = fit_space(z, Clustering(), seed=0)
    points = space.points * np.float32(1 + 1e-7)
    assert coverage(space, points) == 1 and coverage(space, points[:12]) == 1 / 3
    metrics = measured(z, np.zeros(36, dtype=int), space, np.arange(36))
    assert metrics["coverage_entropy"] == metrics["cluster_entropy"] == pytest.approx(1)


def kernel_vendi(z: np.ndarray) -> float:
    unit = z / np.linalg.norm(z, axis=1, keepdims=True)
    eigenvalues = np.linalg.eigvalsh(unit @ unit.T / len(z))
    eigenvalues = eigenvalues[eigenvalues > 1e-12]
    return float(np.exp(-(eigenvalues * np.log(eigenvalues)).sum()))


def test_vendi():
    rng = np.random.default_rng(0)
    nothing = np.zeros(8)
    assert vendi_score(np.eye(8)[:5], center=nothing) == pytest.approx(5)
    assert vendi_score(np.repeat(np.eye(8)[:2], 7, axis=0), center=nothing) == pytest.approx(2)
    assert vendi_score(np.ones((30, 8)), center=nothing) == pytest.approx(1)
    # Opposite rows lie on one line: the cosine kernel calls them alike; so do rows at the very centre.
    assert vendi_score(np.ones((30, 8)), center=np.ones(8)) == 1
    for m in (5, 40):  # fewer and more rows than dimensions take the two different Gram matrices
        z = rng.normal(size=(m, 8))
        assert vendi_score(z, center=nothing) == pytest.approx(kernel_vendi(z))
        assert vendi_score(z + 3, center=np.full(8, 3.0)) == pytest.approx(kernel_vendi(z))


def test_the_reference_of_vendi_is_thinned_fairly(monkeypatch):
    z, truth, space = blobs()
    exact = measured(z, truth, space, np.arange(30))["vendi_share"]
    monkeypatch.setattr(diversity, "MAX_VENDI_ROWS", 80)
    assert measured(z, truth, space, np.arange(30))["vendi_share"] == pytest.approx(exact, rel=0.05)


def test_hull_is_relative_and_clipped():
    z = np.random.default_rng(0).uniform(-1, 1, size=(400, 3))
    space = fit_space(z, Clustering(), seed=0)
    truth = np.zeros(400, dtype=int)
    inner = np.flatnonzero((np.abs(z) < 0.5).all(axis=1))
    assert measured(z, truth, space, inner)["hull_volume"] == pytest.approx(1 / 8, rel=0.5)
    reference = population(space, truth)
    outside = Population(["x"] * 8, 5 * space.points[:8], truth[:8])
    metrics = measure(space, reference, outside, z, z[:8] * 5, classes=CLASSES, config=Diversity(hull_dims=2))
    assert metrics["hull_volume"] == 1


def test_class_representation_by_hand():
    z, truth, space = blobs()
    rows = np.concatenate([np.flatnonzero(truth == 0)[:3], np.flatnonzero(truth == 1)[:1]])
    # Shares 3/4, 1/4, 0, 0 against a quarter each: half of |1/2| + 0 + 1/4 + 1/4.
    assert measured(z, truth, space, rows)["class_representation"] == pytest.approx(0.5)
    target = Diversity(class_target={"a": 0.75, "b": 0.25})
    assert measured(z, truth, space, rows, target)["class_representation"] == pytest.approx(1)
    # Labels nobody knows do not count.
    unknown = truth.copy()
    unknown[rows[3]] = -1
    assert measured(z, unknown, space, rows)["class_representation"] == pytest.approx(0.25)


def test_subgroup_representation_is_the_mean_over_columns():
    z, truth, space = blobs()
    sex = ["m", "f"] * 120
    site = ["x"] * 239 + ["y"]
    rows = np.arange(8)
    metrics = measured(z, truth, space, rows, sex=sex, site=site)
    assert metrics["subgroup_representation"] == pytest.approx((1 + 0.5) / 2)
    target = Diversity(subgroup_target={"site": {"x": 1.0}})
    assert measured(z, truth, space, rows, target, sex=sex, site=site)["subgroup_representation"] == pytest.approx(1)


def test_targets():
    np.testing.assert_allclose(class_target(CLASSES, Diversity()), 0.25)
    np.testing.assert_allclose(class_target(CLASSES, Diversity(class_target={"b": 0.7})), [0.1, 0.7, 0.1, 0.1])
    np.testing.assert_allclose(class_target(CLASSES, Diversity(class_target={"b": 3, "c": 1})), [0, 0.75, 0.25, 0])
    with pytest.raises(UserError, match=r"diversity.class_target.*'z'.*a, b, c, d"):
        class_target(CLASSES, Diversity(class_target={"z": 0.5}))
    with pytest.raises(UserError, match="all 0"):
        class_target(("a",), Diversity(class_target={"a": 0}))
    points = np.zeros((2, 1), dtype=np.float32)
    people = Population(["0", "1"], points, np.zeros(2, dtype=int), {"sex": ["f", None], "site": [None, None]})
    config = Diversity(subgroup_target={"sex": {"m": 0.4}})
    assert subgroup_targets(people, people, config) == {"sex": {"f": 0.6, "m": 0.4}}


def test_grid_coverage_by_hand():
    known = pl.DataFrame({"label": ["p", "p", "q", "q", None], "sex": ["f", "m", "f", "f", "m"], "site": ["x"] * 5})
    held = pl.DataFrame({"label": ["p", "q"], "sex": ["f", None], "site": ["x", "x"]})
    found = diversity.grid_coverage(diversity.combinations(known), diversity.combinations(held))
    assert found["num"] == 3 + 2 + 2 and found["covered"] == pytest.approx(4 / 7, abs=1e-6)
    assert found["largest_empty"] == [
        {"of": {"label": "q", "sex": "f"}, "share": 0.5},
        {"of": {"sex": "m", "site": "x"}, "share": 0.4},
        {"of": {"label": "p", "sex": "m"}, "share": 0.25},
    ]
    assert diversity.grid_coverage(diversity.combinations(known), diversity.combinations(known))["covered"] == 1
    few = diversity.grid_coverage(diversity.combinations(known), {}, most=1)
    assert few["covered"] == 0 and len(few["largest_empty"]) == 1
    assert diversity.combinations(known[::-1]) == diversity.combinations(known)


def test_no_two_attributes_are_known_together():
    for table in (pl.DataFrame({"label": ["p"]}), pl.DataFrame({"label": ["p", None], "sex": [None, "f"]})):
        assert diversity.grid_coverage(diversity.combinations(table), {}) == {}
