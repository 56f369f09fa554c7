"""Analyse D_t in the latent space: dataset and pool in, gaps.parquet and the round's measurements out."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import polars as pl

from adde_ray import labels
from adde_ray.artifacts.descriptions import knows_descriptions
from adde_ray.artifacts.run_dir import RoundDir, derive_rng, read_kept
from adde_ray.artifacts.schema import UNLABELLED, Population
from adde_ray.dataset import Data, Dataset
from adde_ray.methods.model.learner import Model
from adde_ray.methods.model.unseen import Unseen, unseen
from adde_ray.methods.space import diversity, drift, gaps, region_counts
from adde_ray.methods.space.clustering import Space
from adde_ray.methods.space.gap_tracking import track
from adde_ray.methods.space.region_counts import Places, RegionCounts
from adde_ray.stages.gap_words import in_words
from adde_ray.stages.metrics import measure
from adde_ray.stages.round_state import Analysis
from adde_ray.stages.run_context import RunContext


def analyse(
    dataset: Dataset,
    model: Model,
    asked: set[str],
    context: RunContext,
    round_: RoundDir,
    *,
    beside: Callable[[], dict] = dict,
) -> Analysis:
    """Embed, cluster, find and track gaps, measure diversity and quality. asked: ids people were asked about before.

    beside: entries of metrics.json that are measured elsewhere.
    """
    config, data, spaces = context.config, context.data, context.spaces
    reference = data.reference
    embedding, dataset_embedding = model.embed(reference.features), model.embed(dataset.features)
    proba = model.proba(reference.features)
    by_words = described_only(dataset, context)
    space, real = spaces.of(model, embedding, data, config)
    unlabelled = np.full(len(reference), UNLABELLED)
    everyone = Population(reference.ids, space.points, unlabelled, data.subgroups(reference.table))
    labelled = Population(
        dataset.table["sample_id"].to_list(), space.reduce(dataset_embedding), dataset.labels, dataset.subgroups
    )

    def gaps_now() -> pl.DataFrame:
        in_dataset = set(labelled.ids)
        taken = np.array([i in asked or i in in_dataset for i in reference.ids])
        counted = count_regions(space, real, dataset, model, data)
        found = gaps.find_gaps(
            space,
            everyone,
            labelled,
            asked=taken,
            proba=proba if by_words is None else by_words.expected(proba, reference.features),
            classes=data.meta.classes,
            config=config.gaps,
            diversity=config.diversity,
            counts=counted,
        )
        before = round_.run.round(round_.t - 1).read("gaps.parquet") if round_.t else None
        previous = gaps.from_frame(before) if before is not None else []
        moved = {"ids": everyone.ids, "points": space.points}
        tracked = track(previous, found, round=round_.t, **moved, tried=tried(round_, data.meta.multi))
        return gaps.to_frame(in_words(tracked, space, dataset, context))

    tracked = gaps.from_frame(round_.once("gaps.parquet", gaps_now))

    def metrics() -> dict:
        spread = diversity.measure(
            space,
            everyone,
            labelled,
            embedding,
            dataset_embedding,
            classes=data.meta.classes,
            config=config.diversity,
        )
        opened = [gap for gap in tracked if gap.status == "open"]
        return {
            "round": round_.t,
            "num_asked": len(asked),
            "num_labels": len(asked) if config.review.by_people else 0,
            "num_samples": len(dataset.table),
            "num_synthetic": dataset.num_synthetic,
            "per_class": dict(zip(data.meta.classes, map(int, dataset.class_counts), strict=True)),
            **measure(dataset, model, proba, data, config, round_, spaces.reference(data, config)),
            "diversity": {name: round(float(value), 6) for name, value in spread.items()},
            "drift": drifted(space, labelled.points, model, context, round_),
            "gaps": {
                "open": len(opened),
                "filled": sum(gap.filled_round == round_.t for gap in tracked),
                "new": sum(gap.opened_round == round_.t for gap in opened),
            },
            **beside(),
        }

    round_.once_json("metrics.json", metrics)
    to_fill = gaps.open_gaps(tracked, config.gaps)
    local = spaces.local_scale(model, embedding, data, config)
    seen = [round_.run.round(t).metrics for t in range(round_.t + 1)]
    return Analysis(
        dataset=dataset,
        model=model,
        asked=asked,
        space=space,
        embedding=embedding,
        dataset_embedding=dataset_embedding,
        proba=proba,
        open_gaps=to_fill,
        local_scale=local,
        history=seen,
        unseen=by_words,
        sought=by_words or described_to(model, dataset, context, round_),
    )


def described_only(dataset: Dataset, context: RunContext) -> Unseen | None:
    """Classes without a labelled sample that f does not know by their descriptions; None where there are none.

    A linear head learns from them, or has turned them down by rows that it did not see; before there is a label, f is
    the comparison with them.
    """
    data = context.data
    if data.prototypes is None or not len(dataset.labels) or context.config.train.learner == "linear":
        return None
    return unseen(data.prototypes, dataset.class_counts, data.pool.sample.features, multi=data.meta.multi)


def described_to(model: Model, dataset: Dataset, context: RunContext, round_: RoundDir) -> Unseen | None:
    """Classes without a labelled sample that a linear head knows by their descriptions; None where there are none, or
    where it has turned descriptions down."""
    data = context.data
    if data.prototypes is None or not len(dataset.labels) or not knows_descriptions(round_):
        return None
    class_rows = np.flatnonzero(data.prototypes.known & (dataset.class_counts == 0))
    return Unseen(model, class_rows) if len(class_rows) else None


def drifted(space: Space, labelled: np.ndarray, model: Model, context: RunContext, round_: RoundDir) -> dict:
    """Drift between the pool (and seed set), D_t and val, in this round's space; empty when it is not measured.

    labelled: (m, r) points of D_t.
    """
    config, data = context.config, context.data
    if not config.gates.drift_rows:
        return {}
    rng = derive_rng(config.run.seed, round_.t, "drift")
    val = space.reduce(model.embed(data.splits["val"].features))
    points = {"pool": space.points, "dataset": labelled, "val": val}
    cells = {"pool": space.cells, "dataset": space.cell_of(labelled), "val": space.cell_of(val)}
    return drift.measure(points, cells, len(space.centroids), rng=rng, max_rows=config.gates.drift_rows)


def count_regions(space: Space, real: Places, dataset: Dataset, model: Model, data: Data) -> RegionCounts | None:
    """What is counted where; None when the reference is all there is, and speaks for itself."""
    if not data.pool.is_streamed:
        return None
    in_dataset, seed = set(dataset.table["sample_id"].to_list()), data.splits["seed"].features
    points = space.reduce(model.embed(np.concatenate([seed, dataset.asked_features])))
    rejected = np.array([False] * len(seed) + [i not in in_dataset for i in dataset.asked_ids], dtype=bool)
    taken, rejected = region_counts.count(space, points), region_counts.count(space, points[rejected])
    return RegionCounts(real, taken, rejected)


def tried(round_: RoundDir, multi: bool) -> dict[str, tuple[int, ...]]:
    """gap_id -> samples of the round before, as `gap_tracking.TALLIES`: synthesised for it, asked about near it or in
    it, confirmed, and asked about in it.

    Confirmed is what entered the dataset as what the gap lacks: for a class, with that class.
    """
    if round_.t == 0:
        return {}
    before = round_.run.round(round_.t - 1)
    made, query = before.read("synthetic.parquet", "gap_id"), before.read("query.parquet")
    # The first queries did not tell near from inside.
    near = None if query is None else query["near_gap" if "near_gap" in query.columns else "gap_id"]
    grown = _filling(round_, before, multi)
    counts: dict[str, list[int]] = {}
    for column, ids in enumerate((made, near, grown, query)):
        ids = ids["gap_id"] if isinstance(ids, pl.DataFrame) else ids
        for gap_id in [] if ids is None else ids.drop_nulls():
            counts.setdefault(gap_id, [0, 0, 0, 0])[column] += 1
    return {gap_id: tuple(c) for gap_id, c in counts.items()}


def _filling(round_: RoundDir, before: RoundDir, multi: bool) -> pl.DataFrame | None:
    """gap_id and label of what the round before added to the dataset, without labels that the gap does not lack."""
    found = before.read("gaps.parquet", "gap_id", "kind", "label")
    part = round_.run.dataset_part(round_.t)
    if found is None or not part.exists():
        return None
    wanted = dict(found.filter(kind="class").select("gap_id", "label").iter_rows())
    grown = read_kept(part, "gap_id", "label")
    fills = [
        gap_id not in wanted or wanted[gap_id] in (labels.split(label)[0] if multi else [label])
        for gap_id, label in grown.iter_rows()
    ]
    return grown.filter(pl.Series(fills, dtype=pl.Boolean))
