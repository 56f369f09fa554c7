"""Originals of image samples: what a source made a sample from, found again where it still is.

A sample's payload is as small as the model wants it, and its bytes name it. What lies at the original's place today
is the original only where the source would make the very same sample of it: what shows something else, be it changed or
another file of that name, never passes for it.
"""

from __future__ import annotations

import errno
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import islice
from typing import TypeVar

import polars as pl

from adde_ray.artifacts.schema import sample_id as identity
from adde_ray.errors import UserError
from adde_ray.sources.images.pictures import REMOTE_THREADS, Pair
from adde_ray.sources.images.views import View, view_image
from adde_ray.sources.rows import SOURCE_ROW, why
from adde_ray.sources.storage.files import AnyPath, RemotePath, read_bytes
from adde_ray.sources.storage.paths import follow
from adde_ray.sources.storage.reach import Reach
from adde_ray.sources.tables.cells import read_cells

PLACES = ("file", SOURCE_ROW)
"""Columns that say where an original was."""

BATCH = 32
"""Originals in memory at a time."""

MAX_BYTES = 1 << 28
"""An original larger than this is left where it is."""

LASTING = (errno.EFBIG, errno.EINVAL, errno.EISDIR, errno.ELOOP)
"""Errors that say what a file is; others may be gone the next time."""

GONE, CHANGED, UNKNOWN = "is gone", "has changed since", "is not known"


@dataclass(frozen=True)
class Original:
    """An encoded image as the user has it, and the name of its file ("" where it lay in a table without one)."""

    data: bytes
    name: str


@dataclass(frozen=True)
class Finder:
    """How one source's originals are found again."""

    decode: Callable[[Sequence[bytes]], list[bytes | str]]  # encoded images as the source reads them, or why not
    paths: Callable[[str], Sequence[AnyPath]]  # where what the column `file` names may lie; may raise UserError
    table: Callable[[str], tuple[AnyPath, str] | None] | None = None  # a table's name in SOURCE_ROW → file and column
    view: Callable[[bytes], View | str] = view_image  # what people are shown of an original, or why it cannot be
    # As `decode`, and with each payload a picture of up to so many pixels a side; left out: the source makes none.
    pairs: Callable[[Sequence[bytes], int], Sequence[Pair | str]] | None = None


class Unread(str):
    """Why an original could not be read now, though it may well be there: a network's fault, or a disk's."""


def find(finder: Finder, rows: pl.DataFrame) -> Iterator[tuple[str, Original | str]]:
    """(sample_id, its original or why there is none) of every row, in the order in which they are cheapest to read.

    rows: sample_id and, of `PLACES`, what their source keeps beside the payload.
    """

    def decode(images: Sequence[bytes]) -> list[Pair | str]:
        return [payload if isinstance(payload, str) else (payload, None) for payload in finder.decode(images)]

    for sample_id, found in _matched(finder, rows, decode):
        yield sample_id, found if isinstance(found, str) else found[0]


def find_larger(finder: Finder, rows: pl.DataFrame, side: int) -> Iterator[tuple[str, bytes | str | None]]:
    """(sample_id, its original as a PNG of up to `side` × `side` pixels) of every row, in the order of `find`.

    None where the original has no more pixels than the payload; a text says why it is not there. rows: as `find`.
    """
    if (pairs := finder.pairs) is None:
        yield from ((sample_id, UNKNOWN) for sample_id in rows["sample_id"])
        return
    for sample_id, found in _matched(finder, rows, lambda images: pairs(images, side)):
        yield sample_id, found if isinstance(found, str) else found[1]


def _matched(
    finder: Finder, rows: pl.DataFrame, decode: Callable[[Sequence[bytes]], Sequence[Pair | str]]
) -> Iterator[tuple[str, tuple[Original, bytes | None] | str]]:
    """Of every row its original and the picture that `decode` gives beside the payload, or why there is none."""
    there = [c for c in PLACES if rows.schema.get(c) == pl.String]
    rows = rows.select("sample_id", *there, *(pl.lit(None, pl.String).alias(c) for c in PLACES if c not in there))
    left = {i: UNKNOWN if file is None and row is None else GONE for i, file, row in rows.iter_rows()}
    for some in _batched(_candidates(finder, rows)):
        decoded = iter(decode([found.data for _, found in some if isinstance(found, Original)]))
        for sample_id, found in some:
            pair = next(decoded) if isinstance(found, Original) else ""
            if sample_id not in left:  # another of its places had it
                continue
            if isinstance(found, Original) and not isinstance(pair, str) and identity(pair[0]) == sample_id:
                del left[sample_id]
                yield sample_id, (found, pair[1])
            elif found != GONE:
                left[sample_id] = found if isinstance(found, str) else CHANGED
    yield from left.items()


