"""The command line: help, exit codes, one line for a user's mistake, and what each command promises to print."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
import typer
from small import config, rows, tree, write
from typer.testing import CliRunner, Result

import adde_ray
from adde_ray import cli
from adde_ray.artifacts.run_dir import RunDir
from adde_ray.loop import run

COMMANDS = (
    "run", "check", "config", "find", "summary", "report", "export", "verify", "ablate", "sweep", "compare", "review",
)  # fmt: skip

# What scripts may rely on in `adde summary --json`.
KEYS = {"run", "status", "stop_reason", "num_rounds", "num_asked", "num_labels", "dataset_fingerprint", "rounds"}
ROUND_KEYS = {
    "round", "num_asked", "num_labels", "num_synthetic", "weights", "diversity", "quality", "test", "gaps",
    "adaptation", "seconds",
}  # fmt: skip


@pytest.fixture
def here(tmp_path, monkeypatch) -> Path:
    """An empty working directory, and config.toml with its data in another."""
    there = tmp_path / "there"
    there.mkdir()
    sections = tree(write(there / "data.parquet", rows())) | {"run": {"name": "it"}}
    lines = [
        f"[{name}]\n" + "".join(f"{k} = {json.dumps(v)}\n" for k, v in keys.items()) for name, keys in sections.items()
    ]
    (there / "config.toml").write_text("".join(lines))
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    return tmp_path / "here"


def adde(*arguments: object) -> Result:
    return CliRunner().invoke(cli.app, [str(a) for a in arguments])


def adde_in(here: Path, command: str, *overrides: str) -> Result:
    return adde(command, here.parent / "there" / "config.toml", *(x for o in overrides for x in ("--set", o)))


def strict(text: str) -> dict:
    """Parsed as JSON that has no NaN in it."""

    def refuse(name):
        raise AssertionError(name)

    return json.loads(text, parse_constant=refuse)


# --- help ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_has_help_with_an_example(command):
    told = adde(command, "--help")
    assert told.exit_code == 0 and f"Example: adde {command}" in " ".join(told.stdout.split())


def test_no_command_is_left_out():
    assert tuple(typer.main.get_command(cli.app).commands) == COMMANDS


def test_help_is_there_at_once():
    """In a fresh process; processor seconds, so that how busy the machine is does not matter."""
    code = f"""
import sys, time
from typer.testing import CliRunner
from adde_ray import cli
took = []
for command in {COMMANDS}:
    assert CliRunner().invoke(cli.app, [command, "--help"]).exit_code == 0
    took.append(time.process_time())
print([m for m in ("torch", "ray", "sklearn") if m in sys.modules], took[0] < 1.5)
"""
    told = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert told.stdout.strip() == "[] True", told.stdout + told.stderr


# --- the user's mistakes ------------------------------------------------------------------------------


def bad_row(column: str, value: object, split: str):
    """Spoils the data's first row of a split."""

    def spoil(there: Path) -> None:
        given = rows()
        next(r for r in given if r["split"] == split)[column] = value
        write(there / "data.parquet", given)

    return spoil


def bad_image(there: Path) -> None:
    for name in ("labelled/a/1.png", "labelled/b/1.png", "unlabelled/1.png"):
        (there / "images" / name).parent.mkdir(parents=True)
        (there / "images" / name).write_bytes(b"no image")
    (there / "config.toml").write_text('[data]\nsource = "image_folder"\npath = "images"\n[run]\nname = "it"\n')


def people(there: Path) -> None:
    write(there / "data.parquet", [r | {"label": None} if r["split"] == "pool" else r for r in rows()])


def copied(split: str):
    """Puts a row of `split` into the pool as well."""

    def spoil(there: Path) -> None:
        given = rows()
        write(there / "data.parquet", [*given, next(r for r in given if r["split"] == split) | {"split": "pool"}])

    return spoil


