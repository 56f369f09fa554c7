"""What the answers drawn by chance tell of the pool, of f and of selection: D_t and its queries in → metrics.json."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import polars as pl

from adde_ray.artifacts.run_dir import RoundDir, derive_seed
from adde_ray.artifacts.schema import CHOSEN_BY
from adde_ray.dataset import Dataset
from adde_ray.methods.model.learner import Model
from adde_ray.methods.query.random_part import NAME
from adde_ray.methods.stats import random_share, selection_worth
from adde_ray.methods.stats.random_share import Drawn
from adde_ray.methods.stats.selection_worth import Curve
from adde_ray.stages.run_context import RunContext


def of_random_answers(
    dataset: Dataset,
    context: RunContext,
    round_: RoundDir,
    out_of_fold: pl.DataFrame | None,
    *,
    fit: Callable[[np.ndarray], Model],
    load: Callable[[RoundDir], Model],
) -> dict[str, dict]:
    """`random_share`, where a share of the queries before round t was drawn by chance; {} else. Its keys:

    rows        drawn and asked about
    labelled    of them, those that are in D_t
    shares      class -> its share of the pool, low, high; and `held`, its share of D_t
    none        share of the pool, low, high, of rows that people leave out
    unseen      share of the pool, low, high, of classes that D_t lacks
    accuracy, macro_f1   of f on the pool: value, low, high; where out-of-fold predictions are kept
    worth       `selection_worth.Worth`; {} where nothing can be told yet, absent where the encoder is fine-tuned: a
                model of few rows would cost as much as f

    out_of_fold: as `stages.train` has it. fit: the head that rows of D_t give. load: the model of a round before.
    """
    if context.config.select.selector == NAME:  # all are drawn, and nothing is to be weighed against them
        return {}
    asked = _asked(dataset, context, round_)
    if not asked.is_drawn.any():
        return {}
    classes, drawn = context.data.meta.classes, asked.drawn()
    seed = derive_seed(context.config.run.seed, round_.t, "random_answers")
    held = dataset.class_counts / max(len(dataset.table), 1)
    shares = zip(classes, random_share.class_shares(drawn), held, strict=True)
    all_held = bool((dataset.class_counts > 0).all())
    unseen = random_share.Estimate(0, 0, 0) if all_held else random_share.unseen_mass(drawn, _seen(asked, dataset))
    found = {
        "rows": len(drawn),
        "labelled": int((asked.is_drawn & (asked.row >= 0)).sum()),
        "shares": {c: e.rounded("share") | {"held": round(float(x), 4)} for c, e, x in shares},
        "none": random_share.none_share(drawn, asked.rejected_before()).rounded("share"),
        "unseen": unseen.rounded("share"),
        **_quality(asked, dataset, out_of_fold, seed),
    }
    if context.config.train.mode == "head":
        found["worth"] = _worth(asked, dataset, context, round_, fit, load, seed)
    return {"random_share": found}


@dataclass(frozen=True)
class _Asked:
    """The pool's rows people were asked about before round t, in the order of rounds, then of ids.

    row: (q,) of D_t, -1 of what they left out. true, known: see `Drawn`. t: (q,) the round each was asked in.
    """

    row: np.ndarray
    true: np.ndarray
    known: np.ndarray
    t: np.ndarray
    is_drawn: np.ndarray
    num_pool: int

    def drawn(self) -> Drawn:
        """Those drawn by chance."""
        which = self.is_drawn
        before = np.array([[(self.t < t).sum(), *self.true[self.t < t].sum(axis=0)] for t in self.t[which]])
        left = self.num_pool - before[:, 0]
        return Drawn(self.true[which], self.known[which], left, before[:, 1:], self.num_pool)

    def rejected_before(self) -> np.ndarray:
        """Of each drawn row the rows asked about in rounds before its own that are of no class."""
        none = self.true.sum(axis=1) == 0
        return np.array([none[self.t < t].sum() for t in self.t[self.is_drawn]])


def _asked(dataset: Dataset, context: RunContext, round_: RoundDir) -> _Asked:
    data, queries = context.data, []
    for t in range(round_.t):
        query = round_.run.round(t).read("query.parquet")
        if query is not None:
            by = (
                pl.col(CHOSEN_BY.name) if CHOSEN_BY.name in query.columns else pl.lit(None, pl.String)
            )  # the first had none
            real = query.filter(origin="real").sort("sample_id")
            queries.append(real.select("sample_id", by=by, t=pl.lit(t)))
    schema = {"sample_id": pl.String, "by": pl.String, "t": pl.Int32}
    table = pl.concat(queries) if queries else pl.DataFrame(schema=schema)
    where = dict(zip(dataset.table["sample_id"].to_list(), range(len(dataset.table)), strict=True))
    row = np.array([where.get(i, -1) for i in table["sample_id"]], dtype=np.int64)
    # What was left out is of no row, whatever stands in its place; D_t itself may be empty.
    labels = np.concatenate([dataset.labels, np.zeros((1, *dataset.labels.shape[1:]), dataset.labels.dtype)])
    true, known = random_share.of_labels(labels[row], len(data.meta.classes))
    true[row < 0], known[row < 0] = False, True
    is_drawn = (table["by"] == NAME).fill_null(False).to_numpy()
    pool = (data.frozen or data).pool
    return _Asked(row, true, known, table["t"].to_numpy(), is_drawn, pool.num_rows - len(data.left_out))


def _seen(asked: _Asked, dataset: Dataset) -> np.ndarray:
    """(K, C) bool: for each drawn row the classes of other rows of D_t, none of them drawn, that were there by then."""
    true, _ = random_share.of_labels(dataset.labels, dataset.class_counts.shape[0])
    other = np.ones(len(true), dtype=bool)
    other[asked.row[asked.is_drawn & (asked.row >= 0)]] = False
    added = dataset.table["round"].to_numpy()
    return np.array([true[other & (added <= t + 1)].any(axis=0) for t in asked.t[asked.is_drawn]])


def _quality(asked: _Asked, dataset: Dataset, out_of_fold: pl.DataFrame | None, seed: int) -> dict[str, dict]:
    rows = asked.row[asked.is_drawn & (asked.row >= 0)]
    if out_of_fold is None or not len(rows):
        return {}
    proba = dict(zip(out_of_fold["sample_id"].to_list(), out_of_fold["proba"].to_list(), strict=True))
    said = np.array([proba[i] for i in dataset.table["sample_id"].gather(rows)], dtype=np.float32)
    return random_share.quality(dataset.labels[rows], said, seed=seed)


def _worth(
    asked: _Asked,
    dataset: Dataset,
    context: RunContext,
    round_: RoundDir,
    fit: Callable[[np.ndarray], Model],
    load: Callable[[RoundDir], Model],
    seed: int,
) -> dict[str, int]:
    drawn = np.flatnonzero(asked.is_drawn)
    if len(drawn) < selection_worth.MIN_DRAWN:
        return {}
    val, base = context.data.splits["val"].features, np.flatnonzero((dataset.table["round"] == 0).to_numpy())
    parts = [drawn, drawn[::2], drawn[1::2]]
    learned = [np.sort(np.concatenate([base, rows[rows >= 0]])) for rows in (asked.row[part] for part in parts)]
    rounds = [round_.run.round(t) for t in range(round_.t + 1)]
    queries = [before.read("query.parquet", "sample_id") for before in rounds[:-1]]
    bought = np.cumsum([0, *(0 if query is None else len(query) for query in queries)])
    found = selection_worth.worth(
        context.data.labels("val"),
        Curve(bought, [load(before).proba(val) for before in rounds]),
        Curve(np.array([len(part) for part in parts]), [fit(rows).proba(val) for rows in learned]),
        num_pool=asked.num_pool,
        seed=seed,
    )
    return {} if found is None else found.kept()
