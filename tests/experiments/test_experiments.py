"""Whole experiments on real parts: what they leave behind, what fails alone, what a kill costs."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import polars as pl
import psutil
import pytest
import ray
import small
from polars.testing import assert_frame_equal
from typer.testing import CliRunner

from adde_ray.artifacts.run_dir import RunDir, read_json
from adde_ray.artifacts.schema import RESULT_KEYS
from adde_ray.cli import app
from adde_ray.errors import UserError
from adde_ray.experiments import tuning
from adde_ray.experiments.conduct import ablate, sweep
from adde_ray.experiments.trial import Trial, flat, prepare_data
from adde_ray.loop import run
from adde_ray.report.summary import summarise

DIGITS = Path(__file__).parents[2] / "jobs" / "configs" / "digits.toml"
TINY = ("encoder.name=pixels", "stop.labels=20", "train.steps=40", "generate.steps=30", "generate.per_round=8")

pytestmark = pytest.mark.timeout(600)


def write_grid(folder: Path, *strategies: str, seeds: int = 2, config: Path = DIGITS) -> Path:
    path = folder / "grid.toml"
    path.write_text(f'name = "g"\nseeds = {seeds}\nstrategies = {list(strategies)}\ndatasets = ["{config}"]\n')
    return path


def write_blobs(folder: Path) -> Path:
    """A run on small vectors: four rounds of five labels."""
    small.write(folder / "blobs.parquet", small.rows())
    path = folder / "blobs.toml"
    path.write_text(
        '[data]\nsource = "table"\npath = "blobs.parquet"\nvector_column = "vector"\nsplit_column = "split"\n'
        '[generate]\ngenerator = "none"\n[train]\nsteps = 20\n[select]\nbatch = 5\n[stop]\nlabels = 20\n'
    )
    return path


@pytest.fixture(scope="module")
def ablation(tmp_path_factory, ray_cluster) -> tuple[Path, dict]:
    """Two strategies and two seeds on the digits."""
    folder = tmp_path_factory.mktemp("ablation")
    return folder, ablate(write_grid(folder, "adde", "random"), folder=folder / "e", overrides=TINY)


def table(folder: Path) -> pl.DataFrame:
    return pl.read_parquet(folder / "e" / "results.parquet")


def test_a_row_for_each_round_of_each_trial_with_every_figure(ablation):
    folder, record = ablation
    rows = table(folder)
    assert record["failures"] == {} and record["trials"] == 4 and set(record["means"]) == {"adde", "random"}
    assert len(record["verdict"]) == 1 and "macro-F1 on test, 2 seeds" in record["verdict"][0]
    assert rows.select("trial", "round").is_unique().all() and len(rows) == 12
    assert (
        list(rows.columns[: len(RESULT_KEYS)]) == list(RESULT_KEYS)
        and rows.select(list(RESULT_KEYS)).null_count().sum_horizontal()[0] == 0
    )
    assert rows["num_labels"].to_list() == [0, 10, 20] * 4
    for row in rows.iter_rows(named=True):
        kept = RunDir.at(folder / "e" / "trials" / row["trial"]).round(row["round"])
        told = flat(kept.metrics)
        assert {name: row[name] for name in told} == told and len(told) > 30
        assert row["weights.alpha"] == kept.manifest["weights"]["alpha"] and row["seconds"] > 0
    final = rows.filter(round=2).group_by("strategy").agg(pl.col("test.macro_f1").mean())
    assert record["means"] == pytest.approx(dict(final.iter_rows()))


def test_a_trial_is_the_run_it_stands_for(ablation, tmp_path, ray_cluster):
    folder, _ = ablation
    for name, seed in (("adde", 1), ("random", 0)):
        trial = folder / "e" / "trials" / f"digits-{name}-{seed}"
        kept = RunDir.at(trial)
        config = kept.config.override("generate.actors=1")  # where the work is done is no part of what comes out
        record = run(config, tmp_path / name)
        assert record["dataset_fingerprint"] == read_json(trial / "result.json")["dataset_fingerprint"]
        assert record["rounds"][-1]["test"] == kept.round(2).metrics["test"]
        assert record["status"] == summarise(kept)["status"] == "finished"


def test_trials_share_their_data_and_can_be_looked_at_as_runs(ablation):
    folder, _ = ablation
    assert {p.name for p in (folder / "e" / "data").iterdir()} == {"digits-0", "digits-1"}
    for path in (folder / "e" / "trials").iterdir():
        seed = path.name.rsplit("-", 1)[1]
        for part in ("ingest", "embeddings"):
            assert os.readlink(path / part) == f"../../data/digits-{seed}/{part}"
    trial = folder / "e" / "trials" / "digits-adde-0"
    assert (folder / "e" / "experiment.json").exists() and not (folder / "e" / "tune").exists()
    for command in (["report", str(trial)], ["export", str(trial), "--out", str(folder / "dataset")]):
        done = CliRunner().invoke(app, command)
        assert done.exit_code == 0, done.output
    (trial / "report.html").unlink()


def test_a_worker_unpacks_a_dataset_once(ablation, ray_cluster, monkeypatch):
    folder = ablation[0] / "e"
    config = RunDir.at(folder / "trials" / "digits-adde-0").config
    bases = [config, config.override("run.seed=1")]
    trials = [Trial.of(f"{name}-{seed}", "digits", name, bases[seed], bases[seed]) for seed in (0, 1) for name in "ab"]
    held, got = [ray.put(prepare_data(trials[row], folder)) for row in (0, 2)], []
    monkeypatch.setattr(tuning, "_held", type(tuning._held)())
    monkeypatch.setattr(tuning.ray, "get", lambda ref, get=ray.get: got.append(ref) or get(ref))
    shared = [tuning._shared(held[trial.seed], trial, folder) for trial in trials]
    assert got == held and shared[0] is shared[1] is not shared[2]
    same, others = "select.alpha=0.9", ("clustering.dims=4", "measure.regions=3", "diversity.class_target={0=0.3}")
    assert shared[0].spaces(config) is shared[0].spaces(config.override(same))
    assert all(shared[0].spaces(config) is not shared[0].spaces(config.override(other)) for other in others)
    assert shared[0].annotator(config) is shared[0].annotator(config.override(same))
    assert shared[0].annotator(config) is not shared[0].annotator(config.override("review.error_rate=0.1"))


def test_a_resume_adds_trials_and_repeats_none_and_one_that_fails_leaves_the_rest(tmp_path, ray_cluster):
    config, folder = write_blobs(tmp_path), tmp_path / "e"
    grid = write_grid(tmp_path, "random", seeds=1, config=config)
    done = CliRunner().invoke(app, ["ablate", str(grid), "--folder", str(folder)])
    assert done.exit_code == 0 and "1/1 blobs-random-0" in done.output, done.output
    assert "the only strategy: random, final macro-F1 " in done.output
    assert f"next: adde compare {folder}" in done.output.replace("\n", "")
    with pytest.raises(UserError, match=r"holds an experiment already\. .*--resume"):
        ablate(grid, folder=folder)
    result = folder / "trials" / "blobs-random-0" / "result.json"
    written = result.stat().st_mtime_ns

    stray = folder / "trials" / "blobs-margin-1" / "notes.txt"
    stray.parent.mkdir()
    stray.write_text("mine")
    more = write_grid(tmp_path, "random", "margin", seeds=2, config=config)
    second = ablate(more, folder=folder, resume=True)
    [(name, reason)] = second["failures"].items()
    assert name == "blobs-margin-1" and "is not empty and holds no run" in reason and "\n" not in reason
    assert json.loads((folder / "failures.json").read_text()) == [{"trial": name, "reason": reason}]
    assert "is not empty" in (folder / "failures" / f"{name}.txt").read_text()
    assert table(tmp_path)["trial"].unique().sort().to_list() == ["blobs-margin-0", "blobs-random-0", "blobs-random-1"]
    assert stray.read_text() == "mine"

    stray.unlink()
    third = ablate(more, folder=folder, resume=True)
    assert third["failures"] == {} and not (folder / "failures.json").exists() and not (folder / "failures").exists()
    assert len(table(tmp_path)) == 20 and result.stat().st_mtime_ns == written
    with pytest.raises(UserError, match=r"trial blobs-random-0 was another: select\.alpha was 0\.8 and is now 0\.5"):
        ablate(more, folder=folder, resume=True, overrides=["select.alpha=0.5"])


@pytest.mark.slow
def test_a_trial_whose_worker_dies_goes_on_in_another(tmp_path, ray_cluster):
    config, folder = write_blobs(tmp_path), tmp_path / "e"
    grid = write_grid(tmp_path, "margin", seeds=1, config=config)
    killed = []

    def kill() -> None:
        """The worker, between two rounds of many."""
        deadline, workers = time.monotonic() + 240, []
        while time.monotonic() < deadline and not killed:
            if not workers:
                own = psutil.Process().children(recursive=True)  # this test's own Ray
                with contextlib.suppress(psutil.Error):
                    workers = [p for p in own if "Trainable" in "".join(p.cmdline()[:1])]
            elif list(folder.glob("trials/*/rounds/001/manifest.json")):
                for process in workers:
                    process.kill()
                    killed.append(process.pid)
            time.sleep(0.005)

    thread = threading.Thread(target=kill)
    thread.start()
    record = ablate(grid, folder=folder, overrides=("stop.labels=40", "select.batch=1"))
    thread.join()
    assert killed and record["failures"] == {} and len(table(tmp_path)) == 41
    trial = folder / "trials" / "blobs-margin-0"
    whole = run(RunDir.at(trial).config, tmp_path / "whole")
    assert whole["dataset_fingerprint"] == read_json(trial / "result.json")["dataset_fingerprint"]


def test_data_that_is_refused_leaves_nothing(tmp_path, ray_cluster):
    config = write_blobs(tmp_path)
    (tmp_path / "blobs.parquet").unlink()
    grid = write_grid(tmp_path, "random", config=config)
    done = CliRunner().invoke(app, ["ablate", str(grid), "--folder", str(tmp_path / "e")])
    assert done.exit_code == 2 and "blobs.parquet" in done.output and not (tmp_path / "e").exists()


# --- sweeps -----------------------------------------------------------------------------------------------

SWEEP = """
name = "s"
config = "blobs.toml"
strategy = "no_synthesis"
num_trials = 8
first_rung = 1
keep = 2.0
concurrency = 2
[space]
"select.alpha" = {uniform = [0, 1]}
"train.steps" = {randint = [1, 20]}
"adapt.rules" = {choice = [["reweigh"], []]}
"""


def write_sweep(folder: Path) -> Path:
    blobs = write_blobs(folder)
    # A network that is trained for a step or two does badly; a linear head would not.
    blobs.write_text(blobs.read_text().replace("steps = 20\n", 'steps = 20\nlearner = "mlp"\nlr = 0.002\n'))
    (folder / "space.toml").write_text(SWEEP)
    return folder / "space.toml"


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory, ray_cluster) -> tuple[Path, dict]:
    folder = tmp_path_factory.mktemp("sweep")
    return folder, sweep(write_sweep(folder), folder=folder / "e")


def test_a_sweep_stops_what_does_badly_and_names_the_best(undisturbed):
    folder, record = undisturbed
    rows = table(folder)
    lengths = dict(rows.group_by("trial").len().iter_rows())
    results = {p.parent.name: read_json(p) for p in (folder / "e" / "trials").glob("*/result.json")}
    stopped = [name for name, result in results.items() if result["status"] == "stopped"]
    assert len(results) == 8 and 0 < len(stopped) == record["stopped"] < 8
    assert all(lengths[name] < 5 if name in stopped else lengths[name] == 5 for name in results)
    means = rows.group_by("trial").agg(pl.col("val.macro_f1").mean())
    finished = {name: value for name, value in means.iter_rows() if name not in stopped}
    assert record["best"]["value"] == pytest.approx(max(finished.values()))
    assert record["best"]["config"] == results[record["best"]["trial"]]["config"]
    for name, result in results.items():
        config = RunDir.at(folder / "e" / "trials" / name).config
        row = rows.filter(trial=name, round=0).row(0, named=True)
        assert row["config.select.alpha"] == result["config"]["select.alpha"] == config.select.alpha
        assert row["config.train.steps"] == config.train.steps
        assert row["config.adapt.rules"] == ('["reweigh"]' if config.adapt.rules else "[]")


def finished(folder: Path) -> dict[str, int]:
    """When the result of each trial that was run to its end was written."""
    results = folder.glob("trials/*/result.json")
    return {p.parent.name: p.stat().st_mtime_ns for p in results if read_json(p)["status"] == "finished"}


@pytest.mark.slow
def test_killed_and_resumed_a_sweep_repeats_nothing_and_ends_the_same(tmp_path, undisturbed):
    path, folder = write_sweep(tmp_path), tmp_path / "e"
    # A trial that ends while the fate of those before it is open may yet be found worse, and is then written again.
    to_the_end = finished(undisturbed[1]["folder"]).keys()
    process = subprocess.Popen(
        [sys.executable, "-m", "adde_ray.cli", "sweep", str(path), "--folder", str(folder)],
        env={**os.environ, "RAY_ADDRESS": ray.get_runtime_context().gcs_address},
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    deadline = time.monotonic() + 240
    while not (kept := {name: t for name, t in finished(folder).items() if name in to_the_end}):
        assert process.poll() is None and time.monotonic() < deadline, "no trial was finished"
        time.sleep(0.01)
    process.send_signal(signal.SIGKILL)
    assert process.wait() == -signal.SIGKILL
    assert not (folder / "results.parquet").exists()

    record = sweep(path, folder=folder, resume=True)
    assert record["best"] == undisturbed[1]["best"] and record["stopped"] == undisturbed[1]["stopped"]
    assert_frame_equal(table(tmp_path).drop("seconds"), table(undisturbed[0]).drop("seconds"))
    again = finished(folder)
    assert again.keys() == to_the_end and kept.items() <= again.items()
    assert sweep(path, folder=folder, resume=True)["best"] == record["best"]
    assert finished(folder) == again


def test_an_unknown_figure_lists_those_there_are():
    metrics = {"round": 0, "val": {"macro_f1": 0.5, "recall": {"a": 1}}}
    assert tuning._figure(metrics, "val.recall.a") == 1
    with pytest.raises(UserError, match=r"no such figure .*val\.macro_f1, val\.recall\.a\.$"):
        tuning._figure(metrics, "val.f1")
