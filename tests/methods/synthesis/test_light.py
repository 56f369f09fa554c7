"""Where people said no, nothing is shown."""

import numpy as np
import pytest

from adde_ray.methods.synthesis import light

FEATURES = np.array([[0.0, 0.0], [1.0, 0.0], [9.0, 0.0]], dtype=np.float32)
JUDGED = {"status": ["kept", "kept", "rejected"], "reason": [None, None, "confidence 0.12 < 0.30"], "nn_ratio": [1] * 3}


def dimmed(asked, rejected, reach=1.5) -> list[str]:
    given = np.array(asked, dtype=np.float32).reshape(-1, 2)
    return light.dim(JUDGED, FEATURES, asked=given, rejected=np.array(rejected, dtype=bool), reach=reach)["status"]


def test_what_lies_near_a_rejected_sample_is_rejected_with_the_reason():
    found = light.dim(JUDGED, FEATURES, asked=FEATURES[:1] - 1, rejected=np.array([True]), reach=1.5)
    assert found["status"] == ["rejected", "kept", "rejected"]
    assert found["reason"] == ["near a sample that people rejected: distance 1.41", None, JUDGED["reason"][2]]
    assert found["nn_ratio"] == JUDGED["nn_ratio"]


@pytest.mark.parametrize(
    ("asked", "rejected", "expected"),
    [
        ([], [], ["kept", "kept"]),
        ([[0, 0]], [False], ["kept", "kept"]),
        ([[0.2, 0]], [True], ["rejected", "rejected"]),
        ([[0, 0], [1.1, 0]], [True, False], ["rejected", "kept"]),  # what they confirmed lies nearer
        ([[0, 2]], [True], ["kept", "kept"]),
    ],
)
def test_the_nearest_that_people_were_asked_about_decides(asked, rejected, expected):
    assert dimmed(asked, rejected) == [*expected, "rejected"]


def test_near_is_where_a_real_sample_has_its_10th_neighbour():
    line = np.arange(100, dtype=np.float32)[:, None]
    assert light.reach(line, seed=0) == 5  # five on each side
    assert light.reach(line[:1], seed=0) == 0
