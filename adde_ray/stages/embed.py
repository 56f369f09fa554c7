"""Encodes every split once: ingest/ in → embeddings/<fingerprint>/ out.

encoder.safetensors and encoder.json hold the fitted encoder (the JSON is written last); <split>.parquet, and
pool/part-*.parquet of a pool that is streamed, hold sample_id and features in the order of ingest. What is there is
not computed again: a killed run goes on with the next part. images.json says what of real images was encoded, where
they were read again from their originals.
"""

from __future__ import annotations

import operator
from dataclasses import asdict, dataclass
from functools import reduce
from pathlib import Path

import numpy as np
import polars as pl

from adde_ray.artifacts import digests
from adde_ray.artifacts.digests import LEDGER, Ledger
from adde_ray.artifacts.encoder_choice import CHOICE
from adde_ray.artifacts.features import read_features, write_features
from adde_ray.artifacts.run_dir import (
    REMEDY,
    RunDir,
    derive_seed,
    fingerprint,
    one_at_a_time,
    read_json,
    read_table,
    write_json,
)
from adde_ray.artifacts.schema import SPLITS, Meta, Split
from adde_ray.config import Config, Encoder
from adde_ray.config.data import Section
from adde_ray.errors import Halted
from adde_ray.methods import encoders
from adde_ray.pool.choose_encoder import choose
from adde_ray.pool.embed import SHARDS, embed_shards
from adde_ray.pool.files import shard_files
from adde_ray.pool.fitted_encoder import SETTINGS, Encoding
from adde_ray.pool.pictures import Shown, originals_of
from adde_ray.pool.shards import FileShard, MemoryShard, Pool
from adde_ray.sources.originals import PLACES

SAMPLE = "pool-sample"
"""The sample of a streamed pool that stays in memory."""

FITTED = ("pool", SAMPLE, "seed")
"""What an encoder is fitted on."""

IMAGES = "images.json"
"""Beside the features: the sum of `Shown` over all real images."""


@dataclass(frozen=True)
class Embedding:
    """The run's frozen features. `encode`: payloads → (n, d) float32, the same now and after a resume."""

    run: RunDir
    meta: Meta
    encode: Encoding

    def load(self, split: str) -> Split | None:
        """A split in memory with its features; None where the data has no such split."""
        table = _ingested(self.run, split)
        if table is None:
            return None
        ids, features = read_features(self.encode.folder / f"{split}.parquet")
        if not ids.equals(table["sample_id"]):
            raise Halted("holds features of other rows", where=self.encode.folder / f"{split}.parquet", remedy=REMEDY)
        return Split(table, np.asarray(features, dtype=np.float32))

    def splits(self) -> dict[str, Split]:
        """Every split there is but the pool."""
        return {name: split for name in SPLITS if name != "pool" and (split := self.load(name)) is not None}

    def pool(self) -> Pool:
        """The pool: in memory, or in shards with a sample in memory."""
        groups, rows = self.meta.subgroups, self.meta.num_rows["pool"]
        shards = tuple(FileShard(*files, groups) for files in _parts(self.run, self.encode))
        whole = self.load(SAMPLE if shards else "pool")
        assert whole is not None, "ingest keeps a pool, or its sample"
        if shards:
            return Pool(shards, rows, whole)
        return Pool((MemoryShard(whole, groups),), rows, whole)


def embed(config: Config, meta: Meta, run: RunDir) -> Embedding:
    """Fit the configured encoder on pool and seed, encode every split, unless done before.

    Raises UserError when the encoder does not fit the data, its model is not there, or originals cannot be read.
    """
    tables = {name: table for name in (*SPLITS, SAMPLE) if (table := _ingested(run, name)) is not None}
    seed = derive_seed(config.run.seed, "encoder")
    ids = {name: table["sample_id"].to_list() for name, table in tables.items()}
    encoders.resolve(config.encoder, meta.modality)  # says what is wrong even when all is there

    def mark_of(settings: Encoder, originals: Section | None = None) -> str:
        files = [] if originals is None else [meta.source]  # other originals may give the same payloads
        return fingerprint(_settings(settings, run), meta.modality, seed, ids, meta.pool_digest, *files)

    settings = config.encoder
    if settings.name == "auto" and meta.modality != "vector" and not _is_earlier(run, mark_of(settings)):
        settings = choose(config, meta, tables, run)
    knows = "originals" in _settings(settings, run)  # a run of an earlier version does not
    originals = originals_of(config, settings, meta.modality) if knows else None
    folder = _folder(run, mark_of(settings, originals), config.run.cache)
    # Of runs that share a cache and begin at once, the first encodes and the others wait for it.
    with one_at_a_time(folder.resolve().with_suffix(".lock") if folder.is_symlink() else None):
        encode = Encoding(settings, meta.modality, folder, originals=originals)
        _encode_missing(encode, tables, meta, config, run, seed=seed)
    return Embedding(run, meta, encode)


