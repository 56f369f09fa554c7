"""Grow the dataset: query and decisions in, the next part of dataset/ out."""

from __future__ import annotations

import polars as pl

from adde_ray.artifacts.queries import payloads, read_asked
from adde_ray.artifacts.run_dir import RoundDir
from adde_ray.artifacts.schema import DATASET, frame, with_payload
from adde_ray.stages.round_state import Answers
from adde_ray.stages.run_context import RunContext


def grow(answers: Answers, context: RunContext, round_: RoundDir) -> pl.DataFrame:
    """What people confirmed or corrected, with its lineage: the part of D_{t+1} that D_t lacks."""
    t, modality = round_.t, context.data.meta.modality

    def part() -> pl.DataFrame:
        acts = answers.decisions.group_by("sample_id", maintain_order=True).agg(
            pl.col("label").last(),
            pl.col("decision_id").alias("decision_ids"),
            pl.col("annotator").unique(maintain_order=True).alias("annotators"),
        )
        confirmed = answers.query.join(acts.filter(pl.col("label").is_not_null()), on="sample_id").sort("sample_id")
        ids = confirmed["sample_id"].to_list()
        shown = payloads(ids, answers.synthetic, read_asked(round_), modality)
        confirmed = confirmed.with_columns(shown, round=pl.lit(t + 1))
        return frame(confirmed, with_payload(DATASET, modality))

    return round_.run.once(f"dataset/{round_.run.dataset_part(t + 1).name}", part)
