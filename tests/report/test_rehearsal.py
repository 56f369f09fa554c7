"""What a run with random selection beside it comes to, in the terminal and in the report."""

import shutil

import numpy as np
import pytest
from pages import Page
from small import blobs, config, write

from adde_ray.artifacts.run_dir import MODEL, RunDir, read_json, write_json
from adde_ray.cli import _tell
from adde_ray.loop import run
from adde_ray.report import tables, write_report
from adde_ray.report.read import read_run_record
from adde_ray.report.rehearsal import rehearsal
from adde_ray.report.summary import summarise


@pytest.fixture(scope="module")
def rehearsed(tmp_path_factory) -> RunDir:
    """A run whose classes overlap, so that nobody is right of everything."""
    folder = tmp_path_factory.mktemp("rehearsed")
    rng = np.random.default_rng(0)
    rows = [row for split, n in {"seed": 9, "pool": 60, "val": 30, "test": 60}.items() for row in blobs(split, n)]
    for row in rows:
        row["vector"] = (np.array(row["vector"]) + rng.normal(size=4) * 3).tolist()
    path = write(folder / "rows.parquet", rows)
    run(config(path, compare={"random": True}), folder / "run")
    return RunDir.at(folder / "run")


def test_its_figures_are_those_the_rounds_reported(rehearsed):
    found, last = rehearsal(rehearsed), rehearsed.rounds()[-1].metrics
    random = RunDir.at(rehearsed.root / "baselines" / "random").rounds()[-1].metrics
    assert found.split == "test" and found.ours == last["test"]["macro_f1"]
    assert found.found.mean == pytest.approx(last["test"]["macro_f1"] - random["test"]["macro_f1"], abs=2e-6)
    label, ours, theirs = found.worst
    assert ours == last["test"]["worst_class_recall"] == last["test"]["recall"][label]
    assert theirs == random["test"]["recall"][label]
    assert rehearsal(rehearsed) == found  # the same whenever it is asked for


def test_the_end_says_who_is_ahead_whether_it_is_noise_the_worst_class_and_what_to_try(rehearsed, capsys):
    _tell(summarise(rehearsed), rehearsed.root)
    told = capsys.readouterr().out
    assert "rehearsal: no difference beyond noise between ADDE (" in told
    assert "in macro-F1 on test: " in told and "judged by its 60 rows" in told
    assert "worst class: " in told and "; with random selection 0." in told
    assert "before you pay people: compare adde, random, typiclust" in told
    assert told.index("rehearsal: ") < told.index("next: ")


def test_the_report_says_the_same_with_random_beside_each_figure(rehearsed, tmp_path):
    page = Page(write_report(rehearsed, tmp_path / "report.html").read_text()).text
    for line in rehearsal(rehearsed).lines:
        assert line[1:] in " ".join(page.split())
    random = RunDir.at(rehearsed.root / "baselines" / "random").rounds()[-1].metrics["test"]
    tile = next(t for t in tables.key_figures(read_run_record(rehearsed)) if t["name"] == "worst class's recall, test")
    assert tile["beside"] == f"random: {random['worst_class_recall']:.3f}"


def test_a_figure_that_fell_says_so_by_arrow_and_colour(tmp_path, rehearsed):
    record = read_run_record(rehearsed)
    first, last, random = (m["test"] for m in (record.rounds[0].metrics, record.last.metrics, record.random[-1]))
    first["worst_class_recall"], last["worst_class_recall"], random["worst_class_recall"] = 0.4, 0.067, 0.4
    tile = next(t for t in tables.key_figures(record) if t["name"] == "worst class's recall, test")
    assert tile | {"name": ""} == {
        "name": "", "value": "0.067", "note": "▼ from 0.400", "trend": "worse", "beside": "random: 0.400",
        "against": "worse",
    }  # fmt: skip
    last["worst_class_recall"] = 0.4
    tile = next(t for t in tables.key_figures(record) if t["name"] == "worst class's recall, test")
    assert tile["note"] == "from 0.400" and tile["trend"] == tile["against"] == ""


def test_without_random_beside_it_or_a_model_there_is_no_verdict(rehearsed, tmp_path):
    copy = tmp_path / "copy"
    shutil.copytree(rehearsed.root, copy)
    (copy / "baselines" / "random" / "rounds" / "002" / MODEL).unlink()
    assert rehearsal(RunDir(copy)) is None
    shutil.copytree(rehearsed.root, copy, dirs_exist_ok=True)
    assert rehearsal(RunDir(copy)) is not None
    shutil.rmtree(copy / "embeddings")  # a link into a cache that is gone
    assert rehearsal(RunDir(copy)) is None
    shutil.copytree(rehearsed.root, copy, dirs_exist_ok=True)
    shutil.rmtree(copy / "baselines")
    assert rehearsal(RunDir(copy)) is None


@pytest.mark.parametrize(("ours", "random", "says"), [(0.067, 0.4, True), (0.1, 0.1, True), (0.6, 0.65, False)])
def test_a_class_that_is_hardly_found_needs_examples(rehearsed, tmp_path, ours, random, says):
    copy = tmp_path / "copy"
    shutil.copytree(rehearsed.root, copy)
    for root, recall in ((copy, ours), (copy / "baselines" / "random", random)):
        path = root / "rounds" / "002" / "metrics.json"
        metrics = read_json(path)
        metrics["test"]["recall"] = {"a": recall, "b": 0.9, "c": 0.9}
        write_json(path, metrics)
    found = rehearsal(RunDir(copy))
    assert found.worst == ("a", ours, random)
    assert ("put more examples of a into the seed set" in found.advice) == says


@pytest.mark.parametrize(
    ("error_rate", "says"), [(0.0, False), (0.2, True), ({"a": 0.3}, True)], ids=["right", "wrong", "wrong by class"]
)
def test_wrong_answers_call_for_a_choice_of_losses(rehearsed, tmp_path, error_rate, says):
    copy = tmp_path / "copy"
    shutil.copytree(rehearsed.root, copy)
    kept = read_json(copy / "config.json")
    kept["review"]["error_rate"] = error_rate
    write_json(copy / "config.json", kept)
    assert ("train.robustness = [0, 0.5]" in rehearsal(RunDir(copy)).advice) == says
