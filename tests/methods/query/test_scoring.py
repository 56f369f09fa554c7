"""The best of a pool are the best of its blocks' best, however it is cut."""

from dataclasses import replace

import numpy as np
import polars as pl
import pytest
import torch
from toy import CLASSES, Toy

from adde_ray.artifacts.schema import sample_id
from adde_ray.config import Gaps, Train
from adde_ray.methods.model import learner
from adde_ray.methods.query import terms
from adde_ray.methods.query.scoring import Scorer, chance, merge
from adde_ray.methods.space.gaps import open_gaps


@pytest.fixture(scope="module")
def pool():
    toy = Toy(sizes=(300, 300, 300, 30), site=["a", "b", None] * 310)
    labelled = [0, 1, 2, 300, 301]
    network = learner.build(toy.z.shape[1], 4, Train(), seed=0)
    with torch.no_grad():
        network.head.weight += torch.randn(4, toy.z.shape[1], generator=torch.Generator().manual_seed(0)) * 0.1
    gaps = open_gaps(toy.track([], toy.find(labelled)), Gaps())
    scorer = Scorer(
        model=learner.Model(network, 1.3),
        space=toy.space,
        classes=CLASSES,
        open_gaps=gaps,
        dataset_embedding=toy.z[labelled],
        class_counts=np.array([3, 2, 0, 0]),
        novelty_scale=terms.novelty_scale(toy.z, toy.z[labelled]),
        uncertainty="margin",
        diversity={"balance": 1.0, "novelty": 1.0, "gaps": 1.0},
        weights={"alpha": 1.0, "beta": 1.0, "gamma": 0.1},
    )
    ids = pl.Series("sample_id", [sample_id(row) for row in toy.z])
    return scorer, ids, toy.z.astype(np.float16), pl.DataFrame({"site": toy.subgroups["site"]})


@pytest.mark.parametrize("at_random", [None, 5])
def test_the_best_do_not_depend_on_blocks(pool, at_random, monkeypatch):
    scorer, ids, z, sites = pool
    scorer = replace(scorer, at_random=at_random)
    taken = set(ids[:20])
    whole = scorer.best(ids, z, sites, taken, 100)
    assert len(whole.table) == 100 and not whole.table["sample_id"].is_in(list(taken)).any()
    rank = whole.table["rank"].to_numpy()
    assert (np.diff(rank) <= 0).all() and np.array_equal(
        z[ids.index_of(whole.table["sample_id"][0])], whole.features[0]
    )
    order = np.random.default_rng(0).permutation(len(ids))
    for size in (7, 64, 500):
        parts = [order[i : i + size] for i in range(0, len(order), size)]
        found = [scorer.best(ids[p], z[p], sites[p], taken, 100) for p in parts]
        together = merge(found, 100)
        assert together.table.equals(whole.table) and np.array_equal(together.features, whole.features)
    monkeypatch.setattr("adde_ray.methods.query.scoring.ROWS", 33)
    assert scorer.best(ids, z, sites, taken, 100).table.equals(whole.table)


def test_every_row_of_a_small_pool_comes_back(pool):
    scorer, ids, z, sites = pool
    assert len(scorer.best(ids, z, sites, set(), 10_000).table) == len(ids)
    nothing = scorer.best(ids[:0], z[:0], sites[:0], set(), 10)
    assert len(nothing.table) == 0 and nothing.features.shape == (0, z.shape[1])
    assert len(scorer.best(ids, z, sites, set(ids), 10).table) == 0


def test_chance_is_uniform_and_another_with_every_seed():
    ids = pl.Series([sample_id(str(i)) for i in range(4000)])
    one, other = chance(ids, 1), chance(ids, 2)
    assert abs(one.mean() - 0.5) < 0.02 and abs(np.corrcoef(one, other)[0, 1]) < 0.05
    assert np.histogram(one, 10, (0, 1))[0].min() > 300 and np.array_equal(chance(ids[5:9], 1), one[5:9])
