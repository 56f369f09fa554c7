"""The store of one run, open."""

from __future__ import annotations

import time
from collections.abc import Callable

from adde_ray.review.store.answers import Answers
from adde_ray.review.store.database import Database
from adde_ray.review.store.people import People
from adde_ray.review.store.talk import Talk


class Store(Answers, People, Talk):
    """What is asked in one run, who answers, and what they said. Threads and processes may share it."""

    @classmethod
    def open(cls, url: str, run: str, *, clock: Callable[[], float] = time.time) -> Store:
        """The store at an address as `place` gives it, made and brought to the newest schema where it has to be.

        clock: seconds since 1970, for tests. Raises UserError: no such kind, unreachable, or of a newer version.
        """
        return cls(Database(url), run, clock)

    def shut(self) -> None:
        """Give connections back. (`close` closes a round.)"""
        self._db.close()
