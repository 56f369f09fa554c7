"""TypiClust and Cluster-Margin pick what their papers say, and TypiClust what scikit-activeml picks."""

from dataclasses import replace

import numpy as np
import pytest
from offered import candidates, groups, of_score, pick

from adde_ray.methods.query.selectors import clusters
from adde_ray.methods.query.selectors.clusters import kmeans


@pytest.mark.parametrize("seed", range(3))
def test_typiclust_picks_what_scikit_activeml_picks(seed):
    """scikit-activeml 1.0.1, TypiClust(k=20): five groups of eight have no sample in the dataset, the largest first."""
    assert pick("typiclust", groups(), 5, seed=seed) == [157, 41, 206, 107, 374]


DENSER = np.array([-16, -9, -4, -1, 0, 1, 4, 9, 16]) / 16
"""Nine rows of which the middle one is nearest to its fellows."""


def test_typiclust_takes_turns_and_passes_over_splinters():
    c = of_score(np.ones(19), np.concatenate([DENSER, 50 + DENSER[1:], [200.0, 400.0]])[:, None])
    first, second, third, fourth = pick("typiclust", c, 4)
    assert (first, second) == (4, 12), "the middle of the larger, then of the smaller"
    assert third < 9 <= fourth < 17, "the larger again"


def test_typiclust_goes_where_the_dataset_has_nothing():
    c = of_score(np.ones(17), np.concatenate([DENSER, 50 + DENSER[1:]])[:, None])
    assert pick("typiclust", replace(c, dataset_embedding=np.array([[0.4]], np.float32)), 1) == [12]


def test_kmeans_of_a_sample_puts_the_others_to_their_nearest_centre(monkeypatch):
    z = np.repeat(np.arange(4.0), 50)[:, None] * 10 + np.random.default_rng(0).normal(size=(200, 1))
    whole = kmeans(z, 4, seed=0)
    monkeypatch.setattr(clusters, "MAX_FIT_ROWS", 100)
    for found in (whole, kmeans(z, 4, seed=0)):
        assert [len(set(found[i : i + 50])) for i in range(0, 200, 50)] == [1] * 4 and len(set(found)) == 4


def test_cluster_margin_takes_from_small_clusters_first_in_turns():
    """Ten candidates are looked at for each pick: of two picks, all. Two clusters: rows 0 to 4, and 5 and 6."""
    z = [[0.0], [0.1], [0.2], [0.3], [0.4], [9.0], [9.1]]
    c = of_score([0.9, 0.8, 0.95, 0.6, 0.5, 0.3, 0.4], z)
    assert pick("cluster_margin", c, 2) == [6, 2]


def test_cluster_margin_looks_at_the_best_alone():
    """Twenty rows of high score in one place: the far one is never looked at."""
    c = of_score([*np.linspace(1, 0.9, 20), 0.1], [*np.linspace(0, 1, 20)[:, None], [99.0]])
    assert 20 not in pick("cluster_margin", c, 2) and 20 in pick("cluster_margin", c, 3)


def test_cluster_margin_beyond_what_is_linked_goes_by_the_score(monkeypatch):
    monkeypatch.setattr(clusters, "MAX_LINKED", 8)
    c = candidates()
    best = np.argsort(-c.score)
    picked = pick("cluster_margin", c, 20)
    assert set(picked[:8]) == set(best[:8]) and picked[8:] == best[8:20].tolist()


def test_numbers_at_the_end_of_float32():
    z = np.array([[3e38], [2.9e38], [-3e38], [-2.9e38], [0], [1e37]], np.float32)
    for name in ("typiclust", "prob_cover", "uncertainty_herding", "cluster_margin"):
        assert len(set(pick(name, replace(of_score(np.ones(6), z), dataset_embedding=z[:1]), 4))) == 4
