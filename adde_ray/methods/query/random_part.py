"""The random part of a query: how many of its samples are drawn by chance, and at which ranks they stand."""

from __future__ import annotations

import numpy as np

SHARE, FEW_VAL = 0.1, 200
"""By default: this share of a batch, where people answer and val has fewer rows than that."""

NAME = "random"
"""What `chosen_by` says of a sample drawn by chance: by the random part, or by the selector of that name."""


def share(given: float | None, *, num_val: int, by_people: bool, selector: str, whole_pool: bool) -> float:
    """`select.random_share`, or what it is where it is left out. 0 for the selector that draws everything.

    by_people: people answer, and not their simulation. whole_pool: every row of the pool can be asked about in every
    round.
    """
    if selector == NAME:
        return 0.0
    if given is not None:
        return given
    return SHARE if by_people and whole_pool and num_val < FEW_VAL else 0.0


def due(share: float, asked: int, *, batch: int, budget: int | None) -> int:
    """Samples of the next query to draw, after `asked` before it: so that their running total is the share of all,
    rounded down. budget: labels in all, None for no end."""
    size = batch if budget is None else min(batch, max(budget - asked, 0))
    before, after = (np.floor(share * total + 1e-9) for total in (asked, asked + size))
    return int(after - before)


def ranks(size: int, number: int, rng: np.random.Generator) -> np.ndarray:
    """(size,) bool: which ranks of a query `number` drawn samples take, each as likely as any other."""
    taken = np.zeros(size, dtype=bool)
    taken[rng.permutation(size)[:number]] = True
    return taken
