"""Several views of each image for another encoder: the mean of its features over them, of unit length (n, d) float32.

What a pretrained network says of a picture changes with how it is turned and cut; the mean over mirror images and crops
changes less. Krizhevsky, Sutskever and Hinton 2012 took ten: four corners, the middle, and their mirror images.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl

from adde_ray.artifacts.images import encode_images, planes

if TYPE_CHECKING:
    from adde_ray.methods.encoders import Encoder

CROP = 7 / 8
"""Share of an image's sides that a crop has."""

AT_ONCE = 32
"""Images whose views are in memory at a time."""


class Viewed:
    """views: mirror (an image and its mirror image) or crops (ten of them)."""

    modalities: tuple[str, ...] = ("image",)

    def __init__(self, encoder: Encoder, views: str):
        self.encoder, self.views = encoder, views

    @property
    def image_side(self) -> int | None:
        """Pixels of a side that the encoder wants, and so much more that a crop has as many."""
        side: int | None = getattr(self.encoder, "image_side", None)
        return side if side is None or self.views != "crops" else round(side / CROP)

    def fit(self, payloads: pl.Series, *, seed: int) -> None:
        """Fit the encoder, on the images as they are."""
        self.encoder.fit(payloads, seed=seed)

    def encode(self, payloads: pl.Series) -> np.ndarray:
        """(n, d) float32 of unit length; 0 where the views cancel each other out."""
        if not len(payloads):
            return self.encoder.encode(payloads)
        starts = range(0, len(payloads), AT_ONCE)
        return np.concatenate([self._encode(payloads[start : start + AT_ONCE]) for start in starts])

    def _encode(self, payloads: pl.Series) -> np.ndarray:
        seen = [encode_images(view[None])[0] for pixels in planes(payloads) for view in views_of(pixels, self.views)]
        features = self.encoder.encode(pl.Series(payloads.name, seen, dtype=pl.Binary))
        mean = features.reshape(len(payloads), -1, features.shape[1]).mean(axis=1, dtype=np.float64)
        norms = np.linalg.norm(mean, axis=1, keepdims=True)
        return np.divide(mean, norms, out=np.zeros_like(mean), where=norms > 1e-9).astype(np.float32)

    def save(self) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
        """The encoder's state."""
        return self.encoder.save()

    def load(self, arrays: dict[str, np.ndarray], settings: dict[str, Any]) -> None:
        """Take the state that `save` gave."""
        self.encoder.load(arrays, settings)


def views_of(pixels: np.ndarray, views: str) -> list[np.ndarray]:
    """The views of one image of (c, h, w) pixels, all of one size: two of "mirror", ten of "crops"."""
    shown = [pixels]
    if views == "crops":
        height, width = (max(round(CROP * length), 1) for length in pixels.shape[1:])
        down, across = pixels.shape[1] - height, pixels.shape[2] - width
        corners = [(0, 0), (0, across), (down, 0), (down, across), (down // 2, across // 2)]
        shown = [pixels[:, y : y + height, x : x + width] for y, x in corners]
    return [view for part in shown for view in (part, part[:, :, ::-1])]
