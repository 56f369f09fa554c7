"""Single cells of Parquet files and Arrow streams: encoded images that lie in a table, read again by their rows."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import pyarrow as pa
import pyarrow.parquet as pq

from adde_ray.errors import UserError
from adde_ray.sources.storage.files import AnyPath, open_file
from adde_ray.sources.tables.columnar import open_stream
from adde_ray.sources.tables.decoding import decoding

CELLS = 64
"""Cells of a Parquet file decoded at a time."""


def read_cells(path: AnyPath, column: str, rows: Sequence[int]) -> Iterator[tuple[int, bytes]]:
    """(row, its encoded image) for each of `rows`, counted from 0 and sorted, that the table still has.

    Row groups without any of them are not read. Raises OSError, or UserError: the file is no such table.
    """
    batches = _of_arrow if path.suffix.lower() == ".arrow" else _of_parquet
    wanted = iter(rows)
    row = next(wanted, None)
    with decoding("a table", path):
        for first, cells in batches(path, column, rows):
            cells.validate(full=True)  # an offset that leads astray would end the process
            while row is not None and row < first + len(cells):
                value = cells[row - first].as_py() if row >= first else None
                value = value.get("bytes") if isinstance(value, dict) else value
                if isinstance(value, bytes):
                    yield row, value
                row = next(wanted, None)
            if row is None:
                return


def _of_parquet(path: AnyPath, column: str, rows: Sequence[int]) -> Iterator[tuple[int, pa.Array]]:
    """The column in batches, each with the number of its first row."""
    with open_file(path) as opened:
        file = pq.ParquetFile(opened)
        _check_column(file.schema_arrow, column, path)
        first, at = 0, 0
        for group in range(file.metadata.num_row_groups):
            end = first + file.metadata.row_group(group).num_rows
            if at < len(rows) and rows[at] < end:
                for batch in file.iter_batches(CELLS, row_groups=[group], columns=[column], use_threads=False):
                    yield first, batch.column(column)
                    first += len(batch)
            while at < len(rows) and rows[at] < end:
                at += 1
            first = end


def _of_arrow(path: AnyPath, column: str, rows: Sequence[int]) -> Iterator[tuple[int, pa.Array]]:
    with open_stream(path, path.name) as stream:
        _check_column(stream.schema, column, path)
        first = 0
        for batch in stream:
            yield first, batch.column(column)
            first += len(batch)


def _check_column(schema: pa.Schema, column: str, path: AnyPath) -> None:
    if schema.names.count(column) != 1:
        raise UserError("has no such column any more", where=path, value=column)
