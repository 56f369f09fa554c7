"""Semantic copies: features of the pool in → for each row, the one it may be left out for.

SemDeDup (Abbas et al. 2023): rows are compared within k-means cells, and of two that are too similar the one nearer to
its cell's centroid goes, so that the more isolated stays. Compared is with what stays only: what goes has something
like it that does not. Pairs that straddle two cells are missed.

In four steps, so that whoever has some rows of the pool can place them, and whoever has a cell can sweep it: cells are
fitted to a sample (`fit_cells`), rows fall into them (`Cells.place`) and are put in order (`pieces`), and each piece is
swept by itself (`sweep`).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch

from adde_ray.methods.numerics.matmul import product

CELL = 1000
"""Rows of a cell, on average, …"""

FIT_ROWS = 20
"""… or more, where there are fewer than so many rows of the sample to fit a cell to."""

MAX_FIT_ROWS = 50_000
"""The centroids are fitted to at most this many rows."""

MAX_PIECE = 20_000
"""Rows compared with each other: a cell that has more is cut. Copies are about as isolated as each other, so what is
cut apart by that are few pairs."""

BATCH = 256
"""Rows compared at a time."""


@dataclass(frozen=True)
class Cells:
    """centroids: (k, d) float32, of unit length."""

    centroids: np.ndarray

    def place(self, features: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """(n,) int32 cell of each row, -1 of a row of zeros, which resembles nothing, and (n,) float32 cosine
        similarity to its centroid. A row's are the same whatever the other rows are. features: (n, d)."""
        turned = torch.from_numpy(np.ascontiguousarray(self.centroids.T))
        cells, closeness = np.full(len(features), -1, np.int32), np.zeros(len(features), np.float32)
        for start in range(0, len(features), BATCH):
            units = _units(features[start : start + BATCH])
            alike, cell = product(torch.from_numpy(units), turned).max(dim=1)
            there = units.any(axis=1)
            cells[start : start + BATCH][there] = cell.numpy()[there]
            closeness[start : start + BATCH][there] = alike.numpy()[there]
        return cells, closeness


def fit_cells(features: np.ndarray, num_rows: int, *, seed: int) -> Cells:
    """Cells for a pool of so many rows. features: (n, d) of a sample of n >= 1 of them, sorted by sample_id."""
    import faiss

    fitted = _units(features[:MAX_FIT_ROWS])  # by their ids, which are hashes: a sample as good as any
    count = max(1, min(round(num_rows / CELL), len(fitted) // FIT_ROWS))
    if count == 1:
        return Cells(_units(fitted.mean(axis=0, keepdims=True)))
    means = faiss.Kmeans(
        fitted.shape[1],
        count,
        niter=20,
        seed=seed,
        spherical=True,
        min_points_per_centroid=1,
        max_points_per_centroid=len(fitted),
    )
    means.train(fitted)
    return Cells(np.asarray(means.centroids, dtype=np.float32).reshape(count, -1))


def pieces(cells: np.ndarray, closeness: np.ndarray, order: np.ndarray) -> list[np.ndarray]:
    """Rows to be compared with each other, cell by cell, the most isolated first. Of those equally isolated, the one
    with the lowest `order` (n,)."""
    rows = np.lexsort((order, closeness, cells))
    rows = rows[cells[rows] >= 0]
    found = np.split(rows, np.flatnonzero(np.diff(cells[rows])) + 1) if len(rows) else []
    return [cell[start : start + MAX_PIECE] for cell in found for start in range(0, len(cell), MAX_PIECE)]


def sweep(features: np.ndarray, threshold: float) -> tuple[np.ndarray, np.ndarray]:
    """(n,) row that each of n rows of a piece goes for, -1 where it stays, and (n,) their cosine similarity.

    In order, a row stays unless one that stays before it is too similar.
    """
    units = torch.from_numpy(_units(features))
    kept_for, similarity = np.full(len(units), -1), np.zeros(len(units), np.float32)
    staying, kept = torch.empty_like(units), np.zeros(0, np.int64)
    for start in range(0, len(units), BATCH):
        batch = units[start : start + BATCH]
        best, most = np.full(len(batch), -1), np.full(len(batch), -np.inf, np.float32)
        if len(kept):
            alike, nearest = product(batch, staying[: len(kept)].T).max(dim=1)
            best, most = kept[nearest.numpy()], alike.numpy()
        inside, stay = product(batch, batch.T).numpy(), []
        for row in range(len(batch)):
            if stay and inside[row, stay].max() > most[row]:
                near = stay[inside[row, stay].argmax()]
                best[row], most[row] = start + near, inside[row, near]
            if most[row] < threshold:
                stay.append(row)
                continue
            kept_for[start + row], similarity[start + row] = best[row], min(most[row], 1.0)
        staying[len(kept) : len(kept) + len(stay)] = batch[stay]
        kept = np.append(kept, start + np.array(stay, dtype=np.int64))
    return kept_for, similarity


def _units(features: np.ndarray) -> np.ndarray:
    """(n, d) float32 of unit length; zeros stay zeros."""
    features = np.ascontiguousarray(features, dtype=np.float32)
    return features / np.maximum(np.linalg.norm(features, axis=1, keepdims=True), 1e-12)