def _encode_missing(
    encode: Encoding, tables: dict[str, pl.DataFrame], meta: Meta, config: Config, run: RunDir, *, seed: int
) -> None:
    """Fit the encoder and write the features of every split and part, but for what is there."""
    folder, originals = encode.folder, encode.originals
    if not encode.is_fitted:
        if (run.root / LEDGER).exists() and not encode.is_recorded:
            encode.folder.mkdir(parents=True, exist_ok=True)
            digests.begin(encode.folder)
        columns = ("sample_id", meta.modality, *(PLACES if originals else ()))
        known = [tables[n].select(pl.col(c) for c in columns if c in tables[n].columns) for n in FITTED if n in tables]
        encode.fit(pl.concat(known, how="diagonal_relaxed").sort("sample_id"), seed=seed)
    if encode.is_recorded and (run.root / LEDGER).exists():  # so that the run knows when all of the folder is gone
        digests.record(encode.folder / SETTINGS, folder=run.root)
    for name, table in tables.items():
        if not (encode.folder / f"{name}.parquet").exists():
            features, shown = encode.samples(table, title=f"embedding {name}")
            about = shown.as_metadata() if shown else None
            write_features(folder / f"{name}.parquet", table["sample_id"], features, recorded=True, about=about)
    stream = config.stream
    embed_shards(_parts(run, encode), encode, rows=meta.num_rows["pool"], workers=stream.workers, gpu=stream.gpu)
    if originals is not None and not (folder / IMAGES).exists():
        _keep_shown([folder / f"{name}.parquet" for name in tables if name != SAMPLE], _parts(run, encode), folder)
    digests.close(encode.folder)


def _keep_shown(splits: list[Path], parts: list[tuple[Path, Path]], folder: Path) -> None:
    """Sum up what was encoded, unless it was the payloads."""
    shown = [found for path in (*splits, *(out for _, out in parts)) if (found := Shown.read(path)) is not None]
    if shown:
        write_json(folder / IMAGES, asdict(reduce(operator.add, shown)))


def _settings(encoder: Encoder, run: RunDir) -> dict:
    """What the features depend on: keys that a run of an earlier version did not know yet say nothing about its own."""
    settings, kept = encoder.model_dump(mode="json"), run.root / "config.json"
    known = read_json(kept).get("encoder", {}) if kept.exists() else settings
    return {key: value for key, value in settings.items() if key in known}


def _is_earlier(run: RunDir, mark: str) -> bool:
    """Whether a version that made no choice has begun the run: its features are named by "auto" itself."""
    if (run.root / CHOICE).exists():
        return False
    ledger, folder = Ledger.read(run.root), run.root / "embeddings" / mark
    recorded = ledger is not None and any(name.startswith(f"embeddings/{mark}/") for name in ledger.records)
    return recorded or folder.exists() or folder.is_symlink() or bool(run.rounds())


def _folder(run: RunDir, mark: str, cache: Path | None) -> Path:
    """Where the features are: in the run, or in the cache with a link to it in the run."""
    folder = run.root / "embeddings" / mark
    if cache is not None and not folder.exists():
        shared = cache.resolve() / mark
        shared.mkdir(parents=True, exist_ok=True)
        folder.parent.mkdir(exist_ok=True)
        folder.unlink(missing_ok=True)  # a link to a cache that is gone
        folder.symlink_to(shared, target_is_directory=True)
    return folder


def _parts(run: RunDir, encode: Encoding) -> list[tuple[Path, Path]]:
    """The files of rows and of features of a streamed pool's parts; none for a pool in memory."""
    return [(source, encode.folder / SHARDS / source.name) for source in shard_files(run.root / "ingest")]


def _ingested(run: RunDir, split: str) -> pl.DataFrame | None:
    path = run.root / "ingest" / f"{split}.parquet"
    return read_table(path) if path.exists() else None
