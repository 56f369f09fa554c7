"""A run waits, people answer its rounds on the page, and it goes on by itself until it ends."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest
import review_page
from databases import free_port
from small import rows, tree, write

from adde_ray.artifacts.run_dir import RunDir

pytest.importorskip("fastapi")
pytest.importorskip("playwright")


@pytest.fixture
def toml(tmp_path):
    """A config of three rounds of five that people answer on the page."""
    data = write(tmp_path / "rows.parquet", rows())
    sections = tree(data, review={"annotator": "page"}, run={"name": "it"}, stop={"labels": 15})
    sections["run"]["root"] = str(tmp_path / "runs")
    lines = [
        f"[{name}]\n" + "".join(f"{key} = {json.dumps(value)}\n" for key, value in keys.items())
        for name, keys in sections.items()
    ]
    path = tmp_path / "it.toml"
    path.write_text("".join(lines))
    return path


@pytest.mark.timeout(240)
def test_three_rounds_on_the_page(toml, tmp_path):
    """By key, in the grid, with a rejection, a flag, an undo, a reload, a proposed class, and an answer of two rounds
    ago amended."""
    port = free_port()
    command = [sys.executable, "-m", "adde_ray.cli", "run", str(toml), "--review", "--port", str(port)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as run, review_page.chromium() as browser:
        assert run.stdout is not None
        try:
            while "review page" not in (line := run.stdout.readline()):
                assert line, "the run ended before it asked"
            page = browser.new_page()
            page.set_default_timeout(60_000)
            address = f"http://127.0.0.1:{port}/"
            page.goto(address)
            me = review_page.Visitor(page, address)
            first = by_key(me)
            second = in_grid(me)
            third = me.sample()
            amend(me)
            me.go("one")
            for task in range(third, third + 5):
                assert me.sample() == task
                me.press("3")
            me.saved()
            page.close()
            assert run.wait(60) == 0
        finally:
            run.kill()
    folder = RunDir.at(tmp_path / "runs" / "it")
    kept = [folder.round(t).read("decisions.parquet") for t in range(3)]
    assert all(decisions is not None for decisions in kept)
    assert [first, second, third] == [1, 6, 11]
    assert kept[0]["action"].to_list() == ["correct", "reject", "flag", "flag", "correct"]  # a new class is no label
    assert kept[1]["label"].to_list() == ["b"] * 5 and kept[2]["label"].to_list() == ["c"] * 5
    amended = folder.round(3).read("amended.parquet")
    assert amended is not None and amended["label"].to_list() == ["c"]


def by_key(me: review_page.Visitor) -> int:
    """The first round; its first task."""
    first = me.sample()
    me.press("1", "r", "f")
    me.page.wait_for_selector("dialog[open]")
    me.press("3", "Enter")
    me.until(f"document.querySelector('#stage').dataset.task === '{first + 3}'")
    me.press("1", "u")
    me.until(f"document.querySelector('#stage').dataset.task === '{first + 3}'")
    me.page.reload()
    assert me.sample() == first + 3
    me.press("/")
    me.page.keyboard.type("something else")
    me.press("Enter", "2")
    me.saved()
    return first


def in_grid(me: review_page.Visitor) -> int:
    """The second round, once the run asks it; its first task."""
    second = me.sample()
    me.go("grid")
    me.page.wait_for_selector(".tiles .tile >> nth=4")
    me.press("Control+a", "2", "Enter")
    me.saved()
    me.go("one")
    return second


def amend(me: review_page.Visitor) -> None:
    """The first answer of the first round becomes another."""
    me.go("mine")
    me.page.select_option("#mine-round", "0")
    me.until("[...document.querySelectorAll('.mine tbody td:nth-child(3)')].every((cell) => cell.textContent === '0')")
    me.page.click(".mine tbody tr:last-child button")
    me.page.click("dialog .class[data-name=c]")
    me.page.wait_for_selector("dialog .changes :text('Round 0 is closed')")
    me.page.click("dialog button.main")
    me.until("!document.querySelector('dialog')")
    me.saved()
