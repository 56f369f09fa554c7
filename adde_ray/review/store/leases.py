"""Who has which sample before them: seats, of which a sample has as many as overlap asks for.

A seat is held until it lapses, and stays once its holder has answered. No transaction here waits for a row that
another person's holds (`SKIP LOCKED`), so leases do not stand in each other's way on PostgreSQL; on SQLite they queue.
"""

from __future__ import annotations

import functools
import time
from collections.abc import Callable, Collection
from typing import Any

from sqlalchemy import ColumnElement, Connection, Insert, Integer, Select, bindparam, exists, select, update

from adde_ray.review.store.database import Database
from adde_ray.review.store.records import ADAPTIVE, Item, Overlap
from adde_ray.review.store.tables import seats, tasks
from adde_ray.review.store.tasks import Tasks, item_of

MOST_HELD = 500
"""Samples that one person may have before them."""

TAKEN = ("held", "later", "answered")
"""States of a seat that nobody else can have."""

LAPSED_AT_ONCE = 200


LAPSE_SECONDS = 1.0
"""How often a store looks for seats that lapse."""


class Leases(Tasks):
    """Seats of all samples."""

    def __init__(self, database: Database, run: str, clock: Callable[[], float] = time.time):
        super().__init__(database, run, clock)
        self._lapse_at = 0.0

    def lease(
        self,
        annotator: str,
        number: int,
        *,
        overlap: Overlap = 1,
        seconds: float = 600.0,
        not_tasks: Collection[int] = (),
    ) -> list[tuple[int, Item]]:
        """Up to `number` samples for somebody to answer, as (task, item), theirs for so many seconds.

        First what they hold already, unless it is among `not_tasks` (what their page has), then samples with the fewest
        opinions, then what they put off. All that they hold is theirs for longer. Nobody is given what they answered
        or passed on.
        """
        until = self._now() + seconds
        how = {"run": self._run, "annotator": annotator, "until": until, "not_tasks": list(not_tasks)}
        how |= {"overlap": 0 if overlap == ADAPTIVE else overlap}

        def work(connection: Connection) -> list[tuple[int, Item]]:
            self._db.alone(connection, f"{self._run} {annotator}")  # who may have two windows open
            self._lapse(connection)
            rounds = self._open(connection)
            held = self._held(connection, how, rounds)
            found = {task: item for task, item in held.items() if task not in not_tasks}
            for round_ in rounds:
                room = min(number - len(found), MOST_HELD - len(held | found))
                if room > 0:
                    found |= self._fresh(connection, how | {"round": round_, "number": room})
            if len(found) < number:
                found |= self._put_off(connection, how | {"rounds": rounds, "number": number - len(found)})
            return list(found.items())[:number]

        return self._db.write(work)

    def has_seat(self, annotator: str, task: int) -> bool:
        """Whether a sample was ever given to somebody."""
        return task in self.seated(annotator, [task])

    def seated(self, annotator: str, tasks_: Collection[int]) -> set[int]:
        """Of these samples those that were ever given to somebody."""
        mine = (seats.c.run == self._run, seats.c.annotator == annotator, seats.c.task.in_(tasks_))
        return self._db.read(lambda connection: set(connection.execute(select(seats.c.task).where(*mine)).scalars()))

    def release(self, annotator: str) -> None:
        """What somebody holds is free for others at once."""

        def work(connection: Connection) -> None:
            self._let_go(connection, _HELD_BY, {"run": self._run, "annotator": annotator})

        self._db.write(work)

    def _lapse(self, connection: Connection) -> None:
        if self._now() >= self._lapse_at:
            self._lapse_at = self._now() + LAPSE_SECONDS
            self._let_go(connection, _OVERDUE, {"run": self._run, "now": self._now()})

    def _let_go(self, connection: Connection, whose: Select, how: dict[str, Any]) -> None:
        for task, annotator in connection.execute(whose, how).all():
            connection.execute(_LET_GO, {"of_task": task, "of_annotator": annotator})
            connection.execute(_SEATS, {"of_tasks": [task], "change": -1})

    def _held(self, connection: Connection, how: dict[str, Any], rounds: list[int]) -> dict[int, Item]:
        """All that somebody has before them, in the order in which it is asked; from now on held until `until`."""
        rows = connection.execute(_HELD, {**how, "rounds": rounds}).all()
        if rows:
            values = {"of_tasks": [row.task for row in rows], "of_annotator": how["annotator"]}
            connection.execute(_HOLD, values | {"to_until": how["until"]})
        return {row.task: item_of(row) for row in rows}

    def _fresh(self, connection: Connection, how: dict[str, Any]) -> dict[int, Item]:
        """Samples with an empty seat, taken."""
        found = connection.execute(_FREE if how["overlap"] else _FREE_ADAPTIVE, how)
        rows = {row.task: row for row in found}
        if not rows:
            return {}
        kept = {name: how[name] for name in ("annotator", "run", "until", "overlap")} | {"state": "held"}
        taken = set(connection.execute(self._taking, [{"task": task} | kept for task in rows]).scalars())
        connection.execute(_SEATS, {"of_tasks": list(taken), "change": 1})
        return {task: item_of(row) for task, row in rows.items() if task in taken}

    @functools.cached_property
    def _taking(self) -> Insert:
        """A seat is new, or one of the same person's that lapsed."""
        made = self._db.insert(seats)
        new = {name: made.excluded[name] for name in ("state", "until", "overlap")}
        lapsed = seats.c.state == "lapsed"
        made = made.on_conflict_do_update(index_elements=["task", "annotator"], set_=new, where=lapsed)
        return made.returning(seats.c.task)

    def _put_off(self, connection: Connection, how: dict[str, Any]) -> dict[int, Item]:
        """What somebody said they would look at later: now, when nothing else is left."""
        rows = connection.execute(_PUT_OFF, how).all()
        if rows:
            values = {"of_tasks": [row.task for row in rows], "of_annotator": how["annotator"]}
            connection.execute(_HOLD, values | {"to_until": how["until"]})
        return {row.task: item_of(row) for row in rows}


