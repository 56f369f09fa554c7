"""The files of a pool that is kept in shards: their names, and some rows of one.

    pool/part-NNNNN.parquet   rows sorted by sample_id, in small row groups

What goes with a shard while the pool is read lies beside it, as `part-NNNNN.<what>.<kind>`: see `build`.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import polars as pl
import pyarrow.parquet as pq

from adde_ray.artifacts.digests import Digest
from adde_ray.artifacts.run_dir import atomic, readable

GROUP = 256
"""Rows of a Parquet row group: what must be read to get one row with its payload."""


def shard_file(folder: Path, number: int) -> Path:
    """The path of a shard, by its number."""
    return folder / f"part-{number:05d}.parquet"


def shard_files(root: Path) -> list[Path]:
    """The shards below `root` (a run's ingest/), in order; none when the pool is in memory."""
    return sorted((root / "pool").glob(f"part-{5 * '[0-9]'}.parquet"))


def beside(path: Path, what: str) -> Path:
    """The file beside a shard, `what` with its ending: "where.parquet"."""
    return path.with_name(f"{path.stem}.{what}")


def write_rows(path: Path, table: pl.DataFrame) -> Digest:
    """Write a shard. Returns its digest, which whoever gave the order has to record."""
    with atomic(path, recorded=False) as temporary:
        arrow = table.to_arrow(compat_level=pl.CompatLevel.oldest())
        pq.write_table(arrow, temporary, compression="zstd", row_group_size=GROUP)
        return Digest.of(temporary)


def read_rows(path: Path, rows: np.ndarray, *columns: str) -> pl.DataFrame:
    """These rows, ascending, with these columns or all. Only the row groups they lie in are read."""
    with readable(path):
        file = pq.ParquetFile(path, memory_map=True)
    sizes = np.array([file.metadata.row_group(group).num_rows for group in range(file.num_row_groups)], dtype=np.int64)
    ends = np.cumsum(sizes)
    group_of = np.searchsorted(ends, rows, side="right")
    groups, at = np.unique(group_of, return_inverse=True)
    read = np.cumsum(sizes[groups]) - sizes[groups]  # where each group begins in what is read
    with readable(path):
        table = pl.DataFrame(file.read_row_groups(groups.tolist(), columns=list(columns) or None))
    return table[read[at] + rows - (ends - sizes)[group_of]]
