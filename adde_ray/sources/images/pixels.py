"""An opened picture → 8 bits of grey or colour that show what is in it, whatever its container could hold.

Transparency: the picture is laid on white, or on black when what is drawn would not be seen on white.
Depth: a scanner's 12 bits in a file of 16 are 12 bits.
"""

from __future__ import annotations

import io
from typing import TYPE_CHECKING

import numpy as np

from adde_ray.errors import INSTALL, installed

if TYPE_CHECKING:
    from PIL.Image import Image
    from PIL.ImageFile import ImageFile

DEPTHS = (8, 10, 12, 14, 16)
"""Bits of grey that devices give."""

ENOUGH = 1 << 20
"""Pixels that show what ground a picture needs."""

SEEN = 24
"""Of 255: how far what is drawn must be from white on average, to be laid on white."""


def flat(image: Image, mode: str) -> Image | str:
    """The picture in mode L or RGB; or why there is none."""
    from PIL import Image as pil

    if image.mode.startswith(("I", "F")):
        return _deep(image, mode)
    if not _is_transparent(image):
        return image.convert(mode)
    image = image.convert("RGBA") if image.mode != "La" else image.convert("LA").convert("RGBA")
    lowest, highest = image.getchannel("A").getextrema()
    if highest == 0:
        return "is transparent throughout"
    if lowest == 255:
        return image.convert(mode)
    ground = pil.new("RGBA", image.size, (*(_ground(np.asarray(image)),) * 3, 255))
    return pil.alpha_composite(ground, image).convert(mode)


def as_deep_as_used(image: ImageFile, data: bytes) -> Image:
    """Colour of 16 bits of which fewer are used as 8 bits of these: Pillow keeps the upper 8. data: the file."""
    from PIL import Image as pil

    raw = image.tile[0][3] if image.tile else ""
    if ";16" not in str(raw) or image.mode not in ("RGB", "RGBA", "LA") or image.format not in ("PNG", "TIFF"):
        return image
    if not (installed("imagecodecs") and installed("tifffile")):
        raise OSError(f"its colours of 16 bits need: {INSTALL.format('tiles')}")
    import imagecodecs
    import tifffile

    pixels = imagecodecs.png_decode(data) if image.format == "PNG" else tifffile.imread(io.BytesIO(data), key=0)
    channels = len(image.mode)
    if pixels.dtype != np.uint16 or pixels.shape != (image.height, image.width, channels):
        return image  # planes one after the other, say
    colours = pixels[..., : channels - (image.mode != "RGB")]
    bits = _bits(colours.max(initial=0))
    alpha = pixels[..., colours.shape[2] :] >> 8
    return pil.fromarray(np.concatenate([colours >> (bits - 8), alpha], axis=2).astype(np.uint8), image.mode)


def _bits(highest: int) -> int:
    return next(bits for bits in DEPTHS if highest < 1 << bits)


def _is_transparent(image: Image) -> bool:
    return image.mode in ("RGBA", "LA", "PA", "La", "RGBa") or "transparency" in image.info


def _ground(pixels: np.ndarray) -> int:
    """255 or 0 for (h, w, 4) pixels: white, unless what is drawn is nearly white itself."""
    every = int(np.ceil(np.sqrt(pixels.shape[0] * pixels.shape[1] / ENOUGH)))  # of a large one, a grid of its pixels
    pixels = pixels[::every, ::every]
    alpha = pixels[..., 3].astype(np.float64)
    darkness = 255 - pixels[..., :3].min(axis=-1).astype(np.float64)
    return 255 if (alpha * darkness).sum() >= SEEN * alpha.sum() else 0


def _deep(image: Image, mode: str) -> Image | str:
    """Grey of more than 8 bits. Those that are used are what counts: the fewest of DEPTHS that hold all values."""
    from PIL import Image as pil

    pixels = np.asarray(image)
    transparent = image.info.get("transparency")
    there = pixels if transparent is None else pixels[pixels != transparent]
    if not there.size:
        return "is transparent throughout"
    low, high = there.min(), there.max()
    if pixels.dtype.kind == "f" or low < 0 or high > 0xFFFF:
        return f"has 32-bit pixels, from {low:.6g} to {high:.6g}; convert it to 8 or 16 bits"
    grey = (pixels.astype(np.uint32) >> (_bits(high) - 8)).astype(np.uint8)
    if transparent is not None:
        drawn = np.where(pixels == transparent, 0, 255).astype(np.uint8)
        return flat(pil.merge("LA", (pil.fromarray(grey), pil.fromarray(drawn))), mode)
    return pil.fromarray(grey).convert(mode)
