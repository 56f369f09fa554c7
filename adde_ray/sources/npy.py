"""Vectors in .npy files. Only the rows that are needed are read, here as in a bucket; nothing is unpickled.

Out: vector, label, and the other columns of the table of labels.
"""

from __future__ import annotations

import io
import os
import tokenize
import warnings
from dataclasses import dataclass, replace
from typing import BinaryIO

import numpy as np
import polars as pl

from adde_ray.config.data import CsvData, NpyData
from adde_ray.errors import UserError, first_line
from adde_ray.sources.rows import WHERE, Reject, Rows, why
from adde_ray.sources.storage import leftovers
from adde_ray.sources.storage.files import AnyPath, at, open_file, read_bytes
from adde_ray.sources.storage.walking import Walk, walk_of
from adde_ray.sources.tables.chunks import TableFile
from adde_ray.sources.tables.readers import READERS, read_file
from adde_ray.sources.tables.spelling import canonical, notes_on, without_missing
from adde_ray.sources.tables.table import assemble

ROWS = 8192
"""Rows of a chunk."""

VECTOR = "_vector_of_ours"


def read(config: NpyData, *, seed: int) -> Rows:
    """The file's rows. Raises UserError: no such file, no plain matrix, labels that do not belong to it."""
    path = at(config.path)
    path = path / "vectors.npy" if path.is_dir() else path
    if not path.is_file():
        raise UserError("no such file", where=path, remedy="Give a .npy file, or a folder that holds vectors.npy")
    try:
        matrix = _header(path)
    except OSError as error:
        raise UserError(why(error), where=path, remedy="Check its rights") from None
    table = _labels(config, path, matrix.num_rows)
    if len(table) != matrix.num_rows:
        raise UserError(
            f"{len(table)} labels for {matrix.num_rows} vectors",
            where=path,
            remedy="Give one row of labels for each vector, in the same order",
        )
    for column in (config.label_column, config.split_column):
        if column is not None and column not in table.columns:
            raise UserError(
                "the labels have no such column",
                where="data",
                value=column,
                remedy=f"Columns: {', '.join(table.columns)}",
            )
    table = table.with_columns(pl.int_range(len(table), dtype=pl.Int64).alias(VECTOR))
    table, in_pool, notes = _labelled(table, config)
    known, pool = table.filter(~in_pool), table.filter(in_pool)

    files = [_file(path, path.name, matrix, pool)]
    rejected: list[Reject] = []
    walk = walk_of(path.parent if config.pool is None else at(config.pool), config.roots)
    for more, name in _more(config, path, walk):
        try:
            other = _header(more)
            if other.dims != matrix.dims:
                raise UserError(f"vectors of {other.dims} numbers where {path.name} has {matrix.dims}", where=more)
            rows = pl.DataFrame({VECTOR: pl.int_range(other.num_rows, dtype=pl.Int64, eager=True)})
            files.append(_file(more, name, other, rows))
        except (UserError, OSError) as error:
            rejected.append({"where": name, "reason": why(error)})
    try:
        known, lost = NpyChunk(path, path.name, matrix, known).read()
    except OSError as error:
        raise UserError(why(error), where=path, remedy="Check its rights") from None
    as_table = CsvData(
        source="table",
        path=config.path,
        vector_column=VECTOR,
        label_column=config.label_column,
        split_column=config.split_column,
        classes=config.classes,
        describe=config.describe,
        missing=config.missing,
        subgroup_columns=config.subgroup_columns,
        val_fraction=config.val_fraction,
        test_fraction=config.test_fraction,
        max_rejected=config.max_rejected,
    )
    rows = assemble(known, walk.lost + rejected + lost, as_table, path, path.parent, seed=seed, pool=files)
    return replace(rows, notes=[*notes, *leftovers.note(walk.passed), *rows.notes])


def _labelled(table: pl.DataFrame, config: NpyData) -> tuple[pl.DataFrame, pl.Series, list[str]]:
    """With canonical labels, which rows are in the pool, and notes. What has no such form `assemble` tells of."""
    columns = [table[name] for name in (config.label_column, config.split_column) if name is not None]
    if any(column.dtype.is_nested() or column.dtype == pl.Binary for column in columns):
        return table, pl.Series([False] * len(table), dtype=pl.Boolean), []
    split = canonical(table[config.split_column]).str.to_lowercase() if config.split_column else None
    given, labels = table[config.label_column], canonical(table[config.label_column])
    notes = notes_on(given, labels)
    labels, doubts = without_missing(
        labels, split, missing=config.missing, classes=config.classes, pool_elsewhere=config.pool is not None
    )
    in_pool = labels.is_null() if split is None else (split == "pool").fill_null(False)
    return table.with_columns(labels), in_pool, notes + doubts


