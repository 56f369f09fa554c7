"""Runs of which a share is drawn by chance: what is asked, what is measured, and that it stays the same."""

import json

import numpy as np
import polars as pl
import pytest
from helpers.damaging import answer
from helpers.finished import artifacts, finish, queries
from helpers.small import blobs, config, rows, write

from adde_ray.artifacts.queries import out_of_fold
from adde_ray.artifacts.run_dir import RunDir, read_json
from adde_ray.config_check import check_names
from adde_ray.errors import UserError
from adde_ray.loop import run
from adde_ray.pool.draw import draw
from adde_ray.report import write_report
from adde_ray.report.summary import summarise

SHARE = {"select": {"batch": 5, "random_share": 0.4, "mix": []}, "stop": {"labels": 20}}


@pytest.fixture
def data(tmp_path):
    return write(tmp_path / "data.parquet", rows())


def by_chance(folder) -> list[int]:
    return [int((q["chosen_by"] == "random").sum()) for q in queries(folder)]


def test_a_share_of_each_query_is_drawn_and_says_so(data, tmp_path):
    finish(tmp_path / "run", config(data, **SHARE))
    asked = queries(tmp_path / "run")
    assert by_chance(tmp_path / "run") == [2, 2, 2, 2]
    assert all(q["rank"].to_list() == [1, 2, 3, 4, 5] for q in asked)
    assert {tuple(q.filter(chosen_by="random")["rank"]) for q in asked} != {(4, 5)}
    dataset = RunDir(tmp_path / "run").dataset()
    assert dataset["chosen_by"].value_counts().sort("chosen_by").rows() == [
        (None, 6), ("batch_greedy", 12), ("random", 8),
    ]  # fmt: skip
    drawn = pl.concat(asked).filter(chosen_by="random")
    assert drawn["score"].null_count() == drawn["suggested"].null_count() == 0
    assert (drawn["origin"] == "real").all()


def test_what_is_drawn_does_not_depend_on_the_score(data, tmp_path):
    for name, weights in (("a", {"alpha": 1.0, "beta": 0.0}), ("b", {"alpha": 0.0, "beta": 1.0})):
        finish(tmp_path / name, config(data, select=SHARE["select"] | weights, stop={"labels": 5}))
    first, second = (queries(tmp_path / name)[0] for name in "ab")
    drawn = [set(q.filter(chosen_by="random")["sample_id"]) for q in (first, second)]
    rest = [set(q["sample_id"]) - drawn[0] for q in (first, second)]
    assert drawn[0] == drawn[1] and rest[0] != rest[1]


def test_all_of_a_query_can_be_drawn_until_the_pool_is_dry(data, tmp_path):
    small = config(data, select={"batch": 25, "random_share": 1.0}, stop={"labels": 1000})
    finish(tmp_path / "run", small)
    assert by_chance(tmp_path / "run") == [25, 25, 10]


def test_a_streamed_pool_gives_the_same_draw_as_one_in_memory(data, tmp_path):
    finish(tmp_path / "memory", config(data, **SHARE))
    stream = {"min_rows": 1, "shard_rows": 7, "sample_rows": 30, "workers": 0}
    finish(tmp_path / "streamed", config(data, **SHARE, stream=stream))
    first = [
        queries(tmp_path / name)[0].filter(chosen_by="random")["sample_id"].sort() for name in ("memory", "streamed")
    ]
    assert first[0].to_list() == first[1].to_list() and len(first[0]) == 2


class Shards:
    """A pool of ids alone, cut into shards."""

    def __init__(self, ids, size):
        self.shards = [Ids(ids[i : i + size]) for i in range(0, len(ids), size)]


class Ids:
    def __init__(self, ids):
        self._ids = pl.Series(ids)

    def ids(self):
        return self._ids


