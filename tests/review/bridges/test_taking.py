"""Answers from elsewhere in the waiting round's table and in the store: all or none, and twice is once."""

from __future__ import annotations

import csv
import json
import shutil

import pytest
from bridged import waiting_run, written
from openpyxl import Workbook
from typer.testing import CliRunner

from adde_ray.artifacts.run_dir import RunDir, read_json, write_json
from adde_ray.cli import app
from adde_ray.errors import UserError
from adde_ray.review import room
from adde_ray.review.bridges import commands
from adde_ray.review.bridges.base import Given, Questions, Read
from adde_ray.review.bridges.questions import waiting
from adde_ray.review.bridges.stored import into_store
from adde_ray.review.bridges.take import Checked, check
from adde_ray.review.pending import changed_answers, pending, take_answers
from adde_ray.review.store import Item, Store


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    return waiting_run(tmp_path_factory.mktemp("made") / "run")


@pytest.fixture
def run(made, tmp_path) -> RunDir:
    shutil.copytree(made.root, tmp_path / "run")
    return RunDir.at(tmp_path / "run")


@pytest.fixture
def asked(run) -> Questions:
    return waiting(run)


def table(run: RunDir):
    return run.root / "rounds/001/review.csv"


def annotations(asked: Questions, *labels: str | None, who: int = 1) -> list[dict]:
    """An export of Label Studio: what was chosen of each sample in turn."""
    found = []
    for i, (question, label) in enumerate(zip(asked.asked, labels, strict=False)):
        result = [{"from_name": "label", "type": "choices", "value": {"choices": [label]}}] if label else []
        one = {
            "id": i,
            "completed_by": who,
            "result": result,
            "was_cancelled": label is None,
            "unique_id": f"{who}-{i}",
        }
        found.append({"id": i, "data": {"sample_id": question.sample_id}, "annotations": [one]})
    return found


def suggested(asked: Questions) -> list[str]:
    return [question.suggested for question in asked.asked]


def test_answers_fill_in_the_table_and_the_run_takes_them(run, asked, tmp_path, capsys):
    labels = suggested(asked)
    labels[1] = "a|b" if labels[1] != "a|b" else "yes"
    path = written(tmp_path / "x.json", annotations(asked, *labels))
    commands.import_(run.root, path)
    assert capsys.readouterr().out == f"round 1: answers in {path}: 4, of them new: 4\n"
    found = pending(run)
    assert not found.open and found.decisions.select("action", "label", "annotator").rows() == [
        ("correct" if i == 1 else "accept", label, "user 1") for i, label in enumerate(labels)
    ]
    take_answers(run)
    assert not changed_answers(run)
    with pytest.raises(UserError, match="waits for nobody's answers"):
        commands.import_(run.root, path)


def test_twice_is_once_and_a_part_is_a_part(run, asked, tmp_path, capsys):
    path = written(tmp_path / "x.json", annotations(asked, suggested(asked)[0], None))
    commands.import_(run.root, path)
    before = table(run).read_bytes()
    told = capsys.readouterr().out
    assert "of them new: 1\nskipped there: 1\n" in told
    commands.import_(run.root, path)
    assert "of them new: 0\n" in capsys.readouterr().out and table(run).read_bytes() == before
    assert pending(run).open == 3


def test_a_mistake_takes_nothing_and_all_are_told(run, asked, tmp_path):
    before = table(run).read_bytes()
    path = written(tmp_path / "x.json", [*annotations(asked, suggested(asked)[0], "zebra", "lion"), {"data": 1}])
    with pytest.raises(UserError, match="task 4: is no task"):
        commands.import_(run.root, path)
    path = written(tmp_path / "x.json", annotations(asked, suggested(asked)[0], "zebra", "lion"))
    with pytest.raises(UserError) as error:
        commands.import_(run.root, path)
    assert len(error.value.lines) == 3 and "task 3, annotation 2: unknown label (got 'lion')" in error.value.lines[2]
    assert table(run).read_bytes() == before


def test_people_who_contradict_each_other_or_the_table_are_told(run, asked, tmp_path):
    first = suggested(asked)[0]
    other = next(name for name in asked.classes if name != first)
    both = [*annotations(asked, first), *annotations(asked, other, who=2)]
    with pytest.raises(UserError, match=r"contradicts the answer of user 1 at .*, which says accept .*Let them agree"):
        commands.import_(run.root, written(tmp_path / "x.json", both))
    commands.import_(run.root, written(tmp_path / "x.json", annotations(asked, first)))
    with pytest.raises(UserError, match=r"contradicts line 2 of review.csv, which says accept .* Clear the line"):
        commands.import_(run.root, written(tmp_path / "x.json", annotations(asked, other, who=2)))
    commands.import_(run.root, written(tmp_path / "x.json", annotations(asked, first, who=2)))


