"""How far apart two sets of samples lie: points (n, d) of each in → shares by cell, MMD with a p-value.

Drift between pool, dataset and val is no fault by itself: a dataset that is diverse on purpose is not distributed as
its pool is. It says what a figure on val stands for.
"""

from __future__ import annotations

import itertools

import numpy as np

from adde_ray.methods.numerics.threads import one_thread
from adde_ray.methods.space.clustering import sample_rows

PERMUTATIONS = 199
"""Relabellings behind a p-value, which is at least 1 / 200."""


def mmd(x: np.ndarray, y: np.ndarray, *, rng: np.random.Generator, max_rows: int = 1000) -> tuple[float, float] | None:
    """Unbiased MMD² and its p-value in (0, 1] for x (n, d) and y (m, d); None with fewer than two rows of either.

    RBF kernel, its width the median distance of all pairs (Gretton et al. 2012): 0 where the distributions agree (or a
    little below), 2 at most. p: share of random relabellings with at least this MMD²; small = they differ. Of more
    than `max_rows` rows, as many are drawn.
    """
    x, y = (rows[sample_rows(len(rows), max_rows, rng)] for rows in (x, y))
    n, m = len(x), len(y)
    if n < 2 or m < 2:
        return None
    kernel = _kernel(np.concatenate([x, y]).astype(np.float64))
    first = np.zeros((PERMUTATIONS + 1, n + m))
    first[:, :n] = 1
    first[1:] = rng.permuted(first[1:], axis=1)
    xx = ((first @ kernel) * first).sum(axis=1)  # sums over the pairs of one side, itself included
    xy = first @ kernel.sum(axis=1) - xx
    yy = kernel.sum() - xx - 2 * xy
    found = (xx - n) / (n * (n - 1)) + (yy - m) / (m * (m - 1)) - 2 * xy / (n * m)
    # Equal sums taken in another order must count as equal, else identical sets would seem to differ.
    return float(found[0]), float((found >= found[0] - 1e-9).mean())


def shares(cells: np.ndarray, num_cells: int) -> np.ndarray:
    """(num_cells,) share of the rows in each cell; zeros for no rows."""
    return np.bincount(cells, minlength=num_cells) / max(len(cells), 1)


def measure(
    points: dict[str, np.ndarray],
    cells: dict[str, np.ndarray],
    num_cells: int,
    *,
    rng: np.random.Generator,
    max_rows: int,
) -> dict:
    """Drift between each two of some named sets, JSON-ready.

    `<a>_<b>`: {"mmd2", "p" (see `mmd`), "moved": share of a that lies in other cells than b, in [0, 1]}.
    `shares`: of each set, by cell.
    """
    held = {name: shares(where, num_cells) for name, where in cells.items() if len(where)}
    found: dict = {"shares": {name: np.round(share, 4).tolist() for name, share in held.items()}}
    for a, b in itertools.combinations(held, 2):
        with one_thread():  # for matrices this small, more only wait for each other
            tested = mmd(points[a], points[b], rng=rng, max_rows=max_rows)
        moved = float(np.abs(held[a] - held[b]).sum() / 2)
        mmd2, p = tested if tested is not None else (None, None)
        found[f"{a}_{b}"] = {
            "mmd2": None if mmd2 is None else round(mmd2, 6), "p": p, "moved": round(moved, 6),
        }  # fmt: skip
    return found


def _kernel(points: np.ndarray) -> np.ndarray:
    """(n, n) RBF kernel of n points, 1 on the diagonal."""
    squares = (points**2).sum(axis=1)
    squared = np.maximum(squares[:, None] + squares[None] - 2 * points @ points.T, 0)
    np.fill_diagonal(squared, 0)
    width = np.median(squared[np.triu_indices(len(points), 1)])
    width = width or squared.max() or 1.0  # most rows equal; all rows equal
    return np.exp(-squared / (2 * width))
