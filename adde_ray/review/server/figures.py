"""How a run's people are doing: the store → tables for `methods.crowd` → figures of the owner's page."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import polars as pl

from adde_ray.review.server.about import About
from adde_ray.review.store.records import PROPOSED, Item
from adde_ray.review.store.store import Store

NAMED = 50
"""Disagreements that are shown."""


@dataclass(frozen=True)
class Said:
    """All decisions that stand, of all rounds, and what they are about. Computed once, looked at many times."""

    about: About
    decisions: pl.DataFrame  # as `Store.answers`
    items: dict[int, Item]  # by task
    classes: tuple[str, ...]  # with those that were adopted

    @classmethod
    def of(cls, store: Store, about: About) -> Said:
        """What the store holds now."""
        adopted = [one.name for one in store.classes() if one.state == "adopt" and one.name not in about.classes]
        return cls(about, store.answers(), dict(store.items()), (*about.classes, *adopted))

    @cached_property
    def answers(self) -> pl.DataFrame:
        """item (the task), worker, label (null: rejected, flagged, or a class that is only proposed), seconds, when."""
        label = pl.col("label").str.strip_prefix(PROPOSED)
        if not self.about.multi:
            label = pl.when(label.is_in(list(self.classes))).then(label)
        return self.decisions.select(
            pl.col("task").cast(pl.String).alias("item"),
            pl.col("annotator").alias("worker"),
            pl.when(pl.col("action").is_in(["accept", "correct"])).then(label).alias("label"),
            "seconds",
            "when",
        )

    @cached_property
    def gold(self) -> pl.DataFrame | None:
        """item, label of what is known; None: nothing is."""
        known = {str(task): item.truth for task, item in self.items.items() if item.truth is not None}
        found = {"item": list(known), "label": list(known.values())}
        return pl.DataFrame(found, schema={"item": pl.String, "label": pl.String}) if known else None

    def tables(self) -> dict:
        """What all functions of `methods.crowd` are told besides the answers."""
        return {"classes": self.classes, "multi": self.about.multi}


def overview(said: Said) -> dict:
    """people, classes, agreement, flags, and the tasks whose answers differ, the most divided first."""
    from adde_ray.methods import crowd

    found = crowd.overview(said.answers, said.gold, **said.tables())
    windows = over_time(said)
    people = [{**one, "trend": one["drift"], "drift": windows.get(one["name"], [])} for one in found["people"]]
    flags = Counter(flag for flags in said.decisions["flags"] for flag in flags)
    divided = dict.fromkeys([*(int(item) for item in found["disagreements"]), *_differ(said)])
    told = {"classes": found["classes"], "agreement": found["agreement"], "people": people}
    return told | {"flags": dict(flags.most_common()), "divided": list(divided)[:NAMED], "anchoring": _anchoring(said)}


def over_time(said: Said) -> dict[str, list[float | None]]:
    """Person → share of answers that are right, in windows of time; on gold, or where there is none as the others have
    it."""
    from adde_ray.methods.crowd import drift, people

    judged = people.judged(said.answers, said.gold, **said.tables())
    timed = said.answers.select("item", "worker", "when").sort("when", "item")
    rows = timed.join(judged, on=["item", "worker"], how="inner", maintain_order="left")
    return {
        str(name): [figure.rounded()["value"] for figure in drift.accuracy_drift(own["right"].to_numpy()).windows]
        for (name,), own in rows.group_by("worker", maintain_order=True)
    }


def _differ(said: Said) -> list[int]:
    """Tasks on which people decided differently in kind, as one rejecting what another labels."""
    kinds = said.decisions.group_by("task", maintain_order=True).agg(
        pl.col("action").replace("accept", "correct").n_unique().alias("kinds")
    )
    return kinds.filter(pl.col("kinds") > 1)["task"].to_list()


def _anchoring(said: Said) -> dict:
    """Whether suggestions that may be uncovered are taken more often than those that may not, by chance."""
    from adde_ray.methods.crowd.anchoring import anchoring

    asked = {task: item for task, item in said.items.items() if item.kind == "new" and item.suggested is not None}
    rows = said.decisions.filter(pl.col("task").is_in(list(asked)))
    accepted = [asked[task].suggested == label for task, label in rows.select("task", "label").iter_rows()]
    shown = [not asked[task].hides_guess for task in rows["task"]]
    found = anchoring(np.array(accepted, dtype=bool), np.array(shown, dtype=bool))
    return {name: getattr(found, name).rounded() for name in ("shown", "hidden", "difference")}


def confusions(said: Said) -> dict[str, list[list[int]]]:
    """Person → counts (C, C): rows what a sample is, columns what they said.

    What it is: gold, or the majority of the others. Several classes: on the diagonal those that hold and were said;
    beside it those that hold and were not, against each that was said and does not.
    """
    counts: dict[str, list[list[int]]] = {}
    size, row = len(said.classes), {name: i for i, name in enumerate(said.classes)}
    for person, _, truth, given in _pairs(said):
        table = counts.setdefault(person, [[0] * size for _ in range(size)])
        for true, answered in _cells(truth, given, multi=said.about.multi):
            if true in row and answered in row:
                table[row[true]][row[answered]] += 1
    return counts


def confused(said: Said, person: str, truth: str, given: str) -> list[int]:
    """The tasks behind one cell of `confusions`."""
    found = (
        (task, _cells(true, own, multi=said.about.multi)) for who, task, true, own in _pairs(said) if who == person
    )
    return [task for task, cells in found if (truth, given) in cells]


def _pairs(said: Said) -> list[tuple[str, int, str, str]]:
    """(person, task, what it is, what they said) of every label that can be held against something."""
    by_task: dict[int, list[tuple[str, str]]] = {}
    for item, worker, label in said.answers.select("item", "worker", "label").drop_nulls().iter_rows():
        by_task.setdefault(int(item), []).append((worker, label))
    pairs = []
    for task, given in by_task.items():
        gold = said.items[task].truth if task in said.items else None
        for place, (worker, label) in enumerate(given):
            others = [other for i, (_, other) in enumerate(given) if i != place]
            truth = gold if gold is not None else majority(others)
            if truth is not None:
                pairs.append((worker, task, truth, label))
    return pairs


def majority(labels: Sequence[str]) -> str | None:
    """The label that most say; None where there is none, or two are equal."""
    most = Counter(labels).most_common(2)
    return most[0][0] if most and (len(most) == 1 or most[0][1] > most[1][1]) else None


def _cells(truth: str, given: str, *, multi: bool) -> list[tuple[str, str]]:
    from adde_ray.labels import split

    if not multi:
        return [(truth, given)]
    true, own = set(split(truth)[0]), set(split(given)[0])
    return [(name, name) for name in sorted(true & own)] + [
        (missed, wrong) for missed in sorted(true - own) for wrong in sorted(own - true)
    ]