@pytest.mark.slow
def test_every_row_is_as_likely_to_be_drawn_whatever_the_shards():
    rng = np.random.default_rng(0)
    ids = sorted(rng.bytes(16).hex() for _ in range(40))
    times = dict.fromkeys(ids, 0)
    for seed in range(2000):
        found = [draw(Shards(ids, size), {ids[0]}, 4, seed=seed) for size in (7, 40)]
        flat = [sorted(i for _, part in of for i in part) for of in found]
        assert flat[0] == flat[1] and len(flat[0]) == 4
        assert all(i in Shards(ids, 7).shards[row].ids().to_list() for row, part in found[0] for i in part)
        for i in flat[0]:
            times[i] += 1
    assert times.pop(ids[0]) == 0
    expected = 2000 * 4 / 39
    assert sum((n - expected) ** 2 / expected for n in times.values()) < 70  # chi², 38 degrees: p = .001


def test_people_are_asked_about_a_random_tenth_where_val_is_small_and_simulations_are_not(tmp_path):
    data = write(tmp_path / "data.parquet", rows())
    settings = config(data, select={"batch": 10}, review={"annotator": "file"}, stop={"labels": 20})
    run(settings, tmp_path / "people")
    query = RunDir(tmp_path / "people").round(0).read("query.parquet")
    assert query["chosen_by"].to_list().count("random") == 1
    answer(tmp_path / "people" / "rounds/000/review.csv")
    assert "random" not in (tmp_path / "people" / "rounds/000/review.csv").read_text()
    run(settings, tmp_path / "people", resume=True)
    assert summarise(RunDir(tmp_path / "people"))["selection"].endswith("cannot be told yet: 1 random answer")
    finish(tmp_path / "simulated", config(data, select={"batch": 10}, stop={"labels": 20}))
    assert by_chance(tmp_path / "simulated") == [0, 0]
    assert summarise(RunDir(tmp_path / "simulated"))["selection"] is None


def test_with_a_large_val_people_are_asked_by_score_alone(tmp_path):
    large = write(tmp_path / "data.parquet", rows() + blobs("val", 210, seed=1))
    run(config(large, select={"batch": 10}, review={"annotator": "file"}), tmp_path / "run")
    assert "random" not in RunDir(tmp_path / "run").round(0).read("query.parquet")["chosen_by"]


def test_a_kill_before_any_query_changes_nothing(data, tmp_path):
    finish(tmp_path / "whole", config(data, **SHARE))

    class Killed(BaseException):
        pass

    def kill(run_, stage, t):
        if (stage, t) == ("review", 2):
            raise Killed

    with pytest.raises(Killed):
        run(config(data, **SHARE), tmp_path / "killed", on_stage=kill)
    (tmp_path / "killed" / "rounds/002/query.parquet").unlink()
    (tmp_path / "killed" / "rounds/002/metrics.json").unlink()
    run(config(data, **SHARE), tmp_path / "killed", resume=True)
    whole, killed = (artifacts(tmp_path / name) for name in ("whole", "killed"))
    assert {k: v for k, v in whole.items() if "digests" not in k and "manifest" not in k} == {
        k: v for k, v in killed.items() if "digests" not in k and "manifest" not in k
    }


def test_the_metrics_hold_shares_unseen_mass_and_worth(data, tmp_path):
    finish(tmp_path / "run", config(data, **SHARE))
    found = [round_.metrics.get("random_share") for round_ in RunDir(tmp_path / "run").rounds()]
    assert found[0] is None
    assert [f["rows"] for f in found[1:]] == [2, 4, 6, 8]
    last = found[-1]
    assert set(last) == {"rows", "labelled", "shares", "none", "unseen", "accuracy", "macro_f1", "worth"}
    assert last["shares"].keys() == {"a", "b", "c"}
    assert all(s["low"] <= 1 / 3 <= s["high"] for s in last["shares"].values())
    assert last["none"]["share"] == 0 and last["unseen"] == {"share": 0, "low": 0, "high": 0}
    assert found[1]["worth"] == {}
    assert last["worth"]["labels"] == 20 and last["worth"]["pool"] == 60
    assert 1 <= last["worth"]["low"] <= last["worth"]["as_random"] <= last["worth"]["high"] <= 60


