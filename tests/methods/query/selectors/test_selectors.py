"""Every selector keeps the same contract."""

from dataclasses import replace

import numpy as np
import pytest
from offered import candidates, pick

from adde_ray.errors import UserError
from adde_ray.methods.query import selectors
from adde_ray.methods.query.selectors import FOR_SIZE, FROM_ALL, SELECTORS, WHATEVER_SCORE

DRAWS = {"random", "badge"}  # their picks depend on the generator, and so on the order of rows


@pytest.mark.parametrize("name", SELECTORS)
class TestContract:
    @pytest.mark.parametrize(("n", "size", "expected"), [(0, 5, 0), (3, 5, 3), (5, 0, 0), (1, 1, 1), (40, 40, 40)])
    @pytest.mark.parametrize("m", [0, 1, 12])
    def test_small(self, name, n, m, size, expected):
        rows = pick(name, candidates(n, m), size)
        assert len(set(rows)) == len(rows) == expected and set(rows) <= set(range(n))

    @pytest.mark.parametrize("value", [0.0, 1e-30, 3.0, 1e15])
    @pytest.mark.parametrize("m", [0, 12])
    def test_all_equal(self, name, value, m):
        c = candidates(m=m)
        same = replace(
            c,
            score=np.full(40, 0.5),
            embedding=np.full_like(c.embedding, value),
            proba=np.full_like(c.proba, 0.2),
            dataset_embedding=np.full_like(c.dataset_embedding, value),
        )
        rows = pick(name, same, 10)
        assert len(set(rows)) == 10
        if name not in DRAWS:
            assert rows == list(range(10)), "ties go to the lower row"

    def test_one_class_the_model_is_sure_of(self, name):
        c = replace(candidates(), proba=np.ones((40, 1), np.float32))
        assert len(set(pick(name, c, 10))) == 10

    def test_a_smaller_batch_is_a_prefix(self, name):
        c = candidates()
        assert (pick(name, c, 5) == pick(name, c, 12)[:5]) == (name not in FOR_SIZE)

    def test_says_whether_it_looks_at_the_score(self, name):
        c = candidates()
        other = replace(c, score=c.score[::-1].copy())
        assert (pick(name, c, 10) == pick(name, other, 10)) == (name in WHATEVER_SCORE)

    def test_says_whether_a_shortlist_serves(self, name):
        """Those that a shortlist of the best scores serves begin with one of the best, whatever lies far away, and
        whatever else speaks against it: the model is in doubt about it, and the dataset has it already."""
        c, first = candidates(), int(np.argmax(candidates().score))
        c.embedding[np.argmin(c.score)] *= 50
        c.proba[first], c.dataset_embedding[0] = 0.2, c.embedding[first]
        # Among the best, these look at more than the score.
        best = np.argsort(-c.score)[: 10 if name in FOR_SIZE | {"batch_greedy"} else 1]
        assert (pick(name, c, 1)[0] in best) == (name not in FROM_ALL)


@pytest.mark.parametrize("name", [n for n in SELECTORS if n not in DRAWS])
def test_selection_does_not_depend_on_row_order(name):
    for m in (0, 12):
        c, order = candidates(m=m), np.random.default_rng(4).permutation(40)
        shuffled = pick(name, replace(c.take(order), dataset_embedding=c.dataset_embedding[::-1]), 10)
        assert pick(name, c, 10) == order[shuffled].tolist()


@pytest.mark.parametrize("name", ["k_center", "ranked_batch", "batch_greedy"])
def test_copies_wait_until_there_is_nothing_else(name):
    """What every candidate's copy changes: nothing, before each has been asked about once."""
    c = candidates(seed=5)
    twice = replace(c.take(np.repeat(np.arange(40), 2)), dataset_embedding=c.dataset_embedding)
    # Alpha of ranked_batch depends on the number of candidates, so it is held against itself with other copies.
    once = c if name != "ranked_batch" else c.take(np.concatenate([np.arange(40), np.zeros(40, int)]))
    assert [row // 2 for row in pick(name, twice, 20)] == pick(name, once, 20)
    assert all(row % 2 == 0 for row in pick(name, twice, 20))


def test_cap_synthetic_keeps_order_and_real_rows():
    synthetic = np.array([True, False, True, True, False])
    assert selectors.cap_synthetic(np.array([3, 4, 0, 1, 2]), synthetic, 2).tolist() == [3, 4, 0, 1]
    assert selectors.cap_synthetic(np.array([3, 4]), synthetic, 0).tolist() == [4]


def test_an_unknown_name_lists_the_valid_ones():
    with pytest.raises(UserError, match="batch_greedy"):
        selectors.select(candidates(), 1, selector="greedy", redundancy=0, rng=None)
