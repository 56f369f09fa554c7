"""What pages tell users to type, typed: the commands run one after the other, with the very files the page shows."""

from __future__ import annotations

import csv
import re
from pathlib import Path

import numpy as np
import polars as pl
import pytest
import typer
from documents import DOCUMENTS, adde_calls, blocks, lay_out, section
from photos import photo
from typer.testing import CliRunner

from adde_ray import cli
from adde_ray.artifacts.run_dir import RunDir
from adde_ray.config import Config

COMMANDS = typer.main.get_command(cli.app).commands

QUICK = ("generate.generator=none", "train.steps=20", "select.batch=8", "stop.labels=16")
"""Smaller than what the pages show: without Ray, and over after two batches."""

DIGITS = (*QUICK, "encoder.name=pixels", "gates.near_copies=false", "measure.corruptions=[]")
"""Less to look at in 1,797 pictures."""

COLOURS = {"nevus": (90, 60, 40), "melanoma": (30, 20, 25), "vascular": (160, 30, 60)}

SENTENCES = {
    "delivery": "where is my parcel, the one for {}",
    "billing": "i was charged twice for {}",
    "technical": "the app closes by itself when i open {}",
}


@pytest.fixture
def here(tmp_path, monkeypatch) -> Path:
    """A folder with the files that pages show, and nothing else."""
    lay_out(tmp_path, "docs/your-data.md")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def typed(words: list[str], *overrides: str) -> str:
    """What a command prints. overrides: laid over its config, where it takes one."""
    takes = {o for parameter in COMMANDS[words[0]].params for o in parameter.opts}
    options = [x for o in overrides for x in ("--set", o)] if "--set" in takes else []
    done = CliRunner().invoke(cli.app, [*words, *options])
    assert done.exit_code == 0, (words, done.output, done.exception)
    return done.output


def work_through(page: str, title: str, *overrides: str) -> dict[str, str]:
    """The commands under a heading, in their order → what each printed. People answer before a resume."""
    printed = {}
    for words in adde_calls(section(title, page)):
        if "--resume" in words:
            answer_all()
        printed[" ".join(words)] = typed(words, *overrides)
    return printed


def answer_all() -> None:
    """Fill in every table that is waited for, by all actions that the page names."""
    for path in Path("runs").glob("*/rounds/*/review.csv"):
        if not (path.parent / "decisions.parquet").exists():
            with path.open(newline="", encoding="utf-8-sig") as file:
                rows = list(csv.DictReader(file))
            for row in rows:
                row["action"] = "accept"
            rows[0]["action"], rows[1]["action"] = "reject", "flag"
            rows[2] |= {"action": "", "label": rows[2]["suggested"]}
            with path.open("w", newline="", encoding="utf-8") as file:
                writer = csv.DictWriter(file, list(rows[0]))
                writer.writeheader()
                writer.writerows(rows)


ANSWERS = "took 8 answers of round 0: 6 accepted, 1 rejected, 1 flagged"


def my_images(root: Path, *, pool: str = "unlabelled/in/any/depth") -> None:
    """The folder of the page: one class without a labelled sample, val and test, and the pool; {} is the class."""
    rng = np.random.default_rng(len(pool))
    (root / "labelled" / "vascular").mkdir(parents=True)
    splits = [*["labelled/{}"] * 12, *["val/{}"] * 18, *["test/{}"] * 12, *[pool] * 50]
    for i, place in enumerate(splits):
        name = list(COLOURS)[i % (2 if place.startswith("labelled") else 3)]
        path = root / place.format(name) / f"{i}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(photo(rng, COLOURS[name], "PNG", size=(40, 30)))


def my_texts(path: Path, *, seed: int = 8, split: bool = False) -> None:
    """The table of the page: some rows with a label, the others without; with a column of splits all have one."""
    rows = []
    for i in range(80):
        name = list(SENTENCES)[i % 3]
        row = {"text": SENTENCES[name].format(f"order {chr(97 + i % 26)}{i}"), "label": name}
        if split:
            row["split"] = "seed" if i < 9 else "val" if i < 24 else "test" if i < 36 else "pool"
        elif i >= 3 * seed:
            row["label"] = ""
        rows.append(row)
    pl.DataFrame(rows).write_csv(path)


