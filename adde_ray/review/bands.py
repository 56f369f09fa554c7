"""Images of more bands than can be shown at once: beside what is shown of one lies a file with all of them."""

from __future__ import annotations

import functools
from pathlib import Path

from adde_ray.artifacts.images import num_bands


def all_bands(shown: Path) -> Path:
    """Where the bands lie of an image that is shown as this file."""
    return shown.with_name(f"{shown.stem}.bands.png")


@functools.lru_cache(maxsize=10_000)
def bands_beside(shown: Path) -> int:
    """How many there are to choose from; 0: the image is as it is shown."""
    path = all_bands(shown)
    return num_bands(path.read_bytes()) if path.is_file() else 0
