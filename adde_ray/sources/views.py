"""What people are shown of an original: the file as it is, or a smaller picture where it is too large or no browser
shows its format."""

from __future__ import annotations

import io
import warnings
from dataclasses import dataclass

from adde_ray.errors import first_line

VIEW_SIDE = 1024
"""Pixels of the longer side of a smaller picture."""

MAX_VIEW_BYTES, MAX_VIEW_PIXELS = 16 << 20, 25_000_000
"""An original beyond one of these is shown smaller."""

SHOWN = {"PNG": "png", "JPEG": "jpg", "GIF": "gif", "WEBP": "webp", "BMP": "bmp"}
"""Formats that every browser and viewer shows, as Pillow calls them, and how their files are called."""


@dataclass(frozen=True)
class View:
    """A picture for people: its bytes, the extension of its file, and whether these are the original's bytes."""

    data: bytes
    extension: str
    is_original: bool


def view_image(original: bytes) -> View | str:
    """An encoded image as people are shown it; or why it cannot be."""
    from PIL import Image, ImageOps

    try:
        with warnings.catch_warnings(action="ignore"), Image.open(io.BytesIO(original)) as image:
            small = len(original) <= MAX_VIEW_BYTES and image.width * image.height <= MAX_VIEW_PIXELS
            if small and image.format in SHOWN:
                return View(original, SHOWN[image.format], True)
            image.draft(None, (VIEW_SIDE, VIEW_SIDE))  # a JPEG is decoded no larger than it is needed
            return View(_png(ImageOps.exif_transpose(image)), "png", False)
    except Exception as error:  # decoders of ten formats raise whatever they like
        return f"cannot be shown: {first_line(error)}"


def _png(image) -> bytes:
    import numpy as np
    from PIL import Image

    if image.mode.startswith("I;16"):  # Pillow's own conversion clips at 255
        image = Image.fromarray((np.asarray(image) >> 8).astype(np.uint8))
    if image.mode not in ("L", "RGB", "RGBA"):
        image = image.convert("RGBA" if image.has_transparency_data else "RGB")
    image.thumbnail((VIEW_SIDE, VIEW_SIDE))
    file = io.BytesIO()
    image.save(file, "PNG")
    return file.getvalue()
