"""The shortlist: neighbours in turn, a share by chance, and the same whatever blocks the pool comes in."""

import itertools

import numpy as np
import polars as pl
import pytest

from adde_ray.artifacts.schema import sample_id
from adde_ray.methods.query.shortlist import shortlist

RNG = np.random.default_rng(0)
IDS = pl.Series(sorted(sample_id(str(i)) for i in range(200)))
POINTS = RNG.normal(size=(200, 5)).astype(np.float32)
LABELLED = POINTS[[3, 50, 120]] + 0.01


def listed(*sizes: int, labelled=LABELLED, rows=30, at_random=0.0, seed=1) -> list[str]:
    bounds = np.cumsum([0, *sizes, 200 - sum(sizes)])
    blocks = [(IDS[a:b], POINTS[a:b]) for a, b in itertools.pairwise(bounds.tolist())]
    return shortlist(blocks, labelled, rows=rows, at_random=at_random, seed=seed)


def test_neighbours_of_each_labelled_row_in_turn():
    found = listed(rows=3)
    assert found == sorted(IDS[[3, 50, 120]])
    near = {IDS[int(i)] for row in LABELLED for i in np.linalg.norm(POINTS - row, axis=1).argsort()[:9]}
    assert near <= set(listed()) and len(listed()) == 30


@pytest.mark.parametrize("at_random", [0.0, 0.3, 1.0])
def test_blocks_do_not_matter_and_the_seed_does_where_chance_rules(at_random):
    one = listed(at_random=at_random)
    assert one == listed(7, 90, 50, at_random=at_random) and len(set(one)) == 30 and one == sorted(one)
    assert (one == listed(at_random=at_random, seed=2)) == (at_random == 0)


def test_edges():
    assert listed(rows=500) == IDS.to_list()
    assert len(listed(labelled=LABELLED[:0])) == 30
    assert shortlist([], LABELLED, rows=3, at_random=0.5, seed=0) == []
    assert shortlist([(IDS[:0], POINTS[:0])], LABELLED, rows=3, at_random=0.5, seed=0) == []
    assert len(listed(rows=1)) == 1
