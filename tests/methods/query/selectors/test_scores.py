"""What goes by the score is the plain computation."""

import numpy as np
from offered import candidates, pick

from adde_ray.methods.query.selectors import Candidates


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
