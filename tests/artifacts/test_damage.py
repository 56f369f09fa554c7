"""Damage is seen: whatever is missing or changed in a run is named, or made again to the same bytes.

All cases, more than a thousand, are `python tests/helpers/damaging.py`; here is every so manieth of them.
"""

from __future__ import annotations

import errno
import json
import os
import shutil
from pathlib import Path

import damaging
import pytest
from damaging import COMMANDS, Subject, answer, flip, outcomes, remove, truncate
from small import config, rows, tree, write
from typer.testing import CliRunner

from adde_ray import cli
from adde_ray.artifacts import damage
from adde_ray.artifacts.run_dir import RunDir, read_json, write_json
from adde_ray.config import Config
from adde_ray.errors import Halted, UserError
from adde_ray.experiments.compare import compare
from adde_ray.experiments.folder import ExperimentDir
from adde_ray.experiments.trial import Shared, Trial, prepare_data, run_trial
from adde_ray.export import export
from adde_ray.loop import run
from adde_ray.report import write_report
from adde_ray.report.read import read_run_record
from adde_ray.report.summary import summarise
from adde_ray.verify import verify

FIXTURES = Path(__file__).parents[1] / "fixtures" / "first-release"


@pytest.fixture(scope="module")
def made(tmp_path_factory) -> dict[str, Subject]:
    """A finished run and one that waits for people; not to be changed."""
    return {make.__name__: make(tmp_path_factory.mktemp("runs")) for make in (damaging.finished, damaging.half_done)}


@pytest.fixture
def finished(made, tmp_path) -> Subject:
    return copied(made["finished"], tmp_path)


@pytest.fixture
def half_done(made, tmp_path) -> Subject:
    return copied(made["half_done"], tmp_path)


def copied(subject: Subject, folder: Path) -> Subject:
    shutil.copytree(subject.root, folder / "run")
    return subject._replace(root=folder / "run")


def contents(folder: Path) -> dict[str, bytes]:
    names = damaging.NO_ARTIFACT
    return {
        str(p.relative_to(folder)): p.read_bytes() for p in folder.rglob("*") if p.is_file() and p.name not in names
    }


# --- seen ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("name", "every"), [("finished", 37), ("half_done", 23)])
def test_every_damage_is_named_or_made_again_to_the_same_bytes(made, tmp_path, name, every):
    counts, wrong = outcomes(copied(made[name], tmp_path), every)
    assert wrong == [] and counts["named"] > 15


@pytest.mark.parametrize("folders", [["001"], ["002"], ["001", "002"], ["000", "001", "002"]])
@pytest.mark.parametrize("command", ["summary", "report", "export"])
def test_rounds_removed_by_hand_are_noticed(finished, folders, command):
    for name in folders:
        shutil.rmtree(finished.root / "rounds" / name)
    with pytest.raises(Halted, match=rf"rounds/{folders[0]}.*is missing.*verify .* --repair"):
        COMMANDS[command](finished)


def test_a_resume_makes_removed_rounds_again_unless_parts_of_the_dataset_are_left(finished):
    before = contents(finished.root)
    for name in ("001", "002"):
        shutil.rmtree(finished.root / "rounds" / name)
    with pytest.raises(Halted, match=r"dataset/round-002.parquet.*left over"):
        run(finished.config, finished.root, resume=True)
    (finished.root / "dataset/round-002.parquet").unlink()
    run(finished.config, finished.root, resume=True)
    assert contents(finished.root) == before


def test_answers_of_people_are_never_made_again(half_done):
    flip(half_done.root / "rounds/000/decisions.parquet", half_done)
    with pytest.raises(Halted, match=r"rounds/000/decisions.parquet: was changed"):
        run(half_done.config, half_done.root, resume=True)


def test_a_round_of_another_run_is_noticed_even_without_a_ledger(finished):
    shutil.rmtree(finished.root / "rounds/001")
    shutil.copytree(finished.foreign / "rounds/001", finished.root / "rounds/001")
    shutil.copy(finished.foreign / "dataset/round-002.parquet", finished.root / "dataset")
    (finished.root / "digests.txt").unlink()
    found = {d.file: d.what for d in damage.find(finished.root)}
    assert "another run" in found["rounds/001/manifest.json"] and found["digests.txt"] == "is missing"


def test_another_name_for_the_same_thing_says_what_it_is(finished):
    shutil.copy(finished.root / "rounds/000/metrics.json", finished.root / "rounds/001/metrics.json")
    [found] = damage.find(finished.root)
    assert found == ("rounds/001/metrics.json", "was changed: it is rounds/000/metrics.json")


