"""What is looked at before a run goes on: answers taken or told at once, and what people changed since."""

from __future__ import annotations

import csv
import json
import shutil
import subprocess
import sys
import types
from pathlib import Path

import pytest
from fake_run import make_run
from typer.testing import CliRunner, Result

from adde_ray import cli
from adde_ray.artifacts.run_dir import read_json, read_table, write_json
from adde_ray.config import Config
from adde_ray.errors import UserError
from adde_ray.report.summary import summarise
from adde_ray.review.pending import changed_answers, pending, take_answers
from adde_ray.review.write_review import write_review
from adde_ray.sources.storage.source_mark import mark
from adde_ray.stages.resuming import resume


class Waiting:
    """A run whose round 0 asks about four texts, answered by file, and the config it was begun with."""

    def __init__(self, folder: Path):
        self.data = folder / "tickets.csv"
        self.data.write_text("body,label\nlate again,a\n")
        self.toml = folder / "it.toml"
        self.toml.write_text(
            '[data]\nsource = "csv"\npath = "tickets.csv"\ntext_column = "body"\n[review]\nannotator = "file"\n'
        )
        self.config = Config.load(self.toml)
        self.run = make_run(folder / "run", modality="text", rounds=1, finished=False)
        self.round = self.run.round(0)
        write_json(self.run.root / "config.json", self.config.model_dump(mode="json"))
        meta = read_json(self.run.root / "ingest/meta.json")
        write_json(self.run.root / "ingest/meta.json", meta | {"source": mark(self.config.data)})
        for name in ("manifest.json", "decisions.parquet"):
            (self.round.root / name).unlink()
        self.run.dataset_part(1).unlink()
        self.path = write_review(
            self.round.root, read_table(self.round.root / "query.parquet"), "text", meta["classes"]
        )

    def fill(self, *answers: dict) -> None:
        """Fill in the first lines."""
        with self.path.open(newline="", encoding="utf-8") as file:
            lines = list(csv.DictReader(file))
        with self.path.open("w", newline="", encoding="utf-8") as file:
            writer = csv.DictWriter(file, lines[0])
            writer.writeheader()
            writer.writerows(line | (answers[i] if i < len(answers) else {}) for i, line in enumerate(lines))

    def adde(self, *words: object) -> Result:
        return CliRunner().invoke(cli.app, [str(word) for word in words])

    def resumed(self) -> Result:
        return self.adde("run", self.toml, "--run-dir", self.run.root, "--resume")


ACCEPT, WRONG = {"action": "accept"}, {"label": "zebra"}


@pytest.fixture
def waiting(tmp_path, monkeypatch) -> Waiting:
    """The loop and the report are left out: they take seconds to import, and a made-up run has no model to go on
    from."""
    made = Waiting(tmp_path)
    loop, report = types.ModuleType("adde_ray.loop"), types.ModuleType("adde_ray.report")
    loop.run, report.write_report = (lambda *_, **__: summarise(made.run)), (lambda *_: "report.html")
    monkeypatch.setitem(sys.modules, "adde_ray.loop", loop)
    monkeypatch.setitem(sys.modules, "adde_ray.report", report)
    return made


# --- answers ------------------------------------------------------------------------------------------


