"""Example files that describe classes: `data.describe` in → label, sample_id and image of each out.

They are read as the source reads its images, so that they lie among them. They are named by the config itself, so they
may lie anywhere; what they hold passes the guards of all images.
"""

from __future__ import annotations

import polars as pl

from adde_ray.artifacts.schema import PAYLOAD_KINDS
from adde_ray.config.data import Described, Examples
from adde_ray.errors import UserError
from adde_ray.sources import ORIGINALS
from adde_ray.sources.rows import identify, why
from adde_ray.sources.storage.files import AnyPath, at, read_bytes


def read(data: object, modality: str) -> pl.DataFrame:
    """No rows where no class is described by files. Raises UserError: one cannot be used, or the data is no images."""
    described = data.describe if isinstance(data, Described) and not isinstance(data.describe, str) else {}
    found = {name: of.files for name, of in described.items() if isinstance(of, Examples)}
    source = getattr(data, "source", "")
    if found and (modality != "image" or source not in ORIGINALS):
        raise UserError(
            "example files describe classes of images that are read from files",
            where=f"data.describe.{next(iter(found))}",
            remedy="Describe the class in words, or leave it out",
        )
    labels, images = [], []
    for name, files in sorted(found.items()):
        for file in files:
            labels.append(name)
            images.append(_decoded(data, source, at(file), where=f"data.describe.{name}"))
    table = pl.DataFrame({"label": labels, modality: images}, {"label": pl.String, modality: PAYLOAD_KINDS[modality]})
    return table.with_columns(identify(table[modality])).select("label", "sample_id", modality)


def _decoded(data: object, source: str, path: AnyPath, *, where: str) -> bytes:
    try:
        [image] = ORIGINALS[source](data).decode([read_bytes(path)])
    except (UserError, OSError) as error:
        image = why(error)
    if isinstance(image, str):
        raise UserError(f"an example {image}", where=where, value=path, remedy="Give image files that can be opened")
    return image
