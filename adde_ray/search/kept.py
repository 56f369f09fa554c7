"""What a run has kept that can be searched, in whatever state it is: its pool's features, its gaps, its last model.

Nothing is computed that the run has not computed, nothing is written, and no lock is needed.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import polars as pl

from adde_ray.artifacts import damage
from adde_ray.artifacts.descriptions import descriptions
from adde_ray.artifacts.encoder_choice import encoder_of
from adde_ray.artifacts.features import read_features
from adde_ray.artifacts.queries import asked_before
from adde_ray.artifacts.run_dir import MODEL, RoundDir, RunDir, read_json, read_kept
from adde_ray.artifacts.schema import SPLITS, Meta
from adde_ray.config import Config
from adde_ray.errors import UserError
from adde_ray.methods.descriptions import Prototypes
from adde_ray.pool.embed import SHARDS
from adde_ray.pool.files import read_rows, shard_files
from adde_ray.pool.fitted_encoder import Encoding
from adde_ray.pool.shards import FileShard
from adde_ray.stages.describe import as_prototypes


@dataclass(frozen=True)
class Kept:
    """shards: the pool as files, one where it is held in memory, with the features of the frozen encoder."""

    run: RunDir
    config: Config
    meta: Meta
    encode: Encoding
    shards: tuple[FileShard, ...]

    @classmethod
    def of(cls, run: RunDir) -> Kept:
        """Raises UserError: the pool is not read and embedded yet."""
        missing = UserError(
            "has no features to look through yet", where=run.root, remedy="Let the run read and embed its data first"
        )
        folders = sorted((run.root / "embeddings").glob("*/encoder.json"), key=lambda p: (p.stat().st_mtime, p))
        if not folders or not (run.root / "ingest" / "meta.json").exists():
            raise missing
        meta = Meta.from_json(read_json(run.root / "ingest" / "meta.json"))
        encode = Encoding(encoder_of(run.root, run.config.encoder), meta.modality, folders[-1].parent)
        parts = [(rows, encode.folder / SHARDS / rows.name) for rows in shard_files(run.root / "ingest")]
        parts = parts or [(run.root / "ingest" / "pool.parquet", encode.folder / "pool.parquet")]
        if not all(file.exists() for part in parts for file in part):
            raise missing
        shards = tuple(FileShard(*files, meta.subgroups) for files in parts)
        return cls(run, run.config, meta, encode, shards)

    @property
    def is_streamed(self) -> bool:
        """Whether the pool is in shards, of which a sample stays in memory."""
        return bool(shard_files(self.run.root / "ingest"))

    @property
    def rounds(self) -> list[RoundDir]:
        """Those that have begun, the last first."""
        return [self.run.round(t) for t in reversed(damage.round_numbers(self.run.root))]

    @cached_property
    def modelled(self) -> RoundDir | None:
        """The last round that has a model."""
        return next((round_ for round_ in self.rounds if (round_.root / MODEL).exists()), None)

    @cached_property
    def prototypes(self) -> Prototypes | None:
        """Those of the classes; None where none is described."""
        table = descriptions(self.run)
        return None if table is None else as_prototypes(table, self.meta)

    @cached_property
    def taken(self) -> frozenset[str]:
        """What nobody is to be asked about any more: asked, in the dataset, or left out for its like."""
        asked = asked_before(self.run, self.rounds[0].t + 1 if self.rounds else 0)
        held = set(self.run.dataset()["sample_id"]) if (self.run.root / "dataset").exists() else set()
        path = self.run.root / "ingest" / "semantic.parquet"
        alike = read_kept(path, "sample_id")["sample_id"] if path.exists() else []
        return frozenset(asked | held | set(alike))

    def take(self, sample_ids: Sequence[str], shards: Iterable[int]) -> pl.DataFrame:
        """These rows of the pool with all their columns, in this order. shards: those they lie in."""
        found = [self.shards[shard].take(sample_ids).table for shard in sorted({*shards})]
        table = pl.concat(found, how="diagonal_relaxed")
        return pl.DataFrame({"sample_id": sample_ids}).join(table, on="sample_id", maintain_order="left")

    def sample(self, sample_id: str) -> tuple[np.ndarray, pl.DataFrame] | None:
        """(d,) frozen features of any sample of the run and its row with the payload; None: there is none."""
        for shard in self.shards:
            if len(found := shard.take([sample_id])):
                return found.features[0], found.table
        for split in SPLITS:
            rows, features = self.run.root / "ingest" / f"{split}.parquet", self.encode.folder / f"{split}.parquet"
            if split != "pool" and features.exists() and (found := FileShard(rows, features, ()).take([sample_id])):
                return found.features[0], found.table
        for round_ in self.rounds:
            made = round_.read("synthetic.parquet")
            if made is not None and len(made := made.filter(sample_id=sample_id)):
                return np.array(made["features"][0], dtype=np.float32), made
        return None

    def example(self) -> pl.Series:
        """A payload of the pool: what the run's samples are like."""
        return read_rows(self.shards[0].rows, np.array([0]), self.meta.modality)[self.meta.modality]

    def reference(self, round_: RoundDir, *, tuned: bool) -> np.ndarray:
        """(n, d) float32 features of what a round's space was fitted on, in its order: see `Data.reference`.

        tuned: by the round's own encoder.
        """
        folder = round_.root / "embeddings" if tuned else self.encode.folder
        sample = "pool-sample" if self.is_streamed and not tuned else "pool"
        files = [folder / f"{name}.parquet" for name in (sample, "seed")]
        found = [read_features(path) for path in files if path.exists()]
        order = pl.concat([ids for ids, _ in found]).arg_sort().to_numpy()
        return np.concatenate([np.asarray(features, dtype=np.float32) for _, features in found])[order]

    def shards_of(self, round_: RoundDir) -> tuple[FileShard, ...]:
        """The pool with the features of a round's fine-tuned encoder: all of it, or what the round has encoded."""
        folder = round_.root / "embeddings"
        if self.is_streamed and self.config.train.reembed == "all":
            return tuple(FileShard(s.rows, folder / SHARDS / s.rows.name, s.subgroups) for s in self.shards)
        groups = self.meta.subgroups if self.config.train.reembed == "all" else ()  # rows of which are not in a file
        return (FileShard(self.shards[0].rows, folder / "pool.parquet", groups),)
