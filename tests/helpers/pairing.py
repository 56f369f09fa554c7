"""Near copies as sets of rows, and the digits to look for them in."""

from __future__ import annotations

import numpy as np
import polars as pl
from sklearn.datasets import load_digits

from adde_ray.artifacts.images import encode_images
from adde_ray.config import Gates
from adde_ray.methods.gates.near_copies import between, likeness, within

CONFIG = Gates()


def digits() -> pl.Series:
    return encode_images((load_digits().images / 16)[:, None].astype(np.float32))


def pairs(payloads, modality, config=CONFIG) -> set[tuple[int, int]]:
    alike = likeness(modality, config)
    found = within(alike.signatures(payloads), payloads, alike)
    assert (found.rows > found.others).all() and (found.similarity <= 1).all()
    return set(zip(found.rows.tolist(), found.others.tolist(), strict=True))


def matches(payloads, others, modality, config=CONFIG) -> set[tuple[int, int]]:
    alike = likeness(modality, config)
    found = between(alike.signatures(payloads), payloads, alike.signatures(others), others, alike)
    return set(zip(found.rows.tolist(), found.others.tolist(), strict=True))
