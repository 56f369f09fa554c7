"""Encodes every split once: ingest/ in → embeddings/<fingerprint>/ out.

encoder.safetensors and encoder.json hold the fitted encoder (the JSON is written last); <split>.parquet, and
pool/part-*.parquet of a pool that is streamed, hold sample_id and features in the order of ingest. What is there is
not computed again: a killed run goes on with the next shard. Where the encoder is fine-tuned, every round encodes
again, into rounds/t/embeddings/.
"""

from __future__ import annotations

import io
import logging
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Protocol

import numpy as np
import polars as pl
from safetensors.numpy import load_file

from adde_ray.asked import asked_before
from adde_ray.config import Config
from adde_ray.data import Data, load_dataset
from adde_ray.encoding import CHUNK, Encoding
from adde_ray.errors import Halted, UserError
from adde_ray.features import read_features, write_features
from adde_ray.methods import encoders
from adde_ray.methods.finetune import Recipe
from adde_ray.methods.shortlist import shortlist
from adde_ray.pool import Block, FileShard, MemoryShard, Pool
from adde_ray.progress import Bar
from adde_ray.ray_session import ensure_ray
from adde_ray.rundir import TUNED, RoundDir, RunDir, derive_seed, fingerprint, read_table
from adde_ray.schema import SPLITS, Meta, Split
from adde_ray.sharding import part_files

PARTS, SAMPLE = "pool", "pool-sample"
"""Of a streamed pool: the folder of its parts, and the sample of it that stays in memory."""

READERS_SHARE = 0.25
"""CPUs that reading the next part reserves, so that actors on all CPUs do not leave it waiting for ever."""


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
        assert ids.equals(table["sample_id"]), f"{split}: features of other rows"
        return Split(table, np.asarray(features, dtype=np.float32))

    def splits(self) -> dict[str, Split]:
        """Every split there is but the pool."""
        return {name: split for name in SPLITS if name != "pool" and (split := self.load(name)) is not None}

    def pool(self) -> Pool:
        """The pool: in memory, or in shards with a sample in memory."""
        groups, rows = self.meta.subgroups, self.meta.num_rows["pool"]
        shards = tuple(FileShard(*files, groups) for files in _parts(self.run, self.encode))
        if shards:
            return Pool(shards, rows, self.load(SAMPLE))
        whole = self.load("pool")
        return Pool((MemoryShard(whole, groups),), rows, whole)


def embed(config: Config, meta: Meta, run: RunDir) -> Embedding:
    """Fit the configured encoder on pool and seed, encode every split, unless done before.

    Raises UserError when the encoder does not fit the data or its model is not there.
    """
    tables = {name: table for name in (*SPLITS, SAMPLE) if (table := _ingested(run, name)) is not None}
    seed = derive_seed(config.run.seed, "encoder")
    ids = {name: table["sample_id"].to_list() for name, table in tables.items()}
    mark = fingerprint(config.encoder.model_dump(mode="json"), meta.modality, seed, ids, meta.pool_digest)
    encoders.resolve(config.encoder, meta.modality)  # says what is wrong even when all is there
    encode = Encoding(config.encoder, meta.modality, _folder(run, mark, config.run.cache))
    if not encode.is_fitted:
        known = [tables[n].select("sample_id", meta.modality) for n in ("pool", SAMPLE, "seed") if n in tables]
        encode.fit(pl.concat(known).sort("sample_id")[meta.modality], seed=seed)
    for name, table in tables.items():
        if not (encode.folder / f"{name}.parquet").exists():
            features = encode(table[meta.modality], title=f"embedding {name}")
            write_features(encode.folder / f"{name}.parquet", table["sample_id"], features)
    stream = config.stream
    embed_parts(_parts(run, encode), encode, rows=meta.num_rows["pool"], workers=stream.workers, gpu=stream.gpu)
    return Embedding(run, meta, encode)


class Actors(Protocol):
    """What `stages.encoder_pool.EncoderPool` offers."""

    def serves(self, num_rows: int) -> bool: ...

    def encode(self, recipe: Recipe, weights: dict[str, np.ndarray], payloads: pl.Series, chunk: int) -> np.ndarray: ...

    def rest(self) -> None: ...


def embed_again(data: Data, config: Config, round_: RoundDir, actors: Actors) -> Data:
    """`data` with the features of round t's fine-tuned encoder, which are kept in rounds/t/embeddings/."""
    encode = data.encode.tuned(config.train, round_.root / TUNED)

    def again(name: str, table: pl.DataFrame) -> Split:
        path, payloads = round_.root / "embeddings" / f"{name}.parquet", table[data.meta.modality]
        if not path.exists():
            if actors.serves(len(payloads)):
                features = actors.encode(encode.recipe(), load_file(encode.weights), payloads, CHUNK)
            else:
                features = encode(payloads, title=f"embedding {name}")
            write_features(path, table["sample_id"], features)
        return Split(table, read_features(path)[1])

    splits = {name: again(name, split.table) for name, split in data.splits.items()}
    if config.train.reembed == "shortlist":
        listed = again("pool", _shortlisted(data, config, round_))
        actors.rest()
        pool = Pool((MemoryShard(listed, data.meta.subgroups),), len(listed), listed)
        return Data(data.meta, splits, pool, encode, data.left_out, frozen=data)
    sample = again("pool", data.pool.sample.table)
    shards = (MemoryShard(sample, data.meta.subgroups),)
    if data.pool.is_streamed:
        folder = round_.root / "embeddings" / PARTS
        shards = tuple(replace(shard, features=folder / shard.rows.name) for shard in data.pool.shards)
        files, stream = [(shard.rows, shard.features) for shard in shards], config.stream
        embed_parts(files, encode, rows=data.pool.num_rows, workers=stream.workers, gpu=stream.gpu)
    actors.rest()
    return Data(data.meta, splits, Pool(shards, data.pool.num_rows, sample), encode, data.left_out, frozen=data)


