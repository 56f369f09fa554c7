"""Semantic copies: features of the pool in → for each row, the one it may be left out for.

SemDeDup (Abbas et al. 2023): rows are compared within k-means cells, and of two that are too similar the one nearer to
its cell's centroid goes, so that the more isolated stays. Compared is with what stays only: what goes has something
like it that does not. Pairs that straddle two cells are missed.
"""

from __future__ import annotations

import numpy as np

CELL = 1000
"""Rows of a cell, on average."""

MAX_FIT_ROWS = 50_000
"""The centroids are fitted to at most this many rows, evenly spread."""

BLOCK = 256
"""Rows compared at a time."""


def semantic_copies(features: np.ndarray, threshold: float, *, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """(n,) row that each of n rows goes for, -1 where it stays, and (n,) their cosine similarity. features: (n, d).

    The rows must come in a fixed order (sorted by sample_id). A row of zeros resembles nothing.
    """
    n = len(features)
    kept_for, similarity = np.full(n, -1), np.zeros(n, np.float32)
    if n == 0:
        return kept_for, similarity
    units = np.asarray(features, dtype=np.float32)
    units = units / np.maximum(np.linalg.norm(units, axis=1, keepdims=True), 1e-12)
    cells, closeness = _cells(units, seed)
    for cell in range(int(cells.max()) + 1):
        rows = np.flatnonzero(cells == cell)
        rows = rows[np.argsort(closeness[rows], kind="stable")]  # the most isolated first
        _sweep(units, rows, threshold, kept_for, similarity)
    return kept_for, similarity


def _sweep(units: np.ndarray, rows: np.ndarray, threshold: float, kept_for: np.ndarray, similarity: np.ndarray) -> None:
    """In order, a row stays unless one that stays before it is too similar."""
    kept: list[int] = []
    for start in range(0, len(rows), BLOCK):
        block = rows[start : start + BLOCK]
        before = units[block] @ units[kept].T if kept else np.zeros((len(block), 0), np.float32)
        inside = units[block] @ units[block].T
        staying: list[int] = []  # rows of the block
        for i, row in enumerate(block):
            candidates = [*kept[: before.shape[1]], *block[staying]]
            alike = np.append(before[i], inside[i, staying])
            best = int(alike.argmax()) if len(alike) else -1
            if best >= 0 and alike[best] >= threshold:
                kept_for[row], similarity[row] = candidates[best], min(alike[best], 1.0)
            else:
                staying.append(i)
        kept += block[staying].tolist()


def _cells(units: np.ndarray, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """(n,) cell of each row and (n,) similarity to its centroid."""
    import faiss

    n, dims = units.shape
    count = max(1, round(n / CELL))
    fitted = np.ascontiguousarray(units[np.linspace(0, n - 1, min(n, MAX_FIT_ROWS)).astype(int)])
    if count == 1:
        centroids = fitted.mean(axis=0, keepdims=True)
        centroids /= max(float(np.linalg.norm(centroids)), 1e-12)
    else:
        means = faiss.Kmeans(
            dims, count, niter=20, seed=seed, spherical=True,
            min_points_per_centroid=1, max_points_per_centroid=len(fitted),
        )  # fmt: skip
        means.train(fitted)
        centroids = np.asarray(means.centroids, dtype=np.float32).reshape(count, dims)
    cells, closeness = np.empty(n, np.int64), np.empty(n, np.float32)
    for start in range(0, n, BLOCK):
        alike = units[start : start + BLOCK] @ centroids.T
        cells[start : start + BLOCK], closeness[start : start + BLOCK] = alike.argmax(axis=1), alike.max(axis=1)
    return cells, closeness
