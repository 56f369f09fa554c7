import numpy as np

from adde_ray.methods.gates import semantic
from adde_ray.methods.gates.semantic import Cells, fit_cells, pieces, sweep


def semantic_copies(z, threshold):
    """The steps one after the other: (n,) row that each row goes for, -1 where it stays, and (n,) their similarity."""
    z = np.asarray(z, dtype=np.float32)
    kept_for, similarity = np.full(len(z), -1), np.zeros(len(z), np.float32)
    for rows in pieces(*fit_cells(z, len(z), seed=0).place(z), np.arange(len(z))):
        found, alike = sweep(z[rows], threshold)
        gone = found >= 0
        kept_for[rows[gone]], similarity[rows[gone]] = rows[found[gone]], alike[gone]
    return kept_for, similarity


def clumps(n=300, seed=0):
    rng = np.random.default_rng(seed)
    base = rng.normal(size=(n, 16)).astype(np.float32)
    return np.concatenate([base, base[:50] + 0.01 * rng.normal(size=(50, 16)).astype(np.float32)])


def test_what_goes_resembles_what_stays():
    z = clumps()
    kept_for, similarity = semantic_copies(z, 0.99)
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
    kept_for, _ = semantic_copies(z, 0.995)
    assert kept_for[40] == 41 and kept_for[41] == -1


def test_blocks_and_cells_change_nothing_that_matters(monkeypatch):
    z = clumps()
    whole, _ = semantic_copies(z, 0.99)
    monkeypatch.setattr(semantic, "BATCH", 7)
    assert np.array_equal(semantic_copies(z, 0.99)[0], whole)
    monkeypatch.setattr(semantic, "CELL", 60)
    split, _ = semantic_copies(z, 0.99)
    assert (split >= 0).sum() >= 45 and np.array_equal(split, semantic_copies(z, 0.99)[0])


def test_a_row_falls_into_the_same_cell_whatever_stands_beside_it():
    z = clumps().astype(np.float16)
    cells = fit_cells(z, 5000, seed=0)
    assert len(cells.centroids) == 5
    whole, parts = cells.place(z), [cells.place(z[start : start + 3]) for start in range(0, len(z), 3)]
    for i in (0, 1):
        assert np.array_equal(whole[i], np.concatenate([part[i] for part in parts]))


def test_a_cell_is_fitted_to_enough_rows():
    z = clumps()
    assert len(fit_cells(z, 10**7, seed=0).centroids) == len(z) // semantic.FIT_ROWS


def test_order(monkeypatch):
    cells, closeness = np.array([1, 0, -1, 1, 1, 0]), np.array([0.9, 0.5, 0, 0.2, 0.2, 0.6], np.float32)
    found = pieces(cells, closeness, np.array([0, 1, 2, 9, 8, 5]))
    assert [piece.tolist() for piece in found] == [[1, 5], [4, 3, 0]]
    monkeypatch.setattr(semantic, "MAX_PIECE", 2)
    assert [piece.tolist() for piece in pieces(cells, closeness, np.arange(6))] == [[1, 5], [3, 4], [0]]


def test_degenerate():
    assert pieces(*Cells(np.ones((1, 4), np.float32) / 2).place(np.zeros((0, 4))), np.arange(0)) == []
    assert semantic_copies(np.ones((1, 4)), 0.9)[0].tolist() == [-1]
    assert (semantic_copies(np.zeros((5, 4)), 0.9)[0] == -1).all()
    kept_for, similarity = semantic_copies(np.ones((600, 4)), 1 - 1e-5)
    assert (kept_for == -1).sum() == 1 and similarity.max() <= 1
