"""What answers a query, and what an answer is."""

from __future__ import annotations

from typing import Protocol

import polars as pl

from adde_ray.artifacts.run_dir import RoundDir


class Annotator(Protocol):
    """Whatever answers a query: people behind a page or a file, a model, a simulation."""

    def answer(self, query: pl.DataFrame, synthetic: pl.DataFrame, round_: RoundDir) -> pl.DataFrame | None:
        """DECISIONS about every row of QUERY, or None: people are still at it. synthetic: SYNTHETIC + payload."""
        ...


def decision(sample_id: str, annotator: str, action: str, label: str | None, comment: str | None, *, t: int) -> dict:
    """A row of DECISIONS. action: accept, correct or reject; label: None where it is rejected."""
    return {
        "decision_id": f"{t:03d}-{annotator}-{sample_id[:12]}",
        "sample_id": sample_id,
        "round": t,
        "annotator": annotator,
        "action": action,
        "label": label,
        "comment": comment,
    }
