"""Images as bytes and as arrays.

The payload of an image sample is a PNG. Its bytes name the sample, so they must depend on the pixels alone:
Pillow's PNGs change with the zlib it was built with, ours are stored uncompressed (Parquet compresses them).
An image of other than one or three bands is a grey PNG with its bands one below the other, and says so in a text
chunk: any program opens it, nothing is lost, and the same bytes serve encoders, generators and the export.
"""

from __future__ import annotations

import io
import struct
import zlib
from collections.abc import Iterator
from typing import TYPE_CHECKING

import numpy as np
import polars as pl

if TYPE_CHECKING:
    from PIL.Image import Image

BANDS = "bands"
"""Key of the text that says how many bands lie one below the other."""


def encode_images(pixels: np.ndarray) -> pl.Series:
    """8-bit PNGs of (n, c, h, w) pixels: uint8, or floats in [0, 1] (clipped, rounded). c = 1: grey, 3: RGB."""
    if pixels.dtype != np.uint8:
        pixels = np.rint(np.clip(pixels, 0.0, 1.0) * 255).astype(np.uint8)
    return pl.Series("image", [_png(image) for image in pixels], dtype=pl.Binary)


def decode_images(payloads: pl.Series) -> np.ndarray:
    """(n, c, h, w) float32 in [0, 1] from encoded images of one size and kind, that of the first."""
    images = _open(payloads)
    if not images:
        return np.zeros((0, 0, 0, 0), np.float32)
    if bands := _num_bands(images[0]):
        pixels = np.stack([np.asarray(image) for image in images]).astype(np.float32) / 255
        return pixels.reshape(len(images), bands, -1, pixels.shape[2])
    mode = "L" if images[0].mode in ("L", "1") else "RGB"
    pixels = np.stack([np.asarray(image.convert(mode)) for image in images]).astype(np.float32) / 255
    return np.ascontiguousarray(pixels[:, None] if mode == "L" else pixels.transpose(0, 3, 1, 2))


def planes(payloads: pl.Series) -> Iterator[np.ndarray]:
    """(c, h, w) uint8 of each encoded image, with all its bands, one after the other."""
    for payload in payloads:
        [image] = _open([payload])
        bands = _num_bands(image)
        pixels = np.asarray(image if bands or image.mode == "L" else image.convert("RGB"))
        yield pixels.transpose(2, 0, 1) if pixels.ndim == 3 else pixels.reshape(bands or 1, -1, pixels.shape[1])


def open_images(payloads: pl.Series) -> list[Image]:
    """PIL images as people see them: of many bands the first three as red, green and blue; of two the first."""
    return [_visible(image) for image in _open(payloads)]


def num_bands(payload: bytes) -> int:
    """Bands that lie one below the other in an encoded image; 0: it is an ordinary one, or cannot be read."""
    try:
        [image] = _open([payload])
    except OSError:
        return 0
    return _num_bands(image)


def viewable(payload: bytes) -> bytes:
    """The same for one encoded image; what people can look at as it is comes back as it is."""
    try:
        [image] = _open([payload])
    except OSError:
        return payload
    if not _num_bands(image):
        return payload
    pixels = np.asarray(_visible(image))
    return _png(pixels[None] if pixels.ndim == 2 else pixels.transpose(2, 0, 1))


def _open(payloads: pl.Series | list[bytes]) -> list[Image]:
    from PIL import Image as pil

    return [pil.open(io.BytesIO(payload)) for payload in payloads]


def _num_bands(image: Image) -> int:
    """Bands that lie one below the other; 0 in an ordinary image."""
    text = image.info.get(BANDS)
    bands = int(text) if isinstance(text, str) and text.isdecimal() and image.mode == "L" else 0
    return bands if bands > 1 and image.height % bands == 0 else 0


def _visible(image: Image) -> Image:
    from PIL import Image as pil

    bands = _num_bands(image)
    if not bands:
        return image
    planes = np.asarray(image).reshape(bands, -1, image.width)
    return pil.fromarray(np.ascontiguousarray(planes[:3].transpose(1, 2, 0)) if bands > 2 else planes[0])


def _png(pixels: np.ndarray) -> bytes:
    channels, height, width = pixels.shape
    text = b""
    if channels not in (1, 3):
        text = _chunk(b"tEXt", BANDS.encode() + b"\0" + str(channels).encode())
        pixels, channels, height = pixels.reshape(1, channels * height, width), 1, channels * height
    header = struct.pack(">IIBBBBB", width, height, 8, {1: 0, 3: 2}[channels], 0, 0, 0)
    rows = pixels.transpose(1, 2, 0).reshape(height, width * channels)
    raw = np.pad(rows, ((0, 0), (1, 0))).tobytes()  # each row opens with its filter, 0 = none
    return b"\x89PNG\r\n\x1a\n" + _chunk(b"IHDR", header) + text + _chunk(b"IDAT", _stored(raw)) + _chunk(b"IEND", b"")


def _chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def _stored(raw: bytes, block: int = 65535) -> bytes:
    """A zlib stream of uncompressed blocks."""
    parts = [b"\x78\x01"]
    for start in range(0, len(raw), block):
        piece = raw[start : start + block]
        parts.append(struct.pack("<BHH", start + block >= len(raw), len(piece), len(piece) ^ 0xFFFF) + piece)
    return b"".join(parts) + struct.pack(">I", zlib.adler32(raw))
