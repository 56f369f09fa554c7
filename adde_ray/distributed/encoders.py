"""Encoder actors that stay warm over a run and take each round's weights: payloads in, features out.

The network is loaded once an actor; a round sends its trained weights through the object store, once a machine. An
actor holds nothing that its next piece of work does not bring along, so Ray restarts a dead one and tries again.
"""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING

import numpy as np
import polars as pl

from adde_ray.config import Train
from adde_ray.distributed.tasks import stop
from adde_ray.errors import UserError
from adde_ray.methods.encoders.finetune import Recipe, load_weights

if TYPE_CHECKING:
    from ray.actor import ActorHandle

FEW = 2_000
"""Rows below which this process encodes by itself: sooner done than the first actor has loaded torch."""

MAX_RESTARTS = 3
"""Times an actor, and a piece of work, is tried again."""


class EncoderPool:
    """`train.workers` encoder actors, from the first use to `close`. Ray must have been started by then."""

    def __init__(self, config: Train):
        self._config = config
        self._actors: list[ActorHandle] = []
        self._rounds = itertools.count()

    def __enter__(self) -> EncoderPool:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def serves(self, num_rows: int) -> bool:
        """Whether so many rows are worth the actors' while."""
        return self._config.workers > 0 and num_rows >= FEW

    def encode(self, recipe: Recipe, weights: dict[str, np.ndarray], payloads: pl.Series, chunk: int) -> np.ndarray:
        """(n, d) features by an encoder with `weights`, `chunk` rows at a time, in order.

        Raises UserError when actors die again and again.
        """
        import ray
        from ray.exceptions import RayActorError
        from ray.util import ActorPool

        self._start(recipe)
        shared, version = ray.put(weights), next(self._rounds)
        work = [payloads[start : start + chunk] for start in range(0, len(payloads), chunk)]
        try:
            pool = ActorPool(self._actors)
            return np.concatenate(list(pool.map(lambda actor, rows: actor.encode.remote(shared, version, rows), work)))
        except RayActorError as error:
            cause = str(error).splitlines()[0]
            raise UserError(
                f"an encoder actor died {MAX_RESTARTS + 1} times: {cause}",
                where="train.workers",
                value=self._config.workers,
                remedy="Most often memory ran out: lower train.workers or encoder.batch_size",
            ) from error

    def rest(self) -> None:
        """Encoding is over for this round. Actors that hold GPUs give them back: the next training waits for them."""
        if self._config.gpu:
            self.close()

    def close(self) -> None:
        """Stop the actors and give their resources back."""
        stop(self._actors)
        self._actors = []

    def _start(self, recipe: Recipe) -> None:
        import ray

        if self._actors:
            return
        threads = max(int(ray.cluster_resources().get("CPU", 1) / (2 * self._config.workers)), 1)
        # They reserve no CPU: they never work while the trainers do, who would else wait for their room for ever.
        remote = ray.remote(_Actor).options(
            num_cpus=0,
            memory=1,  # a byte: of an actor that needs nothing at all, Ray does not hear that it is to be spread
            num_gpus=1 if self._config.gpu else 0,
            scheduling_strategy="SPREAD",
            max_restarts=MAX_RESTARTS,
            max_task_retries=MAX_RESTARTS,
        )
        self._actors = [remote.remote(recipe, self._config, threads) for _ in range(self._config.workers)]


class _Actor:
    """Runs in a process of its own: an encoder with some round's weights."""

    def __init__(self, recipe: Recipe, config: Train, threads: int):
        import torch

        torch.set_num_threads(threads)
        self._encoder = recipe.build(config)
        self._version: int | None = None

    def encode(self, weights: dict[str, np.ndarray], version: int, payloads: pl.Series) -> np.ndarray:
        if version != self._version:
            load_weights(self._encoder, weights)
            self._version = version
        return self._encoder.encode(payloads)