MISTAKES = {  # name: (overrides, what is done to the files before, what the line says)
    "unknown key": (["select.alpa=1"], None, r"select.alpa: unknown key .*Known keys here: alpha"),
    "unknown section": (["selct.alpha=1"], None, r"selct: unknown key .*Known keys here: run, data"),
    "a line break in a key": (["a\nb=1"], None, r"a\\nb: unknown key"),
    "wrong type": (["select.batch=ten"], None, r"select.batch: .*integer.* \(got 'ten'\)"),
    "alpha below 0": (["select.alpha=-1"], None, r"select.alpha: .*greater than or equal to 0 \(got -1\)"),
    "no number": (["select.alpha=nan"], None, "select.alpha: "),
    "infinite": (["stop.seconds=inf"], None, r"stop.seconds: .*finite number \(got inf\)"),
    "not key=value": (["select.alpha"], None, "not of the form key=value"),
    "unknown uncertainty": (["select.uncertainty=x"], None, "select.uncertainty: .*entropy, least_confidence, margin"),
    "unknown term": (["select.diversity.x=1"], None, r"select.diversity: .*'x'.*balance, gaps, novelty"),
    "negative share": (["select.diversity.gaps=-1"], None, r"select.diversity.gaps: .*got -1"),
    "unknown selector": (["select.selector=x"], None, r"select.selector: .*'x'.*batch_greedy.*k_center, .*random"),
    "unknown learner": (["train.learner=x"], None, "train.learner: .*linear, mlp"),
    "unknown encoder": (["encoder.name=x"], None, "encoder.name: .*tfidf"),
    "an encoder of other data": (["encoder.name=tfidf"], None, "encoder.name: .*tfidf"),
    "unknown generator": (["generate.generator=x"], None, "generate.generator: .*cvae"),
    "unknown annotator": (["review.annotator=x"], None, "review.annotator: .*file, model, page, simulated"),
    "unknown rule": (['adapt.rules=["x"]'], None, "adapt.rules: .*broaden"),
    "more processes than fit": (["generate.actors=1000"], None, "generate.actors: more processes .*RAY_ADDRESS"),
    "weights of 0": (["select.alpha=0", "select.beta=0", "select.gamma=0"], None, "every weight is 0"),
    "people asked twice": (["compare.random=true", "review.annotator=file"], None, "compare.random: .*asked twice"),
    "unknown class in error_rate": (["review.error_rate.x=0.1"], None, r"review.error_rate: no such class .*'x'.*a, b"),
    "unknown class in class_target": (["diversity.class_target.x=0.1"], None, "diversity.class_target: .*'x'.*a, b"),
    "targets of 0": ([f"diversity.class_target.{c}=0" for c in "abc"], None, "diversity.class_target: .*all 0"),
    "unknown subgroup": (["diversity.subgroup_target.x.y=1"], None, "diversity.subgroup_target: .*'x'"),
    "missing file": (["data.path=nowhere.parquet"], None, "nowhere.parquet: no such file"),
    "missing column": (["data.label_column=x"], None, "data.label_column: .*'x'.*vector, label, split"),
    "no such split": ([], bad_row("split", "vall", "val"), r"data.parquet: row 7, .*not a split.*'vall'"),
    "a class the list lacks": (['data.classes=["a", "b"]'], None, "row's label is not in data.classes .*'c'"),
    "a class in val the list lacks": (
        ['data.classes=["a", "b", "c"]'], bad_row("label", "d", "val"), "a val row's label is not in data.classes .*'d'"
    ),
    "vectors that are no numbers": (
        ["data.max_rejected=0"], bad_row("vector", [float("nan")] * 4, "pool"), "1 of 90 rows are unusable .*not finite"
    ),
    "images that are none": ([], bad_image, "none of the 2 seed rows is usable"),
    "a copy of val in the pool": ([], copied("val"), r"gates.leakage: .*1 pool samples \(1 exact.*\"drop\".*\"allow\""),
    "a column that is not there": (["gates.expect.age.type=number"], None, "gates.expect.age: .*no such column"),
    "an unknown kind of column": (["gates.expect.age.type=date"], None, r"gates.expect.age.type: .*got 'date'"),
    "an unknown way with leakage": (["gates.leakage=ignore"], None, r"gates.leakage: .*'error', 'drop' or 'allow'"),
    "nobody knows the truth": ([], people, "review.annotator: .*true labels are not known.*file"),
}  # fmt: skip


@pytest.mark.parametrize("command", ["run", "check"])
@pytest.mark.parametrize("name", MISTAKES)
def test_a_mistake_is_one_line_and_leaves_nothing_behind(here, command, name):
    overrides, spoil, line = MISTAKES[name]
    if spoil:
        spoil(here.parent / "there")
    told = adde_in(here, command, *overrides)
    assert told.exit_code == 2 and told.stdout.strip() == ""
    assert told.stderr.startswith("error: ") and told.stderr.count("\n") == 1, told.stderr
    assert re.search(line, told.stderr), told.stderr
    assert not [p for p in here.rglob("*") if p.name != "runs"]


