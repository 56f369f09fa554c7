"""The samples of a run as arrays: the ingested data with its features, and D_t read from the dataset's parts."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np
import polars as pl

from adde_ray.artifacts.queries import asked_rows, features_of, payloads
from adde_ray.artifacts.run_dir import RunDir
from adde_ray.artifacts.schema import DATASET, Meta, Split, frame, with_payload
from adde_ray.labels import holds
from adde_ray.methods.descriptions import Prototypes
from adde_ray.pool.shards import Pool

if TYPE_CHECKING:
    from adde_ray.pool.fitted_encoder import Encoding


@dataclass(frozen=True)
class Data:
    """The ingested data with its frozen-encoder features: everything a run knows before its first round.

    splits: all but the pool; seed set and val are always there, empty without a labelled sample. encode: payloads →
    (n, d) float32 features, for samples made later. left_out: ids of pool rows nobody is asked about. frozen: where
    this is a round's data with the features of its fine-tuned encoder, that with the frozen one's; what is kept with
    samples (in synthetic.parquet, asked.parquet) are the frozen ones. prototypes: what the classes' descriptions are
    among the frozen features; None where none is described, and with a fine-tuned encoder's features.
    """

    meta: Meta
    splits: dict[str, Split]
    pool: Pool
    encode: Encoding
    left_out: frozenset[str] = frozenset()
    frozen: Data | None = None
    prototypes: Prototypes | None = None

    @cached_property
    def reference(self) -> Split:
        """The real samples gaps and diversity are measured on, sorted by sample_id: the seed set and the pool,
        or of a pool that is streamed its sample."""
        both = [self.pool.sample, self.splits["seed"]]
        table = pl.concat([s.table for s in both], how="diagonal_relaxed")
        order = table["sample_id"].arg_sort().to_numpy()
        return Split(table[order], np.concatenate([s.features for s in both])[order])

    def labels(self, split: str) -> np.ndarray:
        """The labels of a labelled split as numbers: see `labels`."""
        return self.meta.numbers(self.splits[split].table["label"])

    def subgroups(self, table: pl.DataFrame) -> dict[str, list[str | None]]:
        """The subgroup columns of `table`, as strings; None throughout where it lacks one."""
        return {
            c: table[c].cast(pl.String).to_list() if c in table.columns else [None] * len(table)
            for c in self.meta.subgroups
        }


@dataclass(frozen=True)
class Dataset:
    """D_t, sorted by sample_id, row-aligned; and what the pool was asked for to get there."""

    table: pl.DataFrame  # DATASET and payload columns
    features: np.ndarray  # (m, d) float32
    labels: np.ndarray  # (m,) class rows, or (m, C) targets of a multi-label task
    subgroups: dict[str, list[str | None]]  # of synthetic rows: unknown
    class_counts: np.ndarray  # (C,) samples of which each class holds
    asked_ids: list[str]  # the pool's rows people were asked about before, whether they are in D_t or not
    asked_features: np.ndarray  # (q, d) float32, of those

    @property
    def num_synthetic(self) -> int:
        """Rows that were synthesised."""
        return int((self.table["origin"] == "synthetic").sum())


def labelled(splits: dict[str, Split], pool: Split) -> dict[str, Split]:
    """`splits` as `Data` has them. pool: some rows of the pool, whose columns and features those of an empty split are
    like."""
    empty = Split(pool.table.clear(), pool.features[:0])
    return {name: empty for name in ("seed", "val") if name not in splits} | splits


def seed_part(data: Data) -> pl.DataFrame:
    """D_0: the seed set as a dataset part."""
    table = data.splits["seed"].table
    known = {"round": [0] * len(table), "origin": ["real"] * len(table), "decision_ids": [[]] * len(table)}
    columns = {"sample_id": table["sample_id"], "label": table["label"], **known, "annotators": [[]] * len(table)}
    return frame({**columns, data.meta.modality: table[data.meta.modality]}, with_payload(DATASET, data.meta.modality))


def load_dataset(run: RunDir, t: int, data: Data) -> Dataset:
    """D_t: the union of parts <= t."""
    table = run.dataset(t).sort("sample_id")
    ids, seed = table["sample_id"].to_list(), data.splits["seed"]
    made = table.filter(pl.col("origin") == "synthetic")
    asked = [then for then in asked_rows(run, t) if len(then)]
    if data.frozen is not None:
        asked = [Split(then.table, data.encode(then.table[data.meta.modality])) for then in asked]
    asked_ids = [i for then in asked for i in then.ids]
    asked_features = np.concatenate([seed.features[:0], *(then.features for then in asked)])
    known = dict(zip(seed.ids, seed.features, strict=True)) | _made_features(made, run, t, data)
    known |= dict(zip(asked_ids, asked_features, strict=True))
    groups = [_groups(split.table, data) for split in (seed, *asked)]
    features = np.array([known[i] for i in ids], dtype=np.float32).reshape(len(ids), seed.features.shape[1])
    of_sample = table.select("sample_id").join(pl.concat(groups), on="sample_id", how="left", maintain_order="left")
    labels = data.meta.numbers(table["label"])
    counts = holds(labels, len(data.meta.classes)).sum(axis=0)
    return Dataset(table, features, labels, data.subgroups(of_sample), counts, asked_ids, asked_features)


def _groups(table: pl.DataFrame, data: Data) -> pl.DataFrame:
    columns = {"sample_id": table["sample_id"], **data.subgroups(table)}
    return pl.DataFrame(columns, schema_overrides=dict.fromkeys(data.meta.subgroups, pl.String))


def query_features(sample_ids: list[str], synthetic: pl.DataFrame, asked: Split, data: Data) -> np.ndarray:
    """(n, d) features of a query's n >= 1 samples, as `data` has them."""
    if data.frozen is None:
        return features_of(sample_ids, synthetic, asked)
    return data.encode(payloads(sample_ids, synthetic, asked, data.meta.modality))


def synthetic_rows(synthetic: pl.DataFrame, data: Data) -> np.ndarray:
    """(n, d) features of SYNTHETIC + payload rows, as `data` has them."""
    if data.frozen is not None:
        return data.encode(synthetic[data.meta.modality])
    kept = np.array(synthetic["features"].to_list(), dtype=np.float32)
    return kept.reshape(len(kept), data.reference.features.shape[1])


def _made_features(made: pl.DataFrame, run: RunDir, t: int, data: Data) -> dict[str, np.ndarray]:
    """sample_id -> (d,) features of the synthetic rows of D_t."""
    if data.frozen is None:
        return synthetic_features(run, t)
    return dict(zip(made["sample_id"], data.encode(made[data.meta.modality]), strict=True))


def synthetic_features(run: RunDir, before: int) -> dict[str, np.ndarray]:
    """sample_id -> (d,) features of what was synthesised and kept in rounds < `before`."""
    found = {}
    for t in range(before):
        if (table := run.round(t).read("synthetic.parquet", "sample_id", "status", "features")) is not None:
            kept = table.filter(pl.col("status") == "kept")
            found |= {i: np.array(z, dtype=np.float32) for i, z in kept.select("sample_id", "features").iter_rows()}
    return found