def test_a_table_that_people_have_changed_keeps_what_they_wrote(run, asked, tmp_path):
    """Their columns, their separator, their answers."""
    with table(run).open(newline="") as file:
        header, *rows = csv.reader(file)
    rows[2][header.index("action")] = "flag"
    with table(run).open("w", newline="", encoding="utf-8-sig") as file:
        csv.writer(file, delimiter=";").writerows([["Anns"], [*header, "mine"], *([*row, "x"] for row in rows)])
    commands.import_(run.root, written(tmp_path / "x.json", annotations(asked, *suggested(asked)[:2])))
    with table(run).open(newline="", encoding="utf-8-sig") as file:
        title, names, *after = csv.reader(file, delimiter=";")
    assert title == ["Anns"] and names == [*header, "mine"] and [row[-1] for row in after] == ["x"] * 4
    assert [row[header.index("action")] for row in after] == ["accept", "accept", "flag", ""]


def test_a_workbook_in_place_of_the_table_is_filled_in(run, asked, tmp_path):
    with table(run).open(newline="") as file:
        rows = list(csv.reader(file))
    table(run).unlink()
    book = Workbook()
    for row in rows:
        book.active.append(row)
    book.save(table(run).with_suffix(".xlsx"))
    commands.import_(run.root, written(tmp_path / "x.json", annotations(asked, *suggested(asked))))
    found = pending(run)
    assert found.table == "review.xlsx" and not found.open


def test_a_comment_is_kept_and_never_a_formula(run, asked, tmp_path):
    whole = annotations(asked, suggested(asked)[0])
    comment = {"from_name": "comment", "type": "textarea", "value": {"text": ["=cmd|x!A1"]}}
    whole[0]["annotations"][0]["result"].append(comment)
    whole[0]["annotations"][0]["completed_by"] = {"email": "@ann"}
    commands.import_(run.root, written(tmp_path / "x.json", whole))
    with table(run).open(newline="") as file:
        row = next(csv.DictReader(file))
    assert (row["comment"], row["annotator"]) == ("'=cmd|x!A1", "'@ann")
    decision = pending(run).decisions.row(0, named=True)
    assert (decision["comment"], decision["annotator"]) == ("=cmd|x!A1", "@ann")


def test_answers_of_earlier_rounds_are_told_apart(run, asked, tmp_path, capsys):
    sample_id = next(name for name in asked.earlier if name not in {one.sample_id for one in asked.asked})
    whole = [*annotations(asked, suggested(asked)[0]), {"data": {"sample_id": sample_id}, "annotations": []}]
    whole[1]["annotations"] = whole[0]["annotations"]
    commands.import_(run.root, written(tmp_path / "x.json", whole))
    assert "about earlier rounds, whose answers were taken: 1\n" in capsys.readouterr().out


@pytest.mark.parametrize("to", ["label-studio", "csv", "xlsx"])
def test_an_export_is_a_new_folder_or_none(run, tmp_path, to, monkeypatch):
    out = tmp_path / "out"
    commands.export(run.root, to, out)
    assert len(list(out.iterdir())) >= 2
    before = sorted(path.read_bytes() for path in out.iterdir())
    with pytest.raises(UserError, match="is there already, and not empty"):
        commands.export(run.root, to, out)
    assert sorted(path.read_bytes() for path in out.iterdir()) == before
    with pytest.raises(UserError, match="is for images"):
        commands.export(run.root, "coco", tmp_path / "other")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["out", "run"]


def test_what_a_file_is_shows_in_it(run, asked, tmp_path, capsys):
    commands.export(run.root, "xlsx", tmp_path / "out")
    commands.import_(run.root, tmp_path / "out/review.xlsx")
    commands.export(run.root, "csv", tmp_path / "more")
    commands.import_(run.root, tmp_path / "more/review.csv")
    assert capsys.readouterr().out.count("without an answer there yet: 4\n") == 2


def test_images_go_out_and_come_back(tmp_path):
    run = waiting_run(tmp_path / "run", "image")
    asked = waiting(run)
    commands.export(run.root, "coco", tmp_path / "out")
    whole = json.loads((tmp_path / "out/annotations.json").read_text())
    ids = {row["name"]: row["id"] for row in whole["categories"]}
    whole["annotations"] = [
        {"id": i, "image_id": row["id"], "category_id": ids[question.suggested]}
        for i, (row, question) in enumerate(zip(whole["images"], asked.asked, strict=True))
    ]
    commands.import_(run.root, written(tmp_path / "x.json", whole), annotator="ann")
    decisions = pending(run).decisions
    assert decisions["action"].unique().to_list() == ["accept"] and decisions["annotator"].unique().to_list() == ["ann"]


# --- the store ----------------------------------------------------------------------------------------------


