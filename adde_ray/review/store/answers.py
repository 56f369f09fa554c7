"""What people said: only ever added to. What replaces an answer names it, and what is replaced stands no more.

An answer is taken from whoever has a seat at the sample. Its id, made by who sends it, lets it be sent twice.
"""

from __future__ import annotations

import json
import secrets
from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from sqlalchemy import ColumnElement, Connection, Integer, Row, Select, and_, bindparam, exists, insert, select, update

from adde_ray.errors import UserError
from adde_ray.review.store.doubt import enough
from adde_ray.review.store.leases import TAKEN, Leases
from adde_ray.review.store.records import ACTIONS, DECIDING, LONGEST, MOST_FLAGS, Answer, Item, Refused
from adde_ray.review.store.tables import answers, seats, tasks
from adde_ray.review.store.tasks import item_of

if TYPE_CHECKING:
    import polars as pl

STATE = {"skip": "skipped", "later": "later", "undo": "held"}
"""Of the seat, after such an answer; after any other: answered."""

GRACE = 600.0
"""Seconds for which a sample whose answer was undone is held."""


class Answers(Leases):
    """Answers of all rounds."""

    def answer(self, sent: Sequence[Answer], *, settles: bool = False) -> list[Refused]:
        """Take answers, each for itself, and give back those that are refused, with the reason.

        What was taken before is passed over, so whatever was not acknowledged can be sent again. An acceptance takes
        the suggested label. settles: they may come from people without a seat, as an owner's that settles a dispute.
        Once this returns, what it took is on the disk.
        """

        def work(connection: Connection) -> list[Refused]:
            # In one order, so that two transactions never wait for each other.
            how = {"run": self._run, "tasks": list({one.task for one in sent})}
            rows = {row.task: row for row in connection.execute(_TASKS, how)}
            open_ = self._open(connection)
            refused = []
            for one in sent:
                if reason := self._take(connection, one, rows.get(one.task), open_, settles):
                    refused.append(Refused(one.answer_id, reason))
            return refused

        return self._db.write(work) if sent else []

    def undo(self, annotator: str) -> tuple[Answer, Item] | None:
        """Take back what somebody said last in an open round: (that answer, its item), which they have before them
        again. None: there is nothing left.

        Raises UserError: they had passed it on, and somebody else has it by now.
        """

        def work(connection: Connection) -> tuple[Answer, Item] | None:
            found = self._standing(answers.c.annotator == annotator, answers.c.action != "undo")
            found = found.where(tasks.c.round.in_(self._open(connection)), tasks.c.withdrawn.is_(False))
            last = connection.execute(found.order_by(answers.c.number.desc()).limit(1)).one_or_none()
            if last is None:
                return None
            row = connection.execute(_TASKS, {"run": self._run, "tasks": [last.task]}).one()
            undone = _answer_of(last)
            undoing = replace(
                undone, answer_id=secrets.token_hex(16), action="undo", label=None, flags=(), comment=None
            )
            undoing = replace(undoing, replaces=undone.answer_id, seconds=0.0)
            if reason := self._take(connection, undoing, row, [row.round], False):
                raise UserError(reason, where=undone.sample_id)
            return undone, item_of(connection.execute(select(tasks).where(tasks.c.task == last.task)).one())

        return self._db.write(work)

    def answers(self, *, round: int | None = None, in_effect: bool = True) -> pl.DataFrame:
        """Columns as `Answer`, and `after_close`: it came when its round was closed, so it amends; in the order they
        came.

        in_effect: the decisions that stand (accept, correct, reject, flag), one a person and sample; else all there
        ever was.
        """
        found = self._standing(answers.c.action.in_(DECIDING)) if in_effect else self._all()
        if round is not None:
            found = found.where(tasks.c.round == round)
        rows = self._db.read(lambda connection: connection.execute(found.order_by(answers.c.number)).all())
        return _frame(rows)

    def said(
        self,
        *,
        annotator: str | None = None,
        round: int | None = None,
        before: str | None = None,
        limit: int = 100,
        tasks_: Collection[int] | None = None,
    ) -> list[tuple[Answer, Item]]:
        """Decisions that stand, the newest first, with their items. before: only those older than the answer of this
        id."""
        of_them = [answers.c.action.in_(DECIDING)]
        of_them += [answers.c.annotator == annotator] if annotator is not None else []
        of_them += [tasks.c.round == round] if round is not None else []
        last = answers.alias()
        number = select(last.c.number).where(last.c.run == self._run, last.c.answer_id == before).scalar_subquery()
        of_them += [answers.c.number < number] if before is not None else []
        of_them += [answers.c.task.in_(tasks_)] if tasks_ is not None else []
        found = self._standing(*of_them).order_by(answers.c.number.desc()).limit(limit)

        def work(connection: Connection) -> list[tuple[Answer, Item]]:
            rows = connection.execute(found).all()
            about = select(tasks).where(tasks.c.task.in_({row.task for row in rows}))
            items = {row.task: item_of(row) for row in connection.execute(about)}
            return [(_answer_of(row), items[row.task]) for row in rows]

        return self._db.read(work)

    def answer_of(self, answer_id: str) -> Answer | None:
        """One answer, whether it stands or not."""
        found = self._all().where(answers.c.answer_id == answer_id)
        row = self._db.read(lambda connection: connection.execute(found).one_or_none())
        return None if row is None else _answer_of(row)

    # --- one answer ------------------------------------------------------------------------------------------

    def _take(
        self, connection: Connection, sent: Answer, task: Row | None, open_: Collection[int], settles: bool
    ) -> str | None:
        """Keep an answer; the reason why not, or None."""
        if reason := _wrong(sent):
            return reason
        if task is None:
            return "no such sample is asked about"
        if (known := connection.execute(_BY_ID, self._named(sent.answer_id)).one_or_none()) is not None:
            same = (known.task, known.annotator) == (sent.task, sent.annotator)
            return None if same else "this id belongs to another answer"
        if sent.action == "accept" and task.suggested is None:
            return "nothing was suggested that could be accepted"
        if sent.replaces is not None and (reason := self._not_replaced(connection, sent)):
            return reason
        key = {"of_task": sent.task, "of_annotator": sent.annotator}
        seat = connection.execute(_SEAT, key).one_or_none()
        if reason := _no_seat(sent, seat, task, settles):
            return reason
        self._add(connection, sent, task, after_close=task.round not in open_)
        change = self._seat(connection, sent, seat, key)
        self._count(connection, task, change)
        return None

    def _named(self, answer_id: str | None) -> dict[str, str | None]:
        return {"run": self._run, "answer_id": answer_id}

    def _not_replaced(self, connection: Connection, sent: Answer) -> str | None:
        """Why an answer cannot replace the one it names; None: it can."""
        old = connection.execute(_BY_ID, self._named(sent.replaces)).one_or_none()
        if old is None or (old.task, old.annotator) != (sent.task, sent.annotator):
            return "the answer that it replaces is none of yours to this sample"
        if connection.execute(_BY_REPLACED, self._named(sent.replaces)).one_or_none() is not None:
            return "that answer was changed already"
        return None

    def _add(self, connection: Connection, sent: Answer, task: Row, *, after_close: bool) -> None:
        names = ("answer_id", "task", "annotator", "action", "comment", "saw_guess", "saw_why", "replaces")
        values = {name: getattr(sent, name) for name in names}
        values |= {"label": task.suggested if sent.action == "accept" else sent.label, "seconds": float(sent.seconds)}
        values |= {"run": self._run, "flags": json.dumps(sent.flags), "when": self._now(), "after_close": after_close}
        connection.execute(_ADD, values)

    def _seat(self, connection: Connection, sent: Answer, seat: Row | None, key: dict[str, Any]) -> int:
        """Bring the seat to what was said; how many more are taken now (-1, 0, 1)."""
        state, until = STATE.get(sent.action, "answered"), self._now() + GRACE
        if seat is None:
            values = {"task": sent.task, "annotator": sent.annotator, "run": self._run, "overlap": 0}
            connection.execute(_ADD_SEAT, values | {"state": state, "until": until})
        else:
            connection.execute(_SET_SEAT, key | {"to_state": state, "to_until": max(until, seat.until)})
        return (state in TAKEN) - (seat is not None and seat.state in TAKEN)

    def _count(self, connection: Connection, task: Row, change: int) -> None:
        rows = connection.execute(_STANDING, {"run": self._run, "task": task.task}).all()
        wanted = enough(task, [_answer_of(row) for row in rows])
        counted = {"of_task": task.task, "change": change, "to_answered": len(rows), "to_wanted": wanted}
        connection.execute(_COUNT, counted)

    # --- which stand -----------------------------------------------------------------------------------------

    def _all(self) -> Select:
        return _ALL.where(answers.c.run == self._run)

    def _standing(self, *which: ColumnElement[bool]) -> Select:
        return self._all().where(*which, ~_REPLACED)


