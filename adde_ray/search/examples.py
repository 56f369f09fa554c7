"""A file that shows what is looked for → a payload, as the run's source would have made it, guards included."""

from __future__ import annotations

import numpy as np
import polars as pl

from adde_ray.artifacts.images import decode_images
from adde_ray.artifacts.schema import payload_series
from adde_ray.errors import UserError
from adde_ray.search.kept import Kept
from adde_ray.sources import ORIGINALS
from adde_ray.sources.images.pictures import MAX_BYTES, read_images
from adde_ray.sources.npy import read_header
from adde_ray.sources.rows import why
from adde_ray.sources.storage.files import AnyPath, open_file, read_bytes
from adde_ray.sources.tables.encodings import plain

MAX_TEXT = 1 << 20
"""Bytes of a text or a vector."""


def read_example(path: AnyPath, kept: Kept) -> pl.Series:
    """One payload. Raises UserError: cannot be read, or is nothing that the run has samples of."""
    read = {"image": _image, "text": _text, "vector": _vector}[kept.meta.modality]
    try:
        return payload_series([read(path, kept)], kept.meta.modality)
    except OSError as error:
        raise UserError(why(error), where=path, remedy="Check its path and rights") from None


def _image(path: AnyPath, kept: Kept) -> bytes:
    """Of the size and kind of the run's, by its source where that reads images of any."""
    data, source = read_bytes(path, MAX_BYTES), kept.config.data
    if source.source in ORIGINALS:
        [found] = ORIGINALS[source.source](source).decode([data])
    else:
        _, bands, side, _ = decode_images(kept.example()).shape
        [found] = read_images([data], size=side, mode="L" if bands == 1 else "RGB")
    if not isinstance(found, bytes):
        raise UserError(found, where=path, remedy="Give a picture of a kind that the run has read")
    return found


def _text(path: AnyPath, kept: Kept) -> str:
    try:
        text = plain(read_bytes(path, MAX_TEXT), path).decode()
    except UnicodeDecodeError:
        raise UserError("is not UTF-8", where=path, remedy="Save it as UTF-8") from None
    if not text.strip():
        raise UserError("no text", where=path, remedy="Write what the samples looked for are like")
    return text


def _vector(path: AnyPath, kept: Kept) -> np.ndarray:
    length, remedy = len(kept.example()[0]), "Give a .npy of one vector, or numbers with blanks between them"
    if path.name.lower().endswith(".npy"):
        with open_file(path) as file:
            _, _, kind = read_header(file, where=path)
            data = file.read(MAX_TEXT)
        values = np.frombuffer(data, kind, len(data) // kind.itemsize) if kind.kind in "fiub" else np.zeros(0)
        found = values.astype(np.float32)
    else:
        try:
            text = plain(read_bytes(path, MAX_TEXT), path).decode()
            found = np.array([float(word) for word in text.replace(",", " ").split()], dtype=np.float32)
        except ValueError:
            raise UserError("is no vector", where=path, remedy=remedy) from None
    if len(found) != length or not np.isfinite(found).all():
        raise UserError(f"is no vector of {length} finite numbers", where=path, value=len(found), remedy=remedy)
    return found
