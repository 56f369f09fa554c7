"""Which rows of the pool are worth encoding again: frozen features in, sample_ids out.

The neighbours of what is labelled, where f is likeliest to be unsure of a rare class (SEALS, Coleman et al. 2022), and
a share drawn at random, so that what is far from everything known can be found, too.
"""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import polars as pl
import torch

from adde_ray.methods.numerics.matmul import squared_distances
from adde_ray.methods.query.scoring import chance

ROWS = 4096
"""Rows whose distances are held at a time."""


def shortlist(
    batches: Iterable[tuple[pl.Series, np.ndarray]], labelled: np.ndarray, *, rows: int, at_random: float, seed: int
) -> list[str]:
    """At most `rows` sample_ids, sorted; the same whatever batches of (ids, (n, d) features) the pool comes in.

    labelled: (m, d). Each labelled row in turn gives its next nearest; `at_random` of the rows, and what the neighbours
    leave free, are drawn.
    """
    near = min(rows - round(rows * at_random), rows) if len(labelled) else 0
    nearest = _Nearest(labelled, -(-2 * near // max(len(labelled), 1)))
    known = []
    for ids, features in batches:
        known.append(ids)
        if near:
            nearest.add(features)
    ids = pl.concat(known).rechunk() if known else pl.Series([], dtype=pl.String)
    first = nearest.in_turn()[:near] if near else np.zeros(0, dtype=np.int64)
    drawn = np.argsort(chance(ids, seed), kind="stable") if len(ids) else first
    chosen = np.concatenate([first, drawn[~np.isin(drawn, first)]])[:rows]
    return sorted(ids[chosen].to_list())


class _Nearest:
    """The `k` nearest pool rows of each of m labelled ones, kept while the pool passes by."""

    def __init__(self, labelled: np.ndarray, k: int):
        self._center = labelled.mean(axis=0) if len(labelled) else labelled
        self._labelled, self._k, self._seen = torch.from_numpy(labelled - self._center).float(), k, 0
        self._rows = np.zeros((len(labelled), 0), dtype=np.int64)
        self._distances = np.zeros((len(labelled), 0), dtype=np.float32)

    def add(self, features: np.ndarray) -> None:
        for start in range(0, len(features), ROWS):
            batch = torch.from_numpy(features[start : start + ROWS].astype(np.float32) - self._center)
            distances = squared_distances(batch, self._labelled).numpy().T
            rows = np.broadcast_to(self._seen + start + np.arange(len(batch)), distances.shape)
            distances = np.concatenate([self._distances, distances], axis=1)
            rows = np.concatenate([self._rows, rows], axis=1)
            order = np.argsort(distances, axis=1, kind="stable")[:, : self._k]
            self._distances = np.take_along_axis(distances, order, axis=1)
            self._rows = np.take_along_axis(rows, order, axis=1)
        self._seen += len(features)

    def in_turn(self) -> np.ndarray:
        """Distinct rows: the nearest of each labelled row, then the second nearest of each, and so on."""
        rows, first = np.unique(self._rows.T.ravel(), return_index=True)
        return rows[np.argsort(first)]
