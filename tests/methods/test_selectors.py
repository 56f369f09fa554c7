"""Every selector keeps the same contract; each does what its paper says, checked against the plain computation."""

from dataclasses import replace

import numpy as np
import pytest
from scipy.spatial.distance import cdist

from adde_ray.errors import UserError
from adde_ray.methods import selectors
from adde_ray.methods.selectors import FROM_ALL, SELECTORS, WHATEVER_SCORE, Candidates

DRAWS = {"random", "badge"}  # their picks depend on the generator, and so on the order of rows


def candidates(n=40, m=12, e=4, classes=5, seed=0) -> Candidates:
    rng = np.random.default_rng(seed)
    return Candidates(
        score=np.random.default_rng(3).permutation(n) / max(n, 1),
        embedding=rng.normal(size=(n, e)).astype(np.float32),
        proba=rng.dirichlet(np.ones(classes), n).astype(np.float32),
        dataset_embedding=rng.normal(size=(m, e)).astype(np.float32),
    )


def of_score(score, embedding) -> Candidates:
    embedding = np.array(embedding, dtype=np.float32)
    n = len(score)
    return Candidates(np.array(score, dtype=float), embedding, np.full((n, 2), 0.5), np.zeros((0, embedding.shape[1])))


def pick(name, c, size, seed=0, redundancy=0.5) -> list[int]:
    return SELECTORS[name](c, size, redundancy=redundancy, rng=np.random.default_rng(seed)).tolist()


@pytest.mark.parametrize("name", SELECTORS)
class TestContract:
    def test_distinct_rows_and_seeded(self, name):
        c = candidates()
        rows = pick(name, c, 10)
        assert len(rows) == len(set(rows)) == 10
        assert rows == pick(name, c, 10)

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
        assert pick(name, c, 5) == pick(name, c, 12)[:5]

    def test_input_is_left_alone(self, name):
        c = candidates()
        before = [a.copy() for a in (c.score, c.embedding, c.proba, c.dataset_embedding)]
        pick(name, c, 10)
        for a, b in zip(before, (c.score, c.embedding, c.proba, c.dataset_embedding), strict=True):
            np.testing.assert_array_equal(a, b)

    def test_says_whether_it_looks_at_the_score(self, name):
        c = candidates()
        other = replace(c, score=c.score[::-1].copy())
        assert (pick(name, c, 10) == pick(name, other, 10)) == (name in WHATEVER_SCORE)

    def test_says_whether_a_shortlist_serves(self, name):
        """Those that a shortlist of the best scores serves begin with the very best, whatever lies far away."""
        c = candidates()
        c.embedding[np.argmin(c.score)] *= 50
        assert (pick(name, c, 1) == [int(np.argmax(c.score))]) == (name not in FROM_ALL)


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


# --- each against the plain computation -------------------------------------------------------------------------


