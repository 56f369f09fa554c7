"""Who may answer: names, roles, and the hashes of their tokens."""

from __future__ import annotations

import hashlib
import hmac
import secrets

from sqlalchemy import Connection, bindparam, delete, insert, select, update

from adde_ray.errors import UserError
from adde_ray.review.store.records import LONGEST, Person, Session
from adde_ray.review.store.tables import people, sessions
from adde_ray.review.store.tasks import Part

ROLES = ("annotator", "owner")

SESSION_SECONDS = 30 * 24 * 3600.0
"""How long somebody stays signed in."""


class People(Part):
    """Those who were invited."""

    def invite(self, name: str, role: str = "annotator") -> str:
        """A new person's token, which can be had only now: the store keeps its hash.

        Raises UserError: no name, an unknown role, or somebody of that name was invited already.
        """
        if not name.isprintable() or name != name.strip() or not 1 <= len(name) <= LONGEST["name"]:
            remedy = f"Take 1 to {LONGEST['name']} letters, without blanks at the ends"
            raise UserError("no name for a person", where="review", value=name, remedy=remedy)
        if role not in ROLES:
            raise UserError("unknown role", where="review", value=role, remedy=f"Choose one of: {', '.join(ROLES)}")
        token = secrets.token_urlsafe(32)

        def work(connection: Connection) -> None:
            of_them = (people.c.run == self._run) & (people.c.name == name)
            if connection.execute(select(people.c.name).where(of_them, people.c.revoked.is_(None))).first():
                remedy = "Revoke that invitation first (adde review revoke), or take another name"
                raise UserError("somebody of that name is invited already", where="review", value=name, remedy=remedy)
            connection.execute(delete(people).where(of_them))
            values = {"run": self._run, "name": name, "role": role, "token": hashed(token), "invited": self._now()}
            connection.execute(insert(people).values(values))

        self._db.write(work)
        return token

    def authenticate(self, token: str) -> Person | None:
        """Whose token it is; None: nobody's, or of somebody whose invitation was revoked.

        It is held against every hash, each in constant time, so that nothing can be learned from how long it takes.
        """
        found = select(people).where(people.c.run == self._run, people.c.revoked.is_(None))
        rows = self._db.read(lambda connection: connection.execute(found).all())
        sought, person = hashed(token), None
        for row in rows:
            if hmac.compare_digest(row.token, sought):
                person = Person(row.name, row.role)
        return person

    def revoke(self, name: str) -> None:
        """Let somebody in no more; what they answered stays. Raises UserError: nobody of that name is invited."""

        def work(connection: Connection) -> int:
            of_them = (people.c.run == self._run) & (people.c.name == name) & people.c.revoked.is_(None)
            connection.execute(delete(sessions).where(sessions.c.run == self._run, sessions.c.name == name))
            return connection.execute(update(people).where(of_them).values(revoked=self._now())).rowcount

        if not self._db.write(work):
            known = ", ".join(person.name for person in self.people() if not person.revoked) or "nobody"
            raise UserError("nobody of that name is invited", where="review", value=name, remedy=f"Invited: {known}")

    def people(self) -> list[Person]:
        """All who were ever invited, by name."""
        found = select(people).where(people.c.run == self._run).order_by(people.c.name)
        rows = self._db.read(lambda connection: connection.execute(found).all())
        return [Person(row.name, row.role, row.revoked is not None) for row in rows]

    # --- who is signed in ------------------------------------------------------------------------------------

    def sign_in(self, person: Person, *, local: bool = False) -> str:
        """A new session's cookie, of which the hash is kept. local: without a token, at this machine."""
        cookie = secrets.token_urlsafe(32)
        values = {"cookie": hashed(cookie), "run": self._run, "name": person.name, "role": person.role, "local": local}

        def work(connection: Connection) -> None:
            connection.execute(delete(sessions).where(sessions.c.until < self._now()))
            connection.execute(insert(sessions).values(**values, until=self._now() + SESSION_SECONDS))

        self._db.write(work)
        return cookie

    def signed_in(self, cookie: str) -> Session | None:
        """Whose session it is; None: none that is open."""
        how = {"cookie": hashed(cookie), "run": self._run, "now": self._now()}
        row = self._db.read(lambda connection: connection.execute(_SIGNED_IN, how).one_or_none())
        return None if row is None else Session(Person(row.name, row.role), bool(row.local))

    def sign_out(self, cookie: str) -> None:
        """End a session."""
        mine = (sessions.c.cookie == hashed(cookie)) & (sessions.c.run == self._run)
        self._db.write(lambda connection: connection.execute(delete(sessions).where(mine)))


_SIGNED_IN = select(sessions.c.name, sessions.c.role, sessions.c.local).where(
    sessions.c.cookie == bindparam("cookie"),
    sessions.c.run == bindparam("run"),
    sessions.c.until > bindparam("now"),
)


def hashed(token: str) -> str:
    """64 hex digits. A token is 256 random bits, which nobody can guess from a hash however fast it is computed, so a
    slow hash, as passwords need, would add nothing."""
    return hashlib.sha256(token.encode(errors="replace")).hexdigest()