# --- statements, built once (see `tasks`) ----------------------------------------------------------------------

_ALL = select(answers, tasks.c.sample_id, tasks.c.round).join(tasks, tasks.c.task == answers.c.task)
_LATER = answers.alias()
_REPLACED = exists().where(_LATER.c.run == answers.c.run, _LATER.c.replaces == answers.c.answer_id)
_STANDING = _ALL.where(
    answers.c.run == bindparam("run"), answers.c.task == bindparam("task"), answers.c.action.in_(DECIDING), ~_REPLACED
)
_LIGHT = ("task", "round", "sample_id", "kind", "suggested", "confidence", "seats", "wanted")
_TASKS = (
    select(*(tasks.c[name] for name in _LIGHT))
    .where(tasks.c.run == bindparam("run"), tasks.c.task.in_(bindparam("tasks", expanding=True)))
    .order_by(tasks.c.task)
    .with_for_update()
)
_ID = select(answers.c.task, answers.c.annotator).where(answers.c.run == bindparam("run"))
_BY_ID = _ID.where(answers.c.answer_id == bindparam("answer_id"))
_BY_REPLACED = _ID.where(answers.c.replaces == bindparam("answer_id"))
_ADD, _ADD_SEAT = insert(answers), insert(seats)
_MY_SEAT = and_(seats.c.task == bindparam("of_task"), seats.c.annotator == bindparam("of_annotator"))
_SEAT = select(seats.c.state, seats.c.until, seats.c.overlap).where(_MY_SEAT)
_SET_SEAT = update(seats).where(_MY_SEAT).values(state=bindparam("to_state"), until=bindparam("to_until"))
_COUNT = (
    update(tasks)
    .where(tasks.c.task == bindparam("of_task"))
    .values(
        seats=tasks.c.seats + bindparam("change", type_=Integer),
        answered=bindparam("to_answered"),
        wanted=bindparam("to_wanted"),
    )
)


