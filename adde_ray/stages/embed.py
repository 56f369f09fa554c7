"""Encodes every split once: ingest/ in → embeddings/<fingerprint>/ out.

encoder.safetensors and encoder.json hold the fitted encoder (the JSON is written last), <split>.parquet holds
sample_id, features in the order of ingest. What is there is not computed again. Where the encoder is fine-tuned,
every round encodes again, into rounds/t/embeddings/.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Protocol

import numpy as np
import polars as pl
from safetensors.numpy import load_file, save_file

from adde_ray.config import Config
from adde_ray.data import Data
from adde_ray.methods import encoders
from adde_ray.methods.finetune import Recipe
from adde_ray.rundir import (
    TUNED,
    RoundDir,
    RunDir,
    atomic,
    derive_seed,
    fingerprint,
    read_json,
    read_table,
    write_json,
    write_table,
)
from adde_ray.schema import SPLITS, Meta, Split

CHUNK = 256
"""Rows encoded at a time, always the same so that features are, too."""

QUIET_SECONDS = 2.0
"""A progress bar shows only after this long, and only in a terminal."""


@dataclass(frozen=True)
class Embedding:
    """The run's frozen features. `encode`: payloads → (n, d) float32, the same now and after a resume."""

    run: RunDir
    fingerprint: str
    encode: Callable[[pl.Series], np.ndarray]
    recipe: Recipe

    def load(self, split: str) -> Split | None:
        """A split with its features; None where the data has no such split."""
        return load_features(self.run, self.fingerprint, split)

    def splits(self) -> dict[str, Split]:
        """Every split there is."""
        return {name: split for name in SPLITS if (split := self.load(name)) is not None}


def embed(config: Config, meta: Meta, run: RunDir) -> Embedding:
    """Fit the configured encoder on pool and seed, encode every split, unless done before.

    Raises UserError when the encoder does not fit the data or its model is not there.
    """
    tables = {name: table for name in SPLITS if (table := _ingested(run, name)) is not None}
    seed = derive_seed(config.run.seed, "encoder")
    ids = {name: table["sample_id"].to_list() for name, table in tables.items()}
    mark = fingerprint(config.encoder.model_dump(mode="json"), meta.modality, seed, ids)
    folder = run.root / "embeddings" / mark
    encoder = encoders.make(config.encoder, meta.modality)
    if not (folder / "encoder.json").exists():
        fitted_on = pl.concat([tables[name].select("sample_id", meta.modality) for name in ("pool", "seed")])
        encoder.fit(fitted_on.sort("sample_id")[meta.modality], seed=seed)
        _save(encoder, folder)
    _load(encoder, folder)  # also right after fitting, so that what a resume uses is what was used at first
    for name, table in tables.items():
        if not (folder / f"{name}.parquet").exists():
            features = encode_all(encoder.encode, table[meta.modality], title=f"embedding {name}")
            _write_features(folder / f"{name}.parquet", table, features)
    recipe = Recipe(config.encoder, meta.modality, *_kept(folder))
    return Embedding(run, mark, partial(encode_all, encoder.encode, title="embedding"), recipe)


class Actors(Protocol):
    """What `stages.encoder_pool.EncoderPool` offers."""

    def serves(self, num_rows: int) -> bool: ...

    def encode(self, recipe: Recipe, weights: dict[str, np.ndarray], payloads: pl.Series, chunk: int) -> np.ndarray: ...

    def rest(self) -> None: ...


def embed_again(data: Data, config: Config, round_: RoundDir, actors: Actors) -> Data:
    """`data` with the features of round t's fine-tuned encoder, kept in rounds/t/embeddings/."""
    weights = load_file(round_.root / TUNED)
    encoder = data.recipe.build(config.train, weights)

    def encode(payloads: pl.Series, title: str = "embedding") -> np.ndarray:
        if actors.serves(len(payloads)):
            return actors.encode(data.recipe, weights, payloads, CHUNK)
        return encode_all(encoder.encode, payloads, title=title)

    splits = {}
    for name, split in data.splits.items():
        path = round_.root / "embeddings" / f"{name}.parquet"
        if not path.exists():
            _write_features(path, split.table, encode(split.table[data.meta.modality], f"embedding {name}"))
        splits[name] = Split(split.table, _read_features(path, split.table))
    actors.rest()
    return Data(data.meta, splits, encode, data.recipe, frozen=data)


def load_features(run: RunDir, mark: str, split: str) -> Split | None:
    """A split with the features kept under fingerprint `mark`; None where the data has no such split."""
    table = _ingested(run, split)
    if table is None:
        return None
    return Split(table, _read_features(run.root / "embeddings" / mark / f"{split}.parquet", table))


def encode_all(encode: Callable[[pl.Series], np.ndarray], payloads: pl.Series, *, title: str) -> np.ndarray:
    """(n, d) float32, encoded chunk by chunk, with a progress bar when it takes long."""
    if len(payloads) <= CHUNK:
        return encode(payloads)
    from rich import get_console
    from rich.progress import Progress

    began, parts, bar = time.monotonic(), [], None
    try:
        for start in range(0, len(payloads), CHUNK):
            parts.append(encode(payloads[start : start + CHUNK]))
            if bar is None and get_console().is_terminal and time.monotonic() - began > QUIET_SECONDS:
                bar = Progress(transient=True)
                bar.start()
                task = bar.add_task(title, total=len(payloads))
            if bar is not None:
                bar.update(task, completed=min(start + CHUNK, len(payloads)))
    finally:
        if bar is not None:
            bar.stop()
    return np.concatenate(parts)


def _ingested(run: RunDir, split: str) -> pl.DataFrame | None:
    path = run.root / "ingest" / f"{split}.parquet"
    return read_table(path) if path.exists() else None


def _write_features(path: Path, table: pl.DataFrame, features: np.ndarray) -> None:
    column = pl.Series("features", features).cast(pl.List(pl.Float32))
    write_table(path, table.select("sample_id").with_columns(column))


def _read_features(path: Path, table: pl.DataFrame) -> np.ndarray:
    kept = read_table(path)
    assert kept["sample_id"].equals(table["sample_id"]), f"{path.stem}: features of other rows"
    dims = kept["features"].list.len().max() or 0
    return np.array(kept["features"].list.to_array(dims).to_numpy(), dtype=np.float32)


def _save(encoder: encoders.Encoder, folder: Path) -> None:
    arrays, settings = encoder.save()
    with atomic(folder / "encoder.safetensors") as temporary:
        save_file({name: np.ascontiguousarray(array) for name, array in arrays.items()}, temporary)
    write_json(folder / "encoder.json", settings)


def _load(encoder: encoders.Encoder, folder: Path) -> None:
    encoder.load(*_kept(folder))


def _kept(folder: Path) -> tuple[dict[str, np.ndarray], dict]:
    return load_file(folder / "encoder.safetensors"), read_json(folder / "encoder.json")
