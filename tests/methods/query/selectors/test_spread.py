"""k-center, ranked batches and BADGE are the plain computations."""

from dataclasses import replace

import numpy as np
import pytest
from offered import mixture, of_score, pick
from scipy.spatial.distance import cdist

from adde_ray.methods.query.selectors import Candidates


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
