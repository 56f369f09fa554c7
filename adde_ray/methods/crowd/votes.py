"""Answers of people as arrays: a table of item, worker and label in, rows of items, workers and classes out.

A multi-label task is taken class by class: each class is a task of two answers, "0" does not hold and "1" holds. A
class that a worker does not know (`?Name`) is no vote, and neither is a null label.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import polars as pl

from adde_ray import labels as codec

BINARY = ("0", "1")
"""The classes of one class of a multi-label task."""


@dataclass(frozen=True)
class Votes:
    """m votes of W workers about n items. items, workers: their names, sorted. classes: C names.

    item, worker, label: (m,) rows into these, ordered by item, then worker.
    """

    items: tuple[str, ...]
    workers: tuple[str, ...]
    classes: tuple[str, ...]
    item: np.ndarray
    worker: np.ndarray
    label: np.ndarray

    def counts(self) -> np.ndarray:
        """(n, C) votes for each class."""
        found = np.zeros((len(self.items), len(self.classes)))
        np.add.at(found, (self.item, self.label), 1.0)
        return found

    def of(self, rows: np.ndarray) -> Votes:
        """Some of the votes, (k,) rows or (m,) bool; items and workers stay as they are."""
        return Votes(self.items, self.workers, self.classes, self.item[rows], self.worker[rows], self.label[rows])


def classes_of(answers: pl.DataFrame, *, multi: bool = False) -> tuple[str, ...]:
    """The classes that occur in the labels, sorted."""
    given = answers["label"].drop_nulls().unique().to_list()
    if not multi:
        return tuple(sorted(given))
    return tuple(sorted({name for label in given for part in codec.split(label) for name in part}))


def votes(answers: pl.DataFrame, classes: Sequence[str] | None = None) -> Votes:
    """The votes of a single-label task. answers: item, worker, label (text, or null: no vote); of several answers of
    a worker about an item the last counts. classes: left out, those that occur; a label outside them is no vote."""
    names = tuple(classes) if classes is not None else classes_of(answers)
    row = {name: i for i, name in enumerate(names)}
    table, items, workers = _indexed(answers)
    label = np.array([row.get(name, -1) for name in table["label"]], dtype=np.int64)
    kept = label >= 0
    return Votes(items, workers, names, *_rows(table, kept), label[kept])


def votes_by_class(answers: pl.DataFrame, classes: Sequence[str] | None = None) -> dict[str, Votes]:
    """The votes of a multi-label task: class -> its votes, "0" or "1", about the same items by the same workers."""
    names = tuple(classes) if classes is not None else classes_of(answers, multi=True)
    table, items, workers = _indexed(answers)
    allowed = set(names)
    ours = [
        None if label is None else codec.join(*([n for n in part if n in allowed] for part in codec.split(label)))
        for label in table["label"]
    ]
    held = codec.targets(ours, names)
    found = {}
    for c, name in enumerate(names):
        known = ~np.isnan(held[:, c])
        found[name] = Votes(items, workers, BINARY, *_rows(table, known), held[known, c].astype(np.int64))
    return found


def tasks(answers: pl.DataFrame, classes: Sequence[str] | None = None, *, multi: bool = False) -> dict[str, Votes]:
    """Name -> votes of each task there is: one without a name, or one for each class of a multi-label task."""
    return votes_by_class(answers, classes) if multi else {"": votes(answers, classes)}


def _rows(table: pl.DataFrame, kept: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    return table["i"].to_numpy()[kept], table["w"].to_numpy()[kept]


def _indexed(answers: pl.DataFrame) -> tuple[pl.DataFrame, tuple[str, ...], tuple[str, ...]]:
    """label and the rows i, w of item and worker, sorted by these; and the names of both."""
    table = answers.select(pl.col("item", "worker", "label").cast(pl.String))
    table = table.unique(["item", "worker"], keep="last", maintain_order=True)
    # A dense rank of names is their row among the sorted ones; polars sorts text as Python does.
    i, w = ((pl.col(name).rank("dense") - 1).cast(pl.Int64).alias(s) for name, s in (("item", "i"), ("worker", "w")))
    items, workers = (tuple(table[name].unique().sort().to_list()) for name in ("item", "worker"))
    return table.select(i, w, "label").sort("i", "w"), items, workers
