"""What a fitted generator is asked for: requests in, and for each one draw, aimed and told what it is to hold."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from adde_ray.artifacts.run_dir import derive_seed
from adde_ray.methods.synthesis.generators import FitData
from adde_ray.methods.synthesis.requests import Request, aim, to_hold


@dataclass(frozen=True)
class Draw:
    """What one request asks of the fitted generator."""

    classes: np.ndarray  # (m,) classes, or (m, C) of a multi-label task: what each sample is to hold
    points: np.ndarray  # (m, e) where in the latent space it is aimed at
    temperature: float
    seed: int


@dataclass(frozen=True)
class Draws:
    """A draw for each request; and, row-aligned with the samples of all of them together, what each is for."""

    of_requests: list[Draw]
    request_rows: np.ndarray  # (m,) the row of each sample's request
    between: np.ndarray  # (m, 2) the two rows of the fit data each lies between, -1 = none


def draws_for(requests: Sequence[Request], data: FitData, *, temperature: float, seed: int) -> Draws:
    """Aim every request among the rows of `data`, which the generator learns from. requests: at least one.

    A draw depends on (seed, gap, class), not on what else is asked for.
    """
    aims = [aim(request, data.points, data.class_probs, seed=seed) for request in requests]
    draws = []
    for request, (points, rows) in zip(requests, aims, strict=True):
        own = derive_seed(seed, "sample", request.gap_id, request.label)
        draws.append(Draw(to_hold(request, rows, data), points, temperature, own))
    counts = [len(draw.points) for draw in draws]
    return Draws(draws, np.repeat(np.arange(len(draws)), counts), np.concatenate([rows for _, rows in aims]))
