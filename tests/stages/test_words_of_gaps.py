"""Words of a run's gaps, from what the run has: texts, descriptions, attributes."""

from __future__ import annotations

from pathlib import Path

import polars as pl
import pytest
from finished import artifacts
from small import config, rows, write
from talk import of_texts, talk

from adde_ray import find
from adde_ray.artifacts.run_dir import RunDir
from adde_ray.artifacts.schema import sample_id
from adde_ray.config import Config
from adde_ray.loop import run
from adde_ray.methods.space.gaps import from_frame, to_frame


def gaps(folder: Path, t: int = 0) -> pl.DataFrame:
    found = RunDir.at(folder).round(t).read("gaps.parquet")
    assert found is not None
    return found


@pytest.fixture(scope="module")
def told(tmp_path_factory) -> tuple[Config, Path]:
    folder = tmp_path_factory.mktemp("words")
    settings = of_texts(talk(folder / "texts.csv"))
    run(settings, folder / "run")
    return settings, folder / "run"


def test_a_region_is_told_by_its_terms_its_attributes_and_the_descriptions_near_it(told):
    regions = gaps(told[1]).filter(pl.col("kind").is_in(["density", "small_cluster"]))["in_words"].to_list()
    words = next(words for words in regions if "pin" in words)
    assert "near “pin blocked”" in words and "way=phone (" in words
    terms = words.split("terms: ")[1].split("; ")[0].split(", ")
    assert {"pin", "blocked"} & set(terms) and not set(terms) & {"please", "today", "exchange", "lost"}


def test_a_pool_in_shards_has_words_too(told, tmp_path):
    streamed = told[0].override("stream.min_rows=10", "stream.shard_rows=32", "stream.sample_rows=100")
    run(streamed.override("stream.workers=0", "stop.rounds=1"), tmp_path / "run")
    regions = gaps(tmp_path / "run").filter(pl.col("kind").is_in(["density", "small_cluster"]))["in_words"].to_list()
    assert any("near “" in words and "terms: " in words for words in regions)


def test_a_class_without_a_sample_says_what_it_is_described_by(told, tmp_path):
    own = gaps(told[1]).filter(kind="class", label="pin_blocked")
    assert own["num_labelled"].to_list() == [0] and own["in_words"].to_list() == ["described as “pin blocked”"]
    said = of_texts(tmp_path / "t.csv", describe={"pin_blocked": ["a code that works no more", "locked out"]})
    talk(tmp_path / "t.csv")
    run(said.override("stop.rounds=1"), tmp_path / "run")
    own = gaps(tmp_path / "run").filter(kind="class", label="pin_blocked")
    assert own["in_words"].to_list() == ["described as “a code that works no more”, “locked out”"]


def test_words_are_made_once(told):
    first, second = (dict(gaps(told[1], t).select("gap_id", "in_words").iter_rows()) for t in (0, 1))
    assert {first[i] == second[i] for i in first if first[i]} == {True}
    assert gaps(told[1], 1).filter(status="open")["in_words"].null_count() == 0


def test_a_kill_changes_nothing(told, tmp_path):
    settings, whole = told

    def kill(run_, stage, t):
        if (stage, t) == ("analyse", 1):
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run(settings, tmp_path / "run", on_stage=kill)
    run(settings, tmp_path / "run", resume=True)
    assert artifacts(tmp_path / "run") == {n: d for n, d in artifacts(whole).items() if not n.startswith("find/")}


def test_gaps_of_an_earlier_version_have_no_words(told):
    old = from_frame(gaps(told[1]).drop("in_words"))
    assert {gap.in_words for gap in old} == {None}
    assert to_frame(old).drop("in_words").equals(gaps(told[1]).drop("in_words"))


def test_a_search_says_what_sets_the_gap_apart(told):
    own = gaps(told[1], 1).filter((pl.col("in_words") != "") & (pl.col("status") == "open")).row(0, named=True)
    found = find(told[1], gap=own["gap_id"])
    assert f"what sets it apart: {own['in_words']}" in found.notes
    assert own["in_words"].split("“")[-1][:8] in found.page.read_text()


def test_vectors_without_attributes_have_nothing_to_say(tmp_path):
    run(config(write(tmp_path / "data.parquet", rows()), stop={"rounds": 1}), tmp_path / "run")
    found = gaps(tmp_path / "run")
    assert len(found) and set(found["in_words"]) == {""}


# --- a class that no labelled sample shows ------------------------------------------------------------------------


def unseen(folder: Path) -> dict:
    return gaps(folder).filter(kind="class", label="pin_blocked").row(0, named=True)


def labels_of(settings: Config, sample_ids: list[str]) -> list[str]:
    """Truly, as the file has them."""
    known = {sample_id(text): label for text, label in pl.read_csv(settings.data.path)["text", "label"].iter_rows()}
    return [known[i] for i in sample_ids]


@pytest.mark.parametrize("learner", ["linear", "mlp"])
def test_a_class_without_a_sample_is_asked_about_where_its_description_is(told, tmp_path, learner):
    settings = told[0].override(f"train.learner={learner}", "stop.rounds=1", "gaps.kinds=['class']")
    run(settings.override("select.diversity={gaps = 1.0}", "select.beta=1", "select.alpha=0"), tmp_path / "run")
    gap = unseen(tmp_path / "run")
    assert set(labels_of(settings, gap["anchors"])) == {"pin_blocked"} and gap["num_pool"] > 5
    query = RunDir.at(tmp_path / "run").round(0).read("query.parquet")
    near = query.filter(near_gap=gap["gap_id"])["sample_id"].to_list()
    assert near and set(labels_of(settings, near)) == {"pin_blocked"}
    assert set(query.filter(gap_id=gap["gap_id"])["sample_id"]) == set(near), "in it, not only near it"


@pytest.mark.parametrize("learner", ["linear", "mlp"])
def test_a_search_for_it_finds_what_is_nearest_to_its_description(told, tmp_path, learner):
    settings = told[0].override(f"train.learner={learner}", "stop.rounds=1", "select.selector=random")
    run(settings.override("review.annotator=file"), tmp_path / "run")
    found = find(tmp_path / "run", gap=unseen(tmp_path / "run")["gap_id"], number=6)
    assert set(labels_of(settings, found.table["sample_id"].to_list())) == {"pin_blocked"}
    assert found.measure == ("probability" if learner == "linear" else "similarity")
    assert any("nearest to what it is described by" in note for note in found.notes) == (learner == "mlp")


def test_without_descriptions_such_a_class_goes_by_the_model(told, tmp_path):
    settings = told[0].override("train.learner=mlp", "stop.rounds=1", "data.describe=none")
    run(settings.override("review.annotator=file"), tmp_path / "run")
    assert find(tmp_path / "run", gap=unseen(tmp_path / "run")["gap_id"]).measure == "probability"
