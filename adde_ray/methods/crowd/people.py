"""What each person is like: the classes they mix up, and how often they are right.

Held against gold, or against the majority of the others' answers; an item on which these are divided equally says
nothing of anybody.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import polars as pl

from adde_ray.methods.crowd.intervals import Figure
from adde_ray.methods.crowd.votes import Votes, classes_of, tasks
from adde_ray.methods.stats.random_share import wilson


def confusions(
    answers: pl.DataFrame,
    gold: pl.DataFrame | None = None,
    *,
    classes: Sequence[str] | None = None,
    multi: bool = False,
) -> dict[str, np.ndarray]:
    """Person -> counts (C, C): rows what is taken for true, columns what they said; multi-label (C, 2, 2).

    answers: item, worker, label. gold: item, label; without it, the majority of the others.
    """
    names = _names(answers, gold, classes, multi)
    found: dict[str, list[np.ndarray]] = {}
    references = _references(gold, names, multi)
    for name, votes in tasks(answers, names, multi=multi).items():
        true = _gold_of(votes, references[name]) if gold is not None else of_others(votes)
        size = len(votes.classes)
        table = np.zeros((len(votes.workers), size, size), dtype=np.int64)
        known = true >= 0
        np.add.at(table, (votes.worker[known], true[known], votes.label[known]), 1)
        for person, counts in zip(votes.workers, table, strict=True):
            found.setdefault(person, []).append(counts)
    return {person: np.stack(parts) if multi else parts[0] for person, parts in found.items()}


def accuracy(
    answers: pl.DataFrame,
    gold: pl.DataFrame | None = None,
    *,
    classes: Sequence[str] | None = None,
    multi: bool = False,
) -> dict[str, Figure]:
    """Person -> share of their votes that are right, with Wilson's interval. In a multi-label task each class is a
    vote. People without a vote that can be judged are left out."""
    found = {}
    for person, counts in confusions(answers, gold, classes=classes, multi=multi).items():
        n, right = int(counts.sum()), int(np.trace(counts, axis1=-2, axis2=-1).sum())
        if n:
            share = wilson(right / n, n)
            found[person] = Figure(share.value, share.low, share.high, n)
    return found


def judged(
    answers: pl.DataFrame,
    gold: pl.DataFrame | None = None,
    *,
    classes: Sequence[str] | None = None,
    multi: bool = False,
) -> pl.DataFrame:
    """item, worker, right (bool): every answer that can be judged; multi-label: right in each class that was voted on
    and can be judged."""
    names = _names(answers, gold, classes, multi)
    references, parts = _references(gold, names, multi), []
    for name, votes in tasks(answers, names, multi=multi).items():
        true = _gold_of(votes, references[name]) if gold is not None else of_others(votes)
        known = true >= 0
        items, workers = np.array(votes.items, dtype=object), np.array(votes.workers, dtype=object)
        parts.append(
            pl.DataFrame(
                {
                    "item": items[votes.item[known]].tolist(),
                    "worker": workers[votes.worker[known]].tolist(),
                    "right": true[known] == votes.label[known],
                },
                schema={"item": pl.String, "worker": pl.String, "right": pl.Boolean},
            )
        )
    if not parts:
        return pl.DataFrame(schema={"item": pl.String, "worker": pl.String, "right": pl.Boolean})
    return pl.concat(parts).group_by("item", "worker").agg(pl.col("right").all()).sort("item", "worker")


def of_others(votes: Votes) -> np.ndarray:
    """(m,) the class most of the others named, for each vote; -1 where there is none, or two are equal."""
    rest = votes.counts()[votes.item]
    rest[np.arange(len(votes.item)), votes.label] -= 1
    if not len(rest):
        return np.zeros(0, dtype=np.int64)
    most = rest.max(axis=1)
    clear = (most > 0) & ((rest == most[:, None]).sum(axis=1) == 1)
    return np.where(clear, rest.argmax(axis=1), -1)


def _names(answers: pl.DataFrame, gold: pl.DataFrame | None, classes: Sequence[str] | None, multi: bool):
    if classes is not None:
        return tuple(classes)
    tables = [answers] if gold is None else [answers, gold]
    return tuple(sorted({name for table in tables for name in classes_of(table, multi=multi)}))


def _references(gold: pl.DataFrame | None, names: Sequence[str], multi: bool) -> dict[str, dict[str, int]]:
    """Task -> item -> true class row."""
    if gold is None:
        return {}
    asked = gold.select("item", "label", pl.lit("gold").alias("worker"))
    return {
        name: {v.items[i]: int(c) for i, c in zip(v.item, v.label, strict=True)}
        for name, v in tasks(asked, names, multi=multi).items()
    }


def _gold_of(votes: Votes, true: dict[str, int]) -> np.ndarray:
    return np.array([true.get(item, -1) for item in votes.items], dtype=np.int64)[votes.item]
