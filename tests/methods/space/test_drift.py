import json

import numpy as np
import pytest

from adde_ray.methods.space import drift

RNG = np.random.default_rng


def blob(n, seed, dims=4, at=0.0):
    return (RNG(seed).normal(size=(n, dims)) + at).astype(np.float32)


def test_mmd_tells_shifted_from_same():
    same = [drift.mmd(blob(60, i), blob(80, i + 1000), rng=RNG(i)) for i in range(60)]
    assert np.mean([p <= 0.1 for _, p in same]) < 0.2  # p is a p-value: 0.1 of them in the mean
    assert abs(np.mean([value for value, _ in same])) < 0.005  # unbiased
    value, p = drift.mmd(blob(60, 0), blob(80, 1, at=1.0), rng=RNG(0))
    assert value > 0.1 and p == 1 / 200
    assert drift.mmd(blob(60, 0), blob(80, 1, at=3.0), rng=RNG(0))[0] > value


def test_mmd_is_the_textbook_sum():
    x, y = blob(7, 0).astype(float), blob(5, 1, at=1).astype(float)
    z = np.concatenate([x, y])
    distances = np.linalg.norm(z[:, None] - z[None], axis=2)
    median = np.median(distances[np.triu_indices(12, 1)] ** 2)
    k = np.exp(-(distances**2) / (2 * median))
    xx, yy, xy = k[:7, :7], k[7:, 7:], k[:7, 7:]
    expected = (xx.sum() - 7) / 42 + (yy.sum() - 5) / 20 - 2 * xy.mean()
    assert drift.mmd(x, y, rng=RNG(0))[0] == pytest.approx(expected)


def test_mmd_on_a_sample_is_seeded():
    x, y = blob(500, 0), blob(400, 1, at=0.5)
    assert drift.mmd(x, y, rng=RNG(3), max_rows=50) == drift.mmd(x, y, rng=RNG(3), max_rows=50)
    assert drift.mmd(x, y, rng=RNG(3), max_rows=100)[1] == 1 / 200


def test_degenerate():
    assert drift.mmd(blob(1, 0), blob(9, 1), rng=RNG(0)) is None
    assert drift.mmd(np.ones((5, 3)), np.ones((4, 3)), rng=RNG(0)) == (0, 1)
    mostly = np.ones((20, 3))
    mostly[0] = 5  # the median distance is 0
    assert np.isfinite(drift.mmd(mostly, np.ones((20, 3)), rng=RNG(0))).all()


def test_measure():
    points = {"pool": blob(50, 0), "dataset": blob(1, 1), "val": blob(20, 2, at=2)}
    cells = {"pool": np.arange(50) % 2, "dataset": np.array([1]), "val": np.array([0] * 5 + [3] * 15)}
    found = drift.measure(points, cells, 4, rng=RNG(0), max_rows=30)
    assert found["shares"] == {"pool": [0.5, 0.5, 0, 0], "dataset": [0, 1, 0, 0], "val": [0.25, 0, 0, 0.75]}
    assert found["pool_dataset"] == {"mmd2": None, "p": None, "moved": 0.5}
    assert found["pool_val"]["moved"] == 0.75 and found["pool_val"]["p"] < 0.01
    assert json.loads(json.dumps(found, allow_nan=False)) == found
    empty = drift.measure(
        {"a": blob(0, 0), "b": blob(3, 0)}, {"a": np.zeros(0, int), "b": np.zeros(3, int)}, 1, rng=RNG(0), max_rows=9
    )
    assert empty == {"shares": {"b": [1.0]}}
