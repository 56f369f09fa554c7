"""Score everything that could be asked about: pool and synthetic.parquet in, candidates.parquet out.

One pass over the pool's shards; each gives its best, and a shortlist of bounded size is kept of them.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import polars as pl

from adde_ray import labels
from adde_ray.artifacts.run_dir import RoundDir, derive_seed
from adde_ray.artifacts.schema import CANDIDATES, frame
from adde_ray.artifacts.wishes import wishes_of
from adde_ray.config import Config
from adde_ray.dataset import Data, synthetic_rows
from adde_ray.distributed.tasks import each
from adde_ray.methods.policy.adaptation import Policy
from adde_ray.methods.query import mix, random_part, selectors, terms
from adde_ray.methods.query.closeness import ToClasses
from adde_ray.methods.query.scoring import Best, Scorer, merge, merge_all
from adde_ray.methods.synthesis.quality import quality_scores
from adde_ray.pool.draw import draw
from adde_ray.pool.look_for import LIT, look_for
from adde_ray.pool.nearest import nearest
from adde_ray.pool.shards import Pool, Shard
from adde_ray.stages.batch import arms_of
from adde_ray.stages.round_state import Analysis, Shortlist
from adde_ray.stages.run_context import RunContext

SIGNALS = ("confidence", "agreement", "nn_ratio")
"""What quality control measured of a synthetic sample; Q is learned on it."""


def score(
    analysis: Analysis, synthetic: pl.DataFrame, policy: Policy, context: RunContext, round_: RoundDir
) -> Shortlist | None:
    """The shortlist: the best real samples, those that synthetic ones have found, and the synthetic ones that found
    none near them. None when the query has been chosen already."""
    config, data, seed, t = context.config, context.data, context.config.run.seed, round_.t
    if round_.read("query.parquet", "sample_id") is not None:
        return None
    taken = analysis.asked | set(analysis.dataset.table["sample_id"].to_list())
    scorer = _scorer(analysis, taken, policy, context, round_)
    at_most, workers = _at_most(data.pool, analysis, config), config.stream.workers
    due = _due(analysis, context)
    drawn = rows_by_chance(due, scorer, taken | data.left_out, context, derive_seed(seed, t, "random_share"))
    by_chance = frozenset(i for part in drawn for i in part.table["sample_id"])
    out = taken | data.left_out | by_chance
    best = best_of_pool(data.pool, scorer, out, at_most, workers=workers)
    best = merge_all([best, *_for_others(best, scorer, out, analysis, context, derive_seed(seed, t, "mix"))])
    wished = [i for i in wishes_of(round_) if i not in out]
    made = synthetic.filter((pl.col("status") == "kept") & ~pl.col("sample_id").is_in(list(analysis.asked)))
    features = synthetic_rows(made, data)
    lit = _lit(made["sample_id"], features, out, context)
    best = with_rows(best, data.pool, scorer, {*wished, *lit["sample_id"]} - set(best.table["sample_id"]))
    best = merge_all([best, *drawn])
    # Q: nothing is more real than what is real.
    real = best.table.with_columns(pl.lit("real").alias("origin"), pl.lit(1.0).alias("Q"))
    found = lit.unique("sample_id", keep="first", maintain_order=True)  # of several that have found it, the nearest
    real = real.join(found.select("sample_id", "lit_by"), on="sample_id", how="left", maintain_order="left")
    shown = ~made["sample_id"].is_in(lit["lit_by"].to_list())
    made, features = made.filter(shown), features[shown.to_numpy()]
    synthetic = _score_synthetic(made, features, scorer, config, round_)
    table = pl.concat([frame(part.to_dict(as_series=False), CANDIDATES) for part in (real, synthetic)])
    shards = np.concatenate([best.table["shard"].to_numpy(), np.full(len(made), -1)])
    order = table["sample_id"].arg_sort().to_numpy()
    row_of = {i: row for row, i in enumerate(table["sample_id"][order])} if wished else {}
    first = np.array([row_of[i] for i in wished if i in row_of], dtype=np.int64)
    features = np.concatenate([best.features, features])[order]
    shortlist = Shortlist(table[order], features, shards[order], first, by_chance)
    round_.once("candidates.parquet", lambda: shortlist.table)
    return shortlist


def best_of_pool(pool: Pool, scorer: Scorer, taken: set[str], at_most: int, *, workers: int | None) -> Best:
    """The `at_most` best rows of the pool that are not `taken`; their table says in `shard` where each lies.

    The same whatever the shards are, and in whatever order workers are done with them.
    """
    workers = workers if pool.is_streamed else 0
    found: list[Best] = []

    def tasks() -> Iterator[tuple[Shard, float]]:
        for shard in pool.shards:  # each told, when its turn comes, what would be of no use any more
            full = found and len(found[0].table) == at_most
            yield shard, float(found[0].table["rank"].to_numpy().min()) if full else -1.0

    for row, part in each(_best_of_shard, tasks(), scorer, taken, at_most, workers=workers):
        part = Best(part.table.with_columns(pl.lit(row).alias("shard")), part.features)
        found[:] = [merge([*found, part], at_most)]
    [best] = found
    return best


def with_rows(best: Best, pool: Pool, scorer: Scorer, sample_ids: set[str]) -> Best:
    """`best` and these rows of the pool, wherever they rank. What a round's pool has not is left out."""
    for number, shard in enumerate(pool.shards if sample_ids else ()):
        block = shard.read()
        rows = np.flatnonzero(block.ids.is_in(list(sample_ids)).to_numpy())
        if len(rows):
            groups = pl.DataFrame([block.subgroups[c][rows] for c in block.subgroups.columns])
            part = scorer.best(block.ids[rows], block.features[rows], groups, set(), len(rows))
            table = pl.concat([best.table, part.table.with_columns(pl.lit(number).alias("shard"))])
            best = Best(table, np.concatenate([best.features, part.features]))
    return best


