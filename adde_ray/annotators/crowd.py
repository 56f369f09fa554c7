"""Several simulated people: as many are asked about each sample as the config says, and their answers add up.

They add up as answers on the page do (`review.opinions`).
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import NamedTuple

import polars as pl
import pyarrow as pa

from adde_ray import labels as codec
from adde_ray.annotators.person import SimulatedPerson
from adde_ray.annotators.replayed import Replayed
from adde_ray.artifacts.schema import frame
from adde_ray.config import Review
from adde_ray.review.opinions import Rules, add_up, wanted
from adde_ray.review.store import Answer, Item

OPINIONS = pa.schema(
    [
        ("sample_id", pa.string()),
        ("round", pa.int64()),
        ("annotator", pa.string()),
        ("action", pa.string()),
        ("label", pa.string()),
        ("seconds", pa.float64()),
    ]
)
"""What each simulated person said, in the order in which they were asked."""


class Told(NamedTuple):
    """What somebody says of a sample: a label, or None to reject it."""

    who: str
    label: str | None
    seconds: float


class Crowd:
    """People by name, or answers that are replayed; of samples that nobody ever answered, nobody says anything."""

    def __init__(
        self,
        classes: tuple[str, ...],
        review: Review,
        people: Mapping[str, SimulatedPerson],
        *,
        replayed: Replayed | None = None,
        multi: bool = False,
        seed: int = 0,
    ):
        self._rules = Rules(classes, multi, review)
        self._people, self._replayed, self._seed = people, replayed, seed

    def ask(self, query: pl.DataFrame, truth: Mapping[str, str | None], *, t: int) -> pl.DataFrame:
        """OPINIONS about the query. truth: sample_id -> what a person who never errs would say; None: reject."""
        sitting: Counter[str] = Counter()
        rows = []
        for item in _items(query, t):
            given: list[Answer] = []
            for told in self._told(item, truth.get(item.sample_id), sitting):
                given.append(_answer(item, told))
                sitting[told.who] += 1
                if len(given) >= wanted(item, given, self._rules.review):
                    break
            rows += [{name: getattr(answer, name) for name in OPINIONS.names} for answer in given]
        return frame(rows, OPINIONS)

    def decide(self, query: pl.DataFrame, opinions: pl.DataFrame, *, t: int) -> pl.DataFrame:
        """DECISIONS about the query. opinions: OPINIONS of this round, and of earlier ones where people are weighed."""
        answers = [
            Answer(answer_id="", task=0, **row, when="")
            for row in opinions.select(OPINIONS.names).iter_rows(named=True)
        ]
        return add_up(_items(query, t), answers, self._rules, t=t, final=True).decisions

    def _told(self, item: Item, label: str | None, sitting: Counter[str]) -> Iterator[Told]:
        """Who may be asked about a sample, in an order drawn by it."""
        if self._replayed is not None and item.origin == "real":
            for replay in _shuffled(self._replayed.of(item.sample_id), self._seed, item.sample_id):
                yield Told(replay.worker, self._own(replay.answer), replay.seconds)
            return
        for name in _shuffled(sorted(self._people), self._seed, item.sample_id):
            person = self._people[name]
            said = None if label is None else person.says(item.sample_id, label, sitting[name])
            yield Told(name, said, person.takes(item.sample_id))

    def _own(self, answer: str | None) -> str | None:
        known = answer is not None and not codec.foreign(answer, self._rules.classes, multi=self._rules.multi)
        return answer if known else None


def _items(query: pl.DataFrame, t: int) -> list[Item]:
    rows = query.select("sample_id", "origin", "suggested", "confidence").iter_rows()
    return [
        Item(sample_id, t, rank, "new", "", "", suggested=suggested, confidence=confidence, origin=origin)
        for rank, (sample_id, origin, suggested, confidence) in enumerate(rows)
    ]


def _answer(item: Item, told: Told) -> Answer:
    action = "reject" if told.label is None else "accept" if told.label == item.suggested else "correct"
    blank = Answer(answer_id="", task=0, sample_id=item.sample_id, round=item.round, annotator=told.who, action=action)
    return replace(blank, label=told.label, seconds=told.seconds)


def _shuffled(values: list, seed: int, sample_id: str) -> list:
    def place(i: int) -> bytes:
        return hashlib.blake2b(f"{seed}/{sample_id}/{i}".encode(), digest_size=8).digest()

    return [values[i] for i in sorted(range(len(values)), key=place)]
