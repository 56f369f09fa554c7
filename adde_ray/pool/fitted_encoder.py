"""A fitted encoder in a folder, and payloads encoded with it: in memory or shard file by shard file.

encoder.safetensors and encoder.json (written last) in → features out. What is encoded here and in a worker on another
machine comes out the same.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property, partial
from pathlib import Path

import numpy as np
import polars as pl
from safetensors.numpy import load_file, save

from adde_ray import config
from adde_ray.artifacts import digests
from adde_ray.artifacts.features import write_features
from adde_ray.artifacts.run_dir import atomic, read_json, readable, write_json
from adde_ray.config import Train
from adde_ray.config.data import Section
from adde_ray.methods import encoders
from adde_ray.methods.encoders.finetune import Recipe
from adde_ray.pool.pictures import Shown, encode_larger, larger_images, side_for
from adde_ray.progress import Bar

BATCH = 256
"""Rows encoded at a time, always the same so that features are, too."""

FIT_ROWS = 2_000
"""Images that are read again for fitting, drawn by the seed: they are in memory at once."""

WEIGHTS, SETTINGS = "encoder.safetensors", "encoder.json"


@dataclass(frozen=True)
class Encoding:
    """The encoder kept in `folder`. Small to pickle: what it loads stays where it is loaded.

    originals: the section of `Config.data` from whose originals real images are encoded, where the encoder wants more
    pixels than are kept; None: they are encoded as they are kept, like samples that were made.
    """

    settings: config.Encoder
    modality: str
    folder: Path
    originals: Section | None = field(default=None, kw_only=True)

    @property
    def is_fitted(self) -> bool:
        """Whether the folder has the fitted state, whole: its settings are written last."""
        return (self.folder / SETTINGS).exists()

    @property
    def is_recorded(self) -> bool:
        """Whether the folder keeps a ledger: what earlier versions have encoded does not."""
        return (self.folder / digests.LEDGER).exists()

    def fit(self, samples: pl.DataFrame, *, seed: int) -> None:
        """Fit on these samples (sample_id, the payload, and where its original was) and keep the result."""
        encoder = encoders.make(self.settings, self.modality)
        payloads, side = samples[self.modality], side_for(encoder, self.originals)
        if side and self.originals and self.settings.dims:  # else it learns nothing of them
            drawn = np.random.default_rng(seed).permutation(len(samples))[:FIT_ROWS]
            payloads = larger_images(samples[np.sort(drawn)], self.originals, side)
        encoder.fit(payloads, seed=seed)
        arrays, state = encoder.save()
        weights = save({name: np.ascontiguousarray(array) for name, array in arrays.items()})
        with atomic(self.folder / WEIGHTS) as temporary:
            temporary.write_bytes(weights)
        if self.is_recorded:
            state = digests.sealed(state, {WEIGHTS: digests.Digest.of_bytes(weights)})
        write_json(self.folder / SETTINGS, state)

    def _kept(self) -> tuple[dict[str, np.ndarray], dict]:
        with readable(self.folder / WEIGHTS):
            return load_file(self.folder / WEIGHTS), digests.unsealed(read_json(self.folder / SETTINGS))

    @cached_property
    def _encoder(self) -> encoders.Encoder:
        encoder = encoders.make(self.settings, self.modality)
        with readable(self.folder / SETTINGS):
            encoder.load(*self._kept())
        return encoder

    def texts(self, phrases: list[str]) -> np.ndarray | None:
        """(n, d) float32: phrases as points among the samples' features; None where the encoder reads no words."""
        if self.modality == "text":
            return self._encoder.encode(pl.Series(self.modality, phrases, dtype=pl.String))
        return encoders.encode_texts(self._encoder, phrases)

    @property
    def reads_words(self) -> bool:
        """Whether `texts` may be worth asking: a model of images has to be loaded before it says."""
        return self.modality == "text" or hasattr(self._encoder, "encode_texts")

    def count_tokens(self, words: list[str]) -> list[int] | None:
        """How many pieces the encoder's tokenizer cuts each word into; None where it has none."""
        return encoders.count_tokens(self._encoder, words)

    @property
    def _side(self) -> int | None:
        """Pixels of a side at which real images are encoded; None: as they are kept."""
        return side_for(self._encoder, self.originals)

    def tuned(self, train: Train, weights: Path) -> Tuned:
        """It as fine-tuned in some round. It sees samples as they are kept."""
        return Tuned(self.settings, self.modality, self.folder, train, weights)

    def recipe(self) -> Recipe:
        """How to build it for fine-tuning."""
        return Recipe(self.settings, self.modality, *self._kept())

    def __call__(self, payloads: pl.Series, *, title: str = "embedding") -> np.ndarray:
        """(n, d) float32 of payloads, encoded batch by batch, with a progress bar when it takes long."""
        return in_batches(self._encoder.encode, payloads, title=title)

    def samples(self, table: pl.DataFrame, *, title: str = "embedding") -> tuple[np.ndarray, Shown | None]:
        """(n, d) float32 of real samples, from their originals where the encoder wants more pixels than are kept.

        table: sample_id, the payload, and where its original was. Also what was encoded; None: the payloads. Raises
        Halted: originals may be there, but cannot be read.
        """
        with Bar(title, len(table)) as bar:
            return self._samples(table, bar.advance)

    def seen(self, table: pl.DataFrame) -> pl.Series:
        """The payloads that `samples` encodes, all in memory."""
        if (side := self._side) is None or self.originals is None:
            return table[self.modality]
        return larger_images(table, self.originals, side)

    def shard(self, table: pl.DataFrame, out: Path) -> None:
        """Encode a shard's samples and write their features, as float16. Whoever gave the order has to record them."""
        features, shown = self._samples(table, lambda rows: None)
        limit = np.finfo(np.float16).max  # an outlier beyond it is as far away as can be said
        features = np.clip(features, -limit, limit).astype(np.float16)
        write_features(out, table["sample_id"], features, about=shown.as_metadata() if shown else None)

    def _samples(self, table: pl.DataFrame, done: Callable[[int], None]) -> tuple[np.ndarray, Shown | None]:
        encode = self._encoder.encode
        if (side := self._side) is None or self.originals is None:
            return _in_batches(encode, table[self.modality], done), None
        return encode_larger(encode, table, self.originals, side, batch=BATCH, done=done)

    def __reduce__(self) -> tuple:
        return partial(Encoding, originals=self.originals), (self.settings, self.modality, self.folder)