# --- statements, built once (see `tasks`). Values that a row is to have are `to_…`, rows that are meant `of_…` -------


def _of(state: str) -> Select:
    """Samples at which somebody has a seat of a state."""
    whose = (seats.c.run == bindparam("run"), seats.c.annotator == bindparam("annotator"), seats.c.state == state)
    found = select(tasks).join(seats, seats.c.task == tasks.c.task).where(*whose)
    return found.where(tasks.c.round.in_(bindparam("rounds", expanding=True)), tasks.c.withdrawn.is_(False))


def _free(limit: ColumnElement[int]) -> Select:
    """Samples with fewer than `limit` taken seats that somebody has nothing to do with yet."""
    mine = exists().where(
        seats.c.task == tasks.c.task, seats.c.annotator == bindparam("annotator"), seats.c.state != "lapsed"
    )
    found = select(tasks).where(tasks.c.run == bindparam("run"), tasks.c.round == bindparam("round"))
    found = found.where(tasks.c.withdrawn.is_(False), tasks.c.seats < limit, ~mine)
    found = found.where(tasks.c.task.not_in(bindparam("not_tasks", expanding=True)))
    found = found.order_by(tasks.c.seats, tasks.c.rank, tasks.c.task).limit(bindparam("number"))
    return found.with_for_update(skip_locked=True)


def _taken(*whose: ColumnElement[bool]) -> Select:
    """(task, annotator) of seats that are held, so many at a time."""
    found = select(seats.c.task, seats.c.annotator).join(tasks, tasks.c.task == seats.c.task)
    found = found.where(seats.c.run == bindparam("run"), seats.c.state.in_(("held", "later")), *whose)
    return found.limit(LAPSED_AT_ONCE).with_for_update(skip_locked=True)


_HELD = _of("held").order_by(tasks.c.round, tasks.c.rank).with_for_update(skip_locked=True, of=seats)
_PUT_OFF = (
    _of("later")
    .where(tasks.c.task.not_in(bindparam("not_tasks", expanding=True)))
    .order_by(seats.c.until, tasks.c.rank)
    .limit(bindparam("number"))
    .with_for_update(skip_locked=True, of=seats)
)
_FREE, _FREE_ADAPTIVE = _free(bindparam("overlap", type_=Integer)), _free(tasks.c.wanted)
_HELD_BY, _OVERDUE = _taken(seats.c.annotator == bindparam("annotator")), _taken(seats.c.until < bindparam("now"))
_HOLD = (
    update(seats)
    .where(
        seats.c.annotator == bindparam("of_annotator"),
        seats.c.task.in_(bindparam("of_tasks", expanding=True)),
        seats.c.state.in_(("held", "later")),
    )
    .values(state="held", until=bindparam("to_until"))
)
_LET_GO = (
    update(seats)
    .where(seats.c.task == bindparam("of_task"), seats.c.annotator == bindparam("of_annotator"))
    .values(state="lapsed")
)
_SEATS = (
    update(tasks)
    .where(tasks.c.task.in_(bindparam("of_tasks", expanding=True)))
    .values(seats=tasks.c.seats + bindparam("change", type_=Integer))
)