def test_all_mistakes_of_a_config_are_told_at_once_a_line_each(here):
    told = adde_in(here, "check", "select.alpha=-1", "train.lr=fast", "slect.beta=1", "data.source=csw")
    lines = told.stderr.splitlines()
    assert told.exit_code == 2 and len(lines) == 4 and all(line.startswith("error: --set: ") for line in lines), lines
    for words in ("'csv'", "(got -1)", "Did you mean 'select'", "should be a number (got 'fast')"):
        assert sum(words in line for line in lines) == 1, lines


def test_versions_are_told():
    told = adde("--version")
    assert told.exit_code == 0 and re.search(r"adde_ray \S+\nPython 3\.\S+ · ray \S+ · torch", told.stdout)


@pytest.mark.parametrize(
    ("number", "words"), [(28, "Make room.*--resume"), (30, "Choose another folder"), (36, "Choose a shorter")]
)
def test_what_the_machine_refuses_is_one_line(here, monkeypatch, number, words):
    def refuse(*_):
        raise OSError(number, os.strerror(number), "/some/file")

    monkeypatch.setattr(cli.RunDir, "at", refuse)
    told = adde("report", "x")
    assert told.exit_code == 2 and told.stderr.count("\n") == 1
    assert re.search(f"error: /some/file: {os.strerror(number)}. {words}", told.stderr), told.stderr


def test_what_is_set_aside_is_said(here):
    copied("val")(here.parent / "there")
    told = adde_in(here, "check", "gates.leakage=drop")
    assert told.exit_code == 0, told.stderr
    assert (
        "1 pool rows would be set aside by the gate leakage; for example data.parquet: row 91: in pool" in told.stdout
    )
    told = adde_in(here, "check", "gates.leakage=allow")
    assert "leakage: 1 exact and 0 near copies of what is held out are kept" in told.stdout
    told = adde_in(here, "run", "gates.leakage=drop")
    assert "set aside before the start: 1 leakage; reasons in runs/it/ingest/rejected.parquet" in told.stdout
    assert json.loads(adde("summary", "runs/it", "--json").stdout)["set_aside"] == {"leakage": 1}


def test_what_was_refused_can_be_mended_and_run_in_the_same_place(here):
    assert adde_in(here, "run", "review.error_rate.x=0.1").exit_code == 2
    assert adde_in(here, "run").exit_code == 0


def test_folders_that_are_taken(here):
    assert adde_in(here, "run").exit_code == 0
    for arguments, line in (
        (["run", "--set", "select.alpha=0.4"], "runs/it: holds a run already. .*--resume"),
        (["run", "--resume", "--set", "select.alpha=0.4"], "select.alpha was 0.8 and is now 0.4"),
        (["run", "--run-dir", here.parent / "there"], "is not empty and holds no run"),
        (["run", "--run-dir", here.parent / "there" / "config.toml"], "no folder can be made: File exists"),
        (["summary", here], "no run here"),
        (["report", here], "no run here"),
        (["export", here, "--out", here / "x"], "no run here"),
        (["export", here / "runs" / "it", "--out", here.parent / "there"], "there: "),
    ):
        if arguments[0] == "run":
            arguments = [arguments[0], here.parent / "there" / "config.toml", *arguments[1:]]
        told = adde(*arguments)
        assert told.exit_code == 2 and told.stderr.count("\n") == 1 and re.search(line, told.stderr), told.stderr
    assert adde_in(here, "check").stdout.splitlines()[-2:] == ["note: runs/it holds a run already", "ok"]


def test_a_ray_cluster_that_is_not_there(here):
    """In a process of its own: this one may have a Ray already."""
    command = [sys.executable, "-m", "adde_ray.cli", "run", here.parent / "there" / "config.toml"]
    told = subprocess.run(
        [*command, "--set", "generate.generator=cvae"],
        env={**os.environ, "RAY_ADDRESS": "127.0.0.1:1"},
        capture_output=True,
        text=True,
    )
    assert told.returncode == 2 and told.stderr.count("\n") == 1
    assert "RAY_ADDRESS: no Ray cluster answers (got '127.0.0.1:1')" in told.stderr
    assert not (here / "runs" / "it").exists()


@pytest.mark.parametrize("content", [None, b"[data\n", b"\xff\xfe"])
def test_a_config_that_cannot_be_read(here, content):
    if content is not None:
        (here / "x.toml").write_bytes(content)
    told = adde("check", here / "x.toml")
    assert told.exit_code == 2 and told.stderr.count("\n") == 1 and "x.toml: " in told.stderr


