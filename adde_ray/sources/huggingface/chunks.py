"""Chunks of a dataset folder's files, with labels as everywhere else: a class's name, or several in one string.

The folder keeps them as numbers of a ClassLabel feature, as strings, or as lists of either.
"""

from __future__ import annotations

from dataclasses import dataclass

import polars as pl

from adde_ray.labels import canonical as label_of
from adde_ray.labels import in_words, join
from adde_ray.sources.rows import WHERE, Reject
from adde_ray.sources.storage.files import AnyPath
from adde_ray.sources.tables.chunks import FileChunk, TableFile
from adde_ray.sources.tables.spelling import canonical, with_plain_names

UNKNOWN = "unknown"
"""Column of the classes nobody could tell, in a multi-label dataset as `adde export` writes it."""


@dataclass(frozen=True)
class HubChunk:
    """Some rows of a split."""

    chunk: FileChunk
    label_column: str
    classes: tuple[str, ...]  # names of the ClassLabel feature, if it is one
    labelled: bool = False  # leaves out the rows without a label
    without: tuple[str, ...] = ()  # rows that are left out, by name (`WHERE`)

    @property
    def path(self) -> AnyPath:
        """The file."""
        return self.chunk.path

    @property
    def name(self) -> str:
        """The file and which of its rows, for messages."""
        return self.chunk.name

    @property
    def num_rows(self) -> int:
        """How many rows it has, those in `without` not counted."""
        return self.chunk.num_rows - len(self.without)

    def read(self) -> tuple[pl.DataFrame, list[Reject]]:
        """The rows with labels as text, and those set aside. Raises UserError or OSError: nothing of it can be read."""
        table, rejected = self.chunk.read()
        table = with_names(table, self.label_column, self.classes)
        if self.labelled and self.label_column in table.columns:
            table = table.filter(pl.col(self.label_column).is_not_null())
        if self.without and len(table):
            table = table.filter(~pl.col(WHERE).is_in(self.without))
        return table, rejected


def hub_file(
    file: TableFile[FileChunk], folder: AnyPath, label_column: str, classes: tuple[str, ...]
) -> TableFile[HubChunk]:
    """A file of the dataset in `folder`, its chunks as `HubChunk`s."""
    chunks = tuple(HubChunk(chunk, label_column, classes) for chunk in file.chunks)
    return TableFile(file.path, file.name, chunks, with_names(file.head, label_column, classes), folder)


def with_names(table: pl.DataFrame, label_column: str, classes: tuple[str, ...]) -> pl.DataFrame:
    """With labels as text, where there are any."""
    table = with_plain_names(table)
    if label_column not in table.columns:
        return table
    if isinstance(table.schema[label_column], pl.List):
        return _of_several(table, label_column, classes)
    return table.with_columns(_names(table[label_column], classes))


def _names(column: pl.Series, classes: tuple[str, ...]) -> pl.Series:
    """Names of classes; null where there is none. A number beyond the classes stays one, to be told of."""
    if column.dtype.is_nested() or column.dtype == pl.Binary:
        return column  # to be told of
    texts, names = canonical(column), {str(number): name for number, name in enumerate(classes)}
    if column.dtype.is_numeric():
        return texts.set(texts.str.contains(r"^-\d+$"), None).replace(names)
    # CSV and JSON Lines may hold either.
    return texts.replace(
        {number: name for number, name in (names | {"-1": None}).items() if number not in classes} if classes else {}
    )


def _of_several(table: pl.DataFrame, label_column: str, classes: tuple[str, ...]) -> pl.DataFrame:
    """Lists of classes as the one string a label is everywhere else; see `labels`."""

    def named(column: str) -> list[list[str] | None]:
        if not isinstance(table.schema.get(column), pl.List):
            return [[]] * len(table)
        values = table[column].to_list()
        return [None if row is None else [_name(value, classes) for value in row] for row in values]

    pairs = zip(named(label_column), named(UNKNOWN), strict=True)
    labels = [None if holds is None else in_words(join(holds, unknown or ())) for holds, unknown in pairs]
    kept = table.drop(UNKNOWN) if isinstance(table.schema.get(UNKNOWN), pl.List) else table
    return kept.with_columns(pl.Series(label_column, labels, dtype=pl.String))


def _name(value: int | str, classes: tuple[str, ...]) -> str:
    if isinstance(value, int) and 0 <= value < len(classes):
        return classes[value]
    return label_of(value) or str(value)