def mixture(n=600, m=30, e=16, seed=0) -> Candidates:
    """Overlapping groups, some rows twice: distances of every size, and ties."""
    rng = np.random.default_rng(seed)
    z = rng.normal(size=(12, e))[rng.integers(12, size=n + m)] + 0.4 * rng.normal(size=(n + m, e))
    z[n // 2 : n // 2 + 20] = z[:20]
    proba = rng.dirichlet(np.full(7, 0.3), n).astype(np.float32)
    return Candidates(np.round(rng.random(n), 6), z[:n].astype(np.float32), proba, z[n:].astype(np.float32))


@pytest.mark.parametrize("seed", range(3))
def test_k_center_is_farthest_first(seed):
    c = mixture(seed=seed)
    distances = cdist(c.embedding, np.concatenate([c.dataset_embedding, c.embedding]))
    covered, expected = list(range(30)), []
    for _ in range(150):
        expected.append(int(np.argmax(distances[:, covered].min(axis=1))))
        covered.append(30 + expected[-1])
    assert pick("k_center", c, 150) == expected


def test_k_center_without_a_dataset_begins_in_the_middle():
    assert pick("k_center", of_score(np.ones(5), [[0.0], [1.0], [2.1], [4.0], [9.0]]), 3) == [3, 4, 0]


def test_k_center_far_from_the_origin():
    """Float32 products of such vectors have no digit of their distances left."""
    c = mixture()
    shift = np.float32(1000)
    moved = replace(c, embedding=c.embedding + shift, dataset_embedding=c.dataset_embedding + shift)
    back = replace(c, embedding=moved.embedding - shift, dataset_embedding=moved.dataset_embedding - shift)
    assert pick("k_center", moved, 50) == pick("k_center", back, 50)


def test_ranked_batch_is_the_published_score():
    c = mixture()
    n, labelled, expected = 600, c.dataset_embedding, []
    for t in range(60):
        similarity = 1 / (1 + cdist(c.embedding, labelled).min(axis=1))
        alpha = (n - t) / (n - t + len(labelled))
        value = alpha * (1 - similarity) + (1 - alpha) * c.score
        value[expected] = -1
        expected.append(int(np.argmax(np.round(value, 9))))
        labelled = np.concatenate([labelled, c.embedding[expected[-1:]]])
    assert pick("ranked_batch", c, 60) == expected


def test_ranked_batch_turns_to_the_score_as_labels_grow():
    few = of_score([0.0, 1.0], [[9.0], [0.5]])
    many = replace(few, dataset_embedding=np.zeros((50, 1), np.float32))
    few = replace(few, dataset_embedding=np.zeros((1, 1), np.float32))
    assert pick("ranked_batch", few, 1) == [0] and pick("ranked_batch", many, 1) == [1]


@pytest.mark.parametrize("seed", range(3))
def test_badge_is_k_means_plus_plus_on_explicit_gradients(seed):
    c = mixture(seed=seed)
    residual = c.proba.astype(np.float64) - np.eye(7)[c.proba.argmax(axis=1)]
    gradients = (residual[:, :, None] * c.embedding[:, None, :].astype(np.float64)).reshape(600, -1)
    rng, nearest = np.random.default_rng(seed), np.square(gradients).sum(axis=1)
    expected = [int(np.argmax(nearest))]
    while len(expected) < 60:
        nearest = np.minimum(nearest, np.square(gradients - gradients[expected[-1]]).sum(axis=1))
        expected.append(int(np.searchsorted(np.cumsum(nearest) / nearest.sum(), rng.random(), side="right")))
    assert pick("badge", c, 60, seed=seed) == expected


def test_badge_of_several_classes_at_once():
    """Sure of two classes is sure; near one half in any class is not."""
    proba = np.array([[0.99, 0.99, 0.01], [0.99, 0.45, 0.01], [0.01, 0.01, 0.01]])
    c = Candidates(np.zeros(3), np.ones((3, 2), np.float32), proba, np.zeros((0, 2)), multi=True)
    assert pick("badge", c, 1) == [1] and pick("badge", replace(c, multi=False), 1) == [0]


def test_badge_leaves_copies_and_what_the_model_is_sure_of():
    proba = np.array([[0.5, 0.5], [0.5, 0.5], [1.0, 0.0], [1.0, 0.0], [0.6, 0.4]])
    c = Candidates(np.zeros(5), np.array([[1.0], [1.0], [7.0], [-7.0], [-0.9]], np.float32), proba, np.zeros((0, 1)))
    for seed in range(20):
        assert pick("badge", c, 2, seed) == [0, 4]
        assert sorted(pick("badge", c, 5, seed)) == [0, 1, 2, 3, 4]


def test_batch_greedy_is_the_score_times_the_distance():
    c, expected = mixture(), []
    for size in range(1, 80):
        if size == 1:
            expected.append(int(np.argmax(c.score)))
            scale = np.percentile(cdist(c.embedding, c.embedding[expected]), 99)
        else:
            distance = np.clip(cdist(c.embedding, c.embedding[expected]).min(axis=1) / scale, 0, 1)
            merit = np.round(c.score * (distance**0.5 + 1e-6), 9)
            merit[expected] = -1
            expected.append(int(np.argmax(merit)))
    assert pick("batch_greedy", c, 79) == expected


def test_batch_greedy_spreads_where_top_k_repeats_itself():
    c = of_score([1.0, 0.99, 0.98, 0.9], [[0.0], [0.01], [0.02], [5.0]])
    assert pick("top_k", c, 2) == [0, 1] and pick("batch_greedy", c, 2) == [0, 3]


def test_random_ignores_the_score():
    c = candidates(50)
    assert len({pick("random", c, 1, seed)[0] for seed in range(60)}) > 20


def test_cap_synthetic_keeps_order_and_real_rows():
    synthetic = np.array([True, False, True, True, False])
    assert selectors.cap_synthetic(np.array([3, 4, 0, 1, 2]), synthetic, 2).tolist() == [3, 4, 0, 1]
    assert selectors.cap_synthetic(np.array([3, 4]), synthetic, 0).tolist() == [4]


def test_an_unknown_name_lists_the_valid_ones():
    with pytest.raises(UserError, match="batch_greedy"):
        selectors.select(candidates(), 1, selector="greedy", redundancy=0, rng=None)
