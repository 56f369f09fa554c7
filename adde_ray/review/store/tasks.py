"""What is asked: items are published, round by round, and a round is closed when it has its answers."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, fields
from typing import Any

from sqlalchemy import Connection, Row, bindparam, func, select, update

from adde_ray.errors import UserError
from adde_ray.review.store.database import Database
from adde_ray.review.store.records import ADAPTIVE, KINDS, Item, Overlap
from adde_ray.review.store.tables import rounds, tasks

AT_ONCE = 500
"""Rows in a statement: SQLite takes so many values."""


class Part:
    """What the parts of a store share. clock: seconds since 1970."""

    def __init__(self, database: Database, run: str, clock: Callable[[], float] = time.time):
        self._db, self._run, self._now = database, run, clock

    @property
    def run(self) -> str:
        """What the run is called in the store."""
        return self._run


class Tasks(Part):
    """Items of all rounds."""

    def publish(self, items: Iterable[Item]) -> int:
        """Ask about these; what was published already stays as it is. Returns how many are new.

        Raises UserError: an unknown kind, or something new in a round that is closed.
        """
        rows: dict[int, list[dict[str, Any]]] = {}
        for item in items:
            rows.setdefault(item.round, []).append(self._row(item))

        def work(connection: Connection) -> int:
            # In the order in which they are asked: else keys would tell gold, which is made last, from the rest.
            ordered = {number: sorted(rows[number], key=lambda row: row["rank"]) for number in sorted(rows)}
            return sum(self._publish(connection, number, of_it) for number, of_it in ordered.items())

        return self._db.write(work) if rows else 0

    def _publish(self, connection: Connection, number: int, rows: list[dict[str, Any]]) -> int:
        connection.execute(self._db.insert(rounds).values(run=self._run, round=number).on_conflict_do_nothing())
        new = 0
        for start in range(0, len(rows), AT_ONCE):
            made = self._db.insert(tasks).values(rows[start : start + AT_ONCE]).on_conflict_do_nothing()
            new += len(connection.execute(made.returning(tasks.c.task)).all())
        if new and number not in self._open(connection):
            raise UserError(
                "the round is closed, and nothing can be asked in it any more",
                where=self._db.shown,
                value=number,
                remedy="Publish it in a later round",
            )
        return new

    def _row(self, item: Item) -> dict[str, Any]:
        if item.kind not in KINDS:
            raise UserError(
                "unknown kind of item", where="review", value=item.kind, remedy=f"Choose one of: {', '.join(KINDS)}"
            )
        fixed = {"withdrawn": False, "seats": 0, "answered": 0, "wanted": 1}
        payload = item.payload.replace("\0", "\N{REPLACEMENT CHARACTER}")  # which PostgreSQL has no place for
        kept = {"payload": payload, "why": json.dumps(item.why)}
        return asdict(item) | kept | {"run": self._run, "published": self._now(), **fixed}

    def withdraw(self, round_: int, sample_ids: Sequence[str]) -> None:
        """Nobody is given these any more; answers there are stay."""

        def work(connection: Connection) -> None:
            for start in range(0, len(sample_ids), AT_ONCE):
                some = sample_ids[start : start + AT_ONCE]
                of_them = (tasks.c.run == self._run) & (tasks.c.round == round_) & tasks.c.sample_id.in_(some)
                connection.execute(update(tasks).where(of_them).values(withdrawn=True))

        self._db.write(work)

    def items(self, round: int | None = None) -> list[tuple[int, Item]]:
        """(task, item) of a round, or of all, in the order in which they are asked; withdrawn ones are left out."""
        found = select(tasks).where(tasks.c.run == self._run, tasks.c.withdrawn.is_(False))
        if round is not None:
            found = found.where(tasks.c.round == round)
        found = found.order_by(tasks.c.round, tasks.c.rank, tasks.c.task)
        return self._db.read(lambda connection: [(row.task, item_of(row)) for row in connection.execute(found)])

    def item(self, task: int) -> Item | None:
        """That of a task of this run."""
        found = select(tasks).where(tasks.c.run == self._run, tasks.c.task == task)
        row = self._db.read(lambda connection: connection.execute(found).one_or_none())
        return None if row is None else item_of(row)

    def progress(self, round: int, *, overlap: Overlap = 1) -> dict[str, int]:
        """How far a round is.

        asked: items; answered: of them with a decision that stands; done: with as many as overlap asks for; held:
        seats of people who have a sample before them; answers: decisions that stand; closed: 0 or 1.
        """
        enough = tasks.c.wanted if overlap == ADAPTIVE else overlap
        mine = (tasks.c.run == self._run, tasks.c.round == round, tasks.c.withdrawn.is_(False))
        counted = select(
            func.count(),
            func.count().filter(tasks.c.answered > 0),
            func.count().filter(tasks.c.answered >= enough),
            func.coalesce(func.sum(tasks.c.seats - tasks.c.answered), 0),
            func.coalesce(func.sum(tasks.c.answered), 0),
        ).where(*mine)
        names = ("asked", "answered", "done", "held", "answers")

        def work(connection: Connection) -> dict[str, int]:
            numbers = map(int, connection.execute(counted).one())
            return dict(zip(names, numbers, strict=True)) | {"closed": int(round not in self._open(connection))}

        return self._db.read(work)

    def close(self, round: int) -> None:
        """Nobody is asked about its samples any more; answers from now on are amendments (`after_close`)."""

        def work(connection: Connection) -> None:
            it = self._db.insert(rounds).values(run=self._run, round=round).on_conflict_do_nothing()
            connection.execute(it)
            still = (rounds.c.run == self._run) & (rounds.c.round == round) & rounds.c.closed.is_(None)
            connection.execute(update(rounds).where(still).values(closed=self._now()))

        self._db.write(work)

    def open_rounds(self) -> list[int]:
        """Rounds that were published and are not closed, in order."""
        return self._db.read(self._open)

    def published(self, round: int) -> float | None:
        """When the round's first sample was published, in seconds since 1970; None: it has none."""
        found = select(func.min(tasks.c.published)).where(tasks.c.run == self._run, tasks.c.round == round)
        return self._db.read(lambda connection: connection.execute(found).scalar())

    def rounds(self) -> list[int]:
        """All that were published, in order."""
        found = select(rounds.c.round).where(rounds.c.run == self._run).order_by(rounds.c.round)
        return self._db.read(lambda connection: list(connection.execute(found).scalars()))

    def _open(self, connection: Connection) -> list[int]:
        return list(connection.execute(_OPEN, {"run": self._run}).scalars())


# Built once: SQLAlchemy takes longer to build a statement than a database to carry it out.
_OPEN = (
    select(rounds.c.round).where(rounds.c.run == bindparam("run"), rounds.c.closed.is_(None)).order_by(rounds.c.round)
)

_FIELDS = [field.name for field in fields(Item)]


def item_of(row: Row) -> Item:
    """A row of the table as it was published."""
    values = {name: getattr(row, name) for name in _FIELDS}
    return Item(**values | {"why": json.loads(row.why), "hides_guess": bool(row.hides_guess)})