def _best_of_shard(task: tuple[Shard, float], scorer: Scorer, taken: set[str], at_most: int) -> Best:
    shard, floor = task
    block = shard.read()
    return scorer.best(block.ids, block.features, block.subgroups, taken, at_most, floor)


def _lit(made: pl.Series, features: np.ndarray, out: set[str], context: RunContext) -> pl.DataFrame:
    """LIT of the synthetic samples: the pool's rows that are offered in their place."""
    config, data = context.config, context.data
    if not len(made) or not config.generate.searches:
        return pl.DataFrame(schema=LIT)
    reach = context.spaces.reach(data, config)
    return look_for(made, features, data.pool, reach, out, workers=config.stream.workers)


COLD_ROWS = 10_000
"""Candidates at most, drawn at random, while no sample is labelled."""


def _due(analysis: Analysis, context: RunContext) -> int:
    """Rows of this query's random part, asked about whatever their score."""
    config, data = context.config, context.data
    share = random_part.share(
        config.select.random_share,
        num_val=len(data.splits["val"]),
        by_people=config.review.annotator not in ("simulated", "model"),
        selector=config.select.selector,
        whole_pool=config.train.mode == "head" or config.train.reembed == "all",
    )
    return random_part.due(share, len(analysis.asked), batch=config.select.batch, budget=config.stop.labels)


def rows_by_chance(number: int, scorer: Scorer, taken: set[str], context: RunContext, seed: int) -> list[Best]:
    """`number` rows of the pool that are not `taken`, drawn by chance; as `best_of_pool` gives rows."""
    return _scored(draw(context.data.pool, taken, number, seed=seed), scorer, context.data)


def _for_others(
    best: Best, scorer: Scorer, out: set[str], analysis: Analysis, context: RunContext, seed: int
) -> list[Best]:
    """What the strategies that share the query choose from besides the best by score: rows drawn by chance, and those
    that are likeliest of a class without a labelled sample."""
    arms, pool = arms_of(analysis, context.config), context.data.pool
    if not arms:
        return []
    known = out | set(best.table["sample_id"])
    found = rows_by_chance(mix.ROWS, scorer, known, context, seed)
    known = known.union(*(part.table["sample_id"] for part in found))
    if mix.DESCRIPTIONS in arms and analysis.sought is not None and len(known) < pool.num_rows:
        sought = ToClasses(analysis.sought.by_words, tuple(analysis.sought.class_rows.tolist()))
        near = nearest(pool.shards, sought, 20 * context.config.select.batch, without=known).table
        of_shard = near.group_by("shard").agg(pl.col("sample_id").sort()).sort("shard")
        found += _scored(list(of_shard.iter_rows()), scorer, context.data)
    return found


def _scored(rows: list[tuple[int, list[str]]], scorer: Scorer, data: Data) -> list[Best]:
    """Rows of the pool, told by the row of their shard and their ids, as `best_of_pool` gives them."""
    found = []
    for row, ids in rows:
        split = data.pool.shards[row].take(ids)
        groups = split.table.select([c for c in data.meta.subgroups if c in split.table.columns])
        best = scorer.best(split.table["sample_id"], split.features, groups, set(), len(split))
        found.append(Best(best.table.with_columns(pl.lit(row).alias("shard")), best.features))
    return found


