"""What makes a run safe to kill: atomic files, one writer, the same seeds, a resume that fits."""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from adde_ray.artifacts.run_dir import (
    RunDir,
    atomic,
    derive_rng,
    derive_seed,
    fingerprint,
    locked,
    read_json,
    read_table,
    write_json,
    write_table,
)
from adde_ray.artifacts.schema import DATASET, frame, sample_id
from adde_ray.config import Config
from adde_ray.errors import UserError

CONFIG = Config.parse({"data": {"source": "digits"}})


def test_atomic_leaves_the_old_file_when_the_block_fails(tmp_path):
    path = tmp_path / "a" / "x.json"
    write_json(path, {"v": 1})
    with pytest.raises(RuntimeError), atomic(path) as temporary:
        temporary.write_text("half")
        raise RuntimeError
    assert read_json(path) == {"v": 1} and os.listdir(path.parent) == ["x.json"]


def test_tables_are_the_same_bytes_each_time(tmp_path):
    table = pl.DataFrame({"a": [1, 2], "b": [[0.5], None], "c": [b"x", b"y"]})
    for name in ("one", "two"):
        write_table(tmp_path / name, table)
    assert (tmp_path / "one").read_bytes() == (tmp_path / "two").read_bytes()
    assert read_table(tmp_path / "one").equals(table)


def test_once_computes_once(tmp_path):
    run, calls = RunDir(tmp_path), []
    for _ in range(2):
        run.once("x.parquet", lambda: calls.append(1) or pl.DataFrame({"a": [1]}))
    assert calls == [1]


def test_seeds_depend_on_scope_alone():
    assert derive_seed(0, 1, "train") == derive_seed(0, 1, "train") != derive_seed(0, 2, "train")
    assert derive_seed(1, 1, "train") != derive_seed(0, 1, "train")
    assert derive_rng(0, "x").random() == derive_rng(0, "x").random()
    assert fingerprint("ab", "c") != fingerprint("a", "bc")


def test_sample_id_is_of_the_content():
    assert sample_id("é") == sample_id("é".encode()) != sample_id("e")
    vector = np.array([1.0, 2.0])
    assert sample_id(vector) == sample_id(vector.astype(np.float32)) == sample_id(np.array([9, 1.0, 2.0])[1:])


def test_a_second_run_into_the_same_folder_is_refused(tmp_path):
    with RunDir.start(tmp_path / "r", CONFIG):
        code = (
            "from adde_ray.artifacts.run_dir import RunDir; from adde_ray.config import Config; import sys\n"
            "with RunDir.start(sys.argv[1], Config.parse({'data': {'source': 'digits'}}), resume=True): pass"
        )
        done = subprocess.run([sys.executable, "-c", code, str(tmp_path / "r")], capture_output=True, text=True)
        assert done.returncode != 0 and "another process is running here" in done.stderr


def test_a_used_folder_names_the_remedies(tmp_path):
    with RunDir.start(tmp_path / "r", CONFIG):
        pass
    with pytest.raises(UserError, match=r"--resume.*--run-dir"), RunDir.start(tmp_path / "r", CONFIG):
        pass
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "thesis.tex").write_text("precious")
    with pytest.raises(UserError, match="not empty"), RunDir.start(tmp_path / "other", CONFIG):
        pass


def test_a_run_refused_before_its_first_round_leaves_nothing_behind(tmp_path):
    with pytest.raises(UserError), RunDir.start(tmp_path / "r", CONFIG) as run:
        write_json(run.root / "ingest" / "half.json", {})
        raise UserError("bad data")
    assert not (tmp_path / "r").exists()
    with pytest.raises(UserError), RunDir.start(tmp_path / "r", CONFIG) as run:
        run.round(0).once_json("metrics.json", dict)
        raise UserError("bad answer")
    assert (tmp_path / "r" / "rounds" / "000" / "metrics.json").exists()


def test_resume_wants_the_same_config_but_not_the_same_place(tmp_path):
    with RunDir.start(tmp_path / "r", CONFIG):
        pass
    (tmp_path / "r").rename(tmp_path / "moved")
    with RunDir.start(tmp_path / "moved", CONFIG.override("run.name=moved"), resume=True):
        pass
    changed = CONFIG.override("select.alpha=0.9")
    with (
        pytest.raises(UserError, match=r"select.alpha was .* and is now 0.9"),
        RunDir.start(tmp_path / "moved", changed, resume=True),
    ):
        pass


def test_only_a_manifest_makes_a_round_done(tmp_path):
    run = RunDir(tmp_path)
    for t in range(3):
        run.round(t).once_json("metrics.json", dict)
    run.round(0).commit({"round": 0})
    run.round(1).commit({"round": 1})
    assert [r.t for r in run.rounds()] == [0, 1]


def test_dataset_is_the_union_of_parts(tmp_path):
    run = RunDir(tmp_path)
    for t in range(3):
        write_table(run.dataset_part(t), frame([{"sample_id": f"s{t}", "label": "a", "round": t}], DATASET))
    assert run.dataset(1)["sample_id"].to_list() == ["s0", "s1"] and len(run.dataset()) == 3
    before = run.dataset_fingerprint()
    assert before == run.dataset_fingerprint()
    write_table(run.dataset_part(2), frame([{"sample_id": "s2", "label": "b", "round": 2}], DATASET))
    assert run.dataset_fingerprint() != before


def test_rounds_and_parts_are_in_order_beyond_a_thousand(tmp_path):
    run = RunDir(tmp_path)
    for t in (0, 999, 1000):
        run.round(t).commit({"round": t})
        write_table(run.dataset_part(t), frame([{"sample_id": f"s{t}", "label": "a", "round": t}], DATASET))
    assert [r.t for r in run.rounds()] == run.dataset()["round"].to_list() == [0, 999, 1000]


def test_a_torn_last_event_is_passed_over(tmp_path):
    run = RunDir(tmp_path)
    run.event(event="end", round=0, stage="train", seconds=1.5)
    with (tmp_path / "events.jsonl").open("a") as file:
        file.write('{"event": "end", "seco')
    assert len(run.events()) == 1 and run.seconds() == 1.5


def test_no_run_here(tmp_path):
    with pytest.raises(UserError, match="no run here"):
        RunDir.at(tmp_path)


def test_nothing_is_kept_where_it_would_be_lost_or_could_not_be_read(tmp_path, monkeypatch):
    job = tmp_path / "runtime_resources" / "working_dir_files" / "_ray_pkg_ab"
    job.mkdir(parents=True)
    monkeypatch.chdir(job)
    for root, message in (
        (Path("runs/it"), "lies in the folder that Ray made for this job.*--run-dir"),
        (tmp_path / "caf\udce9", "caf\\\\xe9: its name is not UTF-8"),
        (tmp_path / ("x" * 300), "File name too long"),
    ):
        with pytest.raises(UserError, match=message) as error, locked(root):
            pass
        str(error.value).encode()
    assert not (job / "runs").exists()
