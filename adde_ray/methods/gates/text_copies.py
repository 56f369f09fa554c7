"""When a text is a near copy of another: pieces in common, and the same numbers.

Texts are compared by their overlapping 5-character pieces. A signature is their MinHash (Broder 1997), and a checksum
of the numbers in the text. Bands are as narrow as it takes to miss one near copy in 1,000.
"""

from __future__ import annotations

import re
import unicodedata
import zlib
from dataclasses import dataclass

import numpy as np
import polars as pl

from adde_ray.config import Gates

PIECE = 5
"""Characters of a text's pieces."""

NUMBERS = re.compile(r"\d+")

PERMUTATIONS = 128
"""Length of a MinHash: it tells similarities of 0.9 to ± 0.03."""

SLACK = 0.1
"""MinHashes that seem this much less alike than asked for are still compared by the texts themselves."""

MISSED = 1e-3
"""Share of near copies that may agree in no band."""


@dataclass(frozen=True)
class TextCopies:
    """A `near_copies.Likeness`: Jaccard similarity of pieces; 0 where the numbers differ."""

    config: Gates

    @property
    def least(self) -> float:
        """The least Jaccard similarity of near copies, (0, 1]."""
        return self.config.text_similarity

    @property
    def num_bands(self) -> int:
        """Bands of a MinHash."""
        return PERMUTATIONS // self._width

    def signatures(self, payloads: pl.Series) -> np.ndarray:
        """(n, 129) uint32: the MinHash, then the numbers."""
        from datasketch import MinHash

        made = MinHash.generator((pieces(t) for t in payloads), num_perm=PERMUTATIONS, seed=1, hashfunc=zlib.crc32)
        hashes = np.array([m.hashvalues for m in made], dtype=np.uint32).reshape(len(payloads), PERMUTATIONS)
        numbers = [zlib.crc32(" ".join(NUMBERS.findall(text)).encode()) for text in payloads]
        return np.column_stack([hashes, np.array(numbers, dtype=np.uint32)])

    def key(self, signs: np.ndarray, band: int) -> np.ndarray:
        """(n,) uint64: a hash of the band's MinHashes and the numbers, of (n, 129) signatures."""
        start = band * self._width
        # With the numbers: messages that differ in nothing else would share all their bands, a million of them.
        return _hashed(*signs[:, start : start + self._width].T, signs[:, -1])

    def close(self, a: np.ndarray, rows: np.ndarray, b: np.ndarray, others: np.ndarray) -> np.ndarray:
        """(m,) bool: a[rows], b[others] have the same numbers, and MinHashes that agree in enough places."""
        same = a[rows] == b[others]
        return same[:, -1] & (same[:, :-1].mean(axis=1) >= self.config.text_similarity - SLACK)

    def first_band(self, a: np.ndarray, rows: np.ndarray, b: np.ndarray, others: np.ndarray) -> np.ndarray:
        """(m,) int64: the first band in which a[rows] and b[others] agree; they do in one at least."""
        same = (a[rows] == b[others])[:, :-1]
        return same.reshape(len(rows), self.num_bands, self._width).all(axis=2).argmax(axis=1)

    def similarity(
        self, rows: np.ndarray, others: np.ndarray, payloads: pl.Series, other_payloads: pl.Series
    ) -> np.ndarray:
        """(m,) float64 in [0, 1]: Jaccard, of the pieces of payloads[rows] and other_payloads[others]; 0 where their
        numbers differ."""
        a = {row: pieces(payloads[row]) for row in set(rows.tolist())}
        b = {row: pieces(other_payloads[row]) for row in set(others.tolist())}
        pairs = list(zip(rows.tolist(), others.tolist(), strict=True))
        alike = [len(a[i] & b[j]) / len(a[i] | b[j]) for i, j in pairs]
        # Two doses or two dates are two samples, however alike the sentences around them.
        same_numbers = [NUMBERS.findall(payloads[i]) == NUMBERS.findall(other_payloads[j]) for i, j in pairs]
        return np.array(alike) * same_numbers

    @property
    def _width(self) -> int:
        """MinHashes of a band."""
        return max(w for w in (1, 2, 4, 8, 16) if _missed(self.config.text_similarity, w) <= MISSED or w == 1)


def pieces(text: str) -> set[bytes]:
    """What texts are compared by: overlapping 5-character pieces; case, spacing and punctuation do not count."""
    plain = unicodedata.normalize("NFKC", text).casefold()
    words = "".join(c if c.isalnum() or unicodedata.category(c)[0] == "M" else " " for c in plain).split()
    joined = " ".join(words) or plain
    return {joined[i : i + PIECE].encode() for i in range(max(1, len(joined) - PIECE + 1))}


def _missed(similarity: float, width: int) -> float:
    """Chance that MinHashes of texts this similar agree in no band of this width."""
    return (1 - similarity**width) ** (PERMUTATIONS // width)


def _hashed(*columns: np.ndarray) -> np.ndarray:
    """(n,) uint64: equal for equal rows, and hardly ever for others (which are compared, so no harm is done)."""
    key = np.zeros(len(columns[0]), np.uint64)
    for column in columns:
        key = (key ^ column.astype(np.uint64)) * np.uint64(0x9E3779B97F4A7C15)
        key ^= key >> np.uint64(29)
    return key
