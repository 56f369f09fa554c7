"""Who has which sample before them: seats, of which a sample has as many as overlap asks for.

A seat is held until it lapses, and stays once its holder has answered. No transaction here waits for a row that
another person's holds (`SKIP LOCKED`), so leases do not stand in each other's way on PostgreSQL; on SQLite they queue.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable

from sqlalchemy import ColumnElement, Connection, and_, exists, select, update

from adde_ray.review.store.records import ADAPTIVE, Item, Overlap
from adde_ray.review.store.tables import seats, tasks
from adde_ray.review.store.tasks import Tasks, item_of

MOST_HELD = 500
"""Samples that one person may have before them."""

TAKEN = ("held", "later", "answered")
"""States of a seat that nobody else can have."""

LAPSED_AT_ONCE = 200


class Leases(Tasks):
    """Seats of all samples."""

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

        def work(connection: Connection) -> list[tuple[int, Item]]:
            self._db.alone(connection, f"{self._run} {annotator}")  # who may have two windows open
            self._lapse(connection)
            rounds = self._open(connection)
            held = self._held(connection, annotator, rounds, until)
            found = {task: item for task, item in held.items() if task not in not_tasks}
            for round_ in rounds:
                room = min(number - len(found), MOST_HELD - len(held | found))
                if room > 0:
                    found |= self._fresh(connection, annotator, round_, room, overlap, until, not_tasks)
            if len(found) < number:
                found |= self._put_off(connection, annotator, rounds, number - len(found), until, not_tasks)
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
            self._let_go(connection, seats.c.annotator == annotator)

        self._db.write(work)

    def _lapse(self, connection: Connection) -> None:
        self._let_go(connection, seats.c.until < self._now())

    def _let_go(self, connection: Connection, whose: ColumnElement[bool]) -> None:
        mine = (seats.c.run == self._run, seats.c.state.in_(("held", "later")))
        found = select(seats.c.task, seats.c.annotator).join(tasks, tasks.c.task == seats.c.task).where(*mine, whose)
        found = found.limit(LAPSED_AT_ONCE).with_for_update(skip_locked=True)
        for task, annotator in connection.execute(found).all():
            seat = and_(seats.c.task == task, seats.c.annotator == annotator)
            connection.execute(update(seats).where(seat).values(state="lapsed"))
            connection.execute(update(tasks).where(tasks.c.task == task).values(seats=tasks.c.seats - 1))

    def _held(self, connection: Connection, annotator: str, rounds: list[int], until: float) -> dict[int, Item]:
        """All that somebody has before them, in the order in which it is asked; from now on held until `until`."""
        mine = (seats.c.run == self._run, seats.c.annotator == annotator, seats.c.state == "held")
        found = select(tasks).join(seats, seats.c.task == tasks.c.task).where(*mine)
        found = found.where(tasks.c.round.in_(rounds), tasks.c.withdrawn.is_(False))
        found = found.order_by(tasks.c.round, tasks.c.rank).with_for_update(skip_locked=True, of=seats)
        held = {row.task: item_of(row) for row in connection.execute(found)}
        if held:
            of_them = and_(seats.c.annotator == annotator, seats.c.task.in_(held), seats.c.state == "held")
            connection.execute(update(seats).where(of_them).values(until=until))
        return held

    def _fresh(
        self,
        connection: Connection,
        annotator: str,
        round_: int,
        number: int,
        overlap: Overlap,
        until: float,
        not_tasks: Collection[int],
    ) -> dict[int, Item]:
        """Samples with an empty seat, taken."""
        limit = tasks.c.wanted if overlap == ADAPTIVE else overlap
        known = exists().where(seats.c.task == tasks.c.task, seats.c.annotator == annotator, seats.c.state != "lapsed")
        free = (tasks.c.run == self._run, tasks.c.round == round_, tasks.c.withdrawn.is_(False), tasks.c.seats < limit)
        found = select(tasks).where(*free, ~known)
        if overlap != ADAPTIVE:
            found = found.where(tasks.c.seats < overlap)
        if not_tasks:
            found = found.where(tasks.c.task.not_in(not_tasks))
        found = found.order_by(tasks.c.seats, tasks.c.rank, tasks.c.task).limit(number)
        rows = {row.task: row for row in connection.execute(found.with_for_update(skip_locked=True))}
        taken = self._take_seats(connection, annotator, rows, 0 if overlap == ADAPTIVE else int(overlap), until)
        return {task: item_of(row) for task, row in rows.items() if task in taken}

    def _take_seats(
        self, connection: Connection, annotator: str, found: Iterable[int], overlap: int, until: float
    ) -> set[int]:
        values = {"annotator": annotator, "run": self._run, "state": "held", "until": until, "overlap": overlap}
        rows = [{"task": task} | values for task in found]
        if not rows:
            return set()
        made = self._db.insert(seats).values(rows)
        again = {"state": "held", "until": until, "overlap": overlap}
        made = made.on_conflict_do_update(
            index_elements=["task", "annotator"], set_=again, where=seats.c.state == "lapsed"
        ).returning(seats.c.task)
        taken = set(connection.execute(made).scalars())
        connection.execute(update(tasks).where(tasks.c.task.in_(taken)).values(seats=tasks.c.seats + 1))
        return taken

    def _put_off(
        self,
        connection: Connection,
        annotator: str,
        rounds: list[int],
        number: int,
        until: float,
        not_tasks: Collection[int],
    ) -> dict[int, Item]:
        """What somebody said they would look at later: now, when nothing else is left."""
        mine = (seats.c.run == self._run, seats.c.annotator == annotator, seats.c.state == "later")
        found = select(tasks).join(seats, seats.c.task == tasks.c.task).where(*mine)
        found = found.where(tasks.c.round.in_(rounds), tasks.c.withdrawn.is_(False), tasks.c.task.not_in(not_tasks))
        found = found.order_by(seats.c.until, tasks.c.rank).limit(number)
        rows = connection.execute(found.with_for_update(skip_locked=True, of=seats)).all()
        of_them = and_(seats.c.annotator == annotator, seats.c.task.in_([row.task for row in rows]))
        connection.execute(update(seats).where(of_them).values(state="held", until=until))
        return {row.task: item_of(row) for row in rows}
