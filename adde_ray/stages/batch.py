"""The best of the candidates: by the score, and by the strategies that share the query with it."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from adde_ray.artifacts.queries import last_labels
from adde_ray.artifacts.run_dir import RoundDir, derive_rng
from adde_ray.config import Config
from adde_ray.dataset import Data
from adde_ray.methods.policy.adaptation import Policy
from adde_ray.methods.query import mix, selectors
from adde_ray.stages.round_state import Analysis, Shortlist
from adde_ray.stages.run_context import RunContext


def best_batch(
    shortlist: Shortlist, size: int, analysis: Analysis, policy: Policy, context: RunContext, round_: RoundDir
) -> tuple[np.ndarray, list[str]]:
    """At most `size` rows of the shortlist, best first, within the synthetic cap; and what chose each: the configured
    selector, or one of `select.mix`."""
    size = min(size, len(shortlist))
    if not size:
        return np.zeros(0, dtype=np.int64), []
    config, selector = context.config, context.config.select.selector
    offered = _offered(shortlist, analysis)
    own = _by_score(offered, shortlist, size, analysis, policy, config, round_)
    arms = arms_of(analysis, config)
    if not arms:
        return own[:size], [selector] * min(size, len(own))
    real = np.flatnonzero(~shortlist.is_synthetic)
    ranked = {selector: own.tolist()}
    for arm in arms:
        if arm == mix.DESCRIPTIONS:
            assert analysis.sought is not None, "else there is no such arm"
            proba = analysis.sought.by_words.proba(shortlist.features[real])
            rows = mix.by_description(proba, analysis.sought.class_rows, size)
        else:
            rng = derive_rng(config.run.seed, round_.t, "select", arm)
            rows = mix.ARMS[arm](offered.take(real), size, redundancy=config.select.redundancy, rng=rng)
        ranked[arm] = real[rows].tolist()
    past, counts = _asked(round_, context.data), analysis.dataset.class_counts
    believed = mix.beliefs(past, list(ranked), counts, head_start=config.select.batch)
    rows, by = mix.allot(ranked, believed, counts, size, derive_rng(config.run.seed, round_.t, "mix"))
    return np.array(rows, dtype=np.int64), by


def arms_of(analysis: Analysis, config: Config) -> tuple[str, ...]:
    """The strategies that share this round's query with the score."""
    num_labelled, sought = len(analysis.dataset.table), analysis.sought is not None
    return mix.arms(config.select.mix, selector=config.select.selector, num_labelled=num_labelled, sought=sought)


def _offered(shortlist: Shortlist, analysis: Analysis) -> selectors.Candidates:
    """All of the shortlist. Lengths, which cost a search, are of the score's own rows alone."""
    return selectors.Candidates(
        score=shortlist.table["score"].to_numpy().astype(np.float64),
        embedding=analysis.model.embed(shortlist.features),
        proba=analysis.model.proba(shortlist.features),
        dataset_embedding=analysis.dataset_embedding,
        multi=analysis.model.multi,
    )


def _by_score(
    offered: selectors.Candidates,
    shortlist: Shortlist,
    size: int,
    analysis: Analysis,
    policy: Policy,
    config: Config,
    round_: RoundDir,
) -> np.ndarray:
    """Rows by the configured selector, at least `size` where there are so many, within the synthetic cap."""
    settings, is_synthetic = config.select, shortlist.is_synthetic
    rows = np.arange(len(shortlist))
    if settings.selector not in selectors.FROM_ALL:  # what was drawn for others is none of its own
        real = np.flatnonzero(~is_synthetic)
        best = real[np.argsort(-offered.score[real], kind="stable")[: max(settings.shortlist, settings.batch)]]
        found = is_synthetic | shortlist.table["lit_by"].is_not_null().to_numpy()
        rows = np.union1d(best, np.flatnonzero(found))
    own, local = offered.take(rows), analysis.local_scale
    alike = selectors.scores_nothing(settings.selector, len(analysis.dataset.table))
    chosen = selectors.select(
        replace(
            own,
            score=np.ones_like(own.score) if alike else own.score,
            length=None if local is None else local.lengths(analysis.space, analysis.space.reduce(own.embedding)),
            representativeness=1.0 if local is None else local.representativeness,
        ),
        # Enough to refill the batch when synthetic samples above their cap are taken out of it.
        size + int(is_synthetic.sum()),
        selector=settings.selector,
        redundancy=settings.redundancy,
        rng=derive_rng(config.run.seed, round_.t, "select"),
    )
    num_real = len(shortlist) - int(is_synthetic.sum())
    cap = _synthetic_cap(size, num_real, len(analysis.asked), policy, config, round_)
    return selectors.cap_synthetic(rows[chosen], is_synthetic, cap)


def _asked(round_: RoundDir, data: Data) -> list[mix.Asked]:
    """The queries before this round, and what people said."""
    past = []
    for t in range(round_.t):
        before = round_.run.round(t)
        query = before.read("query.parquet", "sample_id", "chosen_by")
        decisions = before.read("decisions.parquet", "sample_id", "label")
        if query is None or decisions is None:
            continue
        said = query.join(last_labels(decisions), on="sample_id", how="left")
        labels = data.meta.numbers(said["label"])
        if data.meta.multi:
            held = np.nan_to_num(labels) > 0
            confirmed = held / np.maximum(held.sum(axis=1, keepdims=True), 1)
        else:
            confirmed = np.arange(len(data.meta.classes)) == labels[:, None]
        past.append(mix.Asked(said["chosen_by"].to_list(), confirmed.astype(np.float64)))
    return past


def _synthetic_cap(size: int, num_real: int, num_asked: int, policy: Policy, config: Config, round_: RoundDir) -> int:
    """Synthetic samples this query may hold: by its own share, and by the run's over all labels so far.

    A pool that runs dry makes the query smaller, and the cap with it.
    """
    queries = [round_.run.round(t).read("query.parquet", "origin") for t in range(round_.t)]
    before = sum(int((q["origin"] == "synthetic").sum()) for q in queries if q is not None)

    probe = int(policy.synthetic_share > 0)  # without one, nobody would ever learn whether more would pay

    def fits(number: int) -> bool:
        asked = min(size, num_real + number)
        most = config.generate.max_share
        limit = min(most * asked, most * (num_asked + asked) - before)
        return number <= min(max(round(policy.synthetic_share * asked), probe), limit)

    return max(filter(fits, range(size + 1)), default=0)
