"""What the report says of descriptions, and of what somebody found: from real runs, as a browser finds it."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

import pytest
import tiny
from pages import Page, assert_sound, wait_for
from talk import of_texts, talk

from adde_ray import find
from adde_ray.artifacts.run_dir import RunDir
from adde_ray.config import Config
from adde_ray.loop import run
from adde_ray.report import gallery, render, write_report
from adde_ray.report.descriptions import described
from adde_ray.report.read import read_run_record

HOSTILE = "<script>window.hacked=1</script> & 'more'"


class Stop(Exception):
    pass


@pytest.fixture(scope="module")
def texts(tmp_path_factory) -> Path:
    """A run of two rounds; before its second, somebody asked for what words found. A class is described in words."""
    folder = tmp_path_factory.mktemp("texts")
    settings = of_texts(talk(folder / "t.csv"), describe={"pin_blocked": ["a blocked pin", HOSTILE]})

    def stop(run_, stage, t):
        if (stage, t) == ("train", 1):
            raise Stop

    with pytest.raises(Stop):
        run(settings, folder / "run", on_stage=stop)
    find(folder / "run", f"lost card {HOSTILE}", ask=3)
    run(settings, folder / "run", resume=True)
    return folder / "run"


def section(html: str, name: str) -> str:
    """The text of one section of the page."""
    [found] = re.findall(rf'<section id="{name}">.*?</section>', html, re.S)
    return found


def test_what_somebody_found_is_told_and_marked(texts):
    record = read_run_record(RunDir.at(texts))
    [search] = gallery.searches(record)
    assert search["asked"] == 3 and search["told"] == f"“lost card {HOSTILE}”" and search["note"] == "3 card_lost"
    html = render(record)
    assert section(html, "selected").count('<span class="badge">find</span>') == 4, "three tiles, and what it means"
    assert "3 by adde find" in html and f"“lost card {HOSTILE}”" in Page(html).text and HOSTILE not in html
    nobody = [replace(r, wishes=None, query=r.query if r.query is None else r.query.drop("chosen_by"))
              for r in record.rounds]  # fmt: skip
    html = render(replace(record, rounds=nobody))  # of an earlier version
    assert "adde find" not in html and 'badge">find' not in html
    bare = [replace(r, wishes=None) for r in record.rounds]
    assert [s["told"] for s in gallery.searches(replace(record, rounds=bare))] == ["not told"]


def test_descriptions_are_told_in_full(texts):
    record = read_run_record(RunDir.at(texts))
    assert described(record)["rows"] == [
        {"label": "card_lost", "by": "its name", "said": ["card lost"]},
        {"label": "exchange_rate", "by": "its name", "said": ["exchange rate"]},
        {"label": "pin_blocked", "by": "words", "said": ["a blocked pin", HOSTILE]},
    ]
    html = render(record)
    page = Page(html)
    assert HOSTILE in page.text and HOSTILE not in html and "descriptions" in page.ids
    assert "<details open><summary>The classes" in section(html, "descriptions")


@pytest.mark.parametrize(
    ("heads", "says"),
    [
        ([0.0, 0.0], "The head uses them: they are rows of their own among those it learns from."),
        ([0.0, 10.0], "among those it learns from, and its weights are drawn towards them by 10."),
        ([0.0, None], "The head does not use them (1 of 2 rounds did): rows that it did not see speak against them."),
        ([None, 0.0], "The head uses them (1 of 2 rounds did)"),
        ([None, None], "The head does not use them: rows"),
    ],
)
def test_whether_the_head_uses_them_is_told(texts, heads, says):
    record = read_run_record(RunDir.at(texts))
    rounds = [
        replace(r, head=r.head | {"prototypes": drawn}) for r, drawn in zip(record.rounds[:2], heads, strict=True)
    ]
    assert says in section(render(replace(record, rounds=rounds)), "descriptions")
    tuned = replace(record, rounds=rounds, config=record.config | {"train": {"mode": "lora"}})
    assert described(tuned)["told"].startswith("The head that fine-tuning starts from")


def test_a_model_that_is_not_told_of_them_is_named(texts):
    record = read_run_record(RunDir.at(texts))
    untold = [replace(r, head=None) for r in record.rounds]
    assert described(replace(record, rounds=untold))["told"].startswith("The model does not learn from them")
    first = replace(untold[0], metrics=untold[0].metrics | {"num_samples": 0})
    assert described(replace(record, rounds=[first]))["told"].startswith("No sample is labelled yet")


def test_without_descriptions_there_is_no_such_section(tmp_path):
    run(of_texts(talk(tmp_path / "t.csv"), describe="none").override("stop.rounds=1"), tmp_path / "run")
    html = write_report(RunDir.at(tmp_path / "run")).read_text()
    assert 'id="descriptions"' not in html and "#descriptions" not in html and "adde find" not in html


@pytest.fixture(scope="module")
def images(tmp_path_factory) -> Path:
    """Pictures of classes that example files, words that nothing reads, and nothing describe."""
    root = tmp_path_factory.mktemp("images")
    pictures, labels = tiny.pictures(40)
    for i, (png, label) in enumerate(zip(pictures, labels, strict=True)):
        path = root / ("images/pool" if i > 2 else "shown") / label / f"{i}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(png)
    shown = [str(path) for path in (root / "shown" / "down").iterdir()]
    data = {"source": "image_folder", "path": str(root / "images"), "size": 12, "mode": "L"}
    data |= {"classes": ["across", "down", "strewn"], "describe": {"down": {"files": shown}, "strewn": HOSTILE}}
    sections = {"generate": {"generator": "none"}, "select": {"batch": 5}, "stop": {"rounds": 2}}
    run(Config.parse({"data": data, **sections}), root / "run")
    return root / "run"


def test_example_files_are_shown_and_words_that_nothing_reads_told(images):
    record = read_run_record(RunDir.at(images))
    of = described(record)
    assert [(row["by"], row["said"]) for row in of["rows"]] == [
        ("nothing", []), ("example files", ["1 of them"]), ("words that the encoder does not read", [HOSTILE]),
    ]  # fmt: skip
    html = render(record)
    [shown] = of["shown"]
    assert shown["label"] == "down" and f'data-id="{shown["id"]}"' in section(html, "descriptions")
    assert Page(html).data["samples"][shown["id"]]["src"].startswith("data:image/")


@pytest.mark.parametrize("which", ["texts", "images"])
def test_the_page_is_sound_in_a_browser(which, request, browser):
    folder = request.getfixturevalue(which)
    browser.get(write_report(RunDir.at(folder)).as_uri())
    wait_for(browser, "document.querySelectorAll('#descriptions td').length")
    assert_sound(browser)
