"""Kill a run anywhere, resume it, and it ends as one that was never killed. Real processes, real SIGKILL."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from adde_ray.artifacts.run_dir import RunDir
from adde_ray.report.summary import summarise

CONFIG = Path(__file__).parents[1] / "jobs" / "configs" / "digits.toml"
SMALL = [
    "encoder.name=pixels",
    "stop.labels=30",
    "generate.steps=30",
    "generate.per_round=8",
    "train.steps=40",
    "compare.random=true",
]

# Runs `adde run` and sends itself SIGKILL at the first rename whose target ends with a given name in a given
# round or later: everything the step computed is there in memory and in a temporary file, and nothing of it shows.
KILLER = """
import os, re, signal, sys
name, least_round = sys.argv[1], int(sys.argv[2])
rename = os.replace
def replace(source, target):
    found = re.search(r"rounds/(\\d+)/", str(target)) or re.search(r"dataset/round-(\\d+)", str(target))
    if str(target).endswith(name) and (int(found[1]) if found else 0) >= least_round:
        os.kill(os.getpid(), signal.SIGKILL)
    rename(source, target)
os.replace = replace
from adde_ray.cli import app
app(["run", *sys.argv[3:]])
"""

POINTS = [  # (the artifact that was about to appear, in this round or later)
    ("config.json", 0),
    ("ingest/pool.parquet", 0),
    ("ingest/meta.json", 0),
    ("encoder.json", 0),
    ("val-noise-3.parquet", 0),
    ("dataset/round-000.parquet", 0),
    ("model.safetensors", 0),
    ("gaps.parquet", 0),
    ("metrics.json", 1),
    ("synthetic.parquet", 1),
    ("query.parquet", 1),
    ("decisions.parquet", 1),
    ("dataset/round-002.parquet", 2),
    ("manifest.json", 1),
    ("model.json", 2),
    ("manifest.json", 3),
]


@pytest.fixture(scope="module")
def on_the_shared_cluster(ray_cluster):
    """The environment that makes a subprocess join the tests' Ray instead of starting its own."""
    import ray

    return {**os.environ, "RAY_ADDRESS": ray.get_runtime_context().gcs_address}


def arguments(folder: Path, *more: str) -> list[str]:
    return [str(CONFIG), "--run-dir", str(folder), *(x for s in SMALL for x in ("--set", s)), *more]


def resume_if_begun(folder: Path) -> list[str]:
    return ["--resume"] if (folder / "config.json").exists() else []


def complete(folder: Path, env: dict, *more: str) -> dict:
    done = subprocess.run(
        [sys.executable, "-m", "adde_ray.cli", "run", *arguments(folder, *more)],
        env=env,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return told(folder)


def told(folder: Path) -> dict:
    """What must not depend on having been killed: all of the summary but the folder's name and the seconds."""

    def strip(record: dict) -> dict:
        rounds = [{k: v for k, v in r.items() if k != "seconds"} for r in record["rounds"]]
        beside = {name: strip(r) for name, r in record.get("baselines", {}).items()}
        return {**record, "run": "", "rounds": rounds, "baselines": beside}

    return strip(summarise(RunDir.at(folder)))


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory, on_the_shared_cluster) -> tuple[Path, dict]:
    folder = tmp_path_factory.mktemp("runs") / "undisturbed"
    return folder, complete(folder, on_the_shared_cluster)


def artifacts(folder: Path) -> dict[str, bytes]:
    """Every artifact's bytes, but those that hold times or the command."""
    skipped = {"events.jsonl", "provenance.json", "config.json", ".lock"}
    return {
        str(p.relative_to(folder)): p.read_bytes() for p in folder.rglob("*") if p.is_file() and p.name not in skipped
    }


@pytest.mark.timeout(600)
@pytest.mark.parametrize(
    "points", [pytest.param(POINTS, id="every", marks=pytest.mark.slow), pytest.param(POINTS[1::3], id="some")]
)
def test_killed_before_artifacts_of_each_kind(tmp_path, undisturbed, on_the_shared_cluster, points):
    folder = tmp_path / "killed"
    for name, least_round in points:
        done = subprocess.run(
            [sys.executable, "-c", KILLER, name, str(least_round), *arguments(folder, *resume_if_begun(folder))],
            env=on_the_shared_cluster, capture_output=True, text=True,
        )  # fmt: skip
        assert done.returncode == -signal.SIGKILL, f"{name}: {done.returncode}\n{done.stdout}\n{done.stderr}"
    assert complete(folder, on_the_shared_cluster, "--resume") == undisturbed[1]
    assert artifacts(folder) == artifacts(undisturbed[0])


@pytest.mark.timeout(600)
def test_killed_while_a_stage_is_at_work(tmp_path, undisturbed, on_the_shared_cluster):
    folder = tmp_path / "killed"
    for stage, wait in (("train", 0.02), ("acquire", 0.05), ("select", 0.0)):
        process = subprocess.Popen(
            [sys.executable, "-m", "adde_ray.cli", "run", *arguments(folder, *resume_if_begun(folder))],
            env=on_the_shared_cluster, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        )  # fmt: skip
        already = len(RunDir(folder).events())
        await_event(folder, stage, already, process)
        time.sleep(wait)
        process.kill()
        assert process.wait() == -signal.SIGKILL
    assert complete(folder, on_the_shared_cluster, "--resume") == undisturbed[1]
    assert artifacts(folder) == artifacts(undisturbed[0])


def await_event(folder: Path, stage: str, already: int, process: subprocess.Popen) -> None:
    """Return as soon as `stage` has begun in this process."""
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline and process.poll() is None:
        new = RunDir(folder).events()[already:]
        if any(e["event"] == "start" and e["stage"] == stage for e in new):
            return
        time.sleep(0.005)
    raise AssertionError(f"{stage} never began")


def test_resuming_a_finished_run_changes_nothing(undisturbed, on_the_shared_cluster):
    folder, before = undisturbed
    bytes_before = artifacts(folder)
    assert complete(folder, on_the_shared_cluster, "--resume") == before
    assert artifacts(folder) == bytes_before


def test_the_same_seed_gives_the_same_dataset_and_another_seed_another(tmp_path, undisturbed, on_the_shared_cluster):
    again = complete(tmp_path / "again", on_the_shared_cluster)
    other = complete(tmp_path / "other", on_the_shared_cluster, "--set", "run.seed=1")
    assert again["dataset_fingerprint"] == undisturbed[1]["dataset_fingerprint"] != other["dataset_fingerprint"]
    assert json.dumps(again) == json.dumps(undisturbed[1])
