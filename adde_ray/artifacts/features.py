"""Features on disk: a Parquet file of sample_id and features, which are read at the disk's speed.

A row's features are one fixed-size binary of little-endian floats; the file's metadata says which (`adde.dtype`, `<f2`
or `<f4`) and how many (`adde.dims`). Parquet's own lists of floats take ten times as long to read. By hand:
`np.frombuffer(table["features"].combine_chunks().buffers()[1], "<f2").reshape(len(table), -1)`.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq

from adde_ray.artifacts.run_dir import atomic, readable


def write_features(
    path: Path,
    ids: pl.Series,
    features: np.ndarray,
    *,
    recorded: bool = False,
    about: dict[str, str] | None = None,
) -> None:
    """Write (n, d) float16 or float32 features, atomically.

    recorded: as `run_dir.atomic` has it. about: more of the file's metadata.
    """
    assert len(ids) == len(features), (len(ids), len(features))
    features = np.ascontiguousarray(features, dtype=features.dtype.newbyteorder("<"))
    width = features.dtype.itemsize * features.shape[1]
    column = pa.FixedSizeBinaryArray.from_buffers(pa.binary(width), len(features), [None, pa.py_buffer(features)])
    metadata = {"adde.dtype": features.dtype.str, "adde.dims": str(features.shape[1]), **(about or {})}
    names = ids.to_arrow(compat_level=pl.CompatLevel.oldest()).cast(pa.string())
    table = pa.table({"sample_id": names, "features": column}).replace_schema_metadata(metadata)
    with atomic(path, recorded=recorded) as temporary:
        # Floats do not compress, and repeat nothing a dictionary would save.
        by_column = {"sample_id": "zstd", "features": "none"}
        pq.write_table(table, temporary, compression=by_column, use_dictionary=False)  # pyright: ignore[reportArgumentType]  # takes a dict too


def read_features(path: Path) -> tuple[pl.Series, np.ndarray]:
    """The ids and the (n, d) features of a file, in its order and its type. Raises Halted when it is damaged."""
    with readable(path):
        table = pq.read_table(path, memory_map=True)
        dtype, dims = (table.schema.metadata[key].decode() for key in (b"adde.dtype", b"adde.dims"))
        column = table["features"].combine_chunks()
        count = len(column) * int(dims)
        values = np.frombuffer(column.buffers()[1], dtype, count=count, offset=0) if len(column) else []
        features = np.asarray(values, dtype).reshape(len(column), int(dims))
        return pl.Series("sample_id", table["sample_id"]), features
