"""What people tell each other and the run: comments, classes nobody thought of, what to ask about again."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sqlalchemy import Connection, bindparam, func, insert, select, update

from adde_ray.errors import UserError
from adde_ray.review.store.answers import is_text, moment
from adde_ray.review.store.records import LONGEST, Comment, ProposedClass, Wanted
from adde_ray.review.store.tables import classes, comments, tasks, wanted
from adde_ray.review.store.tasks import Part

SETTLED = ("adopt", "merge", "refuse")


class Talk(Part):
    """Of one run."""

    def comment(self, sample_id: str, by: str, text: str) -> None:
        """Write on a sample. Raises UserError: nothing is written, or too much."""
        _check(text, "comment")
        self._insert(comments, sample_id=sample_id, by=by, text=text)

    def comments(self, sample_id: str) -> list[Comment]:
        """Those on a sample, the oldest first."""
        mine = (comments.c.run == self._run, comments.c.sample_id == sample_id)
        found = select(comments).where(*mine).order_by(comments.c.number)
        rows = self._db.read(lambda connection: connection.execute(found).all())
        return [Comment(row.sample_id, row.by, row.text, moment(row.when)) for row in rows]

    def num_comments(self, sample_ids: Sequence[str]) -> dict[str, int]:
        """sample_id → comments on it, where there are any."""
        how = {"run": self._run, "sample_ids": list(sample_ids)}
        return self._db.read(lambda connection: {row[0]: row[1] for row in connection.execute(_NUMBERS, how)})

    def propose_class(self, name: str, by: str) -> None:
        """Name a class that is missing; naming it again changes nothing. Raises UserError: no name."""
        _check(name, "name")
        values = {"run": self._run, "name": name, "by": by, "state": "proposed", "when": self._now()}
        self._db.write(lambda c: c.execute(self._db.insert(classes).values(values).on_conflict_do_nothing()))

    def settle_class(self, name: str, as_: str, into: str | None, by: str) -> None:
        """Adopt, merge or refuse a proposed class; settling it anew replaces what was said before.

        into: the class it is merged into. Raises UserError: nobody proposed it, or not one of these.
        """
        if as_ not in SETTLED or (as_ == "merge") != bool(into):
            remedy = "adopt, refuse, or merge into a class"
            raise UserError("no way to settle a class", where="review", value=as_, remedy=remedy)

        def work(connection: Connection) -> int:
            mine = (classes.c.run == self._run) & (classes.c.name == name)
            values = {"state": as_, "into": into, "settled_by": by, "when": self._now()}
            return connection.execute(update(classes).where(mine).values(values)).rowcount

        if not self._db.write(work):
            raise UserError("nobody has proposed that class", where="review", value=name, remedy="Propose it first")

    def classes(self) -> list[ProposedClass]:
        """All that were proposed, by name."""
        found = select(classes).where(classes.c.run == self._run).order_by(classes.c.name)
        rows = self._db.read(lambda connection: connection.execute(found).all())
        return [ProposedClass(row.name, row.by, row.state, row.into, row.settled_by) for row in rows]

    def ask_again(self, sample_ids: Sequence[str], by: str, reason: str) -> None:
        """Have people asked about these again, in a later round. Raises UserError: no reason, or too long a one."""
        _check(reason, "comment")
        for sample_id in sample_ids:
            self._insert(wanted, sample_id=sample_id, by=by, reason=reason)

    def wanted_again(self) -> list[Wanted]:
        """Those that were not published as such since, in the order in which somebody wanted them."""
        asked = (tasks.c.run == wanted.c.run) & (tasks.c.sample_id == wanted.c.sample_id) & (tasks.c.kind == "again")
        since = select(tasks.c.task).where(asked, tasks.c.published >= wanted.c.when).exists()
        found = select(wanted).where(wanted.c.run == self._run, ~since).order_by(wanted.c.number)
        rows = self._db.read(lambda connection: connection.execute(found).all())
        first = {row.sample_id: row for row in reversed(rows)}
        return [Wanted(r.sample_id, r.by, r.reason, moment(r.when)) for r in sorted(first.values(), key=_number)]

    def _insert(self, table: Any, **values: Any) -> None:
        row = insert(table).values(**values, run=self._run, when=self._now())
        self._db.write(lambda connection: connection.execute(row))


_NUMBERS = (
    select(comments.c.sample_id, func.count())
    .where(comments.c.run == bindparam("run"), comments.c.sample_id.in_(bindparam("sample_ids", expanding=True)))
    .group_by(comments.c.sample_id)
)


def _number(row: Any) -> int:
    return row.number


def _check(text: str, kind: str) -> None:
    if not text.strip() or len(text) > LONGEST[kind] or not is_text(text):
        remedy = f"Write 1 to {LONGEST[kind]:,} characters"
        raise UserError(f"no {kind}", where="review", value=text[:100], remedy=remedy)
