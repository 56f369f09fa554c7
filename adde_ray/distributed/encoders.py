"""Encoders in actors that stay warm over a run and take each round's weights: payloads in, features out.

The network is loaded once an actor; a round sends its trained weights through the object store, once a machine.
"""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl

from adde_ray.config import Train
from adde_ray.distributed.actor_pool import ActorPool, Job
from adde_ray.methods.encoders.finetune import Recipe, load_weights

if TYPE_CHECKING:
    from ray import ObjectRef

    from adde_ray.distributed.tasks import Actor

FEW = 2_000
"""Rows below which this process encodes by itself: sooner done than the first actor has loaded torch."""


class EncoderPool:
    """`train.workers` encoders, from the first use to `close`. Ray must have been started by then."""

    def __init__(self, config: Train):
        self._config = config
        self._recipe: Recipe | None = None
        remedy = "lower train.workers or encoder.batch_size"
        self._pool = ActorPool(self._actor, config.workers, kind="encoder", where="train.workers", remedy=remedy)
        self._rounds = itertools.count()

    def __enter__(self) -> EncoderPool:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def serves(self, num_rows: int) -> bool:
        """Whether so many rows are worth the actors' while."""
        return self._config.workers > 0 and num_rows >= FEW

    def encode(self, recipe: Recipe, weights: dict[str, np.ndarray], payloads: pl.Series, chunk: int) -> np.ndarray:
        """(n, d) features by an encoder with `weights`, `chunk` rows at a time, in order. recipe: the run's.

        Raises UserError when actors die again and again.
        """
        import ray

        self._recipe = recipe
        shared, version = ray.put(weights), next(self._rounds)
        work = [payloads[start : start + chunk] for start in range(0, len(payloads), chunk)]
        return np.concatenate(self._pool.each([_encoding(shared, version, rows) for rows in work]))

    def rest(self) -> None:
        """Encoding is over for this round. Actors that hold GPUs give them back: the next training waits for them."""
        if self._config.gpu:
            self.close()

    def close(self) -> None:
        """Stop the actors and give their resources back."""
        self._pool.close()

    def _actor(self) -> Actor:
        import ray

        threads = max(int(ray.cluster_resources().get("CPU", 1) / (2 * self._config.workers)), 1)
        # They reserve no CPU: they never work while the trainers do, who would else wait for their room for ever.
        remote: Any = ray.remote(_Actor).options(
            num_cpus=0,
            memory=1,  # a byte: of an actor that needs nothing at all, Ray does not hear that it is to be spread
            num_gpus=1 if self._config.gpu else 0,
            scheduling_strategy="SPREAD",
            max_restarts=0,
        )
        return remote.remote(self._recipe, self._config, threads)


class _Actor:
    """Runs in a process of its own: an encoder with some round's weights."""

    def __init__(self, recipe: Recipe, config: Train, threads: int):
        import torch

        torch.set_num_threads(threads)
        self._encoder = recipe.build(config)
        self._version: int | None = None

    def ready(self) -> None:
        return None

    def encode(self, weights: dict[str, np.ndarray], version: int, payloads: pl.Series) -> np.ndarray:
        if version != self._version:
            load_weights(self._encoder, weights)
            self._version = version
        return self._encoder.encode(payloads)


def _encoding(weights: ObjectRef, version: int, payloads: pl.Series) -> Job:
    return lambda actor: actor.encode.remote(weights, version, payloads)
