"""The pool: unlabelled samples in shards, read one at a time, and a sample of them that stays in memory.

A small pool is one shard that is in memory already; a large one is files, of which whoever scores or counts
holds one at a time. Both answer to the same three names, so nothing else needs to know how large the pool is.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np
import polars as pl
import pyarrow.parquet as pq

from adde_ray.artifacts.features import read_features
from adde_ray.artifacts.run_dir import read_table, readable
from adde_ray.artifacts.schema import Split
from adde_ray.pool.files import read_rows


@dataclass(frozen=True)
class Batch:
    """The rows of one shard as scoring looks at them, sorted by sample_id."""

    ids: pl.Series
    features: np.ndarray  # (n, d) float16 or float32
    subgroups: pl.DataFrame  # the subgroup columns the pool has

    def __len__(self) -> int:
        return len(self.ids)


class Shard(Protocol):
    """Some rows of the pool. Small to pickle: workers read it, the driver only names it."""

    def read(self) -> Batch:
        """All rows, without their payload."""
        ...

    def ids(self) -> pl.Series:
        """The sample_ids of all rows, in order."""
        ...

    def take(self, sample_ids: Sequence[str]) -> Split:
        """These rows with all their columns, sorted by sample_id."""
        ...


@dataclass(frozen=True)
class MemoryShard:
    """A pool that fits into memory, whole."""

    split: Split
    subgroups: tuple[str, ...]

    def read(self) -> Batch:
        """All rows, without their payload; features are those in memory."""
        columns = [c for c in self.subgroups if c in self.split.table.columns]
        return Batch(self.split.table["sample_id"], self.split.features, self.split.table.select(columns))

    def ids(self) -> pl.Series:
        """The sample_ids of all rows, in order."""
        return self.split.table["sample_id"]

    def take(self, sample_ids: Sequence[str]) -> Split:
        """These rows with all their columns, sorted by sample_id."""
        wanted = self.split.table["sample_id"].is_in(list(sample_ids))
        return Split(self.split.table.filter(wanted), self.split.features[wanted.to_numpy()])


@dataclass(frozen=True)
class FileShard:
    """One shard of a pool on disk: row-aligned files of its rows and of their features, sorted by sample_id."""

    rows: Path  # sample_id, payload, subgroup and user columns
    features: Path
    subgroups: tuple[str, ...]

    def read(self) -> Batch:
        """All rows, without their payload; features (n, d) are float16, as they are kept."""
        ids, features = read_features(self.features)
        with readable(self.rows):
            columns = [c for c in self.subgroups if c in pq.read_schema(self.rows).names]
        return Batch(ids, features, read_table(self.rows, *columns) if columns else pl.DataFrame())

    def ids(self) -> pl.Series:
        """The sample_ids of all rows, in order."""
        return read_table(self.features, "sample_id")["sample_id"]

    def take(self, sample_ids: Sequence[str]) -> Split:
        """These rows with all their columns, sorted by sample_id, and float32 features."""
        ids, features = read_features(self.features)
        wanted = np.flatnonzero(ids.is_in(list(sample_ids)).to_numpy())
        table = read_rows(self.rows, wanted)
        return Split(table, np.asarray(features[wanted], dtype=np.float32))


@dataclass(frozen=True)
class Pool:
    """sample: the rows with the smallest sample_ids, all of them in a pool that is in memory.

    Ids are hashes of content, so the smallest are a uniform sample, and the same one whatever the shards are.
    """

    shards: tuple[Shard, ...]
    num_rows: int
    sample: Split

    @property
    def file_shards(self) -> tuple[FileShard, ...]:
        """The shards of a streamed pool, as the files they are."""
        return tuple(shard for shard in self.shards if isinstance(shard, FileShard))

    @property
    def is_streamed(self) -> bool:
        """Whether there are more rows than the sample has."""
        return len(self.sample) < self.num_rows