def test_a_seed_changed_in_the_config_is_noticed_and_mended_by_the_config_file(finished):
    before = contents(finished.root)
    path = finished.root / "config.json"
    path.write_text(path.read_text().replace('"seed": 0', '"seed": 1'))
    with pytest.raises(UserError, match=r"config.json: was changed"):
        RunDir.at(finished.root)
    run(finished.config, finished.root, resume=True)
    assert contents(finished.root) == before


def test_a_killed_run_is_not_damaged(tmp_path, monkeypatch):
    """Before and after every rename, what is there is whole."""
    root, rename, seen = tmp_path / "run", os.replace, []

    def watched(source, target):
        seen.append(damage.find(root) if str(root) in str(target) else [])
        rename(source, target)
        seen.append(damage.find(root) if str(root) in str(target) else [])

    monkeypatch.setattr(os, "replace", watched)
    run(config(write(tmp_path / "data.parquet", rows())), root)
    assert len(seen) > 60 and not any(seen)


# --- verified and repaired -----------------------------------------------------------------------------


@pytest.mark.parametrize("do", [remove, truncate, flip])
def test_verify_lists_all_damage_and_repairs_it(finished, do):
    before = contents(finished.root)
    names = [
        "dataset/round-000.parquet", "ingest/pool.parquet", "ingest/meta.json", "rounds/000/query.parquet",
        "rounds/001/manifest.json", "rounds/001/decisions.parquet", "dataset/round-002.parquet",
        "rounds/002/model/model.safetensors", "baselines/random/rounds/001/gaps.parquet",
    ]  # fmt: skip
    names += [p.relative_to(finished.root).as_posix() for p in finished.root.glob("embeddings/*/*e*.parquet")]
    for name in names:
        do(finished.root / name, finished)
    assert {f.file for f in verify(finished.root).findings} >= set(names)
    assert all(f.mended for f in verify(finished.root, repair=True).findings)
    assert contents(finished.root) == before and not verify(finished.root).findings


def test_removed_rounds_are_made_again_in_the_middle_too(finished):
    before = contents(finished.root)
    for name in ("000", "001"):
        shutil.rmtree(finished.root / "rounds" / name)
    verify(finished.root, repair=True)
    assert contents(finished.root) == before


def test_what_does_not_come_out_the_same_stays_as_it_is(made, tmp_path):
    """The data has changed since."""
    subject = copied(made["finished"], tmp_path)
    data = write(tmp_path / "data.parquet", rows(seed=7))
    path = subject.root / "config.json"
    path.write_text(path.read_text().replace(str(subject.config.data.path), str(data)))
    shutil.rmtree(subject.root / "baselines")
    for name in ("digests.txt", "provenance.json"):  # which hold the config's own digest
        (subject.root / name).unlink()
    truncate(subject.root / "ingest/val.parquet", subject)
    damaged = contents(subject.root)["ingest/val.parquet"]
    [found] = [f for f in verify(subject.root, repair=True).findings if not f.mended]
    assert found.file == "ingest/val.parquet" and "made again it differs" in found.remedy
    assert contents(subject.root)["ingest/val.parquet"] == damaged and not (subject.root / ".repair").exists()


def test_decisions_come_back_from_review_csv_or_are_told_as_lost(half_done):
    before = contents(half_done.root)
    name = "rounds/000/decisions.parquet"
    remove(half_done.root / name, half_done)
    assert "review.csv" in verify(half_done.root).findings[0].remedy
    verify(half_done.root, repair=True)
    assert contents(half_done.root) == before
    for lost in (name, "rounds/000/review.csv"):
        remove(half_done.root / lost, half_done)
    [found] = verify(half_done.root, repair=True).findings
    assert found.file == name and not found.mended and "answers of people" in found.remedy


@pytest.mark.parametrize("do", [remove, truncate, flip])
def test_the_ledger_is_written_again(half_done, do):
    before = {n: data for n, data in contents(half_done.root).items() if not n.endswith("digests.txt")}
    for path in (half_done.root / "digests.txt", *half_done.root.glob("embeddings/*/digests.txt")):
        do(path, half_done)
    assert "digests.txt" in {f.file for f in verify(half_done.root).findings}
    verify(half_done.root, repair=True)
    assert verify(half_done.root).findings == []
    assert run(half_done.config, half_done.root, resume=True)["status"] == "awaiting_review"
    assert {n: data for n, data in contents(half_done.root).items() if not n.endswith("digests.txt")} == before


def test_the_command_says_all_in_a_table_and_by_its_exit_code(finished):
    def adde(*arguments: object):
        return CliRunner().invoke(cli.app, [str(a) for a in arguments])

    whole = adde("verify", finished.root)
    assert whole.exit_code == 0 and whole.stdout.strip() == "whole"
    remove(finished.root / "rounds/001/gaps.parquet", finished)
    found = adde("verify", finished.root)
    assert found.exit_code == 2 and "rounds/001/gaps.parquet" in found.stdout and "is missing" in found.stdout
    assert adde("summary", finished.root).exit_code == 2
    mended = adde("verify", finished.root, "--repair")
    assert mended.exit_code == 0 and "whole again" in mended.stdout
    assert adde("summary", finished.root).exit_code == 0
    assert adde("verify", finished.root / "rounds").exit_code == 2


