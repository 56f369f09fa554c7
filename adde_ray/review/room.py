"""The review room of a run, seen from the run: the store where people's answers are, and what they have decided.

Needs the run's folder and the store alone, and nothing heavy: how far people are is told before torch is imported.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator
from dataclasses import fields

import polars as pl

from adde_ray.artifacts.damage import OPINIONS
from adde_ray.artifacts.run_dir import RoundDir, RunDir, read_json
from adde_ray.artifacts.schema import DECISIONS, Meta, frame
from adde_ray.review.opinions import Opinions, Rules, add_up, weigh
from adde_ray.review.store import Answer, Store, place

HOUR = 3600.0


@contextlib.contextmanager
def room(run: RunDir) -> Iterator[Store]:
    """The open store of a run. Raises UserError: it cannot be reached, or the extra is missing."""
    store = Store.open(*place(run.root, run.config.review.store))
    try:
        yield store
    finally:
        store.shut()


def is_published(round_: RoundDir, store: Store) -> bool:
    """Whether people are asked about the round's query."""
    return round_.t in store.rounds()


def opinions(round_: RoundDir, store: Store) -> Opinions:
    """What people have decided of the round's query, as far as it is decided; all of it once enough is, or time is
    up."""
    items = [item for _, item in store.items(round_.t) if item.kind == "new"]
    weighs = round_.run.config.review.weighs_people
    rules, answers = _rules(round_.run, store), _answers(store, None if weighs else round_.t)
    found = add_up(items, answers, rules, t=round_.t)
    if found.open and _is_enough(len(items), found.open, round_, store):
        return add_up(items, answers, rules, t=round_.t, final=True)
    return found


def take(round_: RoundDir, store: Store) -> Opinions:
    """`opinions`; where nothing is open they are the round's decisions from now on, and the round is closed."""
    found = opinions(round_, store)
    if not found.open:
        round_.once(OPINIONS, lambda: store.answers(round=round_.t))
        round_.once("decisions.parquet", lambda: found.decisions)
        store.close(round_.t)
    return found


def decided(run: RunDir, before: int, store: Store) -> pl.DataFrame:
    """DECISIONS about every sample that people were asked about in rounds < `before`, by what stands in the store now:
    of one that was asked about again, by the last round in which that was settled."""
    rules, rows, every = _rules(run, store), dict[str, dict](), _answers(store)
    weighs = run.config.review.weighs_people
    overall = weigh(every, rules) if weighs else None
    for t in store.rounds():
        if t >= before:
            break
        items = [item for _, item in store.items(t)]
        again = [item for item in items if item.kind == "again"]
        answers = every if weighs else [answer for answer in every if answer.round == t]
        weighed = overall if overall is not None else weigh(answers, rules)
        new = (item for item in items if item.kind == "new")
        rows |= _by_sample(add_up(new, answers, rules, t=t, final=True, weighed=weighed))
        rows |= _by_sample(add_up(again, answers, rules, t=t, weighed=weighed))
    return frame([rows[i] for i in sorted(rows)], DECISIONS)


def _by_sample(found: Opinions) -> dict[str, dict]:
    return {row["sample_id"]: row for row in found.decisions.iter_rows(named=True)}


def _answers(store: Store, t: int | None = None) -> list[Answer]:
    """Those that stand: of a round, or of all rounds, as where people are weighed by how they err."""
    names = [field.name for field in fields(Answer)]
    rows = store.answers(round=t).select(names)
    return [Answer(**{**row, "flags": tuple(row["flags"])}) for row in rows.iter_rows(named=True)]


def _rules(run: RunDir, store: Store) -> Rules:
    meta = Meta.from_json(read_json(run.root / "ingest" / "meta.json"))
    owners = {person.name for person in store.people() if person.role == "owner"}
    merged = {name.name: name.into for name in store.classes() if name.state == "merge" and name.into}
    return Rules(meta.classes, meta.multi, run.config.review, owners, merged)


def _is_enough(asked: int, num_open: int, round_: RoundDir, store: Store) -> bool:
    """Whether a quorum has answered, or the deadline is over and somebody has."""
    review = round_.run.config.review
    if review.quorum < 1 and (asked - num_open) >= review.quorum * asked:
        return True
    published = store.published(round_.t)
    late = review.deadline is not None and published is not None
    return late and num_open < asked and time.time() > (published or 0) + (review.deadline or 0) * HOUR
