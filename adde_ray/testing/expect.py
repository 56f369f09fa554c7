"""What the checks of several kinds have in common."""

from __future__ import annotations

from typing import Any

import numpy as np
import polars as pl

from adde_ray.artifacts.images import encode_images
from adde_ray.artifacts.schema import payload_series

WORDS = ("the", "parcel", "is", "late", "again", "where", "money", "card", "lost", "why", "please", "help")


def expect(holds: object, sentence: str) -> None:
    """Raises AssertionError with the sentence, with or without python -O."""
    if not holds:
        raise AssertionError(sentence)


def expect_scores(scores: Any, n: int, what: str) -> np.ndarray:
    """(n,) finite numbers in [0, 1]."""
    expect(isinstance(scores, np.ndarray), f"{what} is no numpy array but {type(scores).__name__}")
    expect(scores.shape == (n,), f"{what} has the shape {scores.shape}, not ({n},)")
    expect(np.issubdtype(scores.dtype, np.floating), f"{what} holds {scores.dtype}, no floating-point numbers")
    expect(np.isfinite(scores).all(), f"{what} holds numbers that are not finite")
    expect(not n or (scores.min() >= 0 and scores.max() <= 1 + 1e-6), f"{what} leaves [0, 1]")
    return scores


def expect_same(a: Any, b: Any, sentence: str) -> None:
    """Bit for bit."""
    expect(np.asarray(a).shape == np.asarray(b).shape and np.array_equal(a, b, equal_nan=True), sentence)


def payloads(modality: str, n: int, *, seed: int = 0) -> pl.Series:
    """n images of 8 x 8, texts of 5 to 10 words, or vectors of 6 numbers."""
    rng = np.random.default_rng(seed)
    if modality == "image":
        return encode_images(rng.random((n, 1, 8, 8)).astype(np.float32)) if n else payload_series([], "image")
    if modality == "text":
        texts = [" ".join(rng.choice(WORDS, rng.integers(5, 11))) + f" {i}" for i in range(n)]
        return payload_series(texts, "text")
    return payload_series(list(rng.normal(size=(n, 6)).astype(np.float32)), "vector")


def labels(n: int, classes: int, *, seed: int = 0) -> np.ndarray:
    """(n,) class rows, of each class at least one where n allows it."""
    return np.random.default_rng(seed).permutation(np.arange(n) % classes)
