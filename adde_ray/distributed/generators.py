"""Generator actors: fitted once a round, then each samples some of the requests.

FitData and requests in, arrays and the request each is for out. The result depends on the seed alone: not on
how many actors there are, which of them answers first, or whether one dies on the way. Without actors
(`generate.actors = 0`) this process does the same.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from adde_ray.artifacts.run_dir import derive_seed
from adde_ray.config import Generate
from adde_ray.distributed.tasks import stop
from adde_ray.errors import UserError
from adde_ray.methods.synthesis.generators import GENERATORS, FitData, generator_for
from adde_ray.methods.synthesis.requests import Request, aim, to_hold

if TYPE_CHECKING:
    from ray import ObjectRef
    from ray.actor import ActorHandle

Job = Callable[["ActorHandle"], "ObjectRef"]
"""Starts one piece of work on the actor it is given."""

log = logging.getLogger(__name__)

THREADS = 1
"""torch threads of an actor: with another number, sums are taken in another order and the last bits differ."""

MAX_DEATHS = 3
"""A pass over the jobs is given up when one actor's place has lost this many actors."""

PATIENCE_S = 60.0
"""Seconds without any answer after which it is said that the cluster may have no room."""


@dataclass(frozen=True)
class Draw:
    """What one request asks of the fitted generator."""

    classes: np.ndarray  # (m,) classes, or (m, C) of a multi-label task: what each sample is to hold
    points: np.ndarray  # (m, e) where in the latent space it is aimed at
    temperature: float
    seed: int


