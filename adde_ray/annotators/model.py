"""f answers for itself: pseudo-labels, which stand for nobody's word but the model's."""

from __future__ import annotations

import polars as pl

from adde_ray.annotators.protocol import decision
from adde_ray.artifacts.run_dir import RoundDir, RunDir
from adde_ray.artifacts.schema import DECISIONS, frame
from adde_ray.config import Config
from adde_ray.dataset import Data


class Model:
    """f's own word about its query, where it is sure enough."""

    def __init__(self, config: Config, data: Data, run: RunDir):
        self._min_confidence = config.review.min_confidence

    def answer(self, query: pl.DataFrame, synthetic: pl.DataFrame, round_: RoundDir) -> pl.DataFrame:
        """DECISIONS about every row of the query."""
        return pseudo_labels(query, min_confidence=self._min_confidence, t=round_.t)


def pseudo_labels(query: pl.DataFrame, *, min_confidence: float, t: int) -> pl.DataFrame:
    """DECISIONS of f about its own query: the suggested label, where its calibrated confidence reaches the threshold
    (Lee 2013); the rest is rejected."""
    rows = []
    for sample_id, suggested, confidence in query.select("sample_id", "suggested", "confidence").iter_rows():
        if confidence >= min_confidence:
            rows.append(decision(sample_id, "model", "accept", suggested, None, t=t))
        else:
            comment = f"confidence {confidence:.2f} < {min_confidence:.2f}"
            rows.append(decision(sample_id, "model", "reject", None, comment, t=t))
    return frame(rows, DECISIONS)
