"""Near copies: payloads → signatures → pairs that may match → pairs that do, and which of them stay.

1. `Likeness.signatures`: some bytes a row, made shard by shard.
2. Rows that share a band of their signature are compared by signature (`candidates`). Bands are looked at one by one,
   by whoever has the signatures of all rows that share a key in it.
3. What passes is compared itself (`similarity`).

What that means for texts and for images is in `text_copies` and `image_copies`. Vectors have exact copies only.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import polars as pl

from adde_ray.config import Gates
from adde_ray.methods.gates.image_copies import ImageCopies
from adde_ray.methods.gates.text_copies import TextCopies

ALIKE = 32
"""A row is compared itself with so many rows that are alike by signature, the first there are, and a few more when it
shares several bands: in a pile of copies all go for the first, and the pile is not quadratic."""

PAYLOAD_BATCH = 2048
"""Pairs compared by payload at a time."""

SIGNATURE_BATCH = 65_536
"""Pairs compared by signature at a time."""


class Likeness(Protocol):
    """How payloads of a modality resemble each other, by a run's settings. Small to pickle."""

    @property
    def least(self) -> float:
        """The similarity from which on two rows are near copies, (0, 1]."""
        ...

    @property
    def num_bands(self) -> int:
        """Near copies agree in at least one of so many bands of their signatures."""
        ...

    def signatures(self, payloads: pl.Series) -> np.ndarray:
        """(n, w) unsigned: a row's is the same whatever the other rows are."""
        ...

    def key(self, signs: np.ndarray, band: int) -> np.ndarray:
        """(n,) uint64 of n signatures: equal where they agree in this band."""
        ...

    def close(self, a: np.ndarray, rows: np.ndarray, b: np.ndarray, others: np.ndarray) -> np.ndarray:
        """(m,) whether signatures a[rows], b[others] may be those of near copies."""
        ...

    def first_band(self, a: np.ndarray, rows: np.ndarray, b: np.ndarray, others: np.ndarray) -> np.ndarray:
        """(m,) the first band in which signatures a[rows], b[others] agree."""
        ...

    def similarity(
        self, rows: np.ndarray, others: np.ndarray, payloads: pl.Series, other_payloads: pl.Series
    ) -> np.ndarray:
        """(m,) in [0, 1], of payloads[rows] and other_payloads[others]."""
        ...


LIKENESS = {"text": TextCopies, "image": ImageCopies}
"""Modality → how its payloads resemble each other."""


def likeness(modality: str, config: Gates) -> Likeness | None:
    """None where near copies are not looked for."""
    return LIKENESS[modality](config) if config.near_copies and modality in LIKENESS else None


@dataclass(frozen=True)
class Pairs:
    """m near copies: `rows[i]` is one of `others[i]`, by `similarity[i]` in [0, 1] (Jaccard, or correlation)."""

    rows: np.ndarray
    others: np.ndarray
    similarity: np.ndarray

    def __len__(self) -> int:
        return len(self.rows)


def within(signs: np.ndarray, payloads: pl.Series, alike: Likeness) -> Pairs:
    """Near copies among n rows, each pair once with `rows > others`."""
    found = [candidates(signs, band, alike) for band in range(alike.num_bands)]
    return _confirmed(found, payloads, payloads, alike)


def between(
    signs: np.ndarray, payloads: pl.Series, other_signs: np.ndarray, other_payloads: pl.Series, alike: Likeness
) -> Pairs:
    """Near copies of n rows among m others."""
    found = [candidates(signs, band, alike, other_signs) for band in range(alike.num_bands)]
    return _confirmed(found, payloads, other_payloads, alike)


def candidates(
    signs: np.ndarray, band: int, alike: Likeness, other_signs: np.ndarray | None = None
) -> tuple[np.ndarray, np.ndarray]:
    """(m,) rows and (m,) others that are alike by signature and agree in this band, in none before it.

    Without other_signs: among the rows themselves, `rows > others`. Of a row the first `ALIKE` others are looked at;
    so it makes no difference whether rows that share their key with no other row are there.
    """
    batches = list(_candidates(signs, band, alike, other_signs))
    rows, others = (np.concatenate([batch[i] for batch in batches] or [np.zeros(0, np.int64)]) for i in (0, 1))
    return rows, others


def similarity(
    rows: np.ndarray, others: np.ndarray, payloads: pl.Series, other_payloads: pl.Series, alike: Likeness
) -> np.ndarray:
    """(m,) in [0, 1], a bounded number of pairs at a time."""
    batches = [slice(i, i + PAYLOAD_BATCH) for i in range(0, len(rows), PAYLOAD_BATCH)]
    found = [alike.similarity(rows[batch], others[batch], payloads, other_payloads) for batch in batches]
    return np.concatenate(found) if found else np.zeros(0)


def keep_first(n: int, pairs: Pairs) -> tuple[np.ndarray, np.ndarray]:
    """(n,) row that each of n rows is left out for, -1 where it stays, and (n,) how alike they are.

    In order, a row stays unless one that stays before it is a near copy. So what is left out resembles something that
    is there, which chains of connected components would not promise.
    """
    kept_for, similarity = np.full(n, -1), np.zeros(n)
    order = np.lexsort((pairs.others, pairs.rows))
    for row, other, alike in zip(pairs.rows[order], pairs.others[order], pairs.similarity[order], strict=True):
        if kept_for[row] < 0 and kept_for[other] < 0:
            kept_for[row], similarity[row] = other, alike
    return kept_for, similarity


def _candidates(
    a: np.ndarray, band: int, alike: Likeness, b: np.ndarray | None
) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    keys = alike.key(a, band)
    other_keys = keys if b is None else alike.key(b, band)
    order = np.argsort(other_keys, kind="stable")
    at = np.searchsorted(other_keys[order], keys, "left")
    if b is None:
        b, end = a, np.empty_like(at)
        end[order] = np.arange(len(order))  # those before oneself: the order is stable
    else:
        end = np.searchsorted(other_keys[order], keys, "right")
    met, left = np.zeros(len(a), dtype=np.int64), np.flatnonzero(at < end)
    while len(left):
        for start in range(0, len(left), SIGNATURE_BATCH):
            rows = left[start : start + SIGNATURE_BATCH]
            others = order[at[rows]]
            close = alike.close(a, rows, b, others)
            rows, others = rows[close], others[close]
            met[rows] += 1
            new = alike.first_band(a, rows, b, others) == band
            yield rows[new], others[new]
        at[left] += 1
        left = left[(at[left] < end[left]) & (met[left] < ALIKE)]


def _confirmed(
    found: list[tuple[np.ndarray, np.ndarray]], payloads: pl.Series, other_payloads: pl.Series, alike: Likeness
) -> Pairs:
    rows, others = (np.concatenate([part[i] for part in found]) for i in (0, 1))
    order = np.lexsort((others, rows))  # neighbours share payloads
    rows, others = rows[order], others[order]
    measured = similarity(rows, others, payloads, other_payloads, alike)
    match = measured >= alike.least
    return Pairs(rows[match], others[match], measured[match])
