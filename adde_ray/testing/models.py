"""Checks of what learns: generators, encoders, learners, quality models."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import numpy as np
import polars as pl
import torch

from adde_ray.artifacts.images import encode_images
from adde_ray.config import Encoder, Generate, Train
from adde_ray.methods.model.learner import Learner, Model, Network, num_heads
from adde_ray.methods.synthesis.generators import FitData, Generator
from adde_ray.methods.synthesis.quality import QualityModel
from adde_ray.testing.expect import expect, expect_same, labels, payloads

QUICK = Generate(steps=3, latent_dims=2)


def check_generator(make: Callable[[Generate], Generator], *, modalities: tuple[str, ...]) -> None:
    """`fit` → arrays by name; `sample` → (m, …) finite float32 of the data's shape. The seed decides."""
    shapes = {"image": (1, 8, 8), "vector": (6,)}
    for modality in modalities:
        for n in (24, 1):
            data, generator = _fit_data(shapes[modality], n), make(QUICK)
            states = torch.get_rng_state(), _numpy_state().copy()
            weights = generator.fit(data, seed=0)
            expect(isinstance(weights, dict) and weights, "fit gives no arrays by name")
            for name, array in weights.items():
                numbers = isinstance(array, np.ndarray) and array.dtype != object
                expect(isinstance(name, str) and numbers, f"weight {name!r} is no numpy array of numbers")
                array.setflags(write=False)  # as whoever gets it out of the object store has it
            again = make(QUICK).fit(data, seed=0)
            for name, array in weights.items():
                expect_same(array, again.get(name), f"the same seed gives another weight {name}")
            for m in (5, 0):
                classes, points = labels(m, 3), np.zeros((m, 4), np.float32)
                made = generator.sample(weights, classes, points, temperature=1.0, seed=1)
                what = f"{m} samples learned from {n} {modality}s"
                expect(made.shape == (m, *shapes[modality]), f"{what} have the shape {made.shape}")
                expect(made.dtype == np.float32, f"{what} are {made.dtype}, not float32")
                expect(np.isfinite(made).all(), f"{what} hold numbers that are not finite")
                # Another actor gets the weights and nothing else.
                other = make(QUICK).sample(weights, classes, points, temperature=1.0, seed=1)
                expect_same(made, other, "a generator with the same weights and seed gives other samples")
            now = torch.get_rng_state(), _numpy_state()
            expect(torch.equal(states[0], now[0]), "draws from torch's global generator")
            expect_same(states[1], now[1], "draws from numpy's global generator")
        multi = make(QUICK)
        weights = multi.fit(_fit_data(shapes[modality], 24, multi=True), seed=0)
        held = np.eye(3, dtype=np.float32)[[0, 1]]
        made = multi.sample(weights, held, np.zeros((2, 4), np.float32), temperature=0.0, seed=1)
        expect(made.shape[0] == 2, "a multi-label task asks by (m, C) classes, and gets another number of samples")


def check_encoder(make: Any, settings: Encoder | None = None) -> None:
    """`fit`, then `encode` → (n, d) finite float32, each row by itself; what `save` gives, `load` takes.

    make: a class of encoders. settings: what one of them is built with, where the defaults do not suffice.
    """
    settings = settings or Encoder()
    for modality in make.modalities:
        encoder, rows = make(settings, modality), payloads(modality, 30)
        encoder.fit(rows, seed=0)
        z = encoder.encode(rows)
        expect(z.ndim == 2 and len(z) == 30, f"features of 30 {modality}s have the shape {z.shape}")
        expect(z.dtype == np.float32, f"features are {z.dtype}, not float32")
        expect(np.isfinite(z).all(), "features hold numbers that are not finite")
        expect(encoder.encode(rows[:0]).shape == (0, z.shape[1]), "no payloads give features of another width")
        part = encoder.encode(rows[10:20])
        # A product of matrices may round otherwise when it is larger.
        expect(np.allclose(part, z[10:20], atol=1e-4), "a payload's features depend on those beside it")
        if modality == "image" and hasattr(encoder, "image_side"):
            larger = encode_images(np.random.default_rng(1).random((2, 3, 13, 13)))
            mixed = encoder.encode(pl.concat([rows[:3], larger, rows[3:5]]))
            together = np.allclose(mixed[[0, 1, 2, 5, 6]], z[:5], atol=1e-4)
            expect(together, "an image's features depend on the size of those beside it, though it has an image_side")
        again = make(settings, modality)
        again.fit(rows, seed=0)
        expect_same(again.encode(rows), z, "the same payloads and seed fit another encoder")
        arrays, state = encoder.save()
        expect(all(isinstance(a, np.ndarray) for a in arrays.values()), "save gives something that is no array")
        try:
            state = json.loads(json.dumps(state))
        except TypeError:
            raise AssertionError("save gives settings that JSON cannot hold") from None
        loaded = make(settings, modality)
        loaded.load({name: array.copy() for name, array in arrays.items()}, state)
        expect_same(loaded.encode(rows), z, "an encoder that takes up what save gave encodes otherwise")


