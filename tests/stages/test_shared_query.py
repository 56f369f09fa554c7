import polars as pl
import pytest
from helpers.finished import queries
from helpers.small import config, rows, write

from adde_ray.artifacts.run_dir import RunDir
from adde_ray.loop import run
from adde_ray.methods.query import mix
from adde_ray.report import write_report

ARMS = {"batch_greedy", *mix.DEFAULT} - {mix.DESCRIPTIONS}


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    return write(tmp_path_factory.mktemp("data") / "data.parquet", rows(pool=90))


def six_rounds(data, **sections):
    return config(data, **{"stop": {"labels": 30}, **sections})


def test_others_earn_places_and_the_report_shows_who_named_what(data, tmp_path):
    run(six_rounds(data), tmp_path / "run")
    asked = queries(tmp_path / "run")
    by = pl.concat(asked)["chosen_by"]
    assert set(by) == ARMS
    assert all(q["sample_id"].n_unique() == 5 and q["rank"].to_list() == [1, 2, 3, 4, 5] for q in asked)
    page = write_report(RunDir(tmp_path / "run"), tmp_path / "page.html").read_text()
    assert "Which strategy named them" in page


def test_alone_the_score_names_all_and_is_asked_as_before(data, tmp_path):
    run(six_rounds(data, select={"mix": []}), tmp_path / "run")
    assert set(pl.concat(queries(tmp_path / "run"))["chosen_by"]) == {"batch_greedy"}
    assert "Which strategy named them" not in write_report(RunDir(tmp_path / "run"), tmp_path / "page.html").read_text()


def test_another_selector_shares_its_query_only_when_told(data, tmp_path):
    run(six_rounds(data, select={"selector": "top_k"}), tmp_path / "alone")
    assert set(pl.concat(queries(tmp_path / "alone"))["chosen_by"]) == {"top_k"}
    run(six_rounds(data, select={"selector": "top_k", "mix": ["k_center"]}), tmp_path / "told")
    assert set(pl.concat(queries(tmp_path / "told"))["chosen_by"]) == {"top_k", "k_center"}


def test_what_the_score_passes_over_is_there_for_the_others(data, tmp_path):
    small = {"shortlist": 5, "mix": ["k_center"]}
    run(six_rounds(data, select=small), tmp_path / "run")
    asked, kept = queries(tmp_path / "run"), RunDir(tmp_path / "run").round(0).read("candidates.parquet")
    assert len(kept) == 90
    best = set(kept.sort("score", "sample_id", descending=[True, False]).head(5)["sample_id"])
    own = asked[0].filter(chosen_by="batch_greedy")["sample_id"]
    assert len(own) and set(own) <= best
    assert not set(pl.concat(asked).filter(chosen_by="k_center")["sample_id"]) <= best


def test_a_streamed_pool_that_is_small_enough_gives_the_same(data, tmp_path):
    stream = {"min_rows": 1, "shard_rows": 7, "sample_rows": 200, "workers": 0}
    run(six_rounds(data), tmp_path / "memory")
    run(six_rounds(data, stream=stream), tmp_path / "streamed")
    one, other = (pl.concat(queries(tmp_path / name))["sample_id"].to_list() for name in ("memory", "streamed"))
    assert one == other


def test_killed_and_resumed_it_is_the_same(data, tmp_path, monkeypatch):
    run(six_rounds(data), tmp_path / "whole")

    class Killed(BaseException):
        pass

    def kill(run_, stage, t):
        if (stage, t) == ("review", 3):
            raise Killed

    with pytest.raises(Killed):
        run(six_rounds(data), tmp_path / "killed", on_stage=kill)
    run(six_rounds(data), tmp_path / "killed", resume=True)
    for one, other in zip(queries(tmp_path / "whole"), queries(tmp_path / "killed"), strict=True):
        assert one.equals(other)
