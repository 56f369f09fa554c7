"""Matrix products whose rows do not know each other: x (n, d), w (d, k) -> (n, k), distances, the nearest row.

A BLAS picks another kernel, and so another order of additions, for a few rows or a few columns. The same sample
then scores differently in its last bits depending on what it is batched with. Filled up to the sizes at which
the kernel no longer changes, a row's product is the same in any batch, in any order and on any number of threads;
`tests/methods/numerics/test_matmul.py` holds that. On it stands that a round's query does not depend on shards.
"""

from __future__ import annotations

import numpy as np
import torch

from adde_ray.methods.numerics.threads import threads_for

MIN_ROWS = 32
COLUMNS = 16
"""Found by trial with MKL and OpenBLAS: from these sizes on, all rows go through one kernel."""

BATCH = 1024
"""Rows at a time where an intermediate result is wider than what is kept of it: it should stay in the cache."""


def product(x: torch.Tensor, w: torch.Tensor) -> torch.Tensor:
    """(n, k) = x (n, d) @ w (d, k), each row the same whatever the other rows are."""
    n, k = x.shape[0], w.shape[1]
    with threads_for(n * x.shape[1] * k):
        return _padded(x, w, n, k)


def _padded(x: torch.Tensor, w: torch.Tensor, n: int, k: int) -> torch.Tensor:
    if k % COLUMNS:
        w = torch.nn.functional.pad(w, (0, COLUMNS - k % COLUMNS))
    if n < MIN_ROWS:
        x = torch.nn.functional.pad(x, (0, 0, 0, MIN_ROWS - n))
    return (x @ w)[:n, :k]


def squared_distances(x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
    """(n, m) squared Euclidean distances, at least 0; off by about 1e-7 of the squared norms."""
    return (product(x, -2.0 * y.T) + (x * x).sum(1, keepdim=True)).add_((y * y).sum(1)).clamp_(min=0.0)


def nearest_distance(x: np.ndarray | torch.Tensor, y: np.ndarray | torch.Tensor) -> np.ndarray:
    """(n,) float32: Euclidean distance of each row of x (n, d) to the nearest of m >= 1 rows of y (m, d)."""
    x, y = _tensor(x), _tensor(y)
    center = y.mean(0)  # distances between points far from the origin would be lost in rounding
    y = y - center
    # One more dimension makes the product |y|² - 2xy at once; |x|² is added to the smallest of a row alone. This
    # product is the cost of novelty.
    turned = torch.cat([-2.0 * y.T, (y * y).sum(1)[None]])
    found = []
    for batch in x.split(BATCH):
        batch = batch - center
        longer = torch.nn.functional.pad(batch, (0, 1), value=1.0)
        found.append((product(longer, turned).amin(1) + (batch * batch).sum(1)).clamp_(min=0.0).sqrt_())
    return torch.cat(found).numpy() if found else np.zeros(0, dtype=np.float32)


def nearest(x: np.ndarray, y: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(n,) int64 row of the nearest of m >= 1 rows of y (m, d), the lower one in a tie, and (n,) float32 distance."""
    points, others = _tensor(x), _tensor(y)
    center = others.mean(0)
    norms, turned = (others - center).square().sum(1), (-2.0 * (others - center).T).contiguous()
    rows, distances = [np.zeros(0, dtype=np.int64)], [np.zeros(0, dtype=np.float32)]
    for batch in points.split(BATCH):
        row = product(batch - center, turned).add_(norms).argmin(1)
        rows.append(row.numpy())
        distances.append((batch - others[row]).square().sum(1).sqrt().numpy())  # exact where the product's would cancel
    return np.concatenate(rows), np.concatenate(distances)


def several_nearest(x: np.ndarray, y: np.ndarray, k: int) -> tuple[np.ndarray, np.ndarray]:
    """(n, k) int64 rows of the k <= m nearest of m rows of y (m, d), nearest first, and (n, k) float32 distances; each
    row the same whatever the other rows of x are."""
    points, others = _tensor(x), _tensor(y)
    center = others.mean(0)
    norms, turned = (others - center).square().sum(1), (-2.0 * (others - center).T).contiguous()
    rows, distances = [np.zeros((0, k), dtype=np.int64)], [np.zeros((0, k), dtype=np.float32)]
    for batch in points.split(BATCH):
        row = product(batch - center, turned).add_(norms).topk(k, largest=False).indices
        with threads_for(row.numel() * others.shape[1]):
            away = (batch[:, None] - others[row]).square().sum(2).sqrt()
            away, order = away.sort(dim=1, stable=True)
        rows.append(row.gather(1, order).numpy())
        distances.append(away.numpy())
    return np.concatenate(rows), np.concatenate(distances)


def _tensor(x: np.ndarray | torch.Tensor) -> torch.Tensor:
    return x.float() if isinstance(x, torch.Tensor) else torch.from_numpy(np.ascontiguousarray(x)).float()
