"""Encodes every split again by a round's fine-tuned encoder: its weights in → rounds/t/embeddings/ out.

Files are those of `embeddings/<fingerprint>/` (see `stages/embed.py`). With `train.reembed` "shortlist" pool.parquet
has the pool's rows that are worth it, and the round's pool is these.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import polars as pl

from adde_ray.artifacts.features import read_features, write_features
from adde_ray.artifacts.queries import asked_before
from adde_ray.artifacts.run_dir import TUNED, RoundDir, derive_seed
from adde_ray.artifacts.schema import Split
from adde_ray.artifacts.wishes import wishes_of
from adde_ray.config import Config
from adde_ray.dataset import Data, load_dataset
from adde_ray.methods.query.shortlist import shortlist
from adde_ray.pool.embed import SHARDS, embed_shards
from adde_ray.pool.fitted_encoder import BATCH, Tuned
from adde_ray.pool.shards import Batch, FileShard, MemoryShard, Pool
from adde_ray.stages.run_context import RunContext


def embed_again(context: RunContext, round_: RoundDir) -> Data:
    """The run's data with the features of round t's fine-tuned encoder, which are kept in rounds/t/embeddings/."""
    config, data, actors = context.config, context.data, context.encoders
    encode = data.encode.tuned(config.train, round_.root / TUNED)

    def again(name: str, table: pl.DataFrame) -> Split:
        path, payloads = round_.root / "embeddings" / f"{name}.parquet", table[data.meta.modality]
        if not path.exists():
            if actors.serves(len(payloads)):
                features = actors.encode(encode.recipe(), encode.tuned_weights(), payloads, BATCH)
            else:
                features = encode(payloads, title=f"embedding {name}")
            write_features(path, table["sample_id"], features, recorded=True)
        return Split(table, read_features(path)[1])

    splits = {name: again(name, split.table) for name, split in data.splits.items()}
    if config.train.reembed == "shortlist":
        listed = again("pool", _shortlisted(data, config, round_))
        pool = Pool((MemoryShard(listed, data.meta.subgroups),), len(listed), listed)
    else:
        sample = again("pool", data.pool.sample.table)
        shards = (MemoryShard(sample, data.meta.subgroups),)
        if data.pool.is_streamed:
            shards = _shards_again(data.pool, encode, config, round_)
        pool = Pool(shards, data.pool.num_rows, sample)
    actors.rest()
    return Data(data.meta, splits, pool, encode, data.left_out, frozen=data)


def _shards_again(pool: Pool, encode: Tuned, config: Config, round_: RoundDir) -> tuple[FileShard, ...]:
    """The shards of a streamed pool with features by `encode`."""
    folder, stream = round_.root / "embeddings" / SHARDS, config.stream
    shards = tuple(replace(shard, features=folder / shard.rows.name) for shard in pool.file_shards)
    files = [(shard.rows, shard.features) for shard in shards]
    embed_shards(files, encode, rows=pool.num_rows, workers=stream.workers, gpu=stream.gpu)
    return shards


def _shortlisted(data: Data, config: Config, round_: RoundDir) -> pl.DataFrame:
    """The pool's rows that are encoded again this round: a shortlist, and all that the round must know of."""
    path = round_.root / "embeddings" / "pool.parquet"
    if path.exists():
        listed = read_features(path)[0].to_list()
    else:
        before = round_.run.round(round_.t - 1).read("gaps.parquet", "anchors") if round_.t else None
        anchors = set() if before is None else set(before["anchors"].explode().drop_nulls())
        needed = asked_before(round_.run, round_.t) | anchors | set(wishes_of(round_))
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


def _without(ids: set[str], batch: Batch) -> tuple[pl.Series, np.ndarray]:
    left = ~batch.ids.is_in(list(ids))
    return batch.ids.filter(left), batch.features[left.to_numpy()]
