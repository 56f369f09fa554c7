"""Greedy choices by distance to what is covered: z (n, e) and centres (m, e) → rows, each covered once chosen.

Every pick lowers the distances of all rows, yet only a few of them can be the next pick. So distances are kept as
upper bounds, first by one float32 product, and made exact for those rows alone that could win by their bound.
The picks are those of the plain computation (lazy evaluation, Minoux 1978), at a fraction of its products.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Protocol

import numpy as np

from adde_ray.methods.numerics.threads import one_thread

DIGITS = 10
"""Squared distances are exact to so many digits of the largest squared norm; closer rows are copies."""

_CELLS = 1 << 21  # distances held at a time

IN_CACHE = 1 << 17
"""Cells of a block that is gone over several times."""


class Coverage:
    """Squared distance of n rows to the nearest centre: an upper bound, exact for the rows that were refreshed.

    Memory beyond z itself is O(n + centres · e). Exact values do not depend on the order of rows, the number of
    threads or what was refreshed before: they are float64 rounded to `DIGITS`.
    """

    def __init__(self, z: np.ndarray, centres: np.ndarray):
        self.z = np.ascontiguousarray(z, dtype=np.float32)
        self.squared = np.full(len(z), np.inf)  # (n,) in units of `unit`
        self.seen = np.zeros(len(z), dtype=np.int64)  # how many centres, the oldest first, a row's value is exact for
        centres = np.asarray(centres, dtype=np.float32).reshape(-1, self.z.shape[1])
        norms, their_norms = squares(self.z), squares(centres)
        self.unit = float(max(norms.max(initial=0), their_norms.max(initial=0))) or 1.0
        self._centres = centres.astype(np.float64)  # with room for more behind the first `count`
        self._norms = squares(self._centres)
        if len(centres):
            # Of float32 sums of e products, each at most |x| |y|.
            error = 2.0**-22 * (self.z.shape[1] + 8)
            for rows in blocks(len(z), len(centres)):
                product = self.z[rows] @ centres.T
                product *= -2
                product += their_norms
                bound = product.min(axis=1) + norms[rows]
                bound += error * (norms[rows] + their_norms.max())
                self.squared[rows] = bound / self.unit + 10.0**-DIGITS

    def distance(self, rows: np.ndarray | slice) -> np.ndarray:
        """Distance of each row to the nearest centre: at most this, and exactly this once refreshed."""
        return np.sqrt(self.squared[rows] * self.unit)

    @property
    def count(self) -> int:
        """How many centres there are."""
        return len(self._norms)

    def is_exact(self, rows: np.ndarray | int) -> np.ndarray | bool:
        """Whether the distance of a row, or (k,) of rows, is exact for all centres there are."""
        return self.seen[rows] == self.count

    def refresh(self, rows: np.ndarray) -> None:
        """Make the distances of these rows exact."""
        new = self.seen[rows] == 0
        for part in (rows[new], rows[~new & ~self.is_exact(rows)]):
            first = int(self.seen[part].min(initial=self.count))
            centres, norms = self._centres[first : self.count], self._norms[first:]
            for block in blocks(len(part), len(centres)):
                x = self.z[part[block]].astype(np.float64)
                squared = (norms - 2 * (x @ centres.T)).min(axis=1) + squares(x)
                squared = np.round(np.maximum(squared, 0) / self.unit, DIGITS)
                before = self.squared[part[block]] if first else np.inf
                self.squared[part[block]] = np.minimum(before, squared)
        self.seen[rows] = self.count

    def choose(self, row: int) -> None:
        """Make a row a centre."""
        self.add(self.z[row])

    def add(self, centre: np.ndarray) -> None:
        """Add a centre (e,)."""
        if self.count == len(self._centres):
            self._centres = np.concatenate([self._centres, np.empty((self.count + 64, self.z.shape[1]))])
        self._centres[self.count] = centre
        self._norms = np.append(self._norms, squares(self._centres[[self.count]]))


class Lazy(Protocol):
    """Values of n rows that only fall as centres come: upper bounds, exact for the rows that were refreshed."""

    z: np.ndarray  # (n, e)

    def is_exact(self, rows: np.ndarray | int) -> np.ndarray | bool:
        """Whether the value of a row, or (k,) of rows, is exact."""
        ...

    def refresh(self, rows: np.ndarray) -> None:
        """Make the values of these rows (k,) exact."""
        ...

    def choose(self, row: int) -> None:
        """Make a row a centre."""
        ...


def greedy(
    coverage: Lazy,
    size: int,
    merit: Callable[[np.ndarray | slice, int], np.ndarray],
    *,
    begun: Sequence[int] = (),
    varies: bool = False,
) -> np.ndarray:
    """Up to `size` rows, one at a time: each has the largest merit, the lower row in a tie, and becomes a centre.

    merit: rows and the number of picks before → new array of values, which must not rise where `coverage` falls.
    begun: the first rows, chosen already and centres. varies: merit depends on the number of picks too.
    """
    chosen = list(begun)
    worth = np.zeros(0)
    with one_thread():  # the products are small: threads would wait for each other
        for pick in range(len(chosen), min(size, len(coverage.z))):
            if varies or not len(worth):
                worth = merit(slice(None), pick)
                worth[chosen] = -np.inf
            few = 4
            while not coverage.is_exact(row := int(np.argmax(worth))):
                few = min(2 * few, len(worth))
                top = np.argpartition(worth, -few)[-few:]
                top = top[~coverage.is_exact(top) & (worth[top] > -np.inf)]
                coverage.refresh(top)
                worth[top] = merit(top, pick)
            chosen.append(row)
            worth[row] = -np.inf
            coverage.choose(row)
    return np.array(chosen, dtype=np.int64)


def central_row(z: np.ndarray) -> int:
    """The row nearest to the mean of n >= 1 rows: where to begin when nothing is covered."""
    coverage = Coverage(z, np.zeros((0, z.shape[1])))
    coverage.add(z.mean(axis=0, dtype=np.float64))
    coverage.refresh(np.arange(len(z)))
    return int(np.argmin(coverage.squared))


def squares(x: np.ndarray) -> np.ndarray:
    """(n,) squared norms of x (n, e)."""
    return np.einsum("ij,ij->i", x, x)


def blocks(n: int, width: int, *, cells: int = _CELLS) -> list[slice]:
    """Slices of n rows, so that what is `width` wide has about as many cells."""
    step = max(cells // max(width, 512), 1)
    return [slice(start, start + step) for start in range(0, n, step)]
