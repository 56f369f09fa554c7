"""What people are shown of an original: the file as it is, or a picture made from it where it is too large, or browsers
do not show its format or its depth."""

from __future__ import annotations

import io
import warnings
from dataclasses import dataclass
from typing import TYPE_CHECKING

from adde_ray.errors import first_line
from adde_ray.sources.images.pixels import as_deep_as_used, flat

if TYPE_CHECKING:
    from PIL.ImageFile import ImageFile

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
    from PIL import Image as pil
    from PIL import ImageOps

    try:
        with warnings.catch_warnings(action="ignore"), pil.open(io.BytesIO(original)) as image:
            small = len(original) <= MAX_VIEW_BYTES and image.width * image.height <= MAX_VIEW_PIXELS
            if small and image.format in SHOWN and not _is_deep(image):
                return View(original, SHOWN[image.format], True)
            image.draft(None, (VIEW_SIDE, VIEW_SIDE))  # a JPEG is decoded no larger than it is needed
            picture = flat(ImageOps.exif_transpose(as_deep_as_used(image, original)), "RGB")
            if isinstance(picture, str):
                return picture
            picture.thumbnail((VIEW_SIDE, VIEW_SIDE))
            file = io.BytesIO()
            picture.save(file, "PNG")
            return View(file.getvalue(), "png", False)
    except Exception as error:  # decoders of ten formats raise whatever they like
        return f"cannot be shown: {first_line(error)}"


def _is_deep(image: ImageFile) -> bool:
    """More than 8 bits: where a scanner uses 12 of 16, viewers show black."""
    raw = image.tile[0][3] if image.tile else ""
    return image.mode.startswith(("I", "F")) or ";16" in str(raw)
