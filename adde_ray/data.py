"""The samples of a run as arrays: the ingested data with its features, and D_t read from the dataset's parts."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np
import polars as pl

from adde_ray.rundir import RunDir
from adde_ray.schema import DATASET, Meta, Split, frame, payload_series, with_payload

if TYPE_CHECKING:
    from adde_ray.methods.finetune import Recipe


@dataclass(frozen=True)
class Data:
    """The ingested data with its frozen-encoder features: everything a run knows before its first round.

    encode: payloads → (n, d) float32 features, for samples made later. recipe: how to build the encoder anew.
    frozen: where this is a round's data with the features of its fine-tuned encoder, that with the frozen one's.
    """

    meta: Meta
    splits: dict[str, Split]
    encode: Callable[[pl.Series], np.ndarray]
    recipe: Recipe | None = None
    frozen: Data | None = None

    @cached_property
    def reference(self) -> Split:
        """Pool and seed together, sorted by sample_id: the real samples gaps and diversity are measured on."""
        both = [self.splits["pool"], self.splits["seed"]]
        table = pl.concat([s.table for s in both], how="diagonal_relaxed")
        order = table["sample_id"].arg_sort().to_numpy()
        return Split(table[order], np.concatenate([s.features for s in both])[order])

    @cached_property
    def reference_rows(self) -> dict[str, int]:
        return {sample_id: row for row, sample_id in enumerate(self.reference.ids)}

    def payloads(self, sample_ids: list[str], synthetic: pl.DataFrame) -> pl.Series:
        """The payload column of real samples and of this round's synthetic ones (SYNTHETIC rows)."""
        column = self.meta.modality
        made = dict(synthetic.select("sample_id", column).iter_rows())
        real = self.reference.table[column]
        return payload_series([made[i] if i in made else real[self.reference_rows[i]] for i in sample_ids], column)

    def labels(self, split: str) -> np.ndarray:
        """(n,) class rows of a labelled split."""
        return self.meta.class_rows(self.splits[split].table["label"])

    def subgroups(self, table: pl.DataFrame) -> dict[str, list[str | None]]:
        """The subgroup columns of `table`, as strings; None throughout where it lacks one."""
        return {
            c: table[c].cast(pl.String).to_list() if c in table.columns else [None] * len(table)
            for c in self.meta.subgroups
        }


@dataclass(frozen=True)
class Dataset:
    """D_t, sorted by sample_id, row-aligned."""

    table: pl.DataFrame  # DATASET and payload columns
    features: np.ndarray  # (m, d) float32
    labels: np.ndarray  # (m,) class rows
    subgroups: dict[str, list[str | None]]  # of synthetic rows: unknown
    class_counts: np.ndarray  # (C,)

    @property
    def num_synthetic(self) -> int:
        return int((self.table["origin"] == "synthetic").sum())


def seed_part(data: Data) -> pl.DataFrame:
    """D_0: the seed set as a dataset part."""
    table = data.splits["seed"].table
    known = {"round": [0] * len(table), "origin": ["real"] * len(table), "decision_ids": [[]] * len(table)}
    columns = {"sample_id": table["sample_id"], "label": table["label"], **known, "annotators": [[]] * len(table)}
    return frame({**columns, data.meta.modality: table[data.meta.modality]}, with_payload(DATASET, data.meta.modality))


def load_dataset(run: RunDir, t: int, data: Data) -> Dataset:
    """D_t: the union of parts <= t."""
    table = run.dataset(t).sort("sample_id")
    rows, reference = data.reference_rows, data.reference
    ids = table["sample_id"].to_list()
    if data.frozen is None:
        synthetic = synthetic_features(run, t)
    else:
        made = table.filter(~pl.col("sample_id").is_in(list(rows)))
        synthetic = dict(zip(made["sample_id"], data.encode(made[data.meta.modality]), strict=True))
    features = np.stack([reference.features[rows[i]] if i in rows else synthetic[i] for i in ids])
    real_groups = data.subgroups(reference.table)
    subgroups = {c: [values[rows[i]] if i in rows else None for i in ids] for c, values in real_groups.items()}
    labels = data.meta.class_rows(table["label"])
    counts = np.bincount(labels, minlength=len(data.meta.classes))
    return Dataset(table, features, labels, subgroups, counts)


def features_of(sample_ids: list[str], synthetic: pl.DataFrame, data: Data) -> np.ndarray:
    """(n, d) features of real samples and of this round's synthetic ones (SYNTHETIC rows)."""
    table = synthetic.filter(pl.col("sample_id").is_in(sample_ids))
    made = dict(zip(table["sample_id"], synthetic_rows(table, data), strict=True))
    rows = [made[i] if i in made else data.reference.features[data.reference_rows[i]] for i in sample_ids]
    return np.array(rows, dtype=np.float32).reshape(len(rows), data.reference.features.shape[1])


def synthetic_rows(synthetic: pl.DataFrame, data: Data) -> np.ndarray:
    """(n, d) features of SYNTHETIC + payload rows: the frozen ones kept with them, or the fine-tuned encoder's."""
    if data.frozen is not None:
        return data.encode(synthetic[data.meta.modality])
    kept = np.array(synthetic["features"].to_list(), dtype=np.float32)
    return kept.reshape(len(kept), data.reference.features.shape[1])


def synthetic_features(run: RunDir, before: int) -> dict[str, np.ndarray]:
    """sample_id -> (d,) features of what was synthesised and kept in rounds < `before`."""
    found = {}
    for t in range(before):
        if (table := run.round(t).read("synthetic.parquet", "sample_id", "status", "features")) is not None:
            kept = table.filter(pl.col("status") == "kept")
            found |= {i: np.array(z, dtype=np.float32) for i, z in kept.select("sample_id", "features").iter_rows()}
    return found


def asked_before(run: RunDir, t: int) -> set[str]:
    """Ids of every sample people were asked about in rounds < t."""
    queries = [run.round(r).read("query.parquet", "sample_id") for r in range(t)]
    return {i for query in queries if query is not None for i in query["sample_id"]}
