"""What all routes share: the store, the run, and who sends a request."""

from __future__ import annotations

import hashlib
import hmac
import json
import threading
import time
from collections.abc import Callable
from typing import Any

from fastapi import HTTPException, Request, Response

from adde_ray import labels
from adde_ray.errors import UserError
from adde_ray.review.bands import bands_beside
from adde_ray.review.server.about import About
from adde_ray.review.server.guard import Failures
from adde_ray.review.store.people import SESSION_SECONDS
from adde_ray.review.store.records import LONGEST, PROPOSED, Answer, Item, Person, Session
from adde_ray.review.store.store import Store

CSRF = "X-CSRF-Token"

SESSION_SECONDS_KEPT = 5.0
"""For how long a session is taken for open without looking: so long somebody may go on who was just revoked."""

MOST_SESSIONS = 10_000
"""That are remembered at a time."""

PROGRESS_SECONDS = 1.0
"""How old what is told of progress may be: it is counted over all samples of a round."""


class Room:
    """One run's. local: the name of whoever sits at this machine, who is let in while nobody is invited; None: nobody
    is let in without a token."""

    def __init__(self, store: Store, about: About, local: str | None):
        self.store, self.about, self._local = store, about, local
        self.failures, self.session_seconds = Failures(), SESSION_SECONDS_KEPT
        self._kept: dict[object, tuple[float, Any]] = {}
        self._sessions: dict[str, tuple[float, Session]] = {}
        self._locks: dict[object, threading.Lock] = {}

    # --- who -------------------------------------------------------------------------------------------------

    @property
    def cookie(self) -> str:
        """The cookie's name. Cookies know no ports: pages of two runs on one machine would share it."""
        return f"adde_review_{self.store.run}"

    def person(self, request: Request, *, changes: bool = False) -> Person:
        """Who sends a request. changes: it changes something, so it must come from our own page.

        Raises HTTPException: 401 nobody, 403 from elsewhere.
        """
        cookie = request.cookies.get(self.cookie, "")
        session = self._session(cookie) if cookie else None
        if session is None or (session.local and not self.is_open):
            raise HTTPException(401, "sign in first")
        if changes and not hmac.compare_digest(csrf_of(cookie).encode(), request.headers.get(CSRF, "").encode()):
            raise HTTPException(403, f"the header {CSRF} is missing or wrong; load the page again")
        return session.person

    def _session(self, cookie: str) -> Session | None:
        found = self._sessions.get(cookie)
        if found is None or time.monotonic() - found[0] >= self.session_seconds:
            if len(self._sessions) >= MOST_SESSIONS:
                self._sessions.clear()
            session = self.store.signed_in(cookie)
            if session is None:  # of made-up cookies nothing is kept
                self._sessions.pop(cookie, None)
                return None
            found = self._sessions[cookie] = time.monotonic(), session
        return found[1]

    def leave(self, request: Request) -> None:
        """End the session of a request."""
        cookie = request.cookies.get(self.cookie, "")
        self.store.sign_out(cookie)
        self._sessions.pop(cookie, None)

    def owner(self, request: Request, *, changes: bool = False) -> Person:
        """The same, of owners alone. Raises HTTPException."""
        person = self.person(request, changes=changes)
        if person.role != "owner":
            raise HTTPException(403, "only an owner may do that")
        return person

    @property
    def is_open(self) -> bool:
        """Whether whoever sits at this machine needs no token."""
        return self._local is not None and all(person.revoked for person in self.store.people())

    def admit(self, request: Request, response: Response) -> tuple[Person, str]:
        """Who sends a request, and their CSRF token. Who sits at this machine is signed in here, if nobody is."""
        try:
            return self.person(request), csrf_of(request.cookies[self.cookie])
        except HTTPException:
            if not self.is_open or self._local is None:
                raise
            person = Person(self._local, "owner")
            return person, self.let_in(person, request, response, local=True)

    def let_in(self, person: Person, request: Request, response: Response, *, local: bool = False) -> str:
        """Begin a session; its CSRF token."""
        cookie = self.store.sign_in(person, local=local)
        secure = request.url.scheme == "https"
        response.set_cookie(
            self.cookie, cookie, max_age=int(SESSION_SECONDS), httponly=True, samesite="strict", secure=secure
        )
        return csrf_of(cookie)

    def reachable(self, request: Request, task: int) -> tuple[Person, Item]:
        """Who sends a request, and the item it is about: one that was given to them. Raises HTTPException."""
        person, item = self.person(request), self.store.item(task) if task < 2**63 else None
        if item is None or (person.role != "owner" and not self.store.has_seat(person.name, task)):
            raise HTTPException(404, "no such sample was given to you")
        return person, item

    # --- what is told ----------------------------------------------------------------------------------------

    def progress(self) -> dict | None:
        """Of the round that is asked about, the last where none is; None before the first."""

        def counted() -> dict | None:
            rounds = self.store.open_rounds() or self.store.rounds()[-1:]
            if not rounds:
                return None
            return {"round": rounds[-1]} | self.store.progress(rounds[-1], overlap=self.about.overlap)

        return self.kept("progress", PROGRESS_SECONDS, counted)

    def kept(self, key: object, seconds: float, compute: Callable[[], Any]) -> Any:
        """What `compute` gives, or gave not so many seconds ago. Others wait while it is computed."""
        found = self._kept.get(key)
        if found and time.monotonic() - found[0] < seconds:
            return found[1]
        with self._locks.setdefault(key, threading.Lock()):
            found = self._kept.get(key)
            if not found or time.monotonic() - found[0] >= seconds:
                found = self._kept[key] = time.monotonic(), compute()
        return found[1]

    def sample(self, task: int, item: Item, comments: int = 0) -> dict:
        """What people see of an item: nothing tells gold, or an old label, from what is new."""
        can_show = self.about.guesses and not item.hides_guess and item.suggested is not None
        told = {"task": task, "sample_id": item.sample_id, "round": item.round, "modality": item.modality}
        told |= {"origin": item.origin, "can_show_guess": can_show, "comments": comments}
        return told | self.payload(item.round, item.modality, item.payload)

    def samples(self, found: list[tuple[int, Item]]) -> list[dict]:
        """`sample` of each, with how many comments there are."""
        counts = self.store.num_comments([item.sample_id for _, item in found]) if found else {}
        return [self.sample(task, item, counts.get(item.sample_id, 0)) for task, item in found]

    def payload(self, round_: int, modality: str, payload: str) -> dict:
        """text, image (its URL, and how many bands there are to choose from) or values."""
        if modality == "image":
            bands = bands_beside(self.about.images(round_) / payload)
            return {"image": f"/api/images/{round_}/{payload}"} | ({"bands": bands} if bands else {})
        return {"values": json.loads(payload)} if modality == "vector" else {"text": payload}

    def label(self, label: str | None) -> str | None:
        """A label as the store keeps it: canonical, of known classes, or a class that is proposed.

        Raises UserError: none of these.
        """
        if label is None:
            return None
        if label.startswith(PROPOSED):
            name = labels.canonical(label.removeprefix(PROPOSED))
            if name is None or len(name) > LONGEST["name"] or labels.SEPARATOR in name:
                raise UserError("no name for a class")
            return f"{PROPOSED}{name}"
        if foreign := labels.foreign(label, self.about.classes, multi=self.about.multi):
            raise UserError("no class of this run", value=foreign[0])
        return labels.join(*labels.split(label)) if self.about.multi else label


def csrf_of(cookie: str) -> str:
    """What only a page that may read our answers knows: it follows from the cookie, which no page can read."""
    return hashlib.sha256(b"csrf " + cookie.encode(errors="replace")).hexdigest()


def told(answer: Answer) -> dict:
    """An answer as browsers get it."""
    names = ("answer_id", "task", "annotator", "action", "label", "comment", "seconds", "replaces", "when")
    return {name: getattr(answer, name) for name in names} | {"flags": list(answer.flags)}
