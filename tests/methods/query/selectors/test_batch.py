"""The default selector is the plain computation, and weighs what it says it weighs."""

from dataclasses import replace

import numpy as np
import pytest
from offered import mixture, of_score, pick
from scipy.spatial.distance import cdist


@pytest.mark.parametrize("m", [0, 30])
@pytest.mark.parametrize("lengths", [False, True])
@pytest.mark.parametrize(("redundancy", "representativeness"), [(1.0, 0.0), (1.0, 0.5), (0.5, 0.3), (2.0, 1.0)])
def test_batch_greedy_is_the_plain_computation(m, lengths, redundancy, representativeness):
    c, _ = mixture(m=m).by_content()
    c = replace(c, representativeness=representativeness)
    z, dataset = (x.astype(np.float64) for x in (c.embedding, c.dataset_embedding))
    around = np.concatenate([z, dataset]).mean(axis=0)
    length = np.full(len(c), np.sqrt(np.square(z - around).sum(axis=1).mean()))
    if lengths:
        length = np.linspace(0.5, 3.0, len(c))
        c = replace(c, length=length)
    kernel = np.exp(-np.square(cdist(z, z) / length))  # what each row covers of each
    covered = np.exp(-np.square(cdist(z, dataset).min(axis=1, initial=np.inf) / length))
    expected, apart = [], np.ones(len(c))
    for _ in range(60):
        coverage = np.maximum(kernel - covered, 0) @ c.score / c.score.sum()
        worth = apart ** (1 - representativeness) * coverage**representativeness
        merit = c.score * (worth**redundancy + 1e-9)
        merit[expected] = -1
        expected.append(int(np.argmax(np.round(merit, 12))))
        covered = np.maximum(covered, kernel[expected[-1]])
        apart = np.minimum(apart, cdist(z, z[expected[-1:]])[:, 0] / length)
    found = pick("batch_greedy", c, 60, redundancy=redundancy)
    # Of two equal rows either may come first.
    assert [c.score[row] for row in found] == pytest.approx([c.score[row] for row in expected])


def test_it_spreads_where_top_k_repeats_itself():
    c = of_score([1.0, 0.99, 0.98, 0.9], [[0.0], [0.01], [0.02], [5.0]])
    assert pick("top_k", c, 2) == [0, 1] and pick("batch_greedy", c, 2) == [0, 3]


def test_far_enough_is_enough():
    """With lengths of their own, an outlier far away is worth no more than what lies one length away."""
    c = replace(of_score([1.0, 0.99, 0.98, 0.9], [[0.0], [0.1], [1.0], [50.0]]), representativeness=0.0)
    assert pick("batch_greedy", replace(c, length=np.full(4, 40.0)), 2) == [0, 3]
    assert pick("batch_greedy", replace(c, length=np.ones(4)), 3) == [0, 2, 3]
    assert pick("batch_greedy", replace(c, length=np.array([1.0, 0.05, 1.0, 1.0])), 2) == [0, 1]
    assert pick("batch_greedy", replace(c, length=np.zeros(4)), 4) == [0, 1, 2, 3]


def test_what_stands_for_others_comes_before_an_outlier_of_a_better_score():
    c = of_score([0.8] * 5 + [0.9], [*([0.1 * k] for k in range(5)), [50.0]])
    near = replace(c, length=np.ones(6))
    assert pick("batch_greedy", replace(near, representativeness=0.5), 2) == [2, 5]
    assert pick("batch_greedy", replace(near, representativeness=0.0), 1) == [5]
    assert pick("batch_greedy", replace(c, length=np.full(6, 1e-3)), 1) == [5]  # each stands for itself alone
    assert pick("batch_greedy", near, 1, redundancy=0.0) == [5] == pick("top_k", c, 1)


def test_what_the_dataset_stands_for_already_is_covered():
    c = replace(of_score([0.9, 0.8], [[0.0], [3.0]]), length=np.ones(2), dataset_embedding=np.float32([[0.1]]))
    assert pick("batch_greedy", c, 2) == [1, 0]
    assert pick("batch_greedy", replace(c, representativeness=0.0), 2) == [0, 1]
