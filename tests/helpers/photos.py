"""A folder of photographs as people have them: JPEGs of 400 × 300 pixels, PNGs, names with blanks and accents."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
from PIL import Image

COLOURS = {"sea": (30, 80, 200), "forêt": (20, 150, 60)}
NAMES = ("été {}.jpg", "IMG {}.JPEG", "{}#1?.png", "写真-{}.webp")


def photo(rng: np.random.Generator, colour: tuple[int, int, int], kind: str = "JPEG", size=(400, 300)) -> bytes:
    """A picture of a colour, with coarse noise."""
    noise = rng.normal(colour, 40, (6, 8, 3)).clip(0, 255).astype(np.uint8)
    file = io.BytesIO()
    Image.fromarray(noise).resize(size, Image.Resampling.NEAREST).save(file, kind)
    return file.getvalue()


def folder(root: Path, *, labelled: int = 8, unlabelled: int = 16) -> Path:
    """labelled/<class>/ and unlabelled/."""
    rng = np.random.default_rng(0)
    for i in range(2 * labelled + unlabelled):
        name, colour = list(COLOURS.items())[i % 2]
        path = root / (f"labelled/{name}" if i < 2 * labelled else "unlabelled") / NAMES[i // 2 % 4].format(i)
        path.parent.mkdir(parents=True, exist_ok=True)
        kind = {".jpg": "JPEG", ".jpeg": "JPEG", ".png": "PNG", ".webp": "WEBP"}[path.suffix.lower()]
        path.write_bytes(photo(rng, colour, kind))
    return root