def _wrong(sent: Answer) -> str | None:
    """What is wrong with an answer in itself."""
    if sent.action not in ACTIONS:
        return f"unknown action; choose one of: {', '.join(ACTIONS)}"
    if sent.action == "correct" and sent.label is None:
        return "a correction needs a label"
    if sent.action == "undo" and sent.replaces is None:
        return "an undo names the answer it replaces"
    if not 1 <= len(sent.answer_id) <= LONGEST["answer_id"]:
        return f"an answer's id has 1 to {LONGEST['answer_id']} characters"
    if not 0 <= sent.seconds < 1e9:
        return "seconds must not be negative"
    texts = {"label": [sent.label], "comment": [sent.comment], "flag": [*sent.flags], "answer_id": [sent.answer_id]}
    for name, found in texts.items():
        for text in found:
            if text is not None and (len(text) > LONGEST[name] or not is_text(text)):
                return f"a {name} has at most {LONGEST[name]:,} characters, and none that is no text"
    return f"at most {MOST_FLAGS} flags" if len(sent.flags) > MOST_FLAGS else None


def is_text(text: str) -> bool:
    """Whether both databases can keep it: no NUL, and no half of a surrogate pair."""
    return "\0" not in text and not any("\ud800" <= character <= "\udfff" for character in text)


def _no_seat(sent: Answer, seat: Row | None, task: Row, settles: bool) -> str | None:
    """Why somebody may not say this of a sample now; None: they may."""
    if seat is None:
        return None if settles and sent.action != "undo" else "this sample was not given to you"
    if sent.replaces is None and seat.state == "answered":
        return "you have answered this already; amend that answer"
    if sent.replaces is None and seat.state == "skipped" and not settles:
        return "you have passed this on"
    full = task.seats >= (seat.overlap or task.wanted)
    if seat.state not in TAKEN and STATE.get(sent.action) != "skipped" and full and not settles:
        return "your time for this sample was over, and others have answered it"
    return None


_COPIED = ("answer_id", "task", "sample_id", "round", "annotator", "action", "label", "comment", "seconds", "replaces")


def _answer_of(row: Row) -> Answer:
    return Answer(
        **{name: getattr(row, name) for name in _COPIED},
        flags=tuple(json.loads(row.flags)),
        saw_guess=bool(row.saw_guess),
        saw_why=bool(row.saw_why),
        when=moment(row.when),
    )


def moment(seconds: float) -> str:
    """Seconds since 1970 as ISO 8601, UTC."""
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="milliseconds")


def _frame(rows: Sequence[Row]) -> pl.DataFrame:
    import polars as pl

    kinds: Mapping[str, Any] = {
        "answer_id": pl.String,
        "task": pl.Int64,
        "sample_id": pl.String,
        "round": pl.Int64,
        "annotator": pl.String,
        "action": pl.String,
        "label": pl.String,
        "flags": pl.List(pl.String),
        "comment": pl.String,
        "seconds": pl.Float64,
        "saw_guess": pl.Boolean,
        "saw_why": pl.Boolean,
        "replaces": pl.String,
        "when": pl.String,
        "after_close": pl.Boolean,
    }
    rewritten = {"flags": json.loads, "when": moment, "saw_guess": bool, "saw_why": bool, "after_close": bool}
    columns = {
        name: [rewritten[name](getattr(row, name)) if name in rewritten else getattr(row, name) for row in rows]
        for name in kinds
    }
    return pl.DataFrame(columns, schema=kinds)
