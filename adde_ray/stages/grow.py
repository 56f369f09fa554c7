"""Grow the dataset: query and decisions in, the next part of dataset/ out."""

from __future__ import annotations

import polars as pl

from adde_ray.artifacts.queries import payloads, read_asked
from adde_ray.artifacts.run_dir import RoundDir
from adde_ray.artifacts.schema import DATASET, frame, with_payload


def grow(
    query: pl.DataFrame, synthetic: pl.DataFrame, decisions: pl.DataFrame, modality: str, round_: RoundDir
) -> pl.DataFrame:
    """What people confirmed or corrected, with its lineage: the part of D_{t+1} that D_t lacks."""
    t = round_.t

    def part() -> pl.DataFrame:
        acts = decisions.group_by("sample_id", maintain_order=True).agg(
            pl.col("label").last(),
            pl.col("decision_id").alias("decision_ids"),
            pl.col("annotator").unique(maintain_order=True).alias("annotators"),
        )
        confirmed = query.join(acts.filter(pl.col("label").is_not_null()), on="sample_id").sort("sample_id")
        confirmed = confirmed.with_columns(
            payloads(confirmed["sample_id"].to_list(), synthetic, read_asked(round_), modality), round=pl.lit(t + 1)
        )
        return frame(confirmed, with_payload(DATASET, modality))

    return round_.run.once(f"dataset/{round_.run.dataset_part(t + 1).name}", part)
