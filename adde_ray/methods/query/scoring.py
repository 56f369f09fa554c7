"""Scores of real samples, one batch of rows at a time: features (n, d) in → terms, score and the best rows out.

A `Scorer` holds what a round knows and nothing that grows with the pool. A row's terms are the same whatever batch it
comes in, so the best of the pool are the best of its batches' best: `Scorer.best` of each, `merge` of all.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import polars as pl

from adde_ray import labels
from adde_ray.methods.model.learner import Model
from adde_ray.methods.model.unseen import Unseen
from adde_ray.methods.query import terms
from adde_ray.methods.space import gaps
from adde_ray.methods.space.clustering import Space
from adde_ray.methods.space.gaps import Gap

ROWS = 4096
"""Rows scored at a time: what is computed of them should stay in the cache."""


@dataclass(frozen=True)
class Terms:
    """What is known of n rows, row-aligned."""

    proba: np.ndarray  # (n, C) calibrated
    embedding: np.ndarray  # (n, e)
    membership: np.ndarray  # (n, g) in the open gaps
    u: np.ndarray  # (n,) in [0, 1], as all terms
    div: np.ndarray  # (n,)


@dataclass(frozen=True)
class Best:
    """The best of some rows of the pool, best first.

    table: sample_id, rank (what they are ordered by), U, Div, score, suggested, confidence, gap_id. features: (n, d).
    """

    table: pl.DataFrame
    features: np.ndarray

    def head(self, number: int) -> Best:
        """The first `number` in order: by rank, ties by sample_id."""
        rows = self.table.with_row_index("row").sort(-pl.col("rank"), "sample_id").head(min(number, len(self.table)))
        return Best(rows.drop("row"), self.features[rows["row"].to_numpy()])


@dataclass(frozen=True)
class Scorer:
    """What a pass over the pool takes along."""

    model: Model
    space: Space
    classes: tuple[str, ...]
    open_gaps: list[Gap]
    dataset_embedding: np.ndarray  # (m, e)
    class_counts: np.ndarray  # (C,) of D_t
    novelty_scale: float
    uncertainty: str  # name of the U term
    diversity: dict[str, float]  # shares of the Div terms
    weights: dict[str, float]
    sharpness: float = 1.0  # power of the uncertainty
    rarity: float = 0.0  # power of class balance that multiplies it
    multi: bool = False  # several classes may hold at once
    unseen: Unseen | None = None  # classes that only descriptions tell of
    at_random: int | None = None  # a seed: rows are ranked by chance, for selectors that do not look at the score

    def terms(self, features: np.ndarray, subgroups: dict[str, list[str | None]]) -> Terms:
        """Of n rows. subgroups: column → n values."""
        proba, embedding = self.model.proba(features), self.model.embed(features)
        points = self.space.reduce(embedding)
        expected = proba if self.unseen is None else self.unseen.expected(proba, features)
        membership = gaps.membership(points, expected, subgroups, self.open_gaps, self.classes)
        batch = terms.CandidateBatch(
            proba, embedding, self.dataset_embedding, self.class_counts, membership, self.novelty_scale, self.multi
        )
        u = terms.uncertainty(
            proba, self.uncertainty, multi=self.multi, members=lambda: self.model.member_proba(features)
        )
        u = terms.weighted(u, batch, sharpness=self.sharpness, rarity=self.rarity)
        return Terms(proba, embedding, membership, u, terms.diversity(batch, self.diversity))

    def best(
        self,
        ids: pl.Series,
        features: np.ndarray,
        subgroups: pl.DataFrame,
        taken: set[str],
        at_most: int,
        floor: float = -1.0,
    ) -> Best:
        """The `at_most` best of n real rows that are not in `taken`. subgroups: their subgroup columns.

        floor: rows that rank below it may be left out, since so many better ones are known elsewhere.
        """
        free = np.flatnonzero(~ids.is_in(list(taken)).to_numpy())
        found = [self._score(ids, features, subgroups, free[:0], floor)]
        for start in range(0, len(free), ROWS):
            found.append(self._score(ids, features, subgroups, free[start : start + ROWS], floor))
            if sum(len(best.table) for best in found) >= 2 * at_most:  # what is under the floor need not be kept
                found = [merge(found, at_most)]
                floor = float(found[0].table["rank"].to_numpy().min())
        return merge(found, at_most)

    def _score(
        self, ids: pl.Series, features: np.ndarray, subgroups: pl.DataFrame, rows: np.ndarray, floor: float
    ) -> Best:
        features = np.asarray(features[rows], dtype=np.float32)
        of = self.terms(features, {c: subgroups[c][rows].cast(pl.String).to_list() for c in subgroups.columns})
        real = np.ones(len(rows), dtype=np.float32)  # Q: nothing is more real
        score = terms.weighted_sum(of.u, of.div, real, self.weights)
        rank = score if self.at_random is None else chance(ids[rows], self.at_random)
        kept = np.flatnonzero(rank >= floor)
        suggested, confidence = labels.likeliest(of.proba[kept], self.classes, multi=self.multi)
        table = {
            # Copied: rows taken out of a column would hold on to all of its text, shard after shard.
            "sample_id": pl.Series(ids[rows[kept]].to_list(), dtype=pl.String),
            "rank": rank[kept],
            "U": of.u[kept].astype(np.float32),
            "Div": of.div[kept].astype(np.float32),
            "score": score[kept].astype(np.float32),
            "suggested": pl.Series(suggested, dtype=pl.String),
            "confidence": confidence,
            "gap_id": pl.Series(
                terms.gap_of(of.membership[kept], [gap.gap_id for gap in self.open_gaps]), dtype=pl.String
            ),
        }
        return Best(pl.DataFrame(table), features[kept])


def merge(found: list[Best], at_most: int) -> Best:
    """The `at_most` best of disjoint rows, in whatever order they come."""
    together = Best(pl.concat([best.table for best in found]), np.concatenate([best.features for best in found]))
    return together.head(at_most)


def merge_all(found: list[Best]) -> Best:
    """All of disjoint rows."""
    return merge(found, sum(len(best.table) for best in found))


def chance(ids: pl.Series, seed: int) -> np.ndarray:
    """(n,) in [0, 1): a draw for each sample_id, the same whatever rows it stands among."""
    key = ids.str.slice(0, 15).str.to_integer(base=16).cast(pl.UInt64).to_numpy() ^ np.uint64(
        seed * 0x9E3779B97F4A7C15 % 2**64
    )
    # The finaliser of splitmix64 (Steele, Lea & Flood 2014): neighbouring keys come out unlike each other.
    for shift, factor in ((30, 0xBF58476D1CE4E5B9), (27, 0x94D049BB133111EB)):
        key = (key ^ (key >> np.uint64(shift))) * np.uint64(factor)
    return (key ^ (key >> np.uint64(31))).astype(np.float64) / 2.0**64
