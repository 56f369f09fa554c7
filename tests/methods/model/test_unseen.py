"""Classes that only descriptions tell of, to a model that was not told."""

import numpy as np
import pytest

from adde_ray.methods.descriptions import Prototypes
from adde_ray.methods.model.unseen import unseen

CENTRES = 5 * np.eye(4, 6)
TRUTH = np.arange(200) % 4
FEATURES = (CENTRES[TRUTH] + np.random.default_rng(0).normal(size=(200, 6))).astype(np.float32)


def known(*rows: int) -> Prototypes:
    is_known = np.isin(np.arange(4), rows)
    vectors = np.where(is_known[:, None], 0.1 * CENTRES + 7, 0).astype(np.float32)
    return Prototypes(vectors, is_known, ("words",) * 4, (("it",),) * 4)


def test_a_class_without_a_sample_is_expected_where_its_description_is():
    proba = np.tile(np.array([0.6, 0.1, 0.3, 0.0], np.float32), (200, 1))
    found = unseen(known(0, 1, 2, 3), np.array([5, 0, 5, 0]), FEATURES, multi=False)
    expected = found.expected(proba, FEATURES)
    assert found.class_rows.tolist() == [1, 3] and (proba[:, 0] == np.float32(0.6)).all(), "as it was"
    assert expected.sum(axis=1) == pytest.approx(1, abs=1e-5)
    assert expected[:, 0] == pytest.approx(2 * expected[:, 2], abs=1e-5)
    for row in (1, 3):
        nearest = np.argsort(-expected[:, row])[:40]
        assert (TRUTH[nearest] == row).all() and (expected[nearest[:20]].argmax(axis=1) == row).all()


def test_where_several_classes_may_hold_one_says_nothing_of_the_others():
    proba = np.full((200, 4), 0.3, np.float32)
    expected = unseen(known(0, 1, 2, 3), np.array([5, 0, 5, 5]), FEATURES, multi=True).expected(proba, FEATURES)
    assert (expected[:, [0, 2, 3]] == np.float32(0.3)).all()
    assert expected[TRUTH == 1, 1].mean() > 0.5 > expected[TRUTH != 1, 1].mean()


def test_what_is_shown_or_not_described_is_left_to_the_model():
    assert unseen(known(0, 1, 2, 3), np.array([1, 2, 3, 4]), FEATURES, multi=False) is None
    assert unseen(known(0, 2), np.array([1, 0, 3, 0]), FEATURES, multi=False) is None
    assert unseen(known(0, 3), np.array([1, 0, 0, 0]), FEATURES, multi=True).class_rows.tolist() == [3]
