"""Selectors that cover weighted candidates by a kernel, greedily: candidates -> rows of the batch, best first.

All raise Σ_n w_n max_c k(x_n, c) over the centres c, dataset and batch: what the candidates have of them. They differ
in kernel and weights. Sums over many candidates are taken over a sample.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from adde_ray.methods.query.coverage import DIGITS, IN_CACHE, Coverage, blocks, greedy, squares
from adde_ray.methods.query.selectors.candidates import Candidates, as_bytes
from adde_ray.methods.query.selectors.clusters import kmeans
from adde_ray.methods.space.clustering import sample_rows

MAX_POOL = 5_000
"""Candidates that sums are taken over."""

MAX_KEPT = 1 << 24
"""Values of the kernel that are kept, so that no row's are computed twice; with more of them, only when needed."""

PURITY = 0.95
"""prob_cover: share of balls whose rows are of one pseudo-class. As in the paper."""

Kernel = Callable[[np.ndarray], np.ndarray]
"""Squared distances over squared lengths -> values in [0, 1], which never rise with distance."""


def uncertainty_herding(
    candidates: Candidates, size: int, *, redundancy: float, rng: np.random.Generator
) -> np.ndarray:
    """Covers what scores high: Gaussian kernel, weights the scores (Uncertainty Herding: Bae et al. 2025).

    It is theirs where the score is margin of calibrated probabilities (alpha = 1), and MaxHerding where all score
    alike. The kernel is as wide as the two samples of the dataset nearest to each other are apart: wide while they
    are few, so that what is dense counts, then ever narrower, so that the score does. Without two, it is as wide as
    the pool.
    """
    candidates, order = candidates.by_content()
    pool, dataset, _ = centred(candidates)
    squared = _nearest_pair(dataset) or spread(pool)
    coverage = KernelCoverage(pool, candidates.score, dataset, np.full(len(pool), squared), gauss, rng)
    return order[greedy(coverage, size, lambda rows, pick: coverage.gain[rows].copy())]


def prob_cover(candidates: Candidates, size: int, *, redundancy: float, rng: np.random.Generator) -> np.ndarray:
    """Covers the most candidates by balls of one radius, whatever the score (ProbCover: Yehuda et al. 2022).

    The radius is the largest at which `PURITY` of the balls hold rows of one k-means cluster only, with as many
    clusters as classes. Of balls that cover as many, the one whose rows lie nearest to its centre comes first.
    """
    candidates, order = candidates.by_content()
    pool, dataset, _ = centred(candidates)
    if len(pool) == 0:
        return np.arange(0)
    squared = _pure_radius(np.concatenate([pool, dataset]), max(candidates.proba.shape[1], 2), rng)
    coverage = KernelCoverage(pool, np.ones(len(pool)), dataset, np.full(len(pool), squared), _ball, rng)
    return order[greedy(coverage, size, lambda rows, pick: coverage.gain[rows].copy())]


