import numpy as np

from adde_ray.methods.gates import semantic
from adde_ray.methods.gates.semantic import semantic_copies


def clumps(n=300, seed=0):
    rng = np.random.default_rng(seed)
    base = rng.normal(size=(n, 16)).astype(np.float32)
    return np.concatenate([base, base[:50] + 0.01 * rng.normal(size=(50, 16)).astype(np.float32)])


def test_what_goes_resembles_what_stays():
    z = clumps()
    kept_for, similarity = semantic_copies(z, 0.99, seed=0)
    gone = np.flatnonzero(kept_for >= 0)
    assert len(gone) == 50 and (kept_for[kept_for[gone]] == -1).all()
    assert {tuple(sorted((a, kept_for[a]))) for a in gone} == {(i, 300 + i) for i in range(50)}
    assert (similarity[gone] >= 0.99).all() and not similarity[kept_for < 0].any()


def test_the_more_isolated_stays():
    # Beside a dense blob: of the near pair, the one that points away from the blob stays.
    rng = np.random.default_rng(0)
    blob = np.array([1.0, 0, 0]) + 0.3 * rng.normal(size=(40, 3))
    near, far = [np.cos(0.9), np.sin(0.9), 3.0], [np.cos(1.0), np.sin(1.0), 3.0]
    z = np.concatenate([blob, [near, far]]).astype(np.float32)
    kept_for, _ = semantic_copies(z, 0.995, seed=0)
    assert kept_for[40] == 41 and kept_for[41] == -1


def test_blocks_and_cells_change_nothing_that_matters(monkeypatch):
    z = clumps()
    whole, _ = semantic_copies(z, 0.99, seed=0)
    monkeypatch.setattr(semantic, "BLOCK", 7)
    assert np.array_equal(semantic_copies(z, 0.99, seed=0)[0], whole)
    monkeypatch.setattr(semantic, "CELL", 60)
    split, _ = semantic_copies(z, 0.99, seed=0)
    assert (split >= 0).sum() >= 45 and np.array_equal(split, semantic_copies(z, 0.99, seed=0)[0])


def test_degenerate():
    assert semantic_copies(np.zeros((0, 4)), 0.9, seed=0)[0].shape == (0,)
    assert semantic_copies(np.ones((1, 4)), 0.9, seed=0)[0].tolist() == [-1]
    assert (semantic_copies(np.zeros((5, 4)), 0.9, seed=0)[0] == -1).all()
    kept_for, similarity = semantic_copies(np.ones((600, 4)), 1 - 1e-5, seed=0)
    assert (kept_for == -1).sum() == 1 and similarity.max() <= 1
