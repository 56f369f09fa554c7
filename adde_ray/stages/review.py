"""Ask people about the query: QUERY in, DECISIONS out, or None while they have not all answered.

An annotator is whatever answers a query; the review page, a file or a simulation plug in here alike.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Protocol

import numpy as np
import polars as pl

from adde_ray.annotators.simulated import Judges, SimulatedAnnotator, pseudo_labels
from adde_ray.artifacts.images import viewable
from adde_ray.artifacts.queries import payloads, read_asked
from adde_ray.artifacts.run_dir import ORACLE, RoundDir, RunDir, derive_seed, readable
from adde_ray.artifacts.schema import Split
from adde_ray.config import Config
from adde_ray.dataset import Data
from adde_ray.errors import choose
from adde_ray.labels import foreign
from adde_ray.methods.synthesis.generators import generator_for
from adde_ray.review.read_review import read_review
from adde_ray.review.write_review import TABLE, write_review
from adde_ray.sources import ORIGINALS
from adde_ray.sources.images.views import View
from adde_ray.sources.originals import Finder, Original, find


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
    """People fill in rounds/NNN/review.csv; see `review.read_review`."""

    def __init__(self, config: Config, data: Data, run: RunDir):
        self._meta, self._source = data.meta, config.data

    def answer(self, query: pl.DataFrame, synthetic: pl.DataFrame, round_: RoundDir) -> pl.DataFrame | None:
        path = round_.root / TABLE
        if not path.exists():  # what people have begun to answer stays as it is
            shown = self._shown(query, synthetic, read_asked(round_))
            write_review(round_.root, shown, self._meta.modality, self._meta.classes, multi=self._meta.multi)
        answers = read_review(path, query, self._meta.classes, t=round_.t, multi=self._meta.multi)
        return None if answers.open else answers.decisions

    def _shown(self, query: pl.DataFrame, synthetic: pl.DataFrame, asked: Split) -> pl.DataFrame:
        """The query with what people are to look at: of images the originals where they still are."""
        modality = self._meta.modality
        shown = query.with_columns(payloads(query["sample_id"].to_list(), synthetic, asked, modality))
        if "file" in asked.table.columns:
            shown = shown.join(asked.table.select("sample_id", "file"), on="sample_id", how="left")
        if modality != "image":
            return shown
        shown = shown.with_columns(pl.col("image").map_elements(viewable, return_dtype=pl.Binary))
        if (originals := ORIGINALS.get(self._source.source)) is None:
            return shown
        views = pl.DataFrame(_views(originals(self._source), asked.table), schema=VIEW, orient="row")
        shown = shown.join(views, on="sample_id", how="left", maintain_order="left")
        smaller = pl.format("as the model sees it: the original {}", "why")
        return shown.with_columns(
            pl.coalesce("original", "image").alias("image"),
            pl.coalesce("view", smaller, pl.lit("as it was made")).alias("view"),
        )


VIEW = {"sample_id": pl.String, "original": pl.Binary, "extension": pl.String, "view": pl.String, "why": pl.String}
"""What is shown of a sample's original, or why nothing is."""


def _views(finder: Finder, rows: pl.DataFrame) -> Iterator[tuple[str | bytes | None, ...]]:
    """VIEW columns of each row."""
    for sample_id, found in find(finder, rows):
        view = finder.view(found.data) if isinstance(found, Original) else found
        if isinstance(view, View):
            kind = "original" if view.is_original else "picture of the original"
            yield sample_id, view.data, view.extension, kind, None
        else:
            yield sample_id, None, None, None, view


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