@dataclass(frozen=True)
class Matrix:
    """What a .npy file says of itself."""

    num_rows: int
    dims: int
    kind: str  # numpy's name of the type
    start: int  # byte of the first number


@dataclass(frozen=True)
class NpyChunk:
    """Some rows of a .npy file, with the columns of the labels."""

    path: AnyPath
    file_name: str
    matrix: Matrix
    rows: pl.DataFrame  # VECTOR: number of the row; and the labels' columns

    @property
    def name(self) -> str:
        """The file, its first row and its last, for messages."""
        numbers = self.rows[VECTOR]
        return f"{self.file_name}: rows {numbers[0] + 1}-{numbers[-1] + 1}" if len(numbers) else self.file_name

    @property
    def num_rows(self) -> int:
        """How many vectors it has."""
        return len(self.rows)

    def read(self) -> tuple[pl.DataFrame, list[Reject]]:
        """The rows with their vectors (lists of `dims` float32), and those beyond the file's end. Raises OSError."""
        numbers, dims = self.rows[VECTOR].to_numpy(), self.matrix.dims
        kind = np.dtype(self.matrix.kind)
        wanted, there = [np.zeros((0, dims), np.float32)], np.zeros(len(numbers), bool)
        with open_file(self.path) as file:
            for start in range(0, len(numbers), ROWS):  # of a span full of gaps no more than this is in memory
                some = numbers[start : start + ROWS]
                for run in np.split(some, np.flatnonzero(np.diff(some) > ROWS) + 1):
                    file.seek(self.matrix.start + int(run[0]) * dims * kind.itemsize)
                    data = file.read((int(run[-1]) - int(run[0]) + 1) * dims * kind.itemsize)
                    whole = len(data) // (dims * kind.itemsize)
                    values = np.frombuffer(data, kind, whole * dims).reshape(whole, dims)
                    found = run[run - run[0] < whole]
                    with np.errstate(over="ignore", invalid="ignore"):  # what is no float32 is told of as such
                        wanted.append(values[found - run[0]].astype(np.float32))
                    there[np.searchsorted(numbers, found)] = True
        vectors = pl.Series(VECTOR, np.concatenate(wanted), dtype=pl.Array(pl.Float32, dims))
        table = self.rows.filter(pl.Series(there)).with_columns(vectors.cast(pl.List(pl.Float32)))
        names = pl.Series(WHERE, [f"{self.file_name}: row {i + 1}" for i in numbers[there]], dtype=pl.String)
        lost = [
            {"where": f"{self.file_name}: row {i + 1}", "reason": "the file ends before it"} for i in numbers[~there]
        ]
        return table.with_columns(names), lost


def _header(path: AnyPath) -> Matrix:
    """Raises UserError when it is no matrix of plain numbers, OSError when it cannot be read."""
    with open_file(path) as file:
        shape, fortran, kind = read_header(file, where=path)
        start = file.tell()
        end = file.seek(0, os.SEEK_END)
    remedy = "Write it with numpy.save(path, array.astype('float32')), one row a sample"
    if kind.kind not in "fiub":
        raise UserError(f"holds {kind}, no plain numbers", where=path, remedy=remedy)
    if len(shape) != 2 or not shape[1]:
        raise UserError("is no table of vectors", where=path, value=shape, remedy=remedy)
    if fortran and min(shape) > 1:
        raise UserError("is kept column by column", where=path, remedy="Write it with numpy.ascontiguousarray(array)")
    there = (end - start) // (shape[1] * kind.itemsize)
    if shape[0] and not there:
        raise UserError("ends before its first row", where=path, remedy=remedy)
    if shape[0] > 2 * there + ROWS:  # a header that lies, not a copy that was cut short
        raise UserError(f"says that it holds {shape[0]} rows and ends after {there}", where=path, remedy=remedy)
    return Matrix(shape[0], shape[1], kind.str, start)