# --- start ------------------------------------------------------------------------------------------------


def test_the_steps_of_the_start(here):
    printed = work_through("docs/start.md", "The same, step by step", *DIGITS)
    *_, resumed = printed.values()
    assert [words.split()[0] for words in printed] == ["check", "run", "summary", "report", "export", "run"]
    assert next(iter(printed.values())).endswith("ok\n") and "finished: " in resumed
    assert (here / "runs/first/report.html").is_file() and (here / "first-dataset/README.md").is_file()


# --- your data --------------------------------------------------------------------------------------------


def test_the_images_of_your_data(here):
    my_images(here / "my-images")
    tree = next(block for block in blocks("text", "docs/your-data.md") if block.startswith("my-images/"))
    assert {path.name for path in (here / "my-images").iterdir()} == set(re.findall(r"^  (\w+)/", tree, re.M))

    printed = work_through("docs/your-data.md", "Images", *QUICK)
    assert printed["check images.toml"].endswith("ok\n")
    shown = next(block for block in blocks("text", "docs/your-data.md") if "none is answered yet" in block)
    asked = " ".join(printed["run images.toml"].split())
    assert asked.endswith(" ".join(shown.replace("about 20", "about 8").split()))
    assert ANSWERS in printed["run images.toml --resume"]
    assert (here / "runs/images/report.html").is_file() and any((here / "images-dataset").rglob("*.parquet"))

    answer_all()
    assert "finished: " in typed(["run", "images.toml", "--resume"], *QUICK)
    assert len(RunDir.at("runs/images").dataset()) == 12 + 2 * 6  # of eight answers one is reject, one flag
    assert typed(["verify", "runs/images"]) == "whole\n"


def test_the_texts_of_your_data(here):
    my_texts(here / "my-texts.csv")
    printed = work_through("docs/your-data.md", "Texts", *QUICK)
    assert printed["check texts.toml"].endswith("ok\n")
    assert ANSWERS in printed["run texts.toml --resume"]
    assert Config.load("texts.toml").run_dir == Path("runs/texts")


def test_the_rehearsals(here):
    my_images(here / "my-known-images", pool="pool/{}")
    my_texts(here / "my-known-texts.csv", split=True)
    printed = work_through("docs/experiments.md", "Rehearse with known labels", *QUICK)
    assert len(printed) == 2
    for told in printed.values():
        assert "finished: " in told and "random" in told


def test_several_classes_at_once(here):
    text = next(block for block in blocks("text", "docs/your-data.md") if "technical|billing" in block)
    header, *rows = text.splitlines()
    more = [f"{SENTENCES[a].format(i)} and {SENTENCES[b].format(i)},{a}|{b}" for i in range(6)
            for a, b in (("billing", "technical"), ("delivery", "billing"))]  # fmt: skip
    pool = [f"{sentence.format(f'order {i}')}," for i in range(10) for sentence in SENTENCES.values()]
    quoted = [f'"{row.rpartition(",")[0]}",{row.rpartition(",")[2]}' for row in (*rows, *more, *pool)]
    (here / "my-tickets.csv").write_text("\n".join([header, *quoted]))
    told = typed(["check", "tickets.toml"])
    assert "3 classes, of which several may hold at once: billing, delivery, technical" in told


# --- from Python ------------------------------------------------------------------------------------------


def test_the_code_of_the_python_page(here, monkeypatch, capsys):
    """All blocks one after the other, as in one session."""
    load = Config.load.__func__
    monkeypatch.setattr(
        Config,
        "load",
        classmethod(lambda cls, path, set_=(): load(cls, path, [*set_, *DIGITS, "compare.random=false"])),
    )
    scope: dict = {}
    for code in blocks("python", "docs/python.md"):
        exec(compile(code, "docs/python.md", "exec"), scope)
    printed = capsys.readouterr().out
    assert all(re.search(rf"^{name} 0\.\d+", printed, re.M) for name in ("adde", "random", "typiclust"))
    assert scope["summary"]["num_labels"] == 16 and "sample_id" in scope["asked"].columns


def test_every_page_that_is_run_shows_commands():
    assert all(adde_calls(DOCUMENTS[f"docs/{page}.md"]) for page in ("start", "your-data", "experiments", "review"))
