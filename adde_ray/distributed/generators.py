"""Generators in actors, or in this process: fitted once a round, then each samples some of the draws.

Fit data and draws in, arrays out. They depend on the seeds alone (see `actor_pool`); without actors
(`generate.actors = 0`) this process does the same.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from adde_ray.config import Generate
from adde_ray.distributed.actor_pool import ActorPool, Job
from adde_ray.errors import UserError
from adde_ray.methods.synthesis.draws import Draw
from adde_ray.methods.synthesis.generators import GENERATORS, FitData, generator_for

if TYPE_CHECKING:
    from ray import ObjectRef

    from adde_ray.distributed.tasks import Actor

THREADS = 1
"""torch threads of an actor: with another number, sums are taken in another order and the last bits differ."""


class GeneratorPool:
    """`config.actors` generators, warm from `start` (or the first `sample`) to `close`.

    Ray must have been started where there are any. name: the generator in use; None = nothing is synthesised and no
    actor starts.
    """

    def __init__(self, config: Generate, modality: str):
        self.name = generator_for(config.generator, modality) if config.max_share > 0 else None
        self._config = config
        remedy = "lower generate.max_fit_rows or generate.actors"
        self._pool = ActorPool(self._actor, config.actors, kind="generator", where="generate", remedy=remedy)

    @property
    def needs_ray(self) -> bool:
        """Whether there will be actors."""
        return self.name is not None and self._config.actors > 0

    def __enter__(self) -> GeneratorPool:
        if self.needs_ray:
            self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def start(self) -> None:
        """Begin to start the actors, without waiting.

        Raises UserError when `generate.gpu` asks for a GPU that the Ray cluster does not have.
        """
        import ray

        assert self.name is not None, "no generator for this data"
        assert ray.is_initialized(), "start Ray first"
        if self._config.gpu and ray.cluster_resources().get("GPU", 0) < 1:
            raise UserError(
                "the Ray cluster has no GPU",
                where="generate.gpu",
                value=True,
                remedy="Set generate.gpu = false, or join a cluster that has one",
            )
        self._pool.start()

    def close(self) -> None:
        """Stop the actors and give their resources back."""
        self._pool.close()

    def sample(self, data: FitData, draws: list[Draw], *, seed: int) -> list[np.ndarray]:
        """Fit on `data` once, by `seed`, then sample every draw: (m, …) arrays each.

        Raises UserError when actors die again and again.
        """
        return self._in_actors(data, draws, seed) if self._config.actors else self._here(data, draws, seed)

    def _here(self, data: FitData, draws: list[Draw], seed: int) -> list[np.ndarray]:
        """What actors would make of them, in this process."""
        import torch

        assert self.name is not None, "no generator for this data"
        threads = torch.get_num_threads()
        try:
            worker = _Actor(self.name, self._config)
            weights = worker.fit(data, seed=seed)
            return [worker.sample(weights, draw) for draw in draws]
        finally:
            torch.set_num_threads(threads)

    def _in_actors(self, data: FitData, draws: list[Draw], seed: int) -> list[np.ndarray]:
        import ray

        self.start()
        fit_on = ray.put(data)
        [weights] = self._pool.each([lambda actor: actor.fit.remote(fit_on, seed=seed)])
        # Put from here, so that they outlive the machine they were fitted on.
        shared = ray.put(weights)
        return self._pool.each([_sampling(shared, draw) for draw in draws])

    def _actor(self) -> Actor:
        import ray

        # Together at most half the CPUs are reserved: training and embedding must never wait for idle generators.
        cpus = ray.cluster_resources().get("CPU", 0)
        remote: Any = ray.remote(_Actor).options(
            num_cpus=min(0.5, 0.5 * cpus / self._config.actors),
            num_gpus=1 if self._config.gpu else 0,
            scheduling_strategy="SPREAD",
            max_restarts=0,
        )
        return remote.remote(self.name, self._config)


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