def test_our_mistakes_are_no_users_mistakes(here, monkeypatch):
    def bug(*_, **__):
        raise ZeroDivisionError

    monkeypatch.setattr("adde_ray.stages.train.solve", bug)
    told = adde_in(here, "run")
    assert told.exit_code == 1 and isinstance(told.exception, ZeroDivisionError)


def test_names_are_printed_as_they_are(here):
    """Brackets, stars and colons mean something to rich and to polars; in a user's names they mean nothing."""
    where = here / "[/b] :car: *"
    told = adde_in(here, "check", 'data.classes=["a", "b", "c", "[/b]", ":car:"]')
    assert told.exit_code == 0 and "5 classes: :car:, [/b], a, b, c" in told.stdout
    config_file = here.parent / "there" / "config.toml"
    assert f"in {where}\n" in adde("run", config_file, "--run-dir", where).stdout
    assert adde("summary", where).exit_code == adde("run", config_file, "--run-dir", where, "--resume").exit_code == 0


# --- what is promised ---------------------------------------------------------------------------------


def test_check_tells_the_plan_and_writes_nothing(here):
    told = adde_in(here, "check", "stop.labels=12")
    assert told.exit_code == 0 and not list(here.iterdir())
    assert "seed 6, pool 60, val 12, test 12" in told.stdout
    assert "3 classes: a, b, c" in told.stdout
    assert "3 rounds of 5, 12 labels to be bought from a pool of 60" in told.stdout


def test_run_tells_each_round_and_what_is_next(here):
    told = adde_in(here, "run", "stop.labels=10")
    assert told.exit_code == 0
    figures = re.findall(r"^(?: +ADDE)? +(\d+) +(\d+) +(\d+) ", told.stdout, flags=re.MULTILINE)
    assert figures == [("0", "0", "6"), ("1", "5", "11"), ("2", "10", "16")]
    assert "finished: label budget spent (10 of 10); 16 samples, 10 labels bought" in told.stdout
    assert "adde report runs/it" in told.stdout
    assert "finished" in adde("summary", "runs/it").stdout


def test_waiting_for_people_is_no_failure(here):
    told = adde_in(here, "run", "review.annotator=file")
    assert told.exit_code == 0 and "runs/it/rounds/000/review.csv" in told.stdout and "--resume" in told.stdout
    assert Path("runs/it/rounds/000/review.csv").is_file()


def just_begun(folder: Path, data: Path) -> str:
    with RunDir.start(folder, config(data)):
        return "running"


def interrupted(folder: Path, data: Path) -> str:
    def interrupt(_, metrics, __):
        if metrics["round"] == 1:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run(config(data), folder, watch=interrupt)
    return "running"


def waiting(folder: Path, data: Path) -> str:
    run(config(data, review={"annotator": "file"}), folder)
    return "awaiting_review"


def finished(folder: Path, data: Path) -> str:
    run(config(data), folder)
    return "finished"


@pytest.mark.parametrize("state", [just_begun, interrupted, waiting, finished])
def test_summary_is_json_in_every_state(here, state):
    status = state(here / "r", here.parent / "there" / "data.parquet")
    told = adde("summary", "r", "--json")
    record = strict(told.stdout)
    assert record.keys() >= KEYS and record["run"] == "r" and record["status"] == status
    assert len(record["rounds"]) == record["num_rounds"]
    for round_ in record["rounds"]:
        assert round_.keys() >= ROUND_KEYS
        assert round_["weights"].keys() == {"alpha", "beta", "gamma"} and "m_div" in round_["diversity"]
        assert {"macro_f1", "recall"} <= round_["quality"].keys() == round_["test"].keys()
        assert {"open", "filled", "new"} == round_["gaps"].keys() and round_["seconds"]["train"] > 0
    assert (record["stop_reason"] is None) == (status != "finished")
    assert (record["dataset_fingerprint"] is None) == (state is just_begun)
    assert adde("summary", "r").exit_code == 0


def test_config_prints_a_json_schema():
    schema = strict(adde("config").stdout)
    assert {"run", "data", "select", "stop"} <= schema["properties"].keys()


def test_three_lines_of_python(here):
    """As the package's own docstring has them."""
    lines = adde_ray.__doc__.splitlines()[2:]
    code = "\n".join(lines).replace("jobs/configs/digits.toml", str(here.parent / "there" / "config.toml"))
    told = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert told.returncode == 0 and told.stdout.split()[0] == "10", told.stderr
