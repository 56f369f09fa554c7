"""Score every candidate and choose the query: pool and synthetic.parquet in, candidates and query.parquet out."""

from __future__ import annotations

import numpy as np
import polars as pl

from adde_ray.analysis import Analysis
from adde_ray.config import Config
from adde_ray.data import Data, synthetic_rows
from adde_ray.methods import gaps, selection
from adde_ray.methods.acquisition import quality_scores
from adde_ray.methods.adaptation import Policy
from adde_ray.rundir import RoundDir, derive_rng
from adde_ray.schema import CANDIDATES, QUERY, frame

SIGNALS = ("confidence", "agreement", "nn_ratio")
"""What quality control measured of a synthetic sample; Q is learned on it."""


def select(
    analysis: Analysis,
    synthetic: pl.DataFrame,
    policy: Policy,
    data: Data,
    config: Config,
    round_: RoundDir,
) -> pl.DataFrame:
    """QUERY: the batch people are asked about, best first. synthetic: SYNTHETIC rows of this round."""

    def choose() -> pl.DataFrame:
        candidates, embedding = score(analysis, synthetic, policy, data, config, round_)
        round_.once("candidates.parquet", lambda: candidates)
        return best_batch(candidates, embedding, len(analysis.asked), policy, config, round_)

    return round_.once("query.parquet", choose)


def best_batch(
    candidates: pl.DataFrame, embedding: np.ndarray, num_asked: int, policy: Policy, config: Config, round_: RoundDir
) -> pl.DataFrame:
    """QUERY rows chosen from CANDIDATES by the configured selector, within the budget and the synthetic cap."""
    size = min(config.select.batch, _left(num_asked, config), len(candidates))
    is_synthetic = (candidates["origin"] == "synthetic").to_numpy()
    rows = selection.select(
        candidates["score"].to_numpy().astype(np.float64),
        embedding,
        # Enough to refill the batch when synthetic samples above their cap are taken out of it.
        size + int(is_synthetic.sum()),
        selector=config.select.selector,
        redundancy=config.select.redundancy,
        rng=derive_rng(config.run.seed, round_.t, "select"),
    )
    num_real = len(candidates) - int(is_synthetic.sum())
    cap = _synthetic_cap(size, num_real, num_asked, policy, config, round_)
    rows = selection.cap_synthetic(rows, is_synthetic, cap)[:size]
    chosen = candidates[rows] if len(rows) else candidates.clear()
    return frame(chosen.with_columns(rank=pl.int_range(1, len(rows) + 1)), QUERY)


def score(
    analysis: Analysis,
    synthetic: pl.DataFrame,
    policy: Policy,
    data: Data,
    config: Config,
    round_: RoundDir,
) -> tuple[pl.DataFrame, np.ndarray]:
    """CANDIDATES sorted by sample_id, and their (n, e) embedding."""
    kept = synthetic.filter((pl.col("status") == "kept") & ~pl.col("sample_id").is_in(list(analysis.asked)))
    taken = analysis.asked | set(analysis.dataset.table["sample_id"].to_list())
    real = np.array([row for row, i in enumerate(data.reference.ids) if i not in taken], dtype=int)
    features = synthetic_rows(kept, data)
    embedding = np.concatenate([analysis.embedding[real], analysis.model.embed(features)])
    proba = np.concatenate([analysis.proba[real], analysis.model.proba(features)])
    points = np.concatenate([analysis.space.points[real], analysis.space.reduce(embedding[len(real) :])])

    subgroups = {
        column: [values[row] for row in real] + [None] * len(kept)
        for column, values in data.subgroups(data.reference.table).items()
    }
    membership = gaps.membership(points, proba, subgroups, analysis.open_gaps, data.meta.classes)
    u = selection.uncertainty(
        proba,
        config.select.uncertainty,
        members=lambda: analysis.model.member_proba(np.concatenate([data.reference.features[real], features])),
    )
    div = selection.diversity(
        selection.Situation(proba, embedding, analysis.dataset_embedding, analysis.dataset.class_counts, membership),
        config.select.diversity,
    )
    q = np.ones(len(proba), dtype=np.float32)
    signals = [kept[c].to_numpy() for c in SIGNALS]
    q[len(real) :] = quality_scores(*signals, past_decisions(round_), config.quality_control)

    best, gap_ids = proba.argmax(axis=1), [gap.gap_id for gap in analysis.open_gaps]
    real_ids = [data.reference.ids[row] for row in real]
    table = frame(
        {
            "sample_id": real_ids + kept["sample_id"].to_list(),
            "origin": ["real"] * len(real) + ["synthetic"] * len(kept),
            "gap_id": selection.gap_of(membership[: len(real)], gap_ids) + kept["gap_id"].to_list(),
            "generator": [None] * len(real) + kept["generator"].to_list(),
            "parents": [None] * len(real) + kept["parents"].to_list(),
            "suggested": [data.meta.classes[c] for c in best[: len(real)]] + kept["intended"].to_list(),
            "confidence": np.concatenate([proba.max(axis=1)[: len(real)], kept["confidence"].to_numpy()]),
            "U": u,
            "Div": div,
            "Q": q,
            "score": selection.weighted_sum(u, div, q, policy.weights),
        },
        CANDIDATES,
    )
    # A random query is drawn from everything: the best by score would not be random.
    at_most = len(table) if config.select.selector == "random" else max(config.select.shortlist, config.select.batch)
    return _shortlist(table, embedding, at_most)


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


def _shortlist(table: pl.DataFrame, embedding: np.ndarray, size: int) -> tuple[pl.DataFrame, np.ndarray]:
    """All synthetic rows and the `size` best real ones, sorted by sample_id."""
    is_real = pl.col("origin") == "real"
    best = table.with_row_index("row").sort(~is_real, -pl.col("score"), "sample_id")
    best = pl.concat([best.filter(is_real).head(min(size, len(table))), best.filter(~is_real)]).sort("sample_id")
    return best.drop("row"), embedding[best["row"].to_numpy()]


def _left(num_asked: int, config: Config) -> int:
    """Labels the budget still buys."""
    return config.select.batch if config.stop.labels is None else max(config.stop.labels - num_asked, 0)


def _synthetic_cap(size: int, num_real: int, num_asked: int, policy: Policy, config: Config, round_: RoundDir) -> int:
    """Synthetic samples this query may hold: by its own share, and by the run's over all labels so far.

    A pool that runs dry makes the query smaller, and the cap with it.
    """
    queries = [round_.run.round(t).read("query.parquet", "origin") for t in range(round_.t)]
    before = sum(int((q["origin"] == "synthetic").sum()) for q in queries if q is not None)

    def fits(number: int) -> bool:
        asked = min(size, num_real + number)
        limit = config.generate.max_share * (num_asked + asked) - before
        return number <= min(round(policy.synthetic_share * asked), limit)

    return max(filter(fits, range(size + 1)), default=0)
