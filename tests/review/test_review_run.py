"""A run and its people, from the command line and a browser: four rounds, in which a person changes their mind."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import time
from pathlib import Path

import pytest
import review_page
from databases import free_port

from adde_ray.artifacts.run_dir import RunDir
from adde_ray.review.room import room

pytest.importorskip("fastapi")
pytest.importorskip("playwright")

BATCH, ROUNDS = 4, 4


def configured(folder: Path) -> Path:
    """Digits, four at a time, that people answer on the page."""
    path = folder / "digits.toml"
    path.write_text(
        f'[run]\nname = "it"\nroot = "{folder / "runs"}"\n[data]\nsource = "digits"\n[encoder]\nname = "pixels"\n'
        f'[review]\nannotator = "page"\nhidden_guesses = 0\n[select]\nbatch = {BATCH}\n'
        f"[stop]\nlabels = {BATCH * ROUNDS}\n[measure]\nregions = 0\n[gates]\ndrift_rows = 0\n"
    )
    return path


def adde(*words: object, **more) -> subprocess.CompletedProcess:
    return subprocess.run(
        [sys.executable, "-m", "adde_ray.cli", *map(str, words)], capture_output=True, text=True, **more
    )


def until(true, seconds: float = 60.0) -> None:
    deadline = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < deadline, "never came true"
        time.sleep(0.1)


def label(visitor: review_page.Visitor, number: int, key: str) -> None:
    """Give so many samples that class."""
    for _ in range(number):
        task = visitor.sample()
        visitor.press(key)
        visitor.until(f"document.querySelector('#stage').dataset.task !== '{task}'")


@pytest.mark.timeout(240)
def test_a_run_and_a_person_who_changes_their_mind(tmp_path):
    port, folder = free_port(), tmp_path / "runs" / "it"
    command = [sys.executable, "-m", "adde_ray.cli", "run", str(configured(tmp_path)), "--review", "--port", str(port)]
    with (tmp_path / "log").open("w") as log, subprocess.Popen(command, stdout=log, stderr=log) as process:
        try:
            until(lambda: "review page: " in (tmp_path / "log").read_text())
            invited = adde("review", "invite", folder, "Ann").stdout
            [token] = re.findall(r"[\w-]{40,}", invited)
            with review_page.chromium() as browser:
                page = browser.new_context(viewport={"width": 1280, "height": 800}).new_page()
                page.set_default_timeout(30_000)
                page.goto(f"http://127.0.0.1:{port}/#token={token}")
                ann = review_page.Visitor(page, f"http://127.0.0.1:{port}/")
                _round_by_key(ann)
                _round_in_the_grid(ann)
                _changes_an_answer_and_reloads(ann)
                label(ann, BATCH, "5")
                ann.saved()
            until(lambda: process.poll() is not None)
        finally:
            process.terminate()
    told = (tmp_path / "log").read_text()
    assert process.returncode == 0 and f"{BATCH * ROUNDS} labels bought" in told, told
    run = RunDir.at(folder)
    actions = [sorted(run.round(t).read("decisions.parquet")["action"]) for t in range(ROUNDS)]
    assert actions[0] == ["correct", "flag", "flag", "reject"] or actions[0] == ["accept", "flag", "flag", "reject"]
    amended = run.round(3).read("amended.parquet")
    assert amended["label"].to_list() == ["9"], "what was rejected two rounds ago is a nine after all"
    assert amended["sample_id"][0] in run.dataset()["sample_id"].to_list()
    record = json.loads(adde("summary", folder, "--json").stdout)
    assert record["status"] == "finished" and record["num_labels"] == BATCH * ROUNDS
    with room(run) as store:
        assert [(one.name, one.by) for one in store.classes()] == [("a blot", "Ann")]


def _round_by_key(ann: review_page.Visitor) -> None:
    """A label that is taken back and given again, a rejection, a flag, and a class nobody thought of."""
    first = ann.sample()
    ann.press("3")
    ann.until(f"document.querySelector('#stage').dataset.task !== '{first}'")
    ann.press("u")
    ann.until(f"document.querySelector('#stage').dataset.task === '{first}'")
    label(ann, 1, "4")
    label(ann, 1, "r")
    third = ann.sample()
    ann.press("f")
    ann.page.wait_for_selector("dialog[open]")
    ann.press("2", "Enter")
    ann.until(f"document.querySelector('#stage').dataset.task !== '{third}'")
    ann.press("/")
    ann.page.keyboard.type("a blot")
    ann.press("Enter")
    ann.saved()


def _round_in_the_grid(ann: review_page.Visitor) -> None:
    """All of the next round at once, when it has come by itself."""
    ann.go("grid")
    ann.page.wait_for_selector(f".tiles .tile >> nth={BATCH - 1}")
    ann.press("Control+a", "7", "Enter")
    ann.saved()


def _changes_an_answer_and_reloads(ann: review_page.Visitor) -> None:
    """In the third round: one sample, a reload, an amendment of the first round, and the rest."""
    ann.go("one")
    label(ann, 1, "1")
    ann.saved()
    ann.page.reload()
    ann.sample()
    ann.go("mine")
    ann.page.click("tr:has-text('reject') button")
    ann.page.click("dialog .class[data-name='9']")
    ann.page.wait_for_selector("dialog .changes li")
    ann.page.click("dialog button.main")
    ann.until("!document.querySelector('dialog')")
    ann.saved()
    ann.go("one")
    label(ann, BATCH - 1, "1")
    ann.saved()
