"""What goes wrong while a table is decoded, told in one line; and how much it may become.

Decoders raise what they like on damaged input: errors of Arrow and polars, panics of Rust, which no `except Exception`
catches, and Python's own. A file of some kilobytes may also stand for gigabytes of rows.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import polars as pl
import pyarrow as pa

from adde_ray.artifacts.schema import from_arrow
from adde_ray.errors import UserError, first_line

ROW_BYTES = 64
"""What a row takes besides its values: where it came from, its id."""

SMALL = 1 << 28
"""Bytes that any file may become, …"""

GROWTH = 32
"""… and times its size, beyond."""

DECODED_BYTES = 1 << 29
"""Bytes that a chunk of a pool's file may become: it is read by itself, with others beside it."""

_RAISED = (
    pa.ArrowException,
    pl.exceptions.PolarsError,
    pl.exceptions.PanicException,
    OSError,
    ValueError,
    OverflowError,
    MemoryError,
    RecursionError,
)


@contextmanager
def decoding(what: str, where: object, remedy: str = "Write the file anew") -> Iterator[None]:
    """Raises UserError where the block fails on damaged input, "cannot be read as `what`".

    OSError of the system itself (no such file, no rights) goes through: callers tell it by its own words.
    """
    try:
        yield
    except UserError:
        raise
    except _RAISED as error:
        if isinstance(error, OSError) and error.strerror:
            raise
        raise UserError(f"cannot be read as {what}: {first_line(error)[:200]}", where=where, remedy=remedy) from None


def as_frame(table: pa.Table) -> pl.DataFrame:
    """A table that Arrow has read, in polars; decimals of more than 38 digits, which it lacks, as text.

    Raises UserError: two columns of one name; and what `decoding` catches: columns that do not hold what they say.
    """
    table.validate(full=True)  # polars takes over offsets and UTF-8 unseen
    names = table.column_names
    if twice := next((name for name in names if names.count(name) > 1), None):
        raise UserError("two columns have one name", value=twice, remedy="Rename one")
    for i, column in enumerate(table.schema):
        if pa.types.is_decimal256(column.type):
            table = table.set_column(i, column.name, table.column(i).cast(pa.string()))
    return from_arrow(table, rechunk=False)


def plain(batch: pa.RecordBatch) -> pa.RecordBatch:
    """With each value in its place where a dictionary held it once: only so its size is what it takes."""
    columns = [c.dictionary_decode() if isinstance(c, pa.DictionaryArray) else c for c in batch.columns]
    return pa.record_batch(columns, names=batch.schema.names)


class TooMuch(UserError):
    """More than there is room for: not damage of one place, after which reading could go on."""


class Growth:
    """How much a file, or a chunk of one, has become so far."""

    def __init__(self, at_most: int):
        self._left = self._at_most = at_most

    @classmethod
    def of_file(cls, size: int) -> Growth:
        """For a file of `size` bytes."""
        return cls(max(SMALL, GROWTH * size))

    def add(self, num_bytes: int, rows: int) -> None:
        """Raises TooMuch: it has become too much."""
        self._left -= num_bytes + ROW_BYTES * rows
        if self._left < 0:
            raise TooMuch(
                f"would take more than {self._at_most >> 20:,} MiB of memory",
                remedy="Shorten its values, or cut it into several files that data.pool names",
            )
