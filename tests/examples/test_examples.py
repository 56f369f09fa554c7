"""The scripts of examples/ as their users run them, in their quick form."""

from __future__ import annotations

import ast
import runpy
import subprocess
import sys
from pathlib import Path

import pytest
import ray_head

from adde_ray.artifacts.run_dir import RunDir
from adde_ray.report.summary import summarise

EXAMPLES = Path(__file__).parents[2] / "examples"
SCRIPTS = sorted(EXAMPLES.glob("*.py"))

pytestmark = pytest.mark.timeout(600)


@pytest.fixture
def example(monkeypatch, tmp_path, capsys):
    """Runs a script with `--quick`; gives what it printed, and the folder it was told."""

    def run(name: str, *arguments: str) -> tuple[str, Path]:
        out = tmp_path / "out"
        monkeypatch.setattr(sys, "argv", [name, "--quick", "--out", str(out), *arguments])
        runpy.run_path(str(EXAMPLES / f"{name}.py"), run_name="__main__")
        return capsys.readouterr().out, out

    return run


@pytest.mark.parametrize("path", SCRIPTS, ids=lambda path: path.stem)
def test_each_says_how_it_is_run_and_is_short(path):
    text = path.read_text()
    assert f"python examples/{path.name}" in ast.get_docstring(ast.parse(text))
    assert len(text.splitlines()) < 60


@pytest.mark.parametrize("name", ["own_images", "own_texts"])
def test_people_answer_and_the_dataset_is_exported(example, name):
    said, out = example(name)
    record = summarise(RunDir.at(out / "run"))
    assert record["status"] == "finished" and record["num_labels"] == 20
    assert set(record["answers"]) <= {"accept", "correct"} and (out / "dataset" / "croissant.json").exists()
    assert example(name)[0] == said.replace("images: 65 originals\n", ""), "a second call goes on where it stopped"


def test_a_rehearsal_ends_with_a_verdict_and_a_report(example):
    said, out = example("rehearsal")
    assert "rehearsal: " in said and "before you pay people: " in said
    assert "random" in summarise(RunDir.at(out))["baselines"] and (out / "report.html").exists()


@pytest.mark.slow
def test_an_ablation_ends_with_a_page(example, ray_cluster):
    said, out = example("ablation")
    assert "'adde': " in said and "'random': " in said
    assert (out / "results" / "compare.html").exists() and len(list((out / "results" / "trials").iterdir())) == 4


@pytest.mark.slow
def test_a_job_submits_itself(tmp_path):
    command = [sys.executable, EXAMPLES / "job.py", "--quick", "--out", tmp_path / "out", "--python", sys.executable]
    with ray_head.job_server() as (address, env):
        done = subprocess.run(command, env=env | {"RAY_ADDRESS": address}, capture_output=True, text=True)
    assert done.returncode == 0 and "succeeded" in done.stdout, done.stdout + done.stderr
    assert "macro-F1 on test by round: [" in done.stdout
    record = summarise(RunDir.at(tmp_path / "out"))
    assert record["status"] == "finished" and RunDir.at(tmp_path / "out").round(0).read("synthetic.parquet").height > 0
