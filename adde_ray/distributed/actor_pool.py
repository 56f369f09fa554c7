"""Actors of one kind that stay warm: jobs go to whichever is free, and a dead one's job goes to another.

What comes out depends on the jobs alone: not on how many actors there are, which of them answers first, or whether one
dies on the way. Ray's own restarts would lose what an actor was given; here nothing is, since a job brings it along.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from adde_ray.distributed.tasks import stop
from adde_ray.errors import UserError

if TYPE_CHECKING:
    from ray import ObjectRef

    from adde_ray.distributed.tasks import Actor

Job = Callable[[Any], "ObjectRef"]
"""Starts one piece of work on the actor it is given."""

log = logging.getLogger(__name__)

MAX_DEATHS = 3
"""A pass over the jobs is given up when one actor's place has lost this many actors."""

PATIENCE_S = 60.0
"""Seconds without any answer after which it is said that the cluster may have no room."""


class ActorPool:
    """`size` actors from `start` (or the first `each`) to `close`. Ray must have been started by then.

    actor: starts one, without Ray's restarts; it has a method `ready` that returns nothing. kind, where and remedy are
    for the error when actors die again and again: what they are, the config's key, and what a user can do.
    """

    def __init__(self, actor: Callable[[], Actor], size: int, *, kind: str, where: str, remedy: str):
        self._actor, self._size = actor, size
        self._kind, self._where, self._remedy = kind, where, remedy
        self.actors: list[Actor] = []

    def start(self) -> None:
        """Begin to start the actors, without waiting (loading torch takes them seconds). Once is enough."""
        if not self.actors:
            self.actors = [self._actor() for _ in range(self._size)]

    def close(self) -> None:
        """Stop the actors and give their resources back."""
        stop(self.actors)
        self.actors = []

    def each(self, jobs: Sequence[Job]) -> list[Any]:
        """Every job's result, in order, from whichever actors are free.

        Raises UserError when actors die again and again, and whatever a job raises.
        """
        import ray
        from ray.exceptions import ObjectLostError, OutOfMemoryError, RayActorError

        self.start()
        results: dict[int, object] = {}
        waiting = list(reversed(range(len(jobs))))
        deaths = [0] * len(self.actors)
        # An actor gets its first job when it has answered: one the cluster has no room for holds nothing up.
        busy: dict[ObjectRef, tuple[int, int | None]] = {
            actor.ready.remote(): (place, None) for place, actor in enumerate(self.actors)
        }
        while len(results) < len(jobs):
            done, _ = ray.wait(list(busy), num_returns=1, timeout=PATIENCE_S)
            if not done:
                if all(job is None for _, job in busy.values()):
                    log.warning("no %s actor has started yet: the Ray cluster has no room for one", self._kind)
                continue
            place, job = busy.pop(done[0])
            try:
                answer = ray.get(done[0])
            except (RayActorError, ObjectLostError, OutOfMemoryError) as error:
                if job is not None:
                    waiting.append(job)
                deaths[place] += 1
                self._replace(place, deaths[place], error)
                busy[self.actors[place].ready.remote()] = (place, None)
                continue
            if job is not None:
                results[job] = answer
            if waiting:
                job = waiting.pop()
                busy[jobs[job](self.actors[place])] = (place, job)
        return [results[job] for job in range(len(jobs))]

    def _replace(self, place: int, deaths: int, error: Exception) -> None:
        import ray

        cause = next(iter(str(error).splitlines()), type(error).__name__)
        if deaths >= MAX_DEATHS:
            problem = f"{self._kind} actors died {deaths} times in one place, last: {cause}"
            raise UserError(problem, where=self._where, remedy=f"Most often memory ran out: {self._remedy}") from error
        log.warning("an actor died (%s) and is replaced: %s", self._kind, cause)
        ray.kill(self.actors[place])  # it may be cut off, not dead
        self.actors[place] = self._actor()
