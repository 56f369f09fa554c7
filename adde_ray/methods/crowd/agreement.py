"""How far people agree beyond chance: Cohen's, Fleiss' and Krippendorff's coefficients with bootstrap intervals.

All are 1 - (observed disagreement) / (disagreement expected by chance): 1 is full agreement, 0 none beyond chance. In
a multi-label task each class is a task of two answers, and both disagreements are summed over the classes. Where only
one class was ever named nothing could differ, and the coefficients are NaN.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import combinations

import numpy as np
import polars as pl

from adde_ray.methods.crowd.intervals import Figure, resampled
from adde_ray.methods.crowd.votes import Votes, tasks


def krippendorff(
    answers: pl.DataFrame, *, classes: Sequence[str] | None = None, multi: bool = False, seed: int = 0
) -> Figure:
    """Krippendorff's alpha for nominal data (2004) over items with two answers or more; missing answers are allowed.

    answers: item, worker, label. n: such items.
    """
    return _over_items([v.counts() for v in tasks(answers, classes, multi=multi).values()], _alpha, seed)


def fleiss(
    answers: pl.DataFrame, *, classes: Sequence[str] | None = None, multi: bool = False, seed: int = 0
) -> Figure:
    """Fleiss' kappa (1971) over items with two answers or more. Where their numbers differ each item counts alike in
    what is observed, and each answer in what is expected."""
    return _over_items([v.counts() for v in tasks(answers, classes, multi=multi).values()], _fleiss, seed)


def cohen(
    answers: pl.DataFrame, *, classes: Sequence[str] | None = None, multi: bool = False, seed: int = 0
) -> dict[tuple[str, str], Figure]:
    """Cohen's kappa (1960) of each pair of workers over the items both answered; pairs without one are left out."""
    found = tasks(answers, classes, multi=multi).values()
    given = [_by_worker(votes) for votes in found]
    names = next(iter(found)).workers if given else ()
    pairs = {}
    for a, b in combinations(range(len(names)), 2):
        rows = [_pair(labels[a], labels[b], len(v.classes)) for labels, v in zip(given, found, strict=True)]
        both = np.any([r[:, 0] > 0 for r in rows], axis=0)
        if both.any():
            sizes = [len(v.classes) for v in found]
            pairs[names[a], names[b]] = resampled(np.hstack(rows)[both], _kappa(sizes), seed=seed)
    return pairs


def by_class(
    answers: pl.DataFrame, *, classes: Sequence[str] | None = None, multi: bool = False, seed: int = 0
) -> dict[str, Figure]:
    """Krippendorff's alpha of each class against all others."""
    found = tasks(answers, classes, multi=multi)
    if multi:
        return {name: _over_items([votes.counts()], _alpha, seed) for name, votes in found.items()}
    counts = found[""].counts()
    rest = counts.sum(axis=1, keepdims=True)
    return {
        name: _over_items([np.hstack([counts[:, [c]], rest - counts[:, [c]]])], _alpha, seed)
        for c, name in enumerate(found[""].classes)
    }


def over_time(
    answers: pl.DataFrame, windows: int, *, classes: Sequence[str] | None = None, multi: bool = False, seed: int = 0
) -> list[Figure]:
    """Krippendorff's alpha in windows of equally many items, in the order of their last answers (`when`)."""
    last = answers.group_by("item").agg(pl.col("when").max()).sort("when", "item")["item"].to_list()
    return [
        krippendorff(answers.filter(pl.col("item").is_in(part.tolist())), classes=classes, multi=multi, seed=seed)
        for part in np.array_split(np.array(last, dtype=object), max(1, min(windows, len(last))))
    ]


# A row of an item holds what the coefficients sum up: its votes m, its disagreement, its votes for each class.
def _over_items(counts: list[np.ndarray], coefficient: Callable, seed: int) -> Figure:
    rows, sizes = [], []
    for n in counts:
        m = n.sum(axis=1, keepdims=True)
        n, m = np.where(m > 1, n, 0.0), np.where(m > 1, m, 0.0)
        differ = (m**2 - (n**2).sum(axis=1, keepdims=True)) / np.maximum(m - 1, 1)
        rows += [m > 0, m, differ, differ / np.maximum(m, 1), n]
        sizes.append(n.shape[1])
    table = np.hstack(rows).astype(float) if rows else np.zeros((0, 0))
    return resampled(table[table.any(axis=1)], lambda sums: _beyond_chance(sums, sizes, coefficient), seed=seed)


def _beyond_chance(sums: np.ndarray, sizes: list[int], coefficient: Callable) -> np.ndarray:
    observed, expected, at = 0.0, 0.0, 0
    for size in sizes:
        items, votes, differ, share = (sums[:, at + i] for i in range(4))
        o, e = coefficient(items, votes, differ, share, sums[:, at + 4 : at + 4 + size])
        observed, expected, at = observed + o, expected + e, at + 4 + size
    return _ratio(observed, expected)


def _ratio(observed, expected) -> np.ndarray:
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.where(expected > 1e-12, 1 - observed / expected, np.nan)


def _alpha(items, votes, differ, share, classes) -> tuple[np.ndarray, np.ndarray]:
    """Observed and expected disagreement, both as shares of pairs."""
    pairs = np.maximum(votes * (votes - 1), 1)
    return differ / np.maximum(votes, 1), (votes**2 - (classes**2).sum(axis=1)) / pairs


def _fleiss(items, votes, differ, share, classes) -> tuple[np.ndarray, np.ndarray]:
    common = classes / np.maximum(votes, 1)[:, None]
    return share / np.maximum(items, 1), np.where(votes > 0, 1 - (common**2).sum(axis=1), 0.0)


def _by_worker(votes: Votes) -> np.ndarray:
    """(W, n) the class row each worker named, -1 where none."""
    found = np.full((len(votes.workers), len(votes.items)), -1)
    found[votes.worker, votes.item] = votes.label
    return found


def _pair(a: np.ndarray, b: np.ndarray, size: int) -> np.ndarray:
    """(n, 2 + 2 C): whether both answered, whether they differ, and what each said, as indicators."""
    both = (a >= 0) & (b >= 0)
    said = [(labels[:, None] == np.arange(size)) & both[:, None] for labels in (a, b)]
    return np.hstack([both[:, None], (both & (a != b))[:, None], *said]).astype(float)


def _kappa(sizes: list[int]) -> Callable[[np.ndarray], np.ndarray]:
    def coefficient(sums: np.ndarray) -> np.ndarray:
        observed, expected, at = 0.0, 0.0, 0
        for size in sizes:
            n = np.maximum(sums[:, at], 1)
            first, second = sums[:, at + 2 : at + 2 + size], sums[:, at + 2 + size : at + 2 + 2 * size]
            observed += sums[:, at + 1] / n
            expected += np.where(sums[:, at] > 0, 1 - (first * second).sum(axis=1) / n**2, 0.0)
            at += 2 + 2 * size
        return _ratio(observed, expected)

    return coefficient
