"""Take in what people changed of earlier decisions: D_t is made again as if they had said so then.

Rounds that are done stay as they were, with the models that learned from what was known. From this round on the dataset
is what people say now: samples change their label, leave it, or enter it.
"""

from __future__ import annotations

from typing import Protocol, runtime_checkable

import polars as pl

from adde_ray.artifacts.damage import AMENDED
from adde_ray.artifacts.queries import last_decisions, payloads, read_asked
from adde_ray.artifacts.run_dir import RoundDir
from adde_ray.artifacts.schema import DATASET, DECISIONS, SYNTHETIC, frame, with_payload
from adde_ray.stages.run_context import RunContext


@runtime_checkable
class Amending(Protocol):
    """An annotator whose answers may be changed after their round."""

    def changed(self, round_: RoundDir) -> pl.DataFrame:
        """DECISIONS that stand now of samples asked about in earlier rounds; whatever it lacks stays as it was."""
        ...


def amend(context: RunContext, round_: RoundDir) -> pl.DataFrame | None:
    """DATASET rows of what was changed, their label null where the sample is in the dataset no longer, with the action;
    None for an annotator whose answers stand once they are taken. In the round's `AMENDED` from now on."""
    if not isinstance(annotator := context.annotator, Amending):
        return None
    return round_.once(AMENDED, lambda: _changes(annotator.changed(round_), context, round_))


def _changes(now: pl.DataFrame, context: RunContext, round_: RoundDir) -> pl.DataFrame:
    modality, run = context.data.meta.modality, round_.run
    schema = with_payload(DATASET, modality).append(DECISIONS.field("action"))
    before = last_decisions(run, round_.t)
    both = now.join(before.select("sample_id", "asked_in", was="label"), on="sample_id")
    changed = both.filter(pl.col("label").ne_missing(pl.col("was")))
    parts = [frame([], schema)]
    for (t,), rows in changed.group_by("asked_in", maintain_order=True):
        then = run.round(int(str(t)))
        query, synthetic = then.read("query.parquet"), then.read("synthetic.parquet")
        assert query is not None, "what was decided was asked"
        ids = rows["sample_id"].to_list()
        lineage = query.drop("round", "label", "annotator", "action", "comment", strict=False)
        table = rows.select(
            "sample_id",
            "label",
            "action",
            decision_ids=pl.concat_list("decision_id"),
            annotators=pl.col("annotator").str.split(", "),
            round=pl.lit(then.t + 1),
        ).join(lineage, on="sample_id", how="left", maintain_order="left")
        made = frame([], with_payload(SYNTHETIC, modality)) if synthetic is None else synthetic
        parts.append(frame(table.with_columns(payloads(ids, made, read_asked(then), modality)), schema))
    return pl.concat(parts).sort("sample_id")
