"""When an image is a near copy of another: correlation of grey pixels, where perceptual hashes nearly agree.

Among images of one kind (digits, skin lesions), most that agree by perceptual hash alone are different samples, and in
a large pool they are very many. So a signature has, beside the 64-bit hash, the lowest frequencies of the pixels. Both
are unit vectors' projections: the distance between projections is at most the distance between the vectors, so what
is further apart than the correlation allows is no near copy, and the images need not be opened.

The hash is cut into d + 2 pieces, a band is two of them: hashes that differ in at most d bits agree in one, so none is
missed.
"""

from __future__ import annotations

import functools
import itertools
from dataclasses import dataclass

import numpy as np
import polars as pl

from adde_ray.artifacts.images import open_images, planes
from adde_ray.config import Gates

SIDE = 64
"""Images are shrunk to at most this many pixels a side before their pixels are compared."""

LUMA = np.array([0.299, 0.587, 0.114], dtype=np.float32)
"""Of red, green and blue: what grey is made of."""

LOW = 8
"""Frequencies kept across and down."""

ROUNDING = 2e-3
"""What float16 may add to the distance between two signatures' frequencies."""


@dataclass(frozen=True)
class ImageCopies:
    """A `near_copies.Likeness`: correlation of grey pixels, or of all bands where there are others than colours."""

    config: Gates

    @property
    def least(self) -> float:
        """The least correlation of near copies, (0, 1]."""
        return self.config.image_correlation

    @property
    def num_bands(self) -> int:
        """Pairs of a hash's pieces."""
        return len(_masks(self.config.image_distance)[1])

    def signatures(self, payloads: pl.Series) -> np.ndarray:
        """(n, 17) uint64: the hash, then 64 frequencies as float16."""
        from imagehash import phash

        signs = np.zeros((len(payloads), 1 + LOW * LOW // 4), dtype=np.uint64)
        bits = np.array([phash(image).hash.ravel() for image in open_images(payloads)], dtype=bool)
        packed = np.packbits(bits.reshape(len(signs), 64), axis=1)
        signs[:, 0] = np.ascontiguousarray(packed).view(">u8")[:, 0]
        for row, image in enumerate(planes(payloads)):
            signs[row, 1:] = _low(_grey(image)).ravel().view(np.uint64)
        return signs

    def key(self, signs: np.ndarray, band: int) -> np.ndarray:
        """(n,) uint64: the bits of the hash (n, 17) that a band's two pieces cover."""
        pieces, bands = _masks(self.config.image_distance)
        return signs[:, 0] & pieces[list(bands[band])].sum()

    def close(self, a: np.ndarray, rows: np.ndarray, b: np.ndarray, others: np.ndarray) -> np.ndarray:
        """(m,) bool: the hashes a[rows], b[others] differ in few bits, and their frequencies lie near enough."""
        close = np.bitwise_count(a[rows, 0] ^ b[others, 0]) <= self.config.image_distance
        near = np.flatnonzero(close)
        apart = _frequencies(a[rows[near]]) - _frequencies(b[others[near]])
        limit = (2 * (1 - self.config.image_correlation)) ** 0.5 + ROUNDING
        close[near] = (apart * apart).sum(axis=1) <= limit**2
        return close

    def first_band(self, a: np.ndarray, rows: np.ndarray, b: np.ndarray, others: np.ndarray) -> np.ndarray:
        """(m,) int64: the first band in which a[rows] and b[others] agree; they do in one at least."""
        pieces, bands = _masks(self.config.image_distance)
        same = ((a[rows, 0] ^ b[others, 0])[:, None] & pieces) == 0
        first = same.argmax(axis=1)
        same[np.arange(len(rows)), first] = False
        number = np.zeros((len(pieces), len(pieces)), dtype=np.int64)
        for band, (one, another) in enumerate(bands):
            number[one, another] = band
        return number[first, same.argmax(axis=1)]

    def similarity(
        self, rows: np.ndarray, others: np.ndarray, payloads: pl.Series, other_payloads: pl.Series
    ) -> np.ndarray:
        """(m,) float64 in [0, 1]: the correlation of payloads[rows] and other_payloads[others], at least 0."""
        (left, a), (right, b) = (np.unique(x, return_inverse=True) for x in (rows, others))
        pixels, other_pixels = (
            np.stack([_grey(image).ravel() for image in planes(images)])
            for images in (payloads[left], other_payloads[right])
        )
        return np.clip((pixels[a] * other_pixels[b]).sum(axis=1), 0, 1).astype(np.float64)


@functools.cache
def _masks(distance: int) -> tuple[np.ndarray, list[tuple[int, int]]]:
    """(p,) uint64 masks of a hash's pieces, and the two pieces of each band."""
    cuts = np.linspace(0, 64, distance + 3).round().astype(int).tolist()
    masks = [(1 << high) - (1 << low) for low, high in itertools.pairwise(cuts)]
    return np.array(masks, dtype=np.uint64), list(itertools.combinations(range(len(masks)), 2))


def _frequencies(signs: np.ndarray) -> np.ndarray:
    """(n, 64) float32 of (n, 17) signatures."""
    return np.ascontiguousarray(signs[:, 1:]).view(np.float16).astype(np.float32)


def _grey(image: np.ndarray) -> np.ndarray:
    """(bands, h, w) float32: grey pixels (or all bands, if there are others than colours) of (c, h, w), each band of
    mean 0, of length 1 in all; zeros for a blank."""
    bands = np.tensordot(LUMA, image, axes=1)[None] if len(image) == 3 else image
    down, across = (-(-side // SIDE) for side in bands.shape[1:])
    height, width = bands.shape[1] // down, bands.shape[2] // across
    blocks = bands[:, : height * down, : width * across].reshape(len(bands), height, down, width, across)
    small = blocks.mean(axis=(2, 4), dtype=np.float32)
    small -= small.mean(axis=(1, 2), keepdims=True)
    return small / max(float(np.linalg.norm(small)), 1e-6)


def _low(pixels: np.ndarray) -> np.ndarray:
    """(8, 8) float16: the lowest frequencies of (bands, h, w) pixels, summed over bands; an orthogonal projection."""
    down, across = (_cosines(side) for side in pixels.shape[1:])
    low = down @ (pixels.sum(axis=0) / np.float32(len(pixels) ** 0.5)) @ across.T
    found = np.zeros((LOW, LOW), dtype=np.float16)
    found[: low.shape[0], : low.shape[1]] = low
    return found


@functools.cache
def _cosines(side: int) -> np.ndarray:
    """(at most 8, side) float32: rows of the orthonormal discrete cosine transform."""
    from scipy.fft import dct

    return np.ascontiguousarray(dct(np.eye(side), norm="ortho", axis=0)[:LOW], dtype=np.float32)
