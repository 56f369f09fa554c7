"""What goes by the score is the plain computation."""

from dataclasses import replace

import numpy as np
from offered import candidates, mixture, of_score, pick
from scipy.spatial.distance import cdist

from adde_ray.methods.selectors import Candidates


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


def test_most_confident_takes_what_f_is_surest_of():
    proba = np.array([[0.5, 0.5], [0.1, 0.9], [0.7, 0.3], [0.95, 0.05]])
    c = Candidates(np.ones(4), np.ones((4, 2), np.float32), proba, np.zeros((0, 2)))
    assert pick("most_confident", c, 3) == [3, 1, 2]


def test_most_confident_of_several_classes_at_once():
    """Sure that none holds is sure; two coins are less than one."""
    proba = np.array([[0.9, 0.6], [0.02, 0.03], [0.5, 0.5]])
    c = Candidates(np.ones(3), np.ones((3, 2), np.float32), proba, np.zeros((0, 2)), multi=True)
    assert pick("most_confident", c, 3) == [1, 0, 2]


def test_far_enough_is_enough():
    """With lengths of their own, an outlier far away is worth no more than what lies one length away."""
    c = of_score([1.0, 0.99, 0.98, 0.9], [[0.0], [0.1], [1.0], [50.0]])
    assert pick("batch_greedy", c, 2) == [0, 3]
    assert pick("batch_greedy", replace(c, length=np.ones(4)), 3) == [0, 2, 3]
    assert pick("batch_greedy", replace(c, length=np.array([1.0, 0.05, 1.0, 1.0])), 2) == [0, 1]
    assert pick("batch_greedy", replace(c, length=np.zeros(4)), 4) == [0, 1, 2, 3]
