"""Choose the query from the candidates: the shortlist in, query.parquet and asked.parquet out."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import polars as pl

from adde_ray.artifacts.queries import keep_asked
from adde_ray.artifacts.run_dir import RoundDir, derive_rng
from adde_ray.artifacts.schema import QUERY, Split, frame
from adde_ray.artifacts.wishes import FOUND
from adde_ray.config import Config
from adde_ray.dataset import Data
from adde_ray.methods.policy.adaptation import Policy
from adde_ray.methods.query import random_part
from adde_ray.methods.space import gaps
from adde_ray.pool.shards import Pool
from adde_ray.stages.batch import best_batch
from adde_ray.stages.round_state import Analysis, Shortlist
from adde_ray.stages.run_context import RunContext


def select(
    shortlist: Shortlist | None, analysis: Analysis, policy: Policy, context: RunContext, round_: RoundDir
) -> pl.DataFrame:
    """QUERY: the batch people are asked about, best first. shortlist: None when that has been chosen already."""
    data = context.data

    def choose() -> pl.DataFrame:
        assert shortlist is not None
        rows, by = _chosen(shortlist, analysis, policy, context, round_)
        # First, so that a query never stands there without what it asks about.
        asked = fetch(data.pool, shortlist, rows)
        homes = _home_gaps(asked, analysis, data)
        if data.frozen is not None:  # what is kept outlives this round's encoder
            asked = Split(asked.table, data.frozen.encode(asked.table[data.meta.modality]))
        keep_asked(asked, round_)
        chosen = shortlist.table[rows] if len(rows) else shortlist.table.clear()
        gap_ids = [homes.get(i, made_for) for i, made_for in chosen.select("sample_id", "gap_id").iter_rows()]
        chosen = chosen.with_columns(near_gap="gap_id", gap_id=pl.Series(gap_ids, dtype=pl.String))
        chosen = chosen.with_columns(rank=pl.int_range(1, len(rows) + 1), chosen_by=pl.Series(by, dtype=pl.String))
        return frame(chosen, QUERY)

    return round_.once("query.parquet", choose)


def _home_gaps(asked: Split, analysis: Analysis, data: Data) -> dict[str, str | None]:
    """sample_id of the pool's rows in the query -> the open gap it lies in."""
    if not len(asked):
        return {}
    model, found = analysis.model, analysis.open_gaps
    proba, points = model.proba(asked.features), analysis.space.reduce(model.embed(asked.features))
    proba = proba if analysis.unseen is None else analysis.unseen.expected(proba, asked.features)
    classes = data.meta.classes
    fills = gaps.membership(points, proba, data.subgroups(asked.table), found, classes)
    homes = gaps.home_gap(points, proba, fills, found, analysis.space, classes, multi=data.meta.multi)
    return dict(zip(asked.ids, homes, strict=True))


def _chosen(
    shortlist: Shortlist, analysis: Analysis, policy: Policy, context: RunContext, round_: RoundDir
) -> tuple[np.ndarray, list[str]]:
    """Rows of the query, and what chose each: what somebody wished for, then the best of the others; and among them
    what was drawn by chance, so that nobody can tell."""
    config = context.config
    size = min(config.select.batch, _left(len(analysis.asked), config), len(shortlist))
    drawn = np.flatnonzero(shortlist.is_drawn)[:size]
    first = shortlist.wished[: size - len(drawn)]
    others = np.delete(np.arange(len(shortlist)), np.concatenate([drawn, shortlist.wished]))
    room = min(size - len(drawn) - len(first), len(others))
    rows, chosen_by = best_batch(shortlist.of(others), room, analysis, policy, context, round_)
    rest, by = np.concatenate([first, others[rows]]), [FOUND] * len(first) + chosen_by
    if not len(drawn):
        return rest, by
    rng = derive_rng(config.run.seed, round_.t, "random_share")
    by_chance = random_part.ranks(len(rest) + len(drawn), len(drawn), rng)
    rows = np.empty(len(by_chance), dtype=np.int64)
    rows[by_chance], rows[~by_chance] = rng.permutation(drawn), rest
    others_by = iter(by)
    return rows, [random_part.NAME if chance else next(others_by) for chance in by_chance]


def fetch(pool: Pool, shortlist: Shortlist, rows: Sequence[int] | np.ndarray) -> Split:
    """The pool's rows on the shortlist with all their columns, sorted by sample_id."""
    ids, shards = shortlist.table["sample_id"].to_numpy()[rows], shortlist.shards[rows]
    # A shard that is asked for nothing still says what the columns are.
    found = [pool.shards[s].take(ids[shards == s].tolist()) for s in np.unique(shards[shards >= 0])]
    found = found or [pool.shards[0].take([])]
    table = pl.concat([part.table for part in found], how="diagonal_relaxed")
    order = table["sample_id"].arg_sort().to_numpy()
    return Split(table[order], np.concatenate([part.features for part in found])[order])


def _left(num_asked: int, config: Config) -> int:
    """Labels the budget still buys."""
    return config.select.batch if config.stop.labels is None else max(config.stop.labels - num_asked, 0)
