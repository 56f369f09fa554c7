"""Near copies of texts and images: payloads → signatures → pairs that may match → pairs that do.

1. `signatures`: a few bytes a row, made shard by shard. Texts: MinHash of their 5-character pieces (Broder 1997).
   Images: a 64-bit perceptual hash.
2. Rows that share a band of their signature are compared by signature. For images, hashes that differ in at most d
   bits agree in one of d + 1 bands, so none is missed; for texts, bands are as narrow as it takes to miss one in 1,000.
3. What passes is compared itself. Texts: pieces in common, and the same numbers. Images: correlation of grey pixels;
   among images of one kind (digits, skin lesions), most that agree by perceptual hash alone are different samples.

Vectors have exact copies only.
"""

from __future__ import annotations

import itertools
import re
import unicodedata
import zlib
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import polars as pl

from adde_ray.config import Gates
from adde_ray.methods.images import open_images, planes

PIECE = 5
"""Characters of a text's pieces."""

NUMBERS = re.compile(r"\d+")

PERMUTATIONS = 128
"""Length of a MinHash: it tells similarities of 0.9 to ± 0.03."""

SLACK = 0.1
"""MinHashes that seem this much less alike than asked for are still compared by the texts themselves."""

SIDE = 64
"""Images are shrunk to at most this many pixels a side before their pixels are compared."""

LUMA = np.array([0.299, 0.587, 0.114], dtype=np.float32)
"""Of red, green and blue: what grey is made of."""

ALIKE = 32
"""Of rows with one and the same signature, this many are compared with others: a pile of blanks is not quadratic."""

CHUNK = 2048
"""Pairs compared by payload at a time."""

TYPES = {"text": pl.UInt32, "image": pl.UInt64}
"""Modalities that have near copies, and what their signatures consist of."""


@dataclass(frozen=True)
class Pairs:
    """m near copies: `rows[i]` is one of `others[i]`, by `similarity[i]` in [0, 1] (Jaccard, or correlation)."""

    rows: np.ndarray
    others: np.ndarray
    similarity: np.ndarray

    def __len__(self) -> int:
        return len(self.rows)


def signatures(payloads: pl.Series, modality: str) -> np.ndarray:
    """(n, 128) uint32 for texts, (n, 1) uint64 for images."""
    return _minhashes(payloads) if modality == "text" else _hashes(payloads)


def within(signs: np.ndarray, payloads: pl.Series, modality: str, config: Gates) -> Pairs:
    """Near copies among n rows, each pair once with `rows > others`."""
    keys = _key(signs)
    order = np.argsort(keys, kind="stable")
    rank, group = _rank(keys[order])
    # Rows with one signature: each against the few before it, and only the first few of them against other rows.
    same = [(order[lag:][group[lag:] == group[:-lag]], order[:-lag][group[lag:] == group[:-lag]]) for lag in
            range(1, min(ALIKE, len(order) - 1) + 1)]  # fmt: skip
    few = np.sort(order[rank < ALIKE])
    near = [(few[a], few[b]) for a, b in _alike(signs[few], signs[few], modality, config, ordered=True)]
    rows, others = _unique([*same, *near], len(signs))
    return _confirm(np.maximum(rows, others), np.minimum(rows, others), payloads, payloads, modality, config)


def between(
    signs: np.ndarray, payloads: pl.Series, other_signs: np.ndarray, other_payloads: pl.Series, modality: str,
    config: Gates,
) -> Pairs:  # fmt: skip
    """Near copies of n rows among m others."""
    keys = _key(other_signs)
    order = np.argsort(keys, kind="stable")
    few = np.sort(order[_rank(keys[order])[0] < ALIKE])
    near = [(a, few[b]) for a, b in _alike(signs, other_signs[few], modality, config)]
    return _confirm(*_unique(near, len(other_signs)), payloads, other_payloads, modality, config)