def check_learner(make: Learner) -> None:
    """Dimensions, classes, settings → a `Network` with logits (n, C), of an ensemble (n, K, C); weights by the seed."""
    for config in (Train(hidden=8), Train(hidden=8, ensemble=3)):
        network = _built(make, config)
        expect(isinstance(network, Network), f"is a {type(network).__name__}, no Network")
        features = torch.randn(7, 6, generator=torch.Generator().manual_seed(1))
        logits, heads = network(features), num_heads(config)
        shape = (7, 3) if heads == 1 else (7, heads, 3)
        expect(tuple(logits.shape) == shape, f"logits of 7 rows have the shape {tuple(logits.shape)}, not {shape}")
        expect(bool(torch.isfinite(logits).all()), "logits are not finite")
        expect(any(p.requires_grad for p in network.parameters()), "nothing of it can be trained")
        for name, value in _built(make, config).state_dict().items():
            expect_same(value.numpy(), network.state_dict()[name].numpy(), f"the same seed gives another {name}")
        if heads == 1:
            model = Model(network, temperature=1.0)
            proba, embedding = model.proba(features.numpy()), model.embed(features.numpy())
            expect(proba.shape == (7, 3) and np.isfinite(proba).all(), "probabilities are not finite")
            expect(embedding.ndim == 2 and len(embedding) == 7, f"the embedding has the shape {embedding.shape}")


def check_quality(make: Callable[[np.ndarray, int], QualityModel]) -> None:
    """Labels and a seed → a classifier that learns two blobs, and does not fail where a class has one sample."""
    rng = np.random.default_rng(0)
    for classes in (2, 4):
        known = labels(40, classes)
        features = (rng.normal(size=(40, 6)) + 8 * np.eye(6)[known]).astype(np.float32)
        said = make(known, 0).fit(features, known).predict(features)
        expect(np.asarray(said).shape == (40,), f"predictions of 40 rows have the shape {np.asarray(said).shape}")
        expect(set(np.unique(said)) <= set(known), "a class is predicted that nobody has shown")
        expect(np.mean(said == known) > 0.9, "classes that lie far apart are confused")
        expect_same(make(known, 0).fit(features, known).predict(features), said, "the same seed predicts otherwise")
    lone = np.array([0] * 20 + [1])
    features = (rng.normal(size=(21, 6)) + 8 * np.eye(6)[lone]).astype(np.float32)
    said = make(lone, 0).fit(features, lone).predict(features)
    expect(np.asarray(said).shape == (21,), "a class of one sample is too few")


def _built(make: Learner, config: Train) -> Network:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return make(6, 3, config)


def _fit_data(shape: tuple[int, ...], n: int, *, multi: bool = False) -> FitData:
    rng = np.random.default_rng(0)
    data = FitData(
        arrays=rng.random((n, *shape), dtype=np.float32),
        class_probs=rng.dirichlet(np.ones(3), n).astype(np.float32),
        points=rng.normal(size=(n, 4)).astype(np.float32),
        multi=multi,
    )
    for array in (data.arrays, data.class_probs, data.points):
        array.setflags(write=False)
    return data


def _numpy_state() -> np.ndarray:
    """Of numpy's global generator."""
    return np.random.get_state(legacy=False)["state"]["key"]
