"""Samples made worse in ways that leave their class as it is, to see what f makes of them.

Payloads and sample_ids in → corrupted payloads, row-aligned. In the spirit of Hendrycks & Dietterich 2019, with few
corruptions and mild ones: small images bear less. How a row is corrupted depends on its id and the seed, not on the
rows beside it.
"""

from __future__ import annotations

import io
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import polars as pl

from adde_ray.artifacts.images import encode_images, planes
from adde_ray.artifacts.run_dir import derive_rng
from adde_ray.artifacts.schema import payload_series
from adde_ray.config.registry import Registry
from adde_ray.errors import UserError

Severity = int
"""1 to 5."""


@dataclass(frozen=True)
class Corruption:
    """apply: one image's (c, h, w) float pixels in [0, 1], or one text; severity; randomness → the same, corrupted."""

    modality: str
    apply: Callable


def corrupt(payloads: pl.Series, ids: pl.Series, name: str, severity: Severity, *, seed: int) -> pl.Series:
    """The payloads of images or texts with corruption `name` applied, at severity 1 (hardly seen) to 5 (heavy)."""
    chosen = CORRUPTIONS[name]
    rngs = (derive_rng(seed, name, sample_id) for sample_id in ids)
    if chosen.modality == "text":
        return payload_series([chosen.apply(t, severity, rng) for t, rng in zip(payloads, rngs, strict=True)], "text")
    made = []
    for pixels, rng in zip(planes(payloads), rngs, strict=True):
        worse = chosen.apply(pixels.astype(np.float64) / 255, severity, rng)
        made.append(encode_images(np.clip(worse, 0, 1)[None])[0])
    return payload_series(made, "image")


def check_fit(names: tuple[str, ...], modality: str, *, where: str) -> None:
    """Raises UserError: a corruption is not one of this modality's."""
    fitting = [name for name, corruption in CORRUPTIONS.items() if corruption.modality == modality]
    for name in names:
        if name not in fitting:
            raise UserError(
                f"is no corruption of {modality}s",
                where=where,
                value=name,
                remedy=f"There are: {', '.join(fitting)}" if fitting else "There are none: set it to []",
            )


# --- images: (c, h, w) in [0, 1] --------------------------------------------------------------------------


def noise(pixels: np.ndarray, severity: Severity, rng: np.random.Generator) -> np.ndarray:
    """Gaussian noise on every value."""
    return pixels + rng.normal(scale=(0.04, 0.08, 0.12, 0.18, 0.26)[severity - 1], size=pixels.shape)


def blur(pixels: np.ndarray, severity: Severity, rng: np.random.Generator) -> np.ndarray:
    """A Gaussian blur, wider on images of more than 32 pixels, though not in proportion."""
    from scipy.ndimage import gaussian_filter

    width = (0.45, 0.6, 0.75, 0.95, 1.2)[severity - 1] * max(1.0, min(pixels.shape[1:]) / 32) ** 0.5
    return gaussian_filter(pixels, (0, width, width))


def contrast(pixels: np.ndarray, severity: Severity, rng: np.random.Generator) -> np.ndarray:
    """Values drawn towards their mean."""
    mean = pixels.mean(axis=(1, 2), keepdims=True)
    return mean + (pixels - mean) * (0.75, 0.6, 0.45, 0.3, 0.2)[severity - 1]


def brightness(pixels: np.ndarray, severity: Severity, rng: np.random.Generator) -> np.ndarray:
    """Everything brighter."""
    return pixels + (0.08, 0.15, 0.22, 0.3, 0.4)[severity - 1]


def jpeg(pixels: np.ndarray, severity: Severity, rng: np.random.Generator) -> np.ndarray:
    """Saved as JPEG and read again. Of other than one or three bands, each by itself."""
    from PIL import Image

    def again(values: np.ndarray) -> np.ndarray:
        buffer = io.BytesIO()
        Image.fromarray(values).save(buffer, format="JPEG", quality=(65, 45, 30, 18, 10)[severity - 1])
        return np.asarray(Image.open(buffer), dtype=np.float64) / 255

    bytes_ = np.rint(pixels * 255).astype(np.uint8)
    if len(pixels) == 3:
        return again(np.ascontiguousarray(bytes_.transpose(1, 2, 0))).transpose(2, 0, 1)
    return np.stack([again(band) for band in bytes_])


def pixelate(pixels: np.ndarray, severity: Severity, rng: np.random.Generator) -> np.ndarray:
    """Fewer pixels, blown up to the old size."""
    from PIL import Image

    height, width = pixels.shape[1:]
    share = (0.85, 0.7, 0.55, 0.45, 0.35)[severity - 1]
    fewer = max(1, round(width * share)), max(1, round(height * share))

    def coarse(band: np.ndarray) -> np.ndarray:
        image = Image.fromarray(band.astype(np.float32))
        return np.asarray(image.resize(fewer, Image.Resampling.BOX).resize((width, height), Image.Resampling.NEAREST))

    return np.stack([coarse(band) for band in pixels])


# --- texts ------------------------------------------------------------------------------------------------


def typos(text: str, severity: Severity, rng: np.random.Generator) -> str:
    """A slip of the finger in some of the words of four letters or more: two letters swapped, one lost or doubled."""

    def slip(word: str) -> str:
        if len(word) < 4 or rng.random() >= (0.1, 0.2, 0.3, 0.45, 0.6)[severity - 1]:
            return word
        at, kind = int(rng.integers(1, len(word) - 1)), int(rng.integers(3))
        middle = (word[at + 1] + word[at], word[at + 1], word[at] + word[at] + word[at + 1])[kind]
        return word[:at] + middle + word[at + 2 :]

    return _by_word(text, slip)


def dropped_words(text: str, severity: Severity, rng: np.random.Generator) -> str:
    """Some words gone; one at least stays."""
    words = text.split()
    stays = rng.random(len(words)) >= (0.06, 0.12, 0.18, 0.25, 0.35)[severity - 1]
    if words and not stays.any():
        stays[rng.integers(len(words))] = True
    return " ".join(word for word, kept in zip(words, stays, strict=True) if kept)


def case(text: str, severity: Severity, rng: np.random.Generator) -> str:
    """Some words with small and capital letters swapped."""
    chance = (0.1, 0.25, 0.5, 0.75, 1.0)[severity - 1]
    return _by_word(text, lambda word: word.swapcase() if rng.random() < chance else word)


def _by_word(text: str, change: Callable[[str], str]) -> str:
    return " ".join(change(word) for word in text.split(" "))


_CORRUPTIONS = {
    **{f.__name__: Corruption("image", f) for f in (noise, blur, contrast, brightness, jpeg, pixelate)},
    **{f.__name__: Corruption("text", f) for f in (typos, dropped_words, case)},
}
CORRUPTIONS: Registry[Corruption] = Registry("corruption", _CORRUPTIONS, where="measure.corruptions")
"""By name, with what they are for."""
