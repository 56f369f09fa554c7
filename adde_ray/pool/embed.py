"""The shards of a pool through Ray Data: files of rows in → files of features out, row-aligned.

Features are written shard by shard, each file whole or not at all. What is there is not computed again: a killed run
goes on with the next shard.
"""

from __future__ import annotations

import io
import logging
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import NamedTuple

import polars as pl
import pyarrow.parquet as pq

from adde_ray.artifacts import digests
from adde_ray.artifacts.digests import Digest
from adde_ray.artifacts.run_dir import read_table, readable
from adde_ray.distributed.session import ensure_ray
from adde_ray.errors import Halted, UserError
from adde_ray.pool.fitted_encoder import Encoding
from adde_ray.progress import Bar
from adde_ray.sources.originals import PLACES

SHARDS = "pool"
"""Beside the features of a run's or a round's splits: the folder of those of the pool's shards."""

READERS_SHARE = 0.25
"""CPUs that reading the next shard reserves, so that actors on all CPUs do not leave it waiting for ever."""


def embed_shards(
    shards: list[tuple[Path, Path]], encode: Encoding, *, rows: int, workers: int | None, gpu: bool = False
) -> None:
    """Encode each (file of rows, file of features to write) whose features are not there yet.

    rows: of all shards, for the progress bar. workers: 0 = in this process; None = one Ray Data actor a CPU.
    """
    left = [(source, out) for source, out in shards if not out.exists()]
    if not left:
        return
    with Bar("embedding pool", rows * len(left) // len(shards)) as bar:
        try:
            for shard in _here(left, encode) if workers == 0 else _stream(left, encode, workers, gpu):
                digests.record(shard.file, shard.digest)
                bar.advance(shard.rows)
        except OSError as error:
            remedy = "Mend that and continue with --resume: what is written is kept"
            problem = f"the pool could not be embedded: {error.strerror or error}"
            raise Halted(problem, where=encode.folder, remedy=remedy) from None


class Encoded(NamedTuple):
    """A shard that is done: its file of features, the digest of that, and its rows."""

    file: Path
    digest: Digest
    rows: int


def _here(left: list[tuple[Path, Path]], encode: Encoding) -> Iterator[Encoded]:
    for source, out in left:
        yield _encode_shard(encode, _read(source, encode), out)


def _stream(left: list[tuple[Path, Path]], encode: Encoding, workers: int | None, gpu: bool) -> Iterator[Encoded]:
    """Each shard as it is done: read in tasks, encoded and written by actors that load the encoder once."""
    ensure_ray()
    import ray
    from ray.data import ActorPoolStrategy, DataContext
    from ray.exceptions import RayTaskError

    cpus, gpus = (ray.cluster_resources().get(kind, 0.0) for kind in ("CPU", "GPU"))
    if gpu and gpus < 1:
        raise UserError("the Ray cluster has no GPU", where="stream.gpu", value=True, remedy="Set stream.gpu = false")
    actors = min(workers or max(int(gpus if gpu else cpus), 1), len(left))
    # One row of the stream is one shard: what is read together is written together, whoever encodes it.
    items = [{"source": str(source), "out": str(out)} for source, out in left]
    logging.getLogger("ray.data").setLevel(logging.ERROR)
    DataContext.get_current().enable_progress_bars = False  # there is one already
    encoded = (
        ray.data.from_items(items, override_num_blocks=len(items))
        .map(partial(_load_row, encode=encode), num_cpus=READERS_SHARE)
        .map(
            _EncodeRow,  # pyright: ignore[reportArgumentType] ray takes a class, its annotation functions alone
            fn_constructor_args=(encode,),
            compute=ActorPoolStrategy(size=actors),
            num_cpus=min(1.0, (1 - READERS_SHARE) * cpus / actors),
            num_gpus=1 if gpu else None,
        )
    )
    try:
        for row in encoded.iter_rows():
            yield Encoded(Path(row["out"]), Digest.parse(row["digest"]), row["rows"])
    except RayTaskError as error:
        raise error.cause from error


class _EncodeRow:
    """A Ray Data actor."""

    def __init__(self, encode: Encoding):
        import torch

        torch.set_num_threads(1)  # there is an actor for each CPU
        self._encode = encode

    def __call__(self, row: dict) -> dict:
        shard = _encode_shard(self._encode, pl.read_ipc(row["table"]), Path(row["out"]))
        return {"out": row["out"], "digest": str(shard.digest), "rows": shard.rows}


def _load_row(row: dict, encode: Encoding) -> dict:
    buffer = io.BytesIO()
    _read(Path(row["source"]), encode).write_ipc(buffer)
    return {"out": row["out"], "table": buffer.getvalue()}


def _read(source: Path, encode: Encoding) -> pl.DataFrame:
    columns = ["sample_id", encode.modality]
    if encode.originals is not None:
        with readable(source):
            columns += [place for place in PLACES if place in pq.read_schema(source).names]
    return read_table(source, *columns)


def _encode_shard(encode: Encoding, table: pl.DataFrame, out: Path) -> Encoded:
    encode.shard(table, out)
    return Encoded(out, Digest.of(out), len(table))
