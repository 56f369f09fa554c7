"""Ask people about the query: QUERY in, DECISIONS out, or None while they have not all answered.

An annotator is whatever answers a query; the review page, a file or a simulation plug in here alike.
"""

from __future__ import annotations

from typing import Protocol

import numpy as np
import polars as pl

from adde_ray.config import Config
from adde_ray.data import Data
from adde_ray.errors import choose
from adde_ray.labels import foreign
from adde_ray.methods.annotators import Judges, SimulatedAnnotator
from adde_ray.methods.generators import generator_for
from adde_ray.review import inbox
from adde_ray.rundir import ORACLE, RoundDir, RunDir, derive_seed, read_table


class Annotator(Protocol):
    def answer(self, query: pl.DataFrame, synthetic: pl.DataFrame, round_: RoundDir) -> pl.DataFrame | None:
        """DECISIONS about every row of QUERY, or None: people are still at it. synthetic: SYNTHETIC + payload."""
        ...


class Simulated:
    """The pool's hidden labels answer; see `methods.annotators`."""

    def __init__(self, config: Config, data: Data, run: RunDir):
        seed = derive_seed(config.run.seed, "annotator")
        truth = dict(read_table(run.root / ORACLE).select("sample_id", "label").iter_rows())
        judges = None
        if config.review.reject_unrealistic and generator_for(config.generate.generator, data.meta.modality):
            known = truth | dict(data.splits["seed"].table.select("sample_id", "label").iter_rows())
            usable = sorted(
                i for i, label in known.items() if not foreign(label, data.meta.classes, multi=data.meta.multi)
            )
            at = [data.reference_rows[i] for i in usable]
            labels = data.meta.numbers([known[i] for i in usable])
            judges = Judges(data.reference.features[at], labels, seed=seed)
        self._annotator = SimulatedAnnotator(
            truth,
            data.meta.classes,
            error_rate=config.review.error_rate,
            judges=judges,
            multi=data.meta.multi,
            seed=seed,
        )

    def answer(self, query: pl.DataFrame, synthetic: pl.DataFrame, round_: RoundDir) -> pl.DataFrame:
        features = dict(synthetic.select("sample_id", "features").iter_rows())
        asked = {i: np.array(features[i], dtype=np.float32) for i in query["sample_id"] if i in features}
        return self._annotator.answer(query, asked, t=round_.t)


class File:
    """People fill in rounds/NNN/review.csv; see `review.inbox`."""

    def __init__(self, config: Config, data: Data, run: RunDir):
        self._data = data

    def answer(self, query: pl.DataFrame, synthetic: pl.DataFrame, round_: RoundDir) -> pl.DataFrame | None:
        meta, payloads = self._data.meta, self._data.payloads(query["sample_id"].to_list(), synthetic)
        shown, known = query.with_columns(payloads), self._data.reference.table
        if "file" in known.columns:  # what people see is small: they may want the original
            shown = shown.join(known.select("sample_id", "file"), on="sample_id", how="left")
        path = inbox.put_out(round_.root, shown, meta.modality, meta.classes, multi=meta.multi)
        return inbox.take_in(path, query, meta.classes, t=round_.t, multi=meta.multi)


def make_annotator(config: Config, data: Data, run: RunDir) -> Annotator:
    """The configured annotator of a run."""
    return choose(ANNOTATORS, config.review.annotator, where="review.annotator")(config, data, run)


def review(query: pl.DataFrame, synthetic: pl.DataFrame, annotator: Annotator, round_: RoundDir) -> pl.DataFrame | None:
    """DECISIONS about every row of the query, or None while people are still at it."""
    if (kept := round_.read("decisions.parquet")) is not None:
        return kept
    decisions = annotator.answer(query, synthetic, round_)
    return None if decisions is None else round_.once("decisions.parquet", lambda: decisions)


ANNOTATORS = {"simulated": Simulated, "file": File}
