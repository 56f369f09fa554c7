from pathlib import Path

import numpy as np
import polars as pl

from adde_ray.artifacts.features import write_features
from adde_ray.artifacts.run_dir import RunDir, read_table
from adde_ray.artifacts.schema import SEMANTIC, Split
from adde_ray.config import Config
from adde_ray.loop import run
from adde_ray.methods.gates import semantic
from adde_ray.pool.shards import FileShard, MemoryShard, Pool
from adde_ray.stages import leave_out as stage
from adde_ray.stages.leave_out import leave_out

DIGITS = Config.parse({"data": {"source": "digits"}, "encoder": {"name": "pixels"}})
SEMANTICALLY = DIGITS.override("gates.semantic=0.99")


def pool(features) -> Pool:
    ids = [f"{row:032x}" for row in range(len(features))]
    split = Split(pl.DataFrame({"sample_id": ids}), np.array(features, dtype=np.float32))
    return Pool((MemoryShard(split, ()),), len(features), split)


def test_off_unless_asked_for(tmp_path):
    assert leave_out(pool([[1, 0]] * 9), DIGITS, RunDir(tmp_path)) == frozenset()
    assert not list(tmp_path.iterdir())


def test_one_of_each_kind_stays_and_the_artifact_says_which(tmp_path):
    split = pool([[1, 0], [0, 1], [1, 0.01], [2, 0]])
    gone = leave_out(split, SEMANTICALLY, RunDir(tmp_path))
    kept = read_table(tmp_path / "ingest" / "semantic.parquet")
    assert kept.columns == SEMANTIC.names and set(kept["sample_id"]) == gone and len(gone) == 2
    assert not set(kept["kept"]) & gone and split.sample.ids[1] not in gone
    assert leave_out(pool([[1, 0]]), SEMANTICALLY, RunDir(tmp_path)) == gone  # what is there is not computed again


def in_shards(z: np.ndarray, size: int, folder: Path, sample: int) -> Pool:
    """The same rows as a streamed pool: strewn over shards of `size` rows, each sorted."""
    whole, shards = pool(z).sample, []
    order = np.random.default_rng(size).permutation(len(z))
    for start in range(0, len(z), size):
        rows = np.sort(order[start : start + size])
        part = folder / f"{size}-{start}.parquet"
        whole.table[rows].write_parquet(part)
        write_features(part.with_suffix(".features"), whole.table[rows]["sample_id"], z[rows].astype(np.float16))
        shards.append(FileShard(part, part.with_suffix(".features"), ()))
    return Pool(tuple(shards), len(z), Split(whole.table[:sample], z[:sample]))


def test_a_streamed_pool_whatever_its_shards_and_who_reads_them(tmp_path, monkeypatch, ray_cluster):
    monkeypatch.setattr(semantic, "CELL", 50)
    monkeypatch.setattr(semantic, "MAX_FIT_ROWS", 200)  # so the cells of a pool in memory are those of the sample
    rng = np.random.default_rng(0)
    z = rng.normal(size=(350, 8)) + 3 * rng.normal(size=(350, 1))
    z = np.concatenate([z, z[:50] + 0.02 * rng.normal(size=(50, 8)), np.zeros((2, 8))])[rng.permutation(402)]
    z = z.astype(np.float16).astype(np.float32)  # as it is kept
    expected = leave_out(pool(z), SEMANTICALLY, RunDir(tmp_path / "memory"))
    assert 40 <= len(expected) < 200
    kept = (tmp_path / "memory/ingest/semantic.parquet").read_bytes()
    for size, settings in ((402, "workers=0"), (37, "workers=0"), (90, "workers=2")):
        monkeypatch.setattr(stage, "BYTES", size * 8)  # some cells a task
        run_, streamed = RunDir(tmp_path / str(size)), in_shards(z, size, tmp_path, 200)
        assert leave_out(streamed, SEMANTICALLY.override(f"stream.{settings}"), run_) == expected
        assert (run_.root / "ingest/semantic.parquet").read_bytes() == kept


def test_nobody_is_asked_about_them_and_they_stay_in_the_pool(tmp_path):
    settings = ["gates.semantic=0.9", "generate.generator=none", "stop.labels=20", "train.steps=20"]
    run(DIGITS.override(*settings), tmp_path / "r")
    made = RunDir.at(tmp_path / "r")
    gone = set(read_table(made.root / "ingest" / "semantic.parquet")["sample_id"])
    assert len(gone) > 5 and gone <= set(read_table(made.root / "ingest" / "pool.parquet")["sample_id"])
    for t in range(2):
        assert not gone & set(made.round(t).read("candidates.parquet")["sample_id"])


def test_drift_is_measured_every_round_unless_switched_off(tmp_path):
    settings = ["generate.generator=none", "stop.labels=10", "train.steps=20"]
    run(DIGITS.override(*settings), tmp_path / "on")
    run(DIGITS.override(*settings, "gates.drift_rows=0"), tmp_path / "off")
    on, off = (RunDir.at(tmp_path / name) for name in ("on", "off"))
    assert on.round(1).metrics["drift"].keys() == {"shares", "pool_dataset", "pool_val", "dataset_val"}
    assert sum(on.round(1).metrics["drift"]["shares"]["val"]) > 0.99
    assert off.round(1).metrics["drift"] == {} and off.dataset_fingerprint() == on.dataset_fingerprint()
