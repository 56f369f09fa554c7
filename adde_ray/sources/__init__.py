"""Where data comes from: each source reads the user's files into `Rows`, which ingest checks and cleans.

A source is a function `read(config: its section of Config.data, *, seed: int) -> Rows`. It sets unusable
inputs aside with a reason, and raises UserError when there are too many or the data cannot be understood.
"""

from __future__ import annotations

from collections.abc import Callable

from adde_ray.config.registry import Registry
from adde_ray.sources import chexpert, digits, npy
from adde_ray.sources.huggingface import source as huggingface
from adde_ray.sources.images import image_folder
from adde_ray.sources.originals import Finder
from adde_ray.sources.rows import WHERE, Rows
from adde_ray.sources.tables import table

_SOURCES: dict[str, Callable[..., Rows]] = {
    "digits": digits.read,
    "image_folder": image_folder.read,
    "tiles": image_folder.read,
    "npy": npy.read,
    "huggingface": huggingface.read,
    "csv": table.read,
    "table": table.read,  # the same: a table need not be CSV
    "chexpert": chexpert.read,
}
SOURCES: Registry[Callable[..., Rows]] = Registry("source", _SOURCES, where="data.source")

ORIGINALS: dict[str, Callable[..., Finder]] = {
    "image_folder": image_folder.originals,
    "tiles": image_folder.originals,
    "huggingface": huggingface.originals,
    "csv": table.originals,
    "table": table.originals,
    "chexpert": chexpert.originals,
}
"""Of sources whose images have originals: its section of Config.data → how they are found again."""

__all__ = ["ORIGINALS", "SOURCES", "WHERE", "Rows"]