def test_random_selection_is_not_weighed_against_itself(data, tmp_path):
    finish(tmp_path / "run", config(data, select={"selector": "random"}))
    assert by_chance(tmp_path / "run") == [5, 5]
    assert "random_share" not in RunDir(tmp_path / "run").rounds()[-1].metrics
    assert summarise(RunDir(tmp_path / "run"))["selection"] is None


def test_f_is_measured_on_the_pool_by_predictions_for_rows_it_did_not_see(data, tmp_path):
    finish(tmp_path / "run", config(data, **SHARE))
    last = RunDir(tmp_path / "run").rounds()[-1]
    drawn = RunDir(tmp_path / "run").dataset().filter(chosen_by="random")
    said = out_of_fold(last).join(drawn.select("sample_id", "label"), on="sample_id")
    right = [label == "abc"[np.argmax(proba)] for label, proba in said.select("label", "proba").iter_rows()]
    found = last.metrics["random_share"]
    assert len(right) == 8 and found["accuracy"]["value"] == pytest.approx(np.mean(right), abs=1e-4)
    assert 0.5 < found["accuracy"]["low"] < found["accuracy"]["value"] and found["macro_f1"]["low"] > 0
    page = write_report(last.run).read_text()
    assert f"predictions for the 8 that it was not trained on: accuracy {np.mean(right):.3f}" in page


def test_where_no_predictions_for_unseen_rows_are_kept_the_rest_is_there(data, tmp_path):
    finish(tmp_path / "run", config(data, **SHARE, train={"learner": "mlp"}))
    last = RunDir(tmp_path / "run").rounds()[-1]
    assert out_of_fold(last) is None
    assert last.metrics["random_share"].keys() == {"rows", "labelled", "shares", "none", "unseen", "worth"}
    assert last.metrics["random_share"]["worth"]["labels"] == 20
    assert "not trained on" not in write_report(last.run).read_text()


def test_samples_that_people_leave_out_are_of_no_class(tmp_path):
    junk = blobs("pool", 40, seed=3)
    data = write(tmp_path / "data.parquet", rows(pool=40) + [row | {"label": "junk"} for row in junk])
    source = {"classes": ["a", "b", "c"]}
    settings = config(data, data=source, select={"batch": 20, "random_share": 1.0}, stop={"labels": 40})
    finish(tmp_path / "run", settings)
    last = RunDir(tmp_path / "run").rounds()[-1].metrics["random_share"]
    assert last["labelled"] < last["rows"] == 40
    assert last["none"]["low"] < 0.5 < last["none"]["high"]
    assert sum(s["share"] for s in last["shares"].values()) + last["none"]["share"] == pytest.approx(1, abs=2e-3)


def test_the_first_line_of_the_report_and_the_summary_say_what_selection_is_worth(data, tmp_path):
    summary = finish(tmp_path / "run", config(data, **SHARE))
    page = write_report(RunDir(tmp_path / "run")).read_text()
    told = summary["selection"]
    assert "random" in told
    assert page.index(told[1:]) < page.index("3 classes, 60 vectors in the pool")
    assert "8 of the answers were drawn from the whole pool by chance" in page
    chart = json.loads(page.split('<script type="application/json" id="data">')[1].split("</script>")[0])["charts"][
        "shares"
    ]
    assert chart["data"][1]["error_y"]["array"] and chart["data"][0]["name"] == "dataset"


def test_random_selection_beside_the_run_takes_precedence(data, tmp_path):
    summary = finish(tmp_path / "run", config(data, **SHARE, compare={"random": True}))
    assert "random selection's end, macro-F1" in summary["selection"]
    assert read_json(tmp_path / "run" / "baselines/random/config.json")["select"]["selector"] == "random"


def test_a_share_of_what_is_not_encoded_is_refused(data):
    tuned = {"mode": "full", "reembed": "shortlist"}
    with pytest.raises(UserError, match="draws from the whole pool"):
        check_names(config(data, train=tuned, encoder={"name": "convnet"}, select={"random_share": 0.1}))
    check_names(config(data, train=tuned, encoder={"name": "convnet"}))