def read_header(file: BinaryIO, *, where: object) -> tuple[tuple[int, ...], bool, np.dtype]:
    """Shape, order (whether Fortran's) and type of a .npy file. Raises UserError when it is none."""
    try:
        version = np.lib.format.read_magic(file)
        formats = np.lib.format
        read_rest = formats.read_array_header_1_0 if version == (1, 0) else formats.read_array_header_2_0
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of headers by Python 2, which it reads none the less
            shape, fortran, kind = read_rest(file)
    except _MALFORMED as error:  # of a header, which is a literal of Python
        what = f"cannot be read as .npy: {first_line(error)[:200]}"
        raise UserError(what, where=where, remedy="Write it with numpy.save") from None
    if any(size < 0 for size in shape):
        raise UserError("has a size below 0", where=where, value=shape, remedy="Write it with numpy.save")
    return shape, fortran, kind


_MALFORMED = (
    ValueError, SyntaxError, TypeError, OverflowError, RecursionError, MemoryError, EOFError, tokenize.TokenError,
)  # fmt: skip


def _file(path: AnyPath, name: str, matrix: Matrix, rows: pl.DataFrame) -> TableFile[NpyChunk]:
    chunks = tuple(NpyChunk(path, name, matrix, rows[i : i + ROWS]) for i in range(0, len(rows), ROWS))
    return TableFile(path, name, chunks, rows.clear().cast({VECTOR: pl.List(pl.Float32)}))


def _more(config: NpyData, main: AnyPath, walk: Walk) -> list[tuple[AnyPath, str]]:
    """The files of data.pool, with their names for messages. Raises UserError when there are none."""
    if config.pool is None:
        return []
    pool = at(config.pool)
    if pool.is_file():
        return [(pool, f"{pool.parent.name}/{pool.name}")]
    root, names = (pool, walk.below(pool)) if pool.is_dir() else walk.matching(pool)
    found = sorted((root / name, f"{root.name}/{name}") for name in names if name.lower().endswith(".npy"))
    found = [(path, name) for path, name in found if str(path) != str(main)]
    if not found:
        raise UserError(
            "no .npy file there", where="data.pool", value=str(pool), remedy="Give a file, folder or pattern"
        )
    return found


def _labels(config: NpyData, vectors: AnyPath, num_rows: int) -> pl.DataFrame:
    """The table of labels; without one, where the classes are known, nothing is labelled.

    Raises UserError when a row of it cannot be read: the rest would slip.
    """
    if config.labels is not None:
        path = at(config.labels)
    else:
        beside = [vectors.parent / f"labels{suffix}" for suffix in (".npy", *READERS)]
        path = next((p for p in beside if p.is_file()), None)
        if path is None and config.known_classes and config.split_column is None:
            return pl.DataFrame({config.label_column: pl.Series([None] * num_rows, dtype=pl.String)})
        if path is None:
            raise UserError(
                "no labels beside it",
                where=vectors,
                remedy="Put labels.csv there, a row for each vector, or set data.labels; or list data.classes",
            )
    if path.suffix.lower() == ".npy":
        return pl.DataFrame({config.label_column: pl.Series(_texts(path), dtype=pl.String)})
    table, rejected = read_file(path)
    if rejected:
        raise UserError(
            f"{rejected[0]['where']}: {rejected[0]['reason']}", where=path, remedy="Mend it: rows are matched by number"
        )
    return table.drop(WHERE)


def _texts(path: AnyPath) -> list[str]:
    """The labels of a .npy file of strings or numbers."""
    remedy = "Write strings or whole numbers, one a vector"
    try:
        data = read_bytes(path)
    except OSError as error:
        raise UserError(why(error), where=path, remedy="Check its rights") from None
    file = io.BytesIO(data)
    shape, _, kind = read_header(file, where=path)
    if len(shape) != 1 or kind.kind not in "USiub":
        raise UserError("is no list of labels", where=path, value=f"{kind} {shape}", remedy=remedy)
    left = len(data) - file.tell()
    if shape[0] * kind.itemsize > left:
        raise UserError("ends before its last label", where=path, remedy="Write it with numpy.save")
    values = np.frombuffer(data, kind, shape[0], file.tell()) if kind.itemsize else np.zeros(shape[0], kind)
    try:
        texts = np.char.decode(values, "utf-8") if kind.kind == "S" else values.astype(str)
        for text in (found := texts.tolist()):
            text.encode()
    except (
        ValueError,
        MemoryError,
        SystemError,
    ) as error:  # numbers that are no characters, and half characters, among them
        raise UserError(f"holds what is no text: {first_line(error)}", where=path, remedy=remedy) from None
    return found
