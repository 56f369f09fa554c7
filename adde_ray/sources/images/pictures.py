"""Users' images, of whatever format and kind → PNGs of one size and mode."""

from __future__ import annotations

import io
import threading
import warnings
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import numpy as np

from adde_ray.artifacts.images import encode_images
from adde_ray.sources.images.pixels import as_deep_as_used, flat
from adde_ray.sources.images.room import ROOM
from adde_ray.sources.storage.files import AnyPath, RemotePath, read_bytes

if TYPE_CHECKING:
    from PIL.Image import Image

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


Pair = tuple[bytes, bytes | None]
"""An image's payload, and the same image as a PNG of more pixels; None where there are no more of them."""


def read_images(given: Sequence[AnyPath | bytes], *, size: int, mode: str, min_side: int = 1) -> list[bytes | str]:
    """PNG of each file or encoded image, size × size pixels of mode L or RGB; or why there is none.

    One whose shorter side has fewer than `min_side` pixels is none.
    """
    pairs = read_pairs(given, size, size=size, mode=mode, min_side=min_side)
    return [pair if isinstance(pair, str) else pair[0] for pair in pairs]


def read_pairs(
    given: Sequence[AnyPath | bytes], side: int, *, size: int, mode: str, min_side: int = 1
) -> list[Pair | str]:
    """The same, each with its PNG of up to `side` × `side` pixels, made from the image decoded once.

    None where its longer side has no more than `size` pixels; where it has fewer than `side`, they are its own number.
    """
    from PIL import Image

    Image.init()  # all formats: one that a thread loads while another looks for it is none to that other
    workers = REMOTE_THREADS if any(isinstance(image, RemotePath) for image in given) else None
    with _ALONE, warnings.catch_warnings(), ThreadPoolExecutor(workers) as threads:
        warnings.simplefilter("ignore")  # Pillow warns of odd metadata; what matters ends as a reason
        return list(threads.map(lambda image: _read_one(image, size, side, mode, min_side), given))


def larger_side(of_original: int, size: int, side: int) -> int | None:
    """Pixels of a side of a picture for encoders, of an original whose longer side has so many; None: the payload's."""
    found = min(of_original, side)
    return found if found > size else None


def _read_one(given: AnyPath | bytes, size: int, side: int, mode: str, min_side: int) -> Pair | str:
    from PIL import Image as pil
    from PIL import ImageOps

    data = b""
    try:
        data = given if isinstance(given, bytes) else read_bytes(given, MAX_BYTES)
        with pil.open(io.BytesIO(data)) as file:
            if min(file.size) < min_side:
                return f"is {file.width}x{file.height} pixels, smaller than {min_side}"
            need = len(data) + file.width * file.height * (PIXEL_BYTES if file.mode in PLAIN else ODD_PIXEL_BYTES)
            if not ROOM.holds(need):
                return f"is {file.width}x{file.height} pixels, too many for one sample; shrink it or cut it"
            with ROOM.take(need):
                image = flat(ImageOps.exif_transpose(as_deep_as_used(file, data)), mode)
                if isinstance(image, str):
                    return image
                larger = larger_side(max(image.size), size, side)
                return _resized(image, size), _resized(image, larger) if larger else None
    except Exception as error:  # decoders of ten formats raise whatever they like on broken input
        return _reason(data, error)


def _resized(image: Image, side: int) -> bytes:
    from PIL import Image as pil

    pixels = np.asarray(image.resize((side, side), pil.Resampling.LANCZOS))
    return encode_images(pixels[None, None] if image.mode == "L" else pixels.transpose(2, 0, 1)[None])[0]


def _reason(data: bytes, error: Exception) -> str:
    from PIL import UnidentifiedImageError

    if isinstance(error, UnidentifiedImageError):
        return "is empty" if not data else "is no image that can be decoded"
    if isinstance(error, OSError) and error.strerror:
        return f"cannot be read: {error.strerror}"
    return f"cannot be decoded: {error}"
