"""A run that waits for people goes on by itself when they have answered."""

import json
import subprocess
import sys
import threading
from uuid import uuid4

import pytest
from small import rows, tree, write

from adde_ray.artifacts.run_dir import RunDir
from adde_ray.errors import UserError
from adde_ray.review import waiting
from adde_ray.review.room import room
from adde_ray.review.store import Answer


@pytest.fixture
def toml(tmp_path):
    """A config of two rounds of five that people answer on the page."""
    sections = tree(write(tmp_path / "rows.parquet", rows()), review={"annotator": "page"}, run={"name": "it"})
    sections["run"]["root"] = str(tmp_path / "runs")
    path = tmp_path / "it.toml"
    path.write_text(
        "".join(
            f"[{name}]\n" + "".join(f"{k} = {json.dumps(v)}\n" for k, v in keys.items())
            for name, keys in sections.items()
        )
    )
    return path


def answer_what_there_is(folder) -> int:
    """How many answers were given."""
    with room(RunDir.at(folder)) as store:
        given = store.lease("Ann", 50)
        told = [
            Answer(uuid4().hex, task, item.sample_id, item.round, "Ann", "correct", label="a") for task, item in given
        ]
        assert not store.answer(told)
    return len(told)


@pytest.mark.timeout(120)
def test_a_run_goes_on_by_itself(toml, tmp_path):
    folder = tmp_path / "runs" / "it"
    command = [sys.executable, "-m", "adde_ray.cli", "run", str(toml), "--wait"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        answered, done = 0, threading.Event()
        while process.poll() is None:
            if (folder / "review" / "store.sqlite").exists():
                answered += answer_what_there_is(folder)
            done.wait(0.3)
        told = process.stdout.read()
    assert process.returncode == 0 and answered == 10
    assert "waiting for people: 0 of 5 answered" in told and "finished: " in told


def test_what_is_wrong_with_a_table_is_told_once_and_waited_out(monkeypatch):
    said, states = [], iter([UserError("unknown label", where="t:2"), UserError("unknown label", where="t:2"), None])

    def pending(run):
        state = next(states)
        if state:
            raise state

    monkeypatch.setattr(waiting, "pending", pending)
    waiting.wait(None, said.append, every=0)
    assert said == ["t:2: unknown label."]
