"""Users' images, of whatever format and kind → PNGs of one size and mode."""

from __future__ import annotations

import io
import threading
import warnings
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

import numpy as np

from adde_ray.artifacts.images import encode_images
from adde_ray.sources.images.pixels import as_deep_as_used, flat
from adde_ray.sources.images.room import ROOM
from adde_ray.sources.storage.files import AnyPath, RemotePath, read_bytes

REMOTE_THREADS = 32
"""Files of a bucket fetched at a time: waiting costs no processor."""

MAX_BYTES = 1 << 27
"""Bytes of an image's file: more are no image of one sample."""

PLAIN = ("1", "L", "RGB")
"""Pillow's modes without transparency and of at most 8 bits a channel."""

PIXEL_BYTES, ODD_PIXEL_BYTES = 12, 24
"""What a pixel of these, and of others, takes while its image is brought to one size and mode, in all copies."""

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
            need = len(data) + file.width * file.height * (PIXEL_BYTES if file.mode in PLAIN else ODD_PIXEL_BYTES)
            if not ROOM.holds(need):
                return f"is {file.width}x{file.height} pixels, too many for one sample; shrink it or cut it"
            with ROOM.take(need):
                image = flat(ImageOps.exif_transpose(as_deep_as_used(file, data)), mode)
                if isinstance(image, str):
                    return image
                image = image.resize((size, size), Image.Resampling.LANCZOS)
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