@dataclass(frozen=True)
class Tuned(Encoding):
    """The same encoder with a round's fine-tuned weights, kept in a file of their own."""

    train: Train
    weights: Path

    @cached_property
    def _encoder(self) -> encoders.Encoder:
        return self.recipe().build(self.train, self.tuned_weights())

    def tuned_weights(self) -> dict[str, np.ndarray]:
        """The round's."""
        with readable(self.weights):
            return load_file(self.weights)

    def __reduce__(self) -> tuple:
        return Tuned, (self.settings, self.modality, self.folder, self.train, self.weights)


def in_batches(encode: Callable[[pl.Series], np.ndarray], payloads: pl.Series, *, title: str) -> np.ndarray:
    """What `encode` gives for each `BATCH` of the payloads, together."""
    with Bar(title, len(payloads)) as bar:
        return _in_batches(encode, payloads, bar.advance)


def _in_batches(
    encode: Callable[[pl.Series], np.ndarray], payloads: pl.Series, done: Callable[[int], None]
) -> np.ndarray:
    if len(payloads) <= BATCH:  # none at all included: the encoder knows its dimensions
        return encode(payloads)
    batches = []
    for start in range(0, len(payloads), BATCH):
        batches.append(encode(payloads[start : start + BATCH]))
        done(len(batches[-1]))
    return np.concatenate(batches)