# --- experiments ---------------------------------------------------------------------------------------


@pytest.fixture
def experiment(tmp_path) -> tuple[Path, Trial]:
    """One with one finished trial."""
    settings = Config.parse(tree(write(tmp_path / "data.parquet", rows())))
    trial, where = Trial.of("t-adde-0", "t", "adde", settings, settings), ExperimentDir(tmp_path / "experiment")
    with where.start({"kind": "ablation", "name": "e", "strategies": {}}, [trial], resume=False):
        data = prepare_data(trial, where.root)
        list(run_trial(trial, where.root, Shared(data, RunDir.at(where.root / "data" / trial.data))))
        where.write_results([trial.name])
    return where.root, trial


def test_a_trial_copied_elsewhere_is_read_with_its_data_or_says_what_is_lacking(experiment, tmp_path):
    root, trial = experiment
    kept = root / "trials" / trial.name
    shutil.copytree(kept, tmp_path / "followed")
    assert read_run_record(RunDir.at(tmp_path / "followed")).summary["status"] == "finished"
    export(RunDir.at(tmp_path / "followed"), tmp_path / "out")
    shutil.copytree(kept, tmp_path / "links", symlinks=True)
    shutil.copytree(kept, tmp_path / "without", ignore=shutil.ignore_patterns("ingest", "embeddings"))
    for name in ("links", "without"):
        with pytest.raises(UserError, match=r"ingest: is .*[Cc]opy"):
            RunDir.at(tmp_path / name)


def test_an_experiment_is_verified_with_its_data_and_trials(experiment):
    root, trial = experiment
    assert verify(root) == ([], True)
    damaged = [f"data/{trial.data}/ingest/val.parquet", f"trials/{trial.name}/rounds/001/query.parquet"]
    for name in damaged:
        (root / name).write_bytes(b"")
    assert {f.file for f in verify(root).findings} >= set(damaged)
    verify(root, repair=True)
    assert verify(root).findings == []


def test_results_that_were_changed_are_not_compared(experiment, tmp_path):
    root, _ = experiment
    path = root / "results.parquet"
    whole = path.read_bytes()
    shutil.copy(path, tmp_path / "elsewhere.parquet")
    for name, data in (("results.parquet", whole[:-9]), ("experiment.json", b"{}")):
        before = (root / name).read_bytes()
        (root / name).write_bytes(data)
        with pytest.raises(UserError, match=rf"{name}: is not as it was made"):
            compare([root])
        (root / name).write_bytes(before)
    path.unlink()
    with pytest.raises(UserError, match=r"no results.parquet"):
        compare([root])


def test_a_damaged_trial_stops_a_resume_of_its_experiment(experiment):
    root, trial = experiment
    (root / "trials" / trial.name / "result.json").write_text("{}")
    told = {"kind": "ablation", "name": "e", "strategies": {}}
    with (
        pytest.raises(Halted, match=r"result.json: is cut short"),
        ExperimentDir(root).start(told, [trial], resume=True),
    ):
        pass


# --- runs of the first release ---------------------------------------------------------------------------


@pytest.fixture
def old(tmp_path, monkeypatch) -> Path:
    """A copy of the runs the first release made, as the working directory."""
    shutil.copytree(FIXTURES, tmp_path / "old")
    monkeypatch.chdir(tmp_path / "old")
    return tmp_path / "old"


def test_runs_of_the_first_release_are_read_and_go_on(old, tmp_path):
    before = contents(old / "finished")
    assert verify(old / "finished") == ([], False)
    assert summarise(RunDir.at(old / "finished"))["num_labels"] == 8
    assert read_run_record(RunDir.at(old / "finished")).summary["status"] == "finished"
    export(RunDir.at(old / "finished"), tmp_path / "out")
    assert run(Config.load("finished.toml"), resume=True)["status"] == "finished"
    assert contents(old / "finished") == before
    assert run(Config.load(old / "waiting.toml"), resume=True)["status"] == "awaiting_review"
    answer(old / "waiting/rounds/001/review.csv")
    assert run(Config.load("waiting.toml"), resume=True)["num_labels"] == 8
    assert verify(old / "waiting") == ([], False) and not (old / "waiting/digests.txt").exists()