def _shortlisted(data: Data, config: Config, round_: RoundDir) -> pl.DataFrame:
    """The pool's rows that are encoded again this round: a shortlist, and all that the round must know of."""
    path = round_.root / "embeddings" / "pool.parquet"
    if path.exists():
        listed = read_features(path)[0].to_list()
    else:
        before = round_.run.round(round_.t - 1).read("gaps.parquet", "anchors") if round_.t else None
        anchors = set() if before is None else set(before["anchors"].explode().drop_nulls())
        needed = asked_before(round_.run, round_.t) | anchors
        blind = config.select.selector == "random"  # chosen at random, so listed at random
        listed = needed | set(
            shortlist(
                (_without(needed | data.left_out, shard.read()) for shard in data.pool.shards),
                load_dataset(round_.run, round_.t, data).features,
                rows=config.train.shortlist_rows,
                at_random=1.0 if blind else config.train.shortlist_random,
                seed=derive_seed(config.run.seed, round_.t, "reembed"),
            )
        )
    found = [shard.take(sorted(listed)).table for shard in data.pool.shards]
    return pl.concat(found, how="diagonal_relaxed").sort("sample_id")


def _without(ids: set[str], block: Block) -> tuple[pl.Series, np.ndarray]:
    left = ~block.ids.is_in(list(ids))
    return block.ids.filter(left), block.features[left.to_numpy()]


def embed_parts(
    parts: list[tuple[Path, Path]], encode: Encoding, *, rows: int, workers: int | None, gpu: bool = False
) -> None:
    """Encode each (file of rows, file of features to write) whose features are not there yet.

    rows: of all parts, for the progress bar. workers: 0 = in this process; None = one Ray Data actor a CPU.
    """
    left = [(source, out) for source, out in parts if not out.exists()]
    if not left:
        return
    with Bar("embedding pool", rows * len(left) // len(parts)) as bar:
        try:
            for done in _here(left, encode) if workers == 0 else _stream(left, encode, workers, gpu):
                bar.advance(done)
        except OSError as error:
            remedy = "Mend that and continue with --resume: what is written is kept"
            problem = f"the pool could not be embedded: {error.strerror or error}"
            raise Halted(problem, where=encode.folder, remedy=remedy) from None


def _here(left: list[tuple[Path, Path]], encode: Encoding) -> Iterator[int]:
    for source, out in left:
        yield _encode_part(encode, _read(source, encode.modality), out)


def _stream(left: list[tuple[Path, Path]], encode: Encoding, workers: int | None, gpu: bool) -> Iterator[int]:
    """Rows of each part as it is done: read in tasks, encoded and written by actors that load the encoder once."""
    ensure_ray()
    import ray
    from ray.data import ActorPoolStrategy, DataContext

    cpus, gpus = (ray.cluster_resources().get(kind, 0.0) for kind in ("CPU", "GPU"))
    if gpu and gpus < 1:
        raise UserError("the Ray cluster has no GPU", where="stream.gpu", value=True, remedy="Set stream.gpu = false")
    actors = min(workers or max(int(gpus if gpu else cpus), 1), len(left))
    # One row of the stream is one part: what is read together is written together, whoever encodes it.
    items = [{"source": str(source), "out": str(out)} for source, out in left]
    logging.getLogger("ray.data").setLevel(logging.ERROR)
    DataContext.get_current().enable_progress_bars = False  # there is one already
    parts = (
        ray.data.from_items(items, override_num_blocks=len(items))
        .map(partial(_load_row, modality=encode.modality), num_cpus=READERS_SHARE)
        .map(
            _EncodeRow,
            fn_constructor_args=(encode,),
            compute=ActorPoolStrategy(size=actors),
            num_cpus=min(1.0, (1 - READERS_SHARE) * cpus / actors),
            num_gpus=1 if gpu else None,
        )
    )
    try:
        for row in parts.iter_rows():
            yield row["rows"]
    except ray.exceptions.RayTaskError as error:
        raise error.cause from error


class _EncodeRow:
    """A Ray Data actor."""

    def __init__(self, encode: Encoding):
        import torch

        torch.set_num_threads(1)  # there is an actor for each CPU
        self._encode = encode

    def __call__(self, row: dict) -> dict:
        return {"rows": _encode_part(self._encode, pl.read_ipc(row["table"]), Path(row["out"]))}


def _load_row(row: dict, modality: str) -> dict:
    buffer = io.BytesIO()
    _read(Path(row["source"]), modality).write_ipc(buffer)
    return {"out": row["out"], "table": buffer.getvalue()}


def _read(source: Path, modality: str) -> pl.DataFrame:
    return read_table(source, "sample_id", modality)


def _encode_part(encode: Encoding, table: pl.DataFrame, out: Path) -> int:
    encode.shard(table["sample_id"], table[encode.modality], out)
    return len(table)


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
    return [(source, encode.folder / PARTS / source.name) for source in part_files(run.root / "ingest")]


def _ingested(run: RunDir, split: str) -> pl.DataFrame | None:
    path = run.root / "ingest" / f"{split}.parquet"
    return read_table(path) if path.exists() else None
