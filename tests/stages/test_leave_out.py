import numpy as np
import polars as pl
import pytest

from adde_ray.config import Config
from adde_ray.errors import UserError
from adde_ray.loop import run
from adde_ray.pool import MemoryShard, Pool
from adde_ray.rundir import RunDir, read_table
from adde_ray.schema import SEMANTIC, Split
from adde_ray.stages.leave_out import leave_out

DIGITS = Config.parse({"data": {"source": "digits"}})


def pool(features, num_rows=None) -> Pool:
    ids = [f"{row:032x}" for row in range(len(features))]
    split = Split(pl.DataFrame({"sample_id": ids}), np.array(features, dtype=np.float32))
    return Pool((MemoryShard(split, ()),), num_rows or len(features), split)


def test_off_unless_asked_for(tmp_path):
    assert leave_out(pool([[1, 0]] * 9), DIGITS, RunDir(tmp_path)) == frozenset()
    assert not list(tmp_path.iterdir())


def test_one_of_each_kind_stays_and_the_artifact_says_which(tmp_path):
    config = DIGITS.override("gates.semantic=0.99")
    split = pool([[1, 0], [0, 1], [1, 0.01], [2, 0]])
    gone = leave_out(split, config, RunDir(tmp_path))
    kept = read_table(tmp_path / "ingest" / "semantic.parquet")
    assert kept.columns == SEMANTIC.names and set(kept["sample_id"]) == gone and len(gone) == 2
    assert not set(kept["kept"]) & gone and split.sample.ids[1] not in gone
    assert leave_out(pool([[1, 0]]), config, RunDir(tmp_path)) == gone  # what is there is not computed again


def test_not_for_a_pool_that_is_streamed(tmp_path):
    with pytest.raises(UserError, match=r"gates\.semantic: not for a pool that is streamed \(got 0\.9\)"):
        leave_out(pool([[1, 0]], num_rows=5), DIGITS.override("gates.semantic=0.9"), RunDir(tmp_path))


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
