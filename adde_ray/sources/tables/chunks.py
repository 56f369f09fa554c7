"""What a big table is read in: parts, each of which can be read by itself, on any machine."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Generic, Protocol, TypeVar

import polars as pl

from adde_ray.sources.rows import Reject
from adde_ray.sources.storage.files import AnyPath

PART_BYTES = 1 << 28
"""Bytes of a part, about, as its file holds them: photographs and long texts come in parts of fewer rows."""


class Part(Protocol):
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


P = TypeVar("P", bound=Part, covariant=True)


@dataclass(frozen=True)
class TableFile(Generic[P]):
    """A file's parts; an empty table with its columns and their types."""

    path: AnyPath
    name: str
    parts: tuple[P, ...]
    head: pl.DataFrame
    folder: AnyPath | None = None  # what paths in it are relative to, where that is not the file's own
