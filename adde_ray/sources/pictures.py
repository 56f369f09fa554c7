"""Users' images, of whatever format and kind → PNGs of one size and mode."""

from __future__ import annotations

import io
import threading
import warnings
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

import numpy as np

from adde_ray.methods.images import encode_images
from adde_ray.sources.files import AnyPath, RemotePath, read_bytes
from adde_ray.sources.room import ROOM

REMOTE_THREADS = 32
"""Files of a bucket fetched at a time: waiting costs no processor."""

MAX_BYTES = 1 << 27
"""Bytes of an image's file, …"""

MAX_PIXELS = 50_000_000
"""… and pixels of an image: more are a scene, a scan or a bomb, not one sample."""

PIXEL_BYTES = 12
"""What a pixel takes while its image is brought to one size and mode: four bytes in each of three copies."""

_ALONE = threading.Lock()
"""What Python warns of is the whole process's: two at a time would put back each other's."""


def read_images(given: Sequence[AnyPath | bytes], *, size: int, mode: str, min_side: int = 1) -> list[bytes | str]:
    """PNG of each file or encoded image, size × size pixels of mode L or RGB; or why there is none.

    One whose shorter side has fewer than `min_side` pixels is none.
    """
    from PIL import Image

    Image.init()  # all formats: one that a thread loads while another looks for it is none to that other
    workers = REMOTE_THREADS if any(isinstance(image, RemotePath) for image in given) else None
    with _ALONE, warnings.catch_warnings(), ThreadPoolExecutor(workers) as threads:
        warnings.simplefilter("ignore")  # Pillow warns of odd metadata; what matters ends as a reason
        return list(threads.map(lambda image: _read_one(image, size, mode, min_side), given))


def _read_one(given: AnyPath | bytes, size: int, mode: str, min_side: int) -> bytes | str:
    from PIL import Image, ImageOps

    data = b""
    try:
        data = given if isinstance(given, bytes) else read_bytes(given, MAX_BYTES)
        with Image.open(io.BytesIO(data)) as file:
            if min(file.size) < min_side:
                return f"is {file.width}x{file.height} pixels, smaller than {min_side}"
            if (num_pixels := file.width * file.height) > MAX_PIXELS:
                return f"is {file.width}x{file.height} pixels, more than {MAX_PIXELS:,}; shrink it or cut it"
            with ROOM.take(len(data) + PIXEL_BYTES * num_pixels):
                image = ImageOps.exif_transpose(file)
                if image.mode.startswith("I;16"):  # Pillow's own conversion clips at 255
                    image = Image.fromarray((np.asarray(image) >> 8).astype(np.uint8))
                if image.mode in ("I", "F"):
                    return "has 32-bit pixels; convert it to 8 or 16 bits"
                image = image.convert(mode).resize((size, size), Image.Resampling.LANCZOS)
    except Exception as error:  # decoders of ten formats raise whatever they like on broken input
        return _reason(data, error)
    pixels = np.asarray(image)
    return encode_images(pixels[None, None] if mode == "L" else pixels.transpose(2, 0, 1)[None])[0]


def _reason(data: bytes, error: Exception) -> str:
    from PIL import UnidentifiedImageError

    if isinstance(error, UnidentifiedImageError):
        return "is empty" if not data else "is no image that can be decoded"
    if isinstance(error, OSError) and error.strerror:
        return f"cannot be read: {error.strerror}"
    return f"cannot be decoded: {error}"