def test_mistakes_are_told_before_anything_heavy_is_imported(waiting):
    waiting.fill(WRONG, {"action": "yes"})
    code = f"""
import sys
from typer.testing import CliRunner
from adde_ray import cli
told = CliRunner().invoke(cli.app, ["run", {str(waiting.toml)!r}, "--run-dir", {str(waiting.run.root)!r}, "--resume"])
print(told.exit_code, [m for m in ("ray", "torch", "sklearn", "scipy", "adde_ray.loop") if m in sys.modules])
print(told.stderr)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    status, head, *lines = done.stdout.strip().splitlines()
    assert status == "2 []" and head.endswith("review.csv: 2 mistakes, so nothing is taken.")
    assert "review.csv:2: unknown label (got 'zebra')" in lines[0] and "review.csv:3: unknown action" in lines[1]


def test_one_mistake_is_one_line(waiting):
    waiting.fill(WRONG)
    told = waiting.resumed()
    assert told.exit_code == 2 and len(told.stderr.splitlines()) == 1
    assert "review.csv:2: unknown label (got 'zebra')" in told.stderr and "Traceback" not in told.output


def test_what_is_open_is_named_and_nothing_is_loaded(waiting):
    waiting.fill(ACCEPT, {}, ACCEPT)
    told = waiting.resumed()
    assert told.exit_code == 0 and "took nothing yet: 2 of 4 still open: lines 3, 5" in told.stdout
    assert "waiting for people" in told.stdout
    assert "2 of 4 still open: lines 3, 5" in waiting.adde("summary", waiting.run.root).stdout
    assert summarise(waiting.run)["review"] == {
        "round": 0,
        "table": "review.csv",
        "asked": 4,
        "open": 2,
        "lines": [3, 5],
    }


def test_no_answer_at_all_is_told_in_other_words(waiting):
    told = waiting.resumed().stdout
    assert "round 0 asks about 4 samples; none is answered yet" in told and "took" not in told


def test_answers_are_taken_at_once_and_counted(waiting):
    waiting.fill(ACCEPT, ACCEPT, {"action": "reject"}, {"action": "flag"})
    assert "all 4 answers of round 0 are there" in waiting.adde("summary", waiting.run.root).stdout
    assert pending(waiting.run).open == 0 and not (waiting.round.root / "decisions.parquet").exists()
    told = waiting.resumed()
    assert "took 4 answers of round 0: 2 accepted, 1 rejected, 1 flagged" in told.stdout
    assert "answers so far: 4 (2 accepted, 1 rejected, 1 flagged)" in waiting.adde("summary", waiting.run.root).stdout
    assert read_table(waiting.round.root / "decisions.parquet")["action"].to_list() == [
        "accept", "accept", "reject", "flag",
    ]  # fmt: skip


def test_a_summary_tells_mistakes_and_is_no_failure(waiting):
    waiting.fill(WRONG)
    told = waiting.adde("summary", waiting.run.root)
    assert told.exit_code == 0 and "unknown label (got 'zebra')" in told.stdout
    assert (
        "unknown label" in json.loads(waiting.adde("summary", waiting.run.root, "--json").stdout)["review"]["mistakes"]
    )


def test_answers_saved_beside_the_table_are_told(waiting):
    (waiting.round.root / "review.ods").write_bytes(b"PK")
    (waiting.round.root / ".~lock.review.csv#").write_text("")
    (waiting.round.root / "review.txt").write_bytes("sample_id\taction\tlabel\n".encode("utf-16"))
    notes = summarise(waiting.run)["notes"]
    assert [note.partition(" is not read")[0].rpartition("/")[2] for note in notes] == ["review.ods", "review.txt"]
    assert "save it as CSV UTF-8, as review.csv" in notes[0]
    waiting.path.unlink()
    with pytest.raises(UserError, match=r"review.csv: no such file, but review.ods beside it"):
        pending(waiting.run)


def test_a_run_that_waits_for_nobody_takes_nothing(tmp_path):
    assert take_answers(make_run(tmp_path / "run")) is None


# --- answers that were taken --------------------------------------------------------------------------


def test_an_answer_changed_after_it_was_taken_is_told_and_changes_nothing(waiting):
    waiting.fill(*[ACCEPT] * 4)
    take_answers(waiting.run)
    before = (waiting.round.root / "decisions.parquet").read_bytes()
    shutil.copytree(waiting.round.root, waiting.round.root.with_name("000 copy"))
    assert changed_answers(waiting.run) == []
    waiting.fill(ACCEPT, {"action": "reject", "comment": "blurred"}, {"action": ""})
    [note] = resume(waiting.run, waiting.config).changed
    suggested = read_table(waiting.round.root / "query.parquet")["suggested"]
    assert f"line 3 was accept {suggested[1]!r} and is reject (blurred)" in note
    assert f"line 4 was accept {suggested[2]!r} and is open" in note
    assert "what was taken of round 0 stays" in note and "begin another run" in note
    assert summarise(waiting.run)["notes"] == [note] and note in waiting.adde("summary", waiting.run.root).stdout
    assert note in waiting.resumed().stdout
    assert note in waiting.adde("report", waiting.run.root).stdout
    assert (waiting.round.root / "decisions.parquet").read_bytes() == before


def test_a_table_that_cannot_be_read_any_more_is_told(waiting):
    waiting.fill(*[ACCEPT] * 4)
    take_answers(waiting.run)
    waiting.fill(WRONG)
    [note] = changed_answers(waiting.run)
    assert "cannot be read any more as it was when its answers were taken (unknown label)" in note
    waiting.path.unlink()
    assert changed_answers(waiting.run) == []


def test_a_table_saved_again_with_the_same_answers_is_no_change(waiting):
    waiting.fill(*[ACCEPT] * 4)
    take_answers(waiting.run)
    waiting.path.write_text(waiting.path.read_text().replace("accept", "Accepted"), encoding="utf-16")
    assert changed_answers(waiting.run) == []


# --- data that changed --------------------------------------------------------------------------------


def test_data_that_changed_since_it_was_read_is_told_and_the_run_goes_on(waiting):
    assert resume(waiting.run, waiting.config).changed == []
    waiting.data.write_text("body,label\nlate again,b\n")
    [note] = resume(waiting.run, waiting.config).changed
    assert "tickets.csv, has changed since this run read it: this run keeps to what it read" in note
    assert note in waiting.resumed().stdout
    waiting.data.unlink()
    assert "tickets.csv, cannot be read any more" in resume(waiting.run, waiting.config).changed[0]


def test_a_run_of_before_knows_nothing_of_its_data_and_goes_on(waiting):
    meta = read_json(waiting.run.root / "ingest/meta.json")
    del meta["source"]
    write_json(waiting.run.root / "ingest/meta.json", meta)
    assert resume(waiting.run, waiting.config).changed == []


class TestMark:
    def of(self, folder: Path, source: str = "image_folder", **more) -> dict:
        return mark(Config.parse({"data": {"source": source, "path": str(folder), **more}}).data)

    @pytest.fixture
    def folder(self, tmp_path) -> Path:
        for name in ("labelled/a/1.png", "labelled/b/2.png", "unlabelled/3.png"):
            (tmp_path / "images" / name).parent.mkdir(parents=True, exist_ok=True)
            (tmp_path / "images" / name).write_bytes(name.encode())
        return tmp_path / "images"

    def test_a_file_more_another_size_or_another_class_counts(self, folder):
        before = self.of(folder)
        assert before["path"]["files"] == 3 and self.of(folder) == before
        (folder / "unlabelled/4.png").write_bytes(b"")
        more = self.of(folder)
        (folder / "unlabelled/4.png").unlink()
        (folder / "labelled/a/1.png").rename(folder / "labelled/b/1.png")
        moved = self.of(folder)
        (folder / "labelled/b/1.png").rename(folder / "labelled/a/1.png")
        assert self.of(folder) == before and before not in (more, moved) and more["path"]["files"] == 4
        (folder / "unlabelled/3.png").write_bytes(b"longer than it was before")
        assert self.of(folder) != before

    def test_clocks_and_what_is_no_data_do_not_count(self, folder):
        before = self.of(folder)
        (folder / "unlabelled/3.png").touch()
        (folder / "images.toml").write_text("[data]")
        (folder / ".DS_Store").write_bytes(b"")
        make_run(folder / "runs/one", modality="text")
        (folder / "runs/one/provenance.json").write_text("{}")
        assert self.of(folder) == before

    def test_a_class_changed_in_a_table_in_a_folder_counts(self, folder):
        (folder / "train.csv").write_text("Path,Edema\n1.png,1.0\n")
        before = self.of(folder, "chexpert")
        (folder / "train.csv").write_text("Path,Edema\n1.png,0.0\n")
        assert self.of(folder, "chexpert") != before

    def test_labels_beside_vectors_count(self, tmp_path):
        (tmp_path / "vectors.npy").write_bytes(b"x")
        (tmp_path / "labels.csv").write_text("label\na\n")
        before = self.of(tmp_path / "vectors.npy", "npy")
        (tmp_path / "labels.csv").write_text("label\nb\n")
        assert self.of(tmp_path / "vectors.npy", "npy") != before

    def test_a_pattern_names_what_it_matches(self, folder):
        table = folder / "t.csv"
        table.write_text("text,label\n")
        pool = {"pool": str(folder / "pool-*.csv"), "text_column": "text"}
        assert self.of(table, "csv", **pool).keys() == {"path"}
        (folder / "pool-1.csv").write_text("text\n")
        assert self.of(table, "csv", **pool)["pool"]["files"] == 1

    def test_what_names_no_files_has_no_mark(self):
        assert mark(Config.parse({"data": {"source": "digits"}}).data) == {}
