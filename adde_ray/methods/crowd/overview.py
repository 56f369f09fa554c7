"""Where a labelling project stands: agreement, people and classes, as the owner's page shows them."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import polars as pl

from adde_ray import labels as codec
from adde_ray.methods.crowd import agreement, drift, people
from adde_ray.methods.crowd.consensus import consensus
from adde_ray.methods.crowd.intervals import Figure
from adde_ray.methods.crowd.votes import classes_of
from adde_ray.methods.stats.statistics import LEVEL, holm

GAP = 600.0
"""Seconds between two answers beyond which somebody paused, and worked only for what the answer took."""


def overview(
    answers: pl.DataFrame,
    gold: pl.DataFrame | None = None,
    *,
    classes: Sequence[str] | None = None,
    multi: bool = False,
    seed: int = 0,
) -> dict:
    """What the answers say, ready for JSON: None stands for what cannot be told yet.

    answers: item, worker, label (null: none was given), seconds, when (ISO 8601). gold: item, label.
    agreement: {alpha, low, high, n}. people: [{name, answers, per_hour, median_seconds, gold_accuracy, gold_low,
    gold_high, gold, agreement, drift}], by name; agreement is with the majority of the others; drift is "slower",
    "faster", "less accurate", "more accurate", or several of these, where a trend over time is no chance after Holm's
    correction. classes: [{name, confirmed, median_seconds, agreement}]; confirmed: items whose majority is this class.
    disagreements: items whose answers differ, the most divided first.
    """
    names = tuple(classes) if classes is not None else classes_of(answers, multi=multi)
    alpha = agreement.krippendorff(answers, classes=names, multi=multi, seed=seed).rounded()
    return {
        "agreement": {"alpha": alpha["value"], "low": alpha["low"], "high": alpha["high"], "n": alpha["n"]},
        "people": _people(answers, gold, names, multi),
        "classes": _classes(answers, names, multi, seed),
        "disagreements": disagreements(answers, classes=names, multi=multi),
    }


def disagreements(answers: pl.DataFrame, *, classes: Sequence[str] | None = None, multi: bool = False) -> list[str]:
    """Items whose answers differ, those with the least confident majority first."""
    settled = consensus(answers, classes=classes, multi=multi).table()
    return settled.filter(pl.col("confidence") < 1).sort("confidence", "item")["item"].to_list()


def _people(answers: pl.DataFrame, gold: pl.DataFrame | None, names: Sequence[str], multi: bool) -> list[dict]:
    golden = {} if gold is None else people.accuracy(answers, gold, classes=names, multi=multi)
    others = people.accuracy(answers, classes=names, multi=multi)
    changes = _changes(answers, gold, names, multi)
    found = []
    for (name,), own in sorted(answers.group_by("worker")):
        on_gold = golden.get(name, Figure(np.nan, np.nan, np.nan, 0)).rounded()
        agrees = others[name].rounded()["value"] if name in others else None
        found.append(
            {
                "name": name,
                "answers": len(own),
                "per_hour": _per_hour(own),
                "median_seconds": _median(own),
                "gold_accuracy": on_gold["value"],
                "gold_low": on_gold["low"],
                "gold_high": on_gold["high"],
                "gold": on_gold["n"],
                "agreement": agrees,
                "drift": changes.get(name),
            }
        )
    return found


def _classes(answers: pl.DataFrame, names: Sequence[str], multi: bool, seed: int) -> list[dict]:
    settled = consensus(answers, classes=names, multi=multi).table()["label"]
    confirmed = codec.count(settled, names, multi=multi)
    alphas = agreement.by_class(answers, classes=names, multi=multi, seed=seed)
    found = []
    for name in names:
        holds = [
            label is not None and name in (codec.split(label)[0] if multi else [label]) for label in answers["label"]
        ]
        own = answers.filter(pl.Series(holds, dtype=pl.Boolean))
        alpha = alphas[name].rounded()["value"]
        found.append({"name": name, "confirmed": confirmed[name], "median_seconds": _median(own), "agreement": alpha})
    return found


def _changes(answers: pl.DataFrame, gold: pl.DataFrame | None, names: Sequence[str], multi: bool) -> dict[str, str]:
    """Person -> in what they changed. Accuracy is on gold, without any against the majority of the others."""
    judged = people.judged(answers, gold, classes=names, multi=multi)
    timed = answers.select("item", "worker", "seconds", "when").sort("when", "item")
    right = timed.join(judged, on=["item", "worker"], how="inner", maintain_order="left")
    found = []
    for (name,), own in sorted(timed.group_by("worker", maintain_order=True)):
        took = drift.seconds_drift(own["seconds"].drop_nulls().to_numpy())
        were = drift.accuracy_drift(right.filter(worker=name)["right"].to_numpy())
        found += [(name, took, ("slower", "faster")), (name, were, ("more accurate", "less accurate"))]
    found = [(name, of, words) for name, of, words in found if not np.isnan(of.p)]
    told: dict[str, list[str]] = {}
    for (name, of, words), p in zip(found, holm([of.p for _, of, _ in found]), strict=True):
        if p <= 1 - LEVEL:
            told.setdefault(name, []).append(words[0] if of.trend > 0 else words[1])
    return {name: ", ".join(words) for name, words in told.items()}


def _median(rows: pl.DataFrame) -> float | None:
    found = rows["seconds"].drop_nulls()
    return round(float(np.median(found.to_numpy())), 2) if len(found) else None


def _per_hour(rows: pl.DataFrame) -> float | None:
    """Answers for each hour at work: from one answer to the next, and without pauses."""
    table = rows.select(
        pl.col("when").str.to_datetime(time_zone="UTC", strict=False), pl.col("seconds").fill_null(0.0)
    ).sort("when")
    between = table["when"].diff().dt.total_milliseconds().to_numpy() / 1000
    took = table["seconds"].to_numpy()
    spent = np.where(np.isnan(between) | (between > GAP), took, np.maximum(between, 0.0))
    hours = float(spent.sum()) / 3600
    return round(len(rows) / hours, 1) if hours > 0 else None
