"""Users' images, of whatever format and kind → PNGs of one size and mode."""

from __future__ import annotations

import io
import threading
import warnings
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

import numpy as np

from adde_ray.methods.images import encode_images
from adde_ray.sources.files import AnyPath, RemotePath
from adde_ray.sources.pixels import as_deep_as_used, flat

REMOTE_THREADS = 32
"""Files of a bucket fetched at a time: waiting costs no processor."""

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
        data = given if isinstance(given, bytes) else given.read_bytes()
        with Image.open(io.BytesIO(data)) as file:
            if min(file.size) < min_side:
                return f"is {file.width}x{file.height} pixels, smaller than {min_side}"
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