def _at_most(pool: Pool, analysis: Analysis, config: Config) -> int:
    """A selector that does not look at the score chooses from all of a pool in memory, else from a sample of it."""
    if _scores_nothing(analysis, config):
        return min(max(config.select.shortlist, config.select.batch, COLD_ROWS), pool.num_rows)
    if config.select.selector in selectors.FROM_ALL and not pool.is_streamed:
        return pool.num_rows
    return min(max(config.select.shortlist, config.select.batch), pool.num_rows)


def _scores_nothing(analysis: Analysis, config: Config) -> bool:
    return selectors.scores_nothing(config.select.selector, len(analysis.dataset.table))


def _scorer(analysis: Analysis, taken: set[str], policy: Policy, context: RunContext, round_: RoundDir) -> Scorer:
    config, data = context.config, context.data
    free = np.array([i not in taken for i in data.reference.ids], dtype=bool)
    chance = derive_seed(config.run.seed, round_.t, "shortlist")
    return Scorer(
        model=analysis.model,
        space=analysis.space,
        classes=data.meta.classes,
        open_gaps=analysis.open_gaps,
        dataset_embedding=analysis.dataset_embedding,
        class_counts=analysis.dataset.class_counts,
        novelty_scale=terms.novelty_scale(analysis.embedding[free], analysis.dataset_embedding),
        uncertainty=config.select.uncertainty,
        diversity=config.select.diversity,
        weights=policy.weights,
        sharpness=_sharpness(analysis, free, data, config) if config.select.sharpen else 1.0,
        rarity=config.select.rarity,
        multi=data.meta.multi,
        unseen=analysis.unseen,
        at_random=chance if config.select.selector in selectors.FROM_ALL or _scores_nothing(analysis, config) else None,
    )


def _sharpness(analysis: Analysis, free: np.ndarray, data: Data, config: Config) -> float:
    """free: rows of the reference that are not labelled."""
    model, name = analysis.model, config.select.uncertainty
    u = terms.uncertainty(
        analysis.proba[free],
        name,
        multi=model.multi,
        members=lambda: model.member_proba(data.reference.features[free]),
    )
    return terms.sharpness(u)


def _score_synthetic(
    kept: pl.DataFrame, features: np.ndarray, scorer: Scorer, config: Config, round_: RoundDir
) -> pl.DataFrame:
    """`kept` with the columns of CANDIDATES."""
    if kept.is_empty():
        return kept.clear()
    of = scorer.terms(features, {})
    confidence, agreement, nn_ratio = (kept[c].to_numpy() for c in SIGNALS)
    q = quality_scores(confidence, agreement, nn_ratio, past_decisions(round_), config.quality_control)
    suggested = kept["intended"].to_list()
    if scorer.multi:  # what f sees in it beside the class it was made for
        seen, _ = labels.likeliest(of.proba, scorer.classes, multi=True)
        suggested = [labels.join([c, *labels.split(also)[0]]) for c, also in zip(suggested, seen, strict=True)]
    return kept.with_columns(
        pl.lit("synthetic").alias("origin"),
        pl.Series("suggested", suggested, dtype=pl.String),
        pl.Series("U", of.u, dtype=pl.Float32),
        pl.Series("Div", of.div, dtype=pl.Float32),
        pl.Series("Q", q, dtype=pl.Float32),
        pl.Series("score", terms.weighted_sum(of.u, of.div, q, scorer.weights), dtype=pl.Float32),
    )


def past_decisions(round_: RoundDir) -> pl.DataFrame:
    """What people said of synthetic samples before: confidence, agreement, nn_ratio, confirmed."""
    answered = []
    for t in range(round_.t):
        then = round_.run.round(t)
        synthetic = then.read("synthetic.parquet", "sample_id", *SIGNALS)
        decisions = then.read("decisions.parquet", "sample_id", "label")
        if synthetic is not None and decisions is not None:
            confirmed = decisions.select("sample_id", confirmed=pl.col("label").is_not_null())
            answered.append(synthetic.join(confirmed, on="sample_id").sort("sample_id").drop("sample_id"))
    empty = {**dict.fromkeys(SIGNALS, pl.Float32), "confirmed": pl.Boolean}
    return pl.concat(answered) if answered else pl.DataFrame(schema=empty)