def test_a_run_keeps_the_defaults_it_began_with(old):
    """Defaults have changed since, a key is new, one is gone."""
    path = old / "waiting/config.json"
    kept = read_json(path)
    kept["adapt"]["rules"], kept["select"]["gone"] = ["trust"], 1
    del kept["adapt"]["rate"], kept["measure"]
    write_json(path, kept)
    answer(old / "waiting/rounds/001/review.csv")
    assert run(Config.load("waiting.toml"), resume=True)["status"] == "finished"
    with pytest.raises(UserError, match=r"adapt.rules was \['trust'\] and is now \['reweigh'\]"):
        run(Config.load("waiting.toml", ['adapt.rules=["reweigh"]']), resume=True)
    assert RunDir.at(old / "waiting").config.adapt.rules == ("trust",)


@pytest.mark.parametrize(
    ("name", "what"),
    [
        ("dataset/round-001.parquet", "is missing"),
        ("rounds/001/manifest.json", "is missing, though there is round 2"),
        ("rounds/002/manifest.json", None),
    ],
)  # fmt: skip
def test_of_a_run_without_digests_rounds_and_dataset_are_complete(old, name, what):
    (old / "finished" / name).unlink()
    if what is None:
        assert RunDir.at(old / "finished")
    else:
        with pytest.raises(Halted, match=rf"{name}: {what}"):
            RunDir.at(old / "finished")


@pytest.mark.parametrize("command", COMMANDS)
def test_no_traceback_whatever_is_cut_short_in_a_run_without_digests(old, command, tmp_path):
    subject = Subject(Config.load("finished.toml"), old / "finished", old)
    shutil.copytree(old / "finished", tmp_path / "whole")
    for name in subject.artifacts()[list(COMMANDS).index(command) :: 3]:
        truncate(old / "finished" / name, subject)
        try:
            COMMANDS[command](subject)
        except UserError as error:
            assert "\n" not in str(error)
        assert (
            any(f.file.endswith(Path(name).name) for f in verify(old / "finished").findings)
            or command == "run --resume"
        )
        shutil.rmtree(old / "finished")
        shutil.copytree(tmp_path / "whole", old / "finished")
        shutil.rmtree(old / "exported", ignore_errors=True)


# --- disks ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("at", [0, 5, 13, 19, 24, 33, 41])
def test_a_full_disk_is_one_line_and_loses_nothing(made, tmp_path, monkeypatch, at):
    sync, count = os.fsync, []

    def fill(descriptor):
        count.append(descriptor)
        if len(count) > at:
            raise OSError(errno.ENOSPC, "No space left on device")
        sync(descriptor)

    settings, root = config(write(tmp_path / "data.parquet", rows())), tmp_path / "run"
    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", fill)
        with pytest.raises(Halted, match=r"cannot be written: No space left on device.*--resume"):
            run(settings, root)
    run(settings, root, resume=(root / "config.json").exists())
    run(settings, tmp_path / "undisturbed")
    after, expected = contents(root), contents(tmp_path / "undisturbed")
    assert [
        n for n in expected.keys() | after.keys() if after.get(n) != expected.get(n) and n != "provenance.json"
    ] == []


def test_a_run_nobody_can_write_to_is_read(finished, tmp_path, monkeypatch):
    root, opened, rename = finished.root, Path.open, os.replace

    def refuse(path: object) -> None:
        if Path(path).is_relative_to(root):
            raise OSError(errno.EROFS, "Read-only file system", str(path))

    def open_(self, mode="r", *args, **kwargs):
        if set(mode) & set("wax+"):
            refuse(self)
        return opened(self, mode, *args, **kwargs)

    monkeypatch.setattr(Path, "open", open_)
    monkeypatch.setattr(os, "replace", lambda source, target: (refuse(target), rename(source, target))[1])
    assert summarise(RunDir.at(root))["status"] == "finished"
    assert run(finished.config, root, resume=True)["status"] == "finished"
    assert verify(root) == ([], True)
    export(RunDir.at(root), tmp_path / "out")
    monkeypatch.setattr("adde_ray.report.render", lambda record: "page")
    assert write_report(RunDir.at(root), tmp_path / "report.html").read_text() == "page"
    with pytest.raises(UserError, match=r"report.html: cannot be written: Read-only file system.*--out"):
        write_report(RunDir.at(root))


def test_the_ledger_holds_what_manifests_hold(made):
    root = made["finished"].root
    for t in range(3):
        manifest = json.loads((root / f"rounds/{t:03d}/manifest.json").read_bytes())
        there = {p.relative_to(root).as_posix() for p in (root / f"rounds/{t:03d}").rglob("*") if p.is_file()}
        parts = {f"dataset/round-{p:03d}.parquet" for p in {t + 1, 0 if t == 0 else t + 1} if p < 3}
        assert set(manifest["digests"]) == there - {f"rounds/{t:03d}/manifest.json"} | parts
