"""What a person sees while a run is at work, and of a run that is there."""

from __future__ import annotations

import io
import re
import shutil

import pytest
from rich.console import Console
from small import config, rows, write

from adde_ray import progress
from adde_ray.artifacts.run_dir import MANIFEST, RunDir, read_json, write_json
from adde_ray.loop import run
from adde_ray.progress import AtWork, RoundTable, summary_table
from adde_ray.report.summary import summarise

STAGES = ["train", "analyse", "acquire", "score", "select", "review", "grow", "adapt"]


@pytest.fixture(scope="module")
def seen(tmp_path_factory) -> tuple[RunDir, list, str]:
    """A run beside random selection, what was told of its stages, and what was printed."""
    folder, stages, file = tmp_path_factory.mktemp("progress"), [], io.StringIO()
    with RoundTable(Console(file=file, width=120)) as table:

        def began(of: RunDir, stage: str, t: int | None) -> None:
            stages.append((of.root.name, stage, t))
            table.began(of, stage, t)

        made = config(write(folder / "x.parquet", rows()), compare={"random": True}, adapt={"rules": []})
        run(made, folder / "run", watch=table.add, on_stage=began)
    return RunDir.at(folder / "run"), stages, file.getvalue()


def shown(record: dict) -> str:
    console = Console(file=io.StringIO(), width=120)
    console.print(summary_table(record))
    return console.file.getvalue()


# --- while it runs -------------------------------------------------------------------------------------


def test_every_stage_is_told_as_it_begins_those_before_the_first_round_too(seen):
    _, stages, _ = seen
    assert stages[:2] == [("run", "reading", None), ("run", "embedding", None)]
    assert [stage for name, stage, t in stages if (name, t) == ("run", 0)] == STAGES
    assert stages[-2:] == [("random", "train", 2), ("random", "analyse", 2)]


def test_what_is_being_done_is_shown_with_its_seconds(monkeypatch):
    now = [100.0]
    monkeypatch.setattr(progress.time, "monotonic", lambda: now[0])
    at_work = AtWork("loading")
    assert str(at_work.__rich__()) == "loading"
    now[0] += 7.4
    assert str(at_work.__rich__()) == "loading 7 s"
    at_work.begin("ADDE, round 0: train")
    assert str(at_work.__rich__()) == "ADDE, round 0: train"


def test_a_terminal_shows_the_stage(tmp_path):
    console = Console(file=io.StringIO(), force_terminal=True, width=80)
    with RoundTable(console) as table:
        table.began(RunDir(tmp_path / "r"), "embedding", None)
        table._status._live.refresh()
        table.began(RunDir(tmp_path / "r"), "train", 3)
        table._status._live.refresh()
    told = console.file.getvalue()
    assert "embedding" in told and "ADDE, round 3: train" in told


@pytest.mark.parametrize(("seconds", "told"), [(5, ""), (75, "embedding: 75 s")])
def test_a_log_is_told_only_of_stages_that_took_long(tmp_path, monkeypatch, seconds, told):
    now = [0.0]
    monkeypatch.setattr(progress.time, "monotonic", lambda: now[0])
    console = Console(file=io.StringIO(), width=80)
    with RoundTable(console) as table:
        table.began(RunDir(tmp_path / "r"), "embedding", None)
        now[0] += seconds
        table.began(RunDir(tmp_path / "r"), "train", 0)
    assert console.file.getvalue().strip() == told


def test_adde_stands_beside_random_with_as_many_labels(seen):
    made, _, printed = seen
    head = [line for line in printed.splitlines() if "round" in line]
    assert len(head) == 2 and head[1].split()[-1] == "ADDE" and "α" not in printed
    lines = printed.splitlines()
    of_random = lines[lines.index(head[1]) + 1 :][:3]
    for line, round_ in zip(of_random, made.rounds(), strict=True):
        assert line.split()[-1] == f"{round_.metrics['test']['macro_f1']:.3f}"


def test_weights_are_told_when_they_have_moved(tmp_path, seen):
    made, _, _ = seen
    console = Console(file=io.StringIO(), width=120)
    table = RoundTable(console)
    for round_, alpha in zip(made.rounds(), (0.8, 0.78, 0.7), strict=True):
        weights = {"alpha": alpha, "beta": 0.1, "gamma": 0.1}
        table.add(round_.run, round_.metrics, round_.manifest | {"weights": weights})
    told = console.file.getvalue()
    assert told.count("α/β/γ now") == 1 and "α/β/γ now 0.70/0.10/0.10" in told


# --- a run that is there -------------------------------------------------------------------------------


def test_a_summary_has_random_beside_each_round_and_no_weights_that_stand_still(seen):
    made, _, _ = seen
    record = summarise(made)
    table = shown(record)
    assert "random" in table and "α" not in table
    for ours, random in zip(record["rounds"], record["baselines"]["random"]["rounds"], strict=True):
        row = rf"^ *{ours['round']} +{ours['num_labels']} .* {random['test']['macro_f1']:.3f} *$"
        assert re.search(row, table, flags=re.MULTILINE)
    record["rounds"][1]["weights"] = {"alpha": 0.5, "beta": 0.1, "gamma": 0.1}
    assert "0.50/0.10/0.10" in shown(record)


@pytest.mark.parametrize("t", [0, 1])
def test_a_round_that_is_not_done_shows_what_is_known_of_it(seen, tmp_path, t):
    made, _, _ = seen
    copy = tmp_path / "copy"
    shutil.copytree(made.root, copy)
    shutil.rmtree(copy / "baselines")
    for later in (1, 2):
        if later > t:
            shutil.rmtree(copy / "rounds" / f"{later:03d}")
            (copy / "dataset" / f"round-{later:03d}.parquet").unlink()
    (copy / "rounds" / f"{t:03d}" / MANIFEST).unlink()
    record = summarise(RunDir(copy))  # as it was then, whatever its ledger says of later
    assert record["num_rounds"] == len(record["rounds"]) == t and record["status"] == "running"
    under_way, metrics = record["under_way"], made.round(t).metrics
    assert under_way["round"] == t and under_way["test"] == metrics["test"]
    assert under_way["weights"] == made.round(t).manifest["weights"]
    assert f"{metrics['test']['macro_f1']:.3f}" in shown(record)


def test_a_run_that_is_over_or_has_measured_nothing_has_no_round_under_way(seen, tmp_path):
    made, _, _ = seen
    assert summarise(made)["under_way"] is None
    write_json(tmp_path / "config.json", read_json(made.root / "config.json"))
    assert summarise(RunDir.at(tmp_path))["under_way"] is None
