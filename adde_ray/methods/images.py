"""Images as bytes and as arrays.

The payload of an image sample is a PNG. Its bytes name the sample, so they must depend on the pixels alone:
Pillow's PNGs change with the zlib it was built with, ours are stored uncompressed (Parquet compresses them).
"""

from __future__ import annotations

import io
import struct
import zlib

import numpy as np
import polars as pl


def encode_images(pixels: np.ndarray) -> pl.Series:
    """8-bit PNGs of (n, c, h, w) pixels, c = 1 (grey) or 3 (RGB): uint8, or floats in [0, 1] (clipped, rounded)."""
    if pixels.dtype != np.uint8:
        pixels = np.rint(np.clip(pixels, 0.0, 1.0) * 255).astype(np.uint8)
    return pl.Series("image", [_png(image) for image in pixels], dtype=pl.Binary)


def decode_images(payloads: pl.Series) -> np.ndarray:
    """(n, c, h, w) float32 in [0, 1] from encoded images of one size; c = 1 when the first is grey, else 3."""
    images = open_images(payloads)
    if not images:
        return np.zeros((0, 0, 0, 0), np.float32)
    mode = "L" if images[0].mode in ("L", "1") else "RGB"
    pixels = np.stack([np.asarray(image.convert(mode)) for image in images]).astype(np.float32) / 255
    return np.ascontiguousarray(pixels[:, None] if mode == "L" else pixels.transpose(0, 3, 1, 2))


def open_images(payloads: pl.Series) -> list:
    """PIL images, decoded lazily."""
    from PIL import Image

    return [Image.open(io.BytesIO(payload)) for payload in payloads]


def _png(pixels: np.ndarray) -> bytes:
    channels, height, width = pixels.shape
    assert channels in (1, 3), pixels.shape
    header = struct.pack(">IIBBBBB", width, height, 8, {1: 0, 3: 2}[channels], 0, 0, 0)
    rows = pixels.transpose(1, 2, 0).reshape(height, width * channels)
    raw = np.pad(rows, ((0, 0), (1, 0))).tobytes()  # each row opens with its filter, 0 = none
    return b"\x89PNG\r\n\x1a\n" + _chunk(b"IHDR", header) + _chunk(b"IDAT", _stored(raw)) + _chunk(b"IEND", b"")


def _chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def _stored(raw: bytes, block: int = 65535) -> bytes:
    """A zlib stream of uncompressed blocks."""
    parts = [b"\x78\x01"]
    for start in range(0, len(raw), block):
        piece = raw[start : start + block]
        parts.append(struct.pack("<BHH", start + block >= len(raw), len(piece), len(piece) ^ 0xFFFF) + piece)
    return b"".join(parts) + struct.pack(">I", zlib.adler32(raw))
