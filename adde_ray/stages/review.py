"""Ask people about the query: QUERY in, DECISIONS out, or None while they have not all answered.

An annotator is whatever answers a query; the review page, a file or a simulation plug in here alike.
"""

from __future__ import annotations

from typing import Protocol

import numpy as np
import polars as pl

from adde_ray.asked import payloads, read_asked
from adde_ray.config import Config
from adde_ray.data import Data
from adde_ray.errors import choose
from adde_ray.labels import foreign
from adde_ray.methods.annotators import Judges, SimulatedAnnotator, pseudo_labels
from adde_ray.methods.generators import generator_for
from adde_ray.methods.images import viewable
from adde_ray.review import inbox
from adde_ray.rundir import ORACLE, RoundDir, RunDir, derive_seed, readable


class Annotator(Protocol):
    def answer(self, query: pl.DataFrame, synthetic: pl.DataFrame, round_: RoundDir) -> pl.DataFrame | None:
        """DECISIONS about every row of QUERY, or None: people are still at it. synthetic: SYNTHETIC + payload."""
        ...


class Simulated:
    """The pool's hidden labels answer; see `methods.annotators`."""

    def __init__(self, config: Config, data: Data, run: RunDir):
        seed = derive_seed(config.run.seed, "annotator")
        self._oracle = run.root / ORACLE
        judges = None
        if config.review.reject_unrealistic and generator_for(config.generate.generator, data.meta.modality):
            known = self._truth(data.reference.ids)
            known |= dict(data.splits["seed"].table.select("sample_id", "label").iter_rows())
            own = [not foreign(known.get(i, ""), data.meta.classes, multi=data.meta.multi) for i in data.reference.ids]
            usable = [row for row, i in enumerate(data.reference.ids) if i in known and own[row]]
            labels = data.meta.numbers([known[data.reference.ids[row]] for row in usable])
            judges = Judges(data.reference.features[usable], labels, seed=seed)
        self._annotator = SimulatedAnnotator(
            data.meta.classes,
            error_rate=config.review.error_rate,
            judges=judges,
            multi=data.meta.multi,
            seed=seed,
        )

    def answer(self, query: pl.DataFrame, synthetic: pl.DataFrame, round_: RoundDir) -> pl.DataFrame:
        features = dict(synthetic.select("sample_id", "features").iter_rows())
        made = {i: np.array(features[i], dtype=np.float32) for i in query["sample_id"] if i in features}
        return self._annotator.answer(query, self._truth(query["sample_id"].to_list()), made, t=round_.t)

    def _truth(self, sample_ids: list[str]) -> dict[str, str]:
        """Of these samples alone: there may be millions more."""
        with readable(self._oracle):
            wanted = pl.scan_parquet(self._oracle, glob=False).filter(pl.col("sample_id").is_in(sample_ids))
            return dict(wanted.select("sample_id", "label").collect().iter_rows())


class File:
    """People fill in rounds/NNN/review.csv; see `review.inbox`."""

    def __init__(self, config: Config, data: Data, run: RunDir):
        self._meta = data.meta

    def answer(self, query: pl.DataFrame, synthetic: pl.DataFrame, round_: RoundDir) -> pl.DataFrame | None:
        asked, modality = read_asked(round_), self._meta.modality
        shown = query.with_columns(payloads(query["sample_id"].to_list(), synthetic, asked, modality))
        if modality == "image":
            shown = shown.with_columns(pl.col("image").map_elements(viewable, return_dtype=pl.Binary))
        if "file" in asked.table.columns:  # what people see is small: they may want the original
            shown = shown.join(asked.table.select("sample_id", "file"), on="sample_id", how="left")
        path = inbox.put_out(round_.root, shown, modality, self._meta.classes, multi=self._meta.multi)
        return inbox.take_in(path, query, self._meta.classes, t=round_.t, multi=self._meta.multi)


class Model:
    """f answers for itself; see `methods.annotators.pseudo_labels`."""

    def __init__(self, config: Config, data: Data, run: RunDir):
        self._min_confidence = config.review.min_confidence

    def answer(self, query: pl.DataFrame, synthetic: pl.DataFrame, round_: RoundDir) -> pl.DataFrame:
        return pseudo_labels(query, min_confidence=self._min_confidence, t=round_.t)


def make_annotator(config: Config, data: Data, run: RunDir) -> Annotator:
    """The configured annotator of a run."""
    return choose(ANNOTATORS, config.review.annotator, where="review.annotator")(config, data, run)


def review(query: pl.DataFrame, synthetic: pl.DataFrame, annotator: Annotator, round_: RoundDir) -> pl.DataFrame | None:
    """DECISIONS about every row of the query, or None while people are still at it."""
    if (kept := round_.read("decisions.parquet")) is not None:
        return kept
    decisions = annotator.answer(query, synthetic, round_)
    return None if decisions is None else round_.once("decisions.parquet", lambda: decisions)


ANNOTATORS = {"simulated": Simulated, "file": File, "model": Model}
