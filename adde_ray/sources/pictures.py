"""Users' images, of whatever format and kind → PNGs of one size and mode."""

from __future__ import annotations

import io
import warnings
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np

from adde_ray.methods.images import encode_images


def read_images(given: Sequence[Path | bytes], *, size: int, mode: str, min_side: int = 1) -> list[bytes | str]:
    """PNG of each file or encoded image, size × size pixels of mode L or RGB; or why there is none.

    One whose shorter side has fewer than `min_side` pixels is none.
    """
    with warnings.catch_warnings(), ThreadPoolExecutor() as threads:
        warnings.simplefilter("ignore")  # Pillow warns of odd metadata; what matters ends as a reason
        return list(threads.map(lambda image: _read_one(image, size, mode, min_side), given))


def _read_one(given: Path | bytes, size: int, mode: str, min_side: int) -> bytes | str:
    from PIL import Image, ImageOps

    try:
        with Image.open(io.BytesIO(given) if isinstance(given, bytes) else given) as file:
            if min(file.size) < min_side:
                return f"is {file.width}x{file.height} pixels, smaller than {min_side}"
            image = ImageOps.exif_transpose(file)
            if image.mode.startswith("I;16"):  # Pillow's own conversion clips at 255
                image = Image.fromarray((np.asarray(image) >> 8).astype(np.uint8))
            if image.mode in ("I", "F"):
                return "has 32-bit pixels; convert it to 8 or 16 bits"
            image = image.convert(mode).resize((size, size), Image.Resampling.LANCZOS)
    except Exception as error:  # decoders of ten formats raise whatever they like on broken input
        return _reason(given, error)
    pixels = np.asarray(image)
    return encode_images(pixels[None, None] if mode == "L" else pixels.transpose(2, 0, 1)[None])[0]


def _reason(given: Path | bytes, error: Exception) -> str:
    from PIL import UnidentifiedImageError

    if isinstance(error, UnidentifiedImageError):
        empty = not given if isinstance(given, bytes) else given.stat().st_size == 0
        return "is empty" if empty else "is no image that can be decoded"
    if isinstance(error, OSError) and error.strerror:
        return f"cannot be read: {error.strerror}"
    return f"cannot be decoded: {error}"