@pytest.fixture
def store(tmp_path, asked):
    opened = Store.open(f"sqlite:///{tmp_path / 'store.sqlite'}", asked.run)
    opened.publish(
        Item(question.sample_id, asked.round, question.rank, "new", "text", str(question.payload), question.suggested)
        for question in asked.asked
    )
    yield opened
    opened.shut()


def given(asked: Questions, i: int, label: str | None, who: str = "ann", action: str = "") -> Given:
    labels = (label,) if label else None
    return Given(f"task {i}", asked.asked[i].sample_id, action, labels, who, "why", 2.0, f"{who}-{i}")


def took(store, asked, *answers: Given) -> int:
    return into_store(store, asked, check(asked, Read(list(answers)), "x"), "x")


def stand(store, asked) -> list[tuple]:
    return store.answers(round=asked.round).select("annotator", "action", "label", "comment", "seconds").rows()


def test_the_store_takes_each_persons_answer_and_twice_is_once(store, asked):
    label = suggested(asked)[0]
    other = next(name for name in asked.classes if name != label)
    answers = [given(asked, 0, label), given(asked, 0, other, "bob"), given(asked, 1, None, action="skip")]
    assert took(store, asked, *answers) == 3 and took(store, asked, *answers) == 0
    assert stand(store, asked) == [("ann", "accept", label, "why", 2.0), ("bob", "correct", other, "why", 2.0)]
    assert len(store.answers(in_effect=False)) == 3


def test_an_answer_changed_in_its_tool_replaces_what_it_was_and_can_change_back(store, asked):
    label = suggested(asked)[0]
    other = next(name for name in asked.classes if name != label)
    for name, new in ((label, 1), (other, 1), (other, 0), (label, 1), (label, 0)):
        assert took(store, asked, given(asked, 0, name)) == new
        assert [row[2] for row in stand(store, asked)] == [name]


def test_what_somebody_said_on_the_page_is_not_overwritten(store, asked):
    label = suggested(asked)[0]
    other = next(name for name in asked.classes if name != label)
    took(store, asked, Given("page", asked.asked[0].sample_id, "", (label,), "ann", source="elsewhere"))
    with pytest.raises(
        UserError, match=r"contradicts what ann said elsewhere, accept .* Amend that answer on the page"
    ):
        took(store, asked, given(asked, 0, other), given(asked, 1, suggested(asked)[1]))
    assert len(stand(store, asked)) == 1
    assert took(store, asked, given(asked, 0, label)) == 0


def test_what_the_store_does_not_ask_about_is_told(store, asked):
    store.withdraw(asked.round, [asked.asked[0].sample_id])
    with pytest.raises(UserError, match="is not asked about in the store"):
        took(store, asked, given(asked, 0, suggested(asked)[0]))
    assert into_store(store, asked, Checked([]), "x") == 0


def test_a_run_on_the_page_takes_answers_from_elsewhere(run, asked, tmp_path, capsys):
    config = read_json(run.root / "config.json")
    write_json(run.root / "config.json", config | {"review": config["review"] | {"annotator": "page"}})
    run = RunDir(run.root)
    with room.room(run) as opened:
        opened.publish(
            Item(
                one.sample_id, asked.round, one.rank, "new", "text", "x", one.suggested, 0.5, hides_guess=one.rank == 0
            )
            for one in asked.asked
        )
    assert [one.hides_guess for one in waiting(run).asked] == [True, False, False, False]
    path = written(tmp_path / "x.json", annotations(asked, *suggested(asked)))
    for new in (4, 0):
        commands.import_(run.root, path)
        assert f": 4, of them new: {new}\n" in capsys.readouterr().out
    with room.room(run) as opened:
        assert opened.answers()["saw_guess"].to_list() == [False, True, True, True]
    found = take_answers(run)
    assert not found.open and found.decisions["label"].to_list() == suggested(asked)
    assert found.decisions["annotator"].unique().to_list() == ["user 1"]


# --- the command line ---------------------------------------------------------------------------------------


def test_mistakes_are_lines_and_exit_code_2(run, asked, tmp_path):
    path = written(tmp_path / "x.json", annotations(asked, "zebra", "lion"))
    told = CliRunner().invoke(app, ["review", "import", str(run.root), str(path)])
    assert told.exit_code == 2 and told.output.count("unknown label") == 2 and "Traceback" not in told.output
    told = CliRunner().invoke(app, ["review", "export", str(run.root), "--to", "csv", "--out", str(tmp_path / "out")])
    assert told.exit_code == 0 and (tmp_path / "out/review.csv").exists()


def test_the_token_is_asked_of_the_environment_alone(run, monkeypatch):
    monkeypatch.delenv("LABEL_STUDIO_API_KEY", raising=False)
    told = CliRunner().invoke(app, ["review", "push", str(run.root), "--url", "http://127.0.0.1:1"])
    assert told.exit_code == 2 and "no access token" in told.output
    assert "--token" not in CliRunner().invoke(app, ["review", "push", "--help"]).output
