"""What a big table is read in: chunks, each of which can be read by itself, on any machine."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Generic, Protocol, TypeVar

import polars as pl

from adde_ray.sources.rows import Reject
from adde_ray.sources.storage.files import AnyPath

FILE_CHUNK_BYTES = 1 << 28
"""Bytes of a chunk, about, as its file holds them: photographs and long texts come in chunks of fewer rows."""


class FileChunk(Protocol):
    """Some rows of a file."""

    @property
    def path(self) -> AnyPath:
        """The file."""
        ...

    @property
    def name(self) -> str:
        """The file and which of its rows, for messages."""
        ...

    @property
    def num_rows(self) -> int:
        """How many rows it has, the unusable ones included."""
        ...

    def read(self) -> tuple[pl.DataFrame, list[Reject]]:
        """The rows, with `WHERE`, and those set aside. Raises UserError or OSError: nothing of it can be read."""
        ...


C = TypeVar("C", bound=FileChunk, covariant=True)


@dataclass(frozen=True)
class TableFile(Generic[C]):
    """A file's chunks; an empty table with its columns and their types."""

    path: AnyPath
    name: str
    chunks: tuple[C, ...]
    head: pl.DataFrame
    folder: AnyPath | None = None  # what paths in it are relative to, where that is not the file's own