class KernelCoverage:
    """What each of n rows would add to the coverage as the next centre: an upper bound, exact once refreshed.

    Gains only fall as centres come, so an old one is an upper bound (Minoux 1978); where the kernel is not kept, the
    first are of one float32 product with its rounding error added. See `coverage.Coverage`, of which this is the sum
    over rows.
    """

    def __init__(
        self,
        z: np.ndarray,
        weights: np.ndarray,
        centres: np.ndarray,
        squared: np.ndarray,
        kernel: Kernel,
        rng: np.random.Generator,
        *,
        most: int = MAX_POOL,
    ):
        """z (n, e), weights (n,) at least 0, centres (m, e): near the origin, or digits are lost.

        squared: (n,) squared length of each row, by which the kernel sees how near a centre is to it.
        most: rows that sums are taken over, at most.
        """
        n = len(z)
        self._covered = Coverage(z, centres)
        self.z, self._weights, self._kernel = self._covered.z, np.asarray(weights, dtype=np.float64), kernel
        self._squared_lengths = np.maximum(squared, 1e-30)  # of length 0 a row is covered by its copies alone
        # The row itself counts in full; the sum over the others is estimated on a sample of them.
        rows = sample_rows(n, most, rng)
        self._rows, self._place = rows, np.full(n, -1)
        self._place[rows] = np.arange(len(rows))
        self._share = self._weights[rows] * ((n - 1) / max(len(rows) - 1, 1))
        self._total = max(float(self._weights.sum()), 1e-300)
        self._sample = self.z[rows].astype(np.float64)
        self._norms = squares(self._sample)
        nearest = Coverage(self.z[rows], centres)
        if nearest.count:
            nearest.refresh(np.arange(len(rows)))
        # (s,) how much of each row of the sample is covered
        self._held = kernel(nearest.squared * nearest.unit / self._squared_lengths[rows])
        self._kept = self._near(self.z) if n * len(rows) <= MAX_KEPT else None
        self.gain = self._bounds()  # (n,) as shares of all there is to cover
        self.seen = np.full(n, -1)  # how many centres a row's gain is exact for

    def is_exact(self, rows: np.ndarray | int) -> np.ndarray | bool:
        """Whether the gain of a row, or (k,) of rows, is exact for all centres there are."""
        return self.seen[rows] == self._covered.count

    def refresh(self, rows: np.ndarray) -> None:
        """Make the gains of these rows exact."""
        if self._covered.count:
            self._covered.refresh(rows)
        self.gain[rows] = np.round((self._own(rows) + self._others(rows)) / self._total, 12)
        self.seen[rows] = self._covered.count

    def choose(self, row: int) -> None:
        """Make a row a centre."""
        self._covered.choose(row)
        self._held = np.maximum(self._held, self._covers(np.array([row]))[0])

    def _own(self, rows: np.ndarray | slice) -> np.ndarray:
        """What rows add by covering themselves."""
        nearest = self._covered.squared[rows] * self._covered.unit / self._squared_lengths[rows]
        return self._weights[rows] * (self._kernel(np.zeros(1)) - self._kernel(nearest))

    def _others(self, rows: np.ndarray) -> np.ndarray:
        """What rows add by covering the others, those of the sample."""
        others = np.empty(len(rows))
        for block in blocks(len(rows), len(self._rows), cells=IN_CACHE):
            part = rows[block]
            kernel = self._covers(part)
            mine = np.flatnonzero(self._place[part] >= 0)
            kernel[mine, self._place[part[mine]]] = 0
            kernel -= self._held
            np.maximum(kernel, 0, out=kernel)
            kernel *= self._share
            others[block] = kernel.sum(axis=1)
        return others

    def _covers(self, rows: np.ndarray) -> np.ndarray:
        """(k, s) how much of each row of the sample each of k rows would cover: a new array."""
        return self._near(self.z[rows]) if self._kept is None else self._kept[rows]

    def _near(self, z: np.ndarray) -> np.ndarray:
        """The same of z (k, e)."""
        covers = np.empty((len(z), len(self._rows)))
        for rows in blocks(len(z), len(self._rows), cells=IN_CACHE):
            x, squared = z[rows].astype(np.float64), covers[rows]
            np.matmul(x, self._sample.T, out=squared)
            squared *= -2
            squared += self._norms
            squared += squares(x)[:, None]
            np.maximum(squared, 0, out=squared)
            squared /= self._covered.unit
            np.round(squared, DIGITS, out=squared)
            squared *= self._covered.unit / self._squared_lengths[self._rows]
            covers[rows] = self._kernel(squared)
        return covers

    def _bounds(self) -> np.ndarray:
        if self._kept is not None:  # exact but for how far each row's nearest centre is
            return (self._own(slice(None)) + self._others(np.arange(len(self.z)))) / self._total + 1e-12
        n, s = len(self.z), len(self._rows)
        sample, norms = self.z[self._rows], squares(self.z)
        their, share = norms[self._rows], self._share.astype(np.float32)
        held, lengths = self._held.astype(np.float32), self._squared_lengths[self._rows].astype(np.float32)
        gain = np.empty(n)
        error = 2.0**-22 * (self.z.shape[1] + 8)  # of float32 products, see `Coverage`
        for rows in blocks(n, s):
            squared = their - 2 * (self.z[rows] @ sample.T) + norms[rows, None]
            squared -= (error * (norms[rows] + their.max()))[:, None].astype(np.float32)
            kernel = self._kernel(np.maximum(squared, 0) / lengths).astype(np.float32)
            gain[rows] = np.maximum(kernel - held, 0) @ share
        slack = 1e-6 * float(self._share.sum()) + 10.0**-DIGITS
        return (self._own(slice(None)) + gain * (1 + 2.0**-23 * (s + 8)) + slack) / self._total + 1e-12


def centred(candidates: Candidates) -> tuple[np.ndarray, np.ndarray, float]:
    """Candidates and dataset around their mean, in units of their largest entry; and that unit."""
    both, unit = np.concatenate([candidates.embedding, candidates.dataset_embedding]).astype(np.float64), 1.0
    if len(both):
        both -= both.mean(axis=0)
        unit = float(np.abs(both).max()) or 1.0
        both /= unit
    both = both.astype(np.float32)
    return both[: len(candidates)], both[len(candidates) :], unit


def spread(z: np.ndarray) -> float:
    """The mean squared distance of rows of z (n, e) to 0."""
    return float(np.square(z, dtype=np.float64).sum(axis=1).mean()) if len(z) else 0.0


def gauss(ratio: np.ndarray) -> np.ndarray:
    """exp(-ratio), of squared distances over squared lengths, elementwise."""
    with np.errstate(over="ignore"):
        return np.exp(-ratio)


def _ball(ratio: np.ndarray) -> np.ndarray:
    # The second part is to break ties: over all of a pool it adds up to less than one row.
    return ((ratio <= 1) + 1e-6 * gauss(ratio)) / (1 + 1e-6)


def _nearest_pair(z: np.ndarray) -> float:
    """The smallest squared distance above 0 between rows of z (m, e); 0 without one."""
    from sklearn.neighbors import NearestNeighbors

    z = z[np.unique(as_bytes(z), return_index=True)[1]].astype(np.float64) if len(z) else z
    if len(z) < 2:
        return 0.0
    rows = NearestNeighbors(n_neighbors=1, algorithm="brute").fit(z).kneighbors(return_distance=False)[:, 0]
    return float(squares(z - z[rows]).min())  # from the difference: the product form loses digits


def _pure_radius(z: np.ndarray, classes: int, rng: np.random.Generator) -> float:
    """The squared radius at which `PURITY` of the balls around rows of z (n, e) are pure in k-means clusters."""
    cluster = kmeans(z, classes, seed=int(rng.integers(2**31)))
    rows = sample_rows(len(z), MAX_POOL, rng)
    stranger = np.full(len(rows), np.inf)  # squared distance to the nearest row of another cluster
    for c in np.unique(cluster[rows]):
        mine, others = np.flatnonzero(cluster[rows] == c), z[cluster != c]
        if len(others):
            apart = Coverage(z[rows[mine]], others)
            apart.refresh(np.arange(len(mine)))
            stranger[mine] = apart.squared * apart.unit
    if not np.isfinite(stranger).any():  # one cluster: all rows are alike
        return 0.0
    # A ball that reaches the nearest stranger is not pure any more.
    return float(np.quantile(stranger, 1 - PURITY, method="lower")) * (1 - 1e-9)
