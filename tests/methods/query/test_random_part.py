"""How many samples of a query are drawn by chance, and where they stand."""

import numpy as np
import pytest

from adde_ray.methods.query.random_part import due, ranks, share


@pytest.mark.parametrize(
    ("part", "batch", "drawn"),
    [(0.1, 10, [1] * 6), (0.1, 5, [0, 1] * 3), (0.25, 10, [2, 3] * 3), (0, 10, [0] * 6), (1, 3, [3] * 6)],
)
def test_small_shares_add_up_over_the_rounds(part, batch, drawn):
    assert [due(part, t * batch, batch=batch, budget=None) for t in range(6)] == drawn


def test_over_many_rounds_the_share_is_met_to_a_row():
    for part in (0.07, 0.1, 0.29, 1 / 3):
        assert sum(due(part, t * 7, batch=7, budget=None) for t in range(100)) == pytest.approx(part * 700, abs=1)


def test_no_more_are_drawn_than_the_budget_still_buys():
    assert due(1, 8, batch=5, budget=10) == 2
    assert due(1, 12, batch=5, budget=10) == 0


def test_by_default_a_tenth_is_drawn_where_people_answer_and_val_is_small():
    usual = {"num_val": 199, "by_people": True, "selector": "batch_greedy", "whole_pool": True}
    assert share(None, **usual) == 0.1
    assert share(None, **usual | {"num_val": 200}) == 0
    assert share(None, **usual | {"by_people": False}) == 0
    assert share(None, **usual | {"whole_pool": False}) == 0
    assert share(0.3, **usual | {"num_val": 5000, "by_people": False}) == 0.3
    assert share(0.0, **usual) == 0
    assert share(0.3, **usual | {"selector": "random"}) == 0


def test_every_rank_is_as_likely():
    rng = np.random.default_rng(0)
    taken = np.array([ranks(8, 2, rng) for _ in range(4000)])
    assert (taken.sum(axis=1) == 2).all()
    assert taken.mean(axis=0) == pytest.approx(np.full(8, 0.25), abs=0.03)