class GeneratorPool:
    """`config.actors` generator actors, warm from `start` (or the first `synthesise`) to `close`.

    Ray must have been started where there are any. name: the generator in use; None = nothing is synthesised and no
    actor starts.
    """

    def __init__(self, config: Generate, modality: str):
        self.name = generator_for(config.generator, modality) if config.max_share > 0 else None
        self._config = config
        self._actors: list[ActorHandle] = []

    @property
    def needs_ray(self) -> bool:
        return self.name is not None and self._config.actors > 0

    def __enter__(self) -> GeneratorPool:
        if self.needs_ray:
            self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def start(self) -> None:
        """Begin to start the actors, without waiting (loading torch takes them seconds). Once is enough.

        Raises UserError when `generate.gpu` asks for a GPU that the Ray cluster does not have.
        """
        import ray

        assert self.name is not None, "no generator for this data"
        assert ray.is_initialized(), "start Ray first"
        if not self._actors:
            if self._config.gpu and ray.cluster_resources().get("GPU", 0) < 1:
                raise UserError(
                    "the Ray cluster has no GPU",
                    where="generate.gpu",
                    value=True,
                    remedy="Set generate.gpu = false, or join a cluster that has one",
                )
            self._actors = [self._actor() for _ in range(self._config.actors)]

    def close(self) -> None:
        """Stop the actors and give their resources back."""
        stop(self._actors)
        self._actors = []

    def synthesise(
        self, data: FitData, requests: list[Request], *, temperature: float, seed: int
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Fit on `data` once, then sample every request.

        Arrays (m, …), the row of each one's request (m,), and the two rows of `data` it lies between (m, 2), -1 = none.
        Raises UserError when actors die again and again.
        """
        if not requests:
            none = np.zeros(0, dtype=np.int64)
            return np.zeros((0, *data.arrays.shape[1:]), dtype=np.float32), none, none.reshape(0, 2)
        aims = [aim(request, data.points, data.class_probs, seed=seed) for request in requests]
        draws = []
        for request, (points, rows) in zip(requests, aims, strict=True):
            own = derive_seed(seed, "sample", request.gap_id, request.label)
            draws.append(Draw(to_hold(request, rows, data), points, temperature, own))
        make = self._in_actors if self._config.actors else self._here
        parts = make(data, draws, derive_seed(seed, "fit"))
        request_rows = np.repeat(np.arange(len(parts)), [len(part) for part in parts])
        return np.concatenate(parts), request_rows, np.concatenate([rows for _, rows in aims])

    def _here(self, data: FitData, draws: list[Draw], fit_seed: int) -> list[np.ndarray]:
        """What actors would make of them, in this process."""
        import torch

        threads = torch.get_num_threads()
        try:
            worker = _Actor(self.name, self._config)
            weights = worker.fit(data, seed=fit_seed)
            return [worker.sample(weights, draw) for draw in draws]
        finally:
            torch.set_num_threads(threads)

    def _in_actors(self, data: FitData, draws: list[Draw], fit_seed: int) -> list[np.ndarray]:
        import ray

        self.start()
        fit_on = ray.put(data)
        [weights] = self._each([lambda actor: actor.fit.remote(fit_on, seed=fit_seed)])
        # Put from here, so that they outlive the machine they were fitted on.
        shared = ray.put(weights)
        return self._each([_sampling(shared, draw) for draw in draws])

    def _each(self, jobs: list[Job]) -> list:
        """Every job's result, in order, from whichever actors are free; a dead actor's job goes to another."""
        import ray
        from ray.exceptions import ObjectLostError, OutOfMemoryError, RayActorError

        results: dict[int, object] = {}
        waiting = list(reversed(range(len(jobs))))
        deaths = [0] * len(self._actors)
        # An actor gets its first job when it has answered: one the cluster has no room for holds nothing up.
        busy: dict[ObjectRef, tuple[int, int | None]] = {
            actor.ready.remote(): (place, None) for place, actor in enumerate(self._actors)
        }
        while len(results) < len(jobs):
            done, _ = ray.wait(list(busy), num_returns=1, timeout=PATIENCE_S)
            if not done:
                if all(job is None for _, job in busy.values()):
                    log.warning("no generator actor has started yet: the Ray cluster has no room for one")
                continue
            place, job = busy.pop(done[0])
            try:
                answer = ray.get(done[0])
            except (RayActorError, ObjectLostError, OutOfMemoryError) as error:
                if job is not None:
                    waiting.append(job)
                deaths[place] += 1
                self._replace(place, deaths[place], error)
                busy[self._actors[place].ready.remote()] = (place, None)
                continue
            if job is not None:
                results[job] = answer
            if waiting:
                job = waiting.pop()
                busy[jobs[job](self._actors[place])] = (place, job)
        return [results[job] for job in range(len(jobs))]

    def _replace(self, place: int, deaths: int, error: Exception) -> None:
        import ray

        cause = next(iter(str(error).splitlines()), type(error).__name__)
        if deaths >= MAX_DEATHS:
            raise UserError(
                f"a generator actor died {deaths} times, last: {cause}",
                where="generate",
                remedy="Most often memory ran out: lower generate.max_fit_rows or generate.actors",
            ) from error
        log.warning("a generator actor died and is replaced: %s", cause)
        ray.kill(self._actors[place])  # it may be cut off, not dead
        self._actors[place] = self._actor()

    def _actor(self) -> ActorHandle:
        import ray

        # Together at most half the CPUs are reserved: training and embedding must never wait for idle generators.
        cpus = ray.cluster_resources().get("CPU", 0)
        return (
            ray.remote(_Actor)
            .options(
                num_cpus=min(0.5, 0.5 * cpus / self._config.actors),
                num_gpus=1 if self._config.gpu else 0,
                scheduling_strategy="SPREAD",
                max_restarts=0,  # the pool replaces them itself, so that a job is never lost with one
            )
            .remote(self.name, self._config)
        )


class _Actor:
    """Runs in a process of its own: a generator that has been built and waits for work."""

    def __init__(self, name: str, config: Generate):
        import torch

        torch.set_num_threads(THREADS)
        self._generator = GENERATORS[name](config)

    def ready(self) -> None:
        return None

    def fit(self, data: FitData, *, seed: int) -> dict[str, np.ndarray]:
        return self._generator.fit(data, seed=seed)

    def sample(self, weights: dict[str, np.ndarray], draw: Draw) -> np.ndarray:
        return self._generator.sample(weights, draw.classes, draw.points, temperature=draw.temperature, seed=draw.seed)


def _sampling(weights: ObjectRef, draw: Draw) -> Job:
    return lambda actor: actor.sample.remote(weights, draw)
