"""The scripts of jobs/ as their users run them: `ray job submit` to a Ray head with its job server."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
import ray_head
from ray_head import RAY

from adde_ray.artifacts.run_dir import RunDir, read_table
from adde_ray.report.summary import summarise

JOBS = Path(__file__).parents[1] / "jobs"
SMALL = [
    "--set",
    "encoder.name=pixels",
    "--set",
    "stop.labels=10",
    "--set",
    "generate.steps=20",
    "--set",
    "compare.random=false",
]


@pytest.fixture(scope="module")
def job_server():
    with ray_head.job_server() as head:
        yield head


def submit(job_server, script: str, *arguments: str) -> subprocess.CompletedProcess:
    address, env = job_server
    command = [RAY, "job", "submit", "--address", address, "--working-dir", JOBS, "--", sys.executable, script]
    return subprocess.run([*command, *arguments], env=env, capture_output=True, text=True)


def actors(job_server) -> str:
    """What the head says of the actors it has had."""
    address, env = job_server
    query = [RAY, "list", "actors", "--address", address]
    return subprocess.run(query, env=env, capture_output=True, text=True).stdout


def test_a_submitted_job_runs_to_the_end_and_resumes(job_server, tmp_path):
    folder = tmp_path / "run"
    arguments = ["run.py", "configs/digits.toml", "--run-dir", str(folder), *SMALL]
    done = submit(job_server, *arguments)
    assert done.returncode == 0 and "succeeded" in done.stdout + done.stderr, done.stdout + done.stderr
    record = summarise(RunDir.at(folder))
    assert record["status"] == "finished" and record["num_labels"] == 10
    assert RunDir.at(folder).round(0).read("synthetic.parquet").height > 0
    assert "_Actor" in actors(job_server), "generators work on the cluster the job was sent to"

    again = submit(job_server, *arguments)
    assert again.returncode != 0 and "holds a run already" in again.stdout
    assert submit(job_server, *arguments, "--resume").returncode == 0
    assert summarise(RunDir.at(folder)) == record


GRID = """
name = "grid"
seeds = 1
strategies = ["random", "margin"]
datasets = ["{config}"]
set = {{ stop.labels = 10, encoder.name = "pixels" }}
"""

SPACE = """
name = "space"
config = "{config}"
num_trials = 2
scheduler = "none"
set = {{ stop.labels = 10, generate.generator = "none", encoder.name = "pixels" }}
[space]
"select.alpha" = {{ uniform = [0.0, 1.0] }}
"""


@pytest.mark.parametrize(
    ("script", "text"), [pytest.param("ablate.py", GRID, marks=pytest.mark.slow), ("sweep.py", SPACE)]
)
def test_submitted_experiments_run_on_the_cluster_and_resume(job_server, tmp_path, script, text):
    (tmp_path / "experiment.toml").write_text(text.format(config=JOBS / "configs" / "digits.toml"))
    arguments = [script, str(tmp_path / "experiment.toml"), "--folder", str(tmp_path / "out")]
    done = submit(job_server, *arguments)
    assert done.returncode == 0 and "succeeded" in done.stdout + done.stderr, done.stdout + done.stderr
    table = read_table(tmp_path / "out" / "results.parquet")
    assert table["trial"].n_unique() == 2 and table["num_asked"].max() == 10
    written = {path: path.stat().st_mtime_ns for path in (tmp_path / "out").glob("trials/*/result.json")}
    assert submit(job_server, *arguments, "--resume").returncode == 0
    assert {path: path.stat().st_mtime_ns for path in written} == written and len(written) == 2


def test_a_job_brings_parts_of_its_own(job_server, tmp_path):
    """They lie in the job's working directory, from which the workers that synthesise import them."""
    address, env = job_server
    example = JOBS.parent / "examples" / "plugin"
    command = [RAY, "job", "submit", "--address", address, "--working-dir", example, "--", sys.executable]
    arguments = [JOBS / "run.py", "rings.toml", "--plugin", "my_lab.parts", "--run-dir", tmp_path / "run"]
    small = ["--set", "stop.labels=10", "--set", "train.steps=20", "--set", "data.rows=40"]
    done = subprocess.run([*command, *arguments, *small], env=env, capture_output=True, text=True)
    assert done.returncode == 0 and "succeeded" in done.stdout + done.stderr, done.stdout + done.stderr
    run = RunDir.at(tmp_path / "run")
    assert set(run.round(0).read("synthetic.parquet")["generator"]) == {"blend"}
    assert run.config.plugins.modules == ("my_lab.parts",)