def keep_first(n: int, pairs: Pairs, fixed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """(n,) row that each of n rows is left out for, -1 where it stays, and (n,) how alike they are.

    In order, a row stays unless one that stays before it is a near copy; the first `fixed` rows always stay. So what
    is left out resembles something that is there, which chains of connected components would not promise.
    """
    kept_for, similarity = np.full(n, -1), np.zeros(n)
    order = np.lexsort((pairs.others, pairs.rows))
    for row, other, alike in zip(pairs.rows[order], pairs.others[order], pairs.similarity[order], strict=True):
        if row >= fixed and kept_for[row] < 0 and kept_for[other] < 0:
            kept_for[row], similarity[row] = other, alike
    return kept_for, similarity


# --- signatures -----------------------------------------------------------------------------------------------


def pieces(text: str) -> set[bytes]:
    """What texts are compared by: overlapping 5-character pieces; case, spacing and punctuation do not count."""
    plain = unicodedata.normalize("NFKC", text).casefold()
    words = "".join(c if c.isalnum() or unicodedata.category(c)[0] == "M" else " " for c in plain).split()
    joined = " ".join(words) or plain
    return {joined[i : i + PIECE].encode() for i in range(max(1, len(joined) - PIECE + 1))}


def _minhashes(texts: pl.Series) -> np.ndarray:
    from datasketch import MinHash

    made = MinHash.generator((pieces(t) for t in texts), num_perm=PERMUTATIONS, seed=1, hashfunc=zlib.crc32)
    rows = [m.hashvalues for m in made]
    return np.array(rows, dtype=np.uint32).reshape(len(rows), PERMUTATIONS)


def _hashes(images: pl.Series) -> np.ndarray:
    from imagehash import phash

    bits = [phash(image).hash.ravel() for image in open_images(images)]
    packed = np.packbits(np.array(bits, dtype=bool).reshape(len(bits), 64), axis=1)
    return np.ascontiguousarray(packed).view(">u8").astype(np.uint64)


# --- pairs that may match -------------------------------------------------------------------------------------


def bands(signs: np.ndarray, modality: str, config: Gates) -> Iterator[np.ndarray]:
    """(n,) uint64 keys, band by band: near copies agree in at least one."""
    if modality == "image":
        cuts = np.linspace(0, 64, config.image_distance + 2).round().astype(int)
        for low, high in itertools.pairwise(cuts.tolist()):
            yield (signs[:, 0] >> np.uint64(low)) & np.uint64(2 ** (high - low) - 1)
    else:
        width = max(w for w in (1, 2, 4, 8, 16) if _missed(config.text_similarity, w) <= 1e-3 or w == 1)
        for start in range(0, PERMUTATIONS, width):
            yield _key(signs[:, start : start + width])


def _missed(similarity: float, width: int) -> float:
    """Chance that MinHashes of texts this similar agree in no band of this width."""
    return (1 - similarity**width) ** (PERMUTATIONS // width)


def _alike(
    a: np.ndarray, b: np.ndarray, modality: str, config: Gates, *, ordered: bool = False
) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Rows of a and of b that share a band and are alike by signature. ordered: a is b, and each pair comes once."""
    for keys, other in zip(bands(a, modality, config), bands(b, modality, config), strict=True):
        order = np.argsort(other, kind="stable")
        at, end = np.searchsorted(other[order], keys, "left"), np.searchsorted(other[order], keys, "right")
        if ordered:  # start behind oneself
            at[order] = np.arange(len(order)) + 1
        rows = np.flatnonzero(at < end)
        while len(rows):
            others = order[at[rows]]
            close = _close(a[rows], b[others], modality, config)
            yield rows[close], others[close]
            at[rows] += 1
            rows = rows[at[rows] < end[rows]]


def _close(a: np.ndarray, b: np.ndarray, modality: str, config: Gates) -> np.ndarray:
    if modality == "image":
        return np.bitwise_count(a[:, 0] ^ b[:, 0]) <= config.image_distance
    return (a == b).mean(axis=1) >= config.text_similarity - SLACK


def _key(signs: np.ndarray) -> np.ndarray:
    """(n,) uint64: equal for equal rows, and hardly ever for others (which are compared, so no harm is done)."""
    key = np.zeros(len(signs), np.uint64)
    for column in signs.T:
        key = (key ^ column.astype(np.uint64)) * np.uint64(0x9E3779B97F4A7C15)
        key ^= key >> np.uint64(29)
    return key


def _rank(sorted_keys: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(n,) place within the run of equal keys, and (n,) number of that run."""
    new = np.append(True, sorted_keys[1:] != sorted_keys[:-1])[: len(sorted_keys)]
    starts = np.flatnonzero(new)
    group = np.cumsum(new) - 1
    return np.arange(len(sorted_keys)) - starts[group], group


def _unique(found: list[tuple[np.ndarray, np.ndarray]], width: int) -> tuple[np.ndarray, np.ndarray]:
    """Each pair once, in order."""
    parts = [np.asarray(a, dtype=np.int64) * width + b for a, b in found]
    pairs = np.unique(np.concatenate(parts)) if parts else np.zeros(0, np.int64)
    return pairs // max(width, 1), pairs % max(width, 1)


# --- pairs that do --------------------------------------------------------------------------------------------


def _confirm(
    rows: np.ndarray, others: np.ndarray, payloads: pl.Series, other_payloads: pl.Series, modality: str, config: Gates
) -> Pairs:
    compare, least = {
        "text": (_jaccard, config.text_similarity),
        "image": (_correlation, config.image_correlation),
    }[modality]
    similarity = [
        compare(rows[i : i + CHUNK], others[i : i + CHUNK], payloads, other_payloads)
        for i in range(0, len(rows), CHUNK)
    ]
    similarity = np.concatenate(similarity) if similarity else np.zeros(0)
    match = similarity >= least
    return Pairs(rows[match], others[match], similarity[match])


def _jaccard(rows: np.ndarray, others: np.ndarray, payloads: pl.Series, other_payloads: pl.Series) -> np.ndarray:
    a = {row: pieces(payloads[row]) for row in set(rows.tolist())}
    b = {row: pieces(other_payloads[row]) for row in set(others.tolist())}
    pairs = list(zip(rows.tolist(), others.tolist(), strict=True))
    alike = [len(a[i] & b[j]) / len(a[i] | b[j]) for i, j in pairs]
    # Two doses or two dates are two samples, however alike the sentences around them.
    same_numbers = [NUMBERS.findall(payloads[i]) == NUMBERS.findall(other_payloads[j]) for i, j in pairs]
    return np.array(alike) * same_numbers


def _correlation(rows: np.ndarray, others: np.ndarray, payloads: pl.Series, other_payloads: pl.Series) -> np.ndarray:
    (left, a), (right, b) = (np.unique(x, return_inverse=True) for x in (rows, others))
    grey, other_grey = _grey(payloads[left]), _grey(other_payloads[right])
    return np.clip((grey[a] * other_grey[b]).sum(axis=1), 0, 1).astype(np.float64)


def _grey(images: pl.Series) -> np.ndarray:
    """(n, pixels) float32: grey pixels (or all bands, if there are others than colours), each band of mean 0, of
    length 1 in all; zeros for a blank."""
    rows = []
    for image in planes(images):
        bands = np.tensordot(LUMA, image, axes=1)[None] if len(image) == 3 else image
        down, across = (-(-side // SIDE) for side in bands.shape[1:])
        height, width = bands.shape[1] // down, bands.shape[2] // across
        blocks = bands[:, : height * down, : width * across].reshape(len(bands), height, down, width, across)
        small = blocks.mean(axis=(2, 4), dtype=np.float32).reshape(len(bands), -1)
        rows.append((small - small.mean(axis=1, keepdims=True)).ravel())
    pixels = np.stack(rows)
    return pixels / np.maximum(np.linalg.norm(pixels, axis=1, keepdims=True), 1e-6)