def _candidates(finder: Finder, rows: pl.DataFrame) -> Iterator[tuple[str, Original | str]]:
    """What may be each row's original: one or more for a row, or why there is none."""
    in_tables = rows.filter(pl.col(SOURCE_ROW).is_not_null())
    if finder.table and len(in_tables):
        yield from _in_tables(finder.table, in_tables)
    in_files = rows.filter(pl.col(SOURCE_ROW).is_null() & pl.col("file").is_not_null())
    yield from _in_files(finder.paths, iter(in_files.select("sample_id", "file").rows()))


def reached(places: Iterable[tuple[Reach, str]]) -> list[AnyPath]:
    """Where cells lead that may be followed. Raises UserError: none may be."""
    found = [follow(reach, cell) for reach, cell in places]
    allowed = [path for path in found if not isinstance(path, str)]
    refused = [reason for reason in found if isinstance(reason, str)]
    if refused and not allowed:
        raise UserError(refused[-1])
    return allowed


def _in_tables(
    table: Callable[[str], tuple[AnyPath, str] | None], rows: pl.DataFrame
) -> Iterator[tuple[str, Original | str]]:
    """Each table is read once, in its own order."""
    place = pl.col(SOURCE_ROW).str.extract_groups(r"^(?<table>.*): row (?<row>\d+)$").struct.unnest()
    by_table = rows.with_columns(place).drop_nulls("row").group_by("table", maintain_order=True)
    for (name,), of_table in by_table:
        if (found := table(name)) is None:
            continue
        path, column = found
        at_row = {int(row) - 1: (i, file) for i, row, file in of_table.select("sample_id", "row", "file").iter_rows()}
        try:
            for row, data in read_cells(path, column, sorted(at_row)):
                sample_id, file = at_row[row]
                yield sample_id, Original(data, _file_name(file))
        except (UserError, OSError) as error:
            reason = _reason(error) if isinstance(error, OSError) else "lies in a table that cannot be read any more"
            yield from ((sample_id, reason) for sample_id, _ in at_row.values())


def _in_files(
    paths: Callable[[str], Sequence[AnyPath]], named: Iterator[tuple[str, str]]
) -> Iterator[tuple[str, Original | str]]:
    """Where a bucket gives none of a whole batch, the others are not waited for."""
    for some in _batched(named):
        places: list[tuple[str, AnyPath]] = []
        for sample_id, file in some:
            try:
                places += ((sample_id, path) for path in paths(file))
            except UserError as error:
                yield sample_id, error.what
        remote = any(isinstance(path, RemotePath) for _, path in places)
        with ThreadPoolExecutor(REMOTE_THREADS if remote else 1) as threads:
            found = list(threads.map(_read, (path for _, path in places)))
        yield from ((sample_id, original) for (sample_id, _), original in zip(places, found, strict=True))
        if remote and all(isinstance(original, str) and original != GONE for original in found):
            yield from ((sample_id, found[0]) for sample_id, _ in named)
            return


def _read(path: AnyPath) -> Original | str:
    try:
        return Original(read_bytes(path, MAX_BYTES), path.name)
    except OSError as error:
        return _reason(error)


def _reason(error: OSError) -> str:
    if isinstance(error, (FileNotFoundError, NotADirectoryError)):
        return GONE
    return why(error) if error.errno in LASTING else Unread(why(error))


def _file_name(file: str | None) -> str:
    return (file or "").replace("\\", "/").rpartition("/")[2]


T = TypeVar("T")


def _batched(items: Iterable[T]) -> Iterator[list[T]]:
    items = iter(items)
    while some := list(islice(items, BATCH)):
        yield some
