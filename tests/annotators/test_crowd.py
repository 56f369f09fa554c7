"""Several simulated people: each errs in their own way, and their answers add up."""

from types import SimpleNamespace

import numpy as np
import polars as pl
import pytest
from small import config, rows, write

from adde_ray.annotators.crowd import OPINIONS, Crowd
from adde_ray.annotators.person import SimulatedPerson
from adde_ray.annotators.replayed import Replayed
from adde_ray.annotators.simulated import rates
from adde_ray.artifacts.run_dir import RunDir, read_table
from adde_ray.artifacts.schema import DECISIONS, QUERY, frame
from adde_ray.config import Review
from adde_ray.config_check import check_data
from adde_ray.errors import UserError
from adde_ray.loop import run

CLASSES = ("a", "b", "c")
IDS = [f"{i:03d}" for i in range(400)]


def person(mark="", **options) -> SimulatedPerson:
    error_rate = rates(CLASSES, options.pop("error_rate", 0.0))
    return SimulatedPerson(CLASSES, error_rate, mark=mark, **options)


def query(ids, suggested="a") -> pl.DataFrame:
    return frame([{"sample_id": i, "suggested": suggested, "origin": "real", "confidence": 0.9} for i in ids], QUERY)


class TestPerson:
    def test_mixes_up_classes_as_the_matrix_says(self):
        ann = person(confusion={"a": {"b": 0.3, "c": 0.1}})
        said = [ann.says(i, "a") for i in IDS]
        assert np.mean([s == "b" for s in said]) == pytest.approx(0.3, abs=0.06)
        assert np.mean([s == "c" for s in said]) == pytest.approx(0.1, abs=0.05)
        assert {ann.says(i, "b") for i in IDS} == {"b"}

    @pytest.mark.parametrize("errs", [{"error_rate": 0.1}, {"confusion": {"a": {"b": 0.1}}}], ids=["rate", "matrix"])
    def test_tires_in_a_sitting(self, errs):
        ann = person(fatigue=0.01, **errs)
        for nth in (0, 40):
            wrong = np.mean([ann.says(i, "a", nth) != "a" for i in IDS])
            assert wrong == pytest.approx(0.1 + 0.01 * nth, abs=0.07)

    def test_takes_seconds_around_their_median(self):
        ann = person(seconds=4.0)
        took = [ann.takes(i) for i in IDS]
        assert np.median(took) == pytest.approx(4, rel=0.15) and np.ptp(took) > 4 and person().takes("x") == 0
        assert took == [ann.takes(i) for i in IDS]

    def test_people_err_each_in_their_own_way(self):
        ann, ben = (person(mark, error_rate=0.3) for mark in ("0/ann", "0/ben"))
        both = np.mean([ann.says(i, "a") != "a" and ben.says(i, "a") != "a" for i in IDS])
        assert both == pytest.approx(0.09, abs=0.04)


def crowd(people, **review) -> Crowd:
    return Crowd(CLASSES, Review.model_validate(review), people)


FIVE = {name: person(name, error_rate=0.3, seconds=2.0) for name in ("ann", "ben", "cy", "dee", "eve")}


@pytest.mark.parametrize("overlap", [1, 3, 5])
def test_so_many_people_are_asked_and_together_they_err_less(overlap):
    several, truth = crowd(FIVE, overlap=overlap), dict.fromkeys(IDS, "b")
    opinions = several.ask(query(IDS), truth, t=2)
    assert opinions.columns == OPINIONS.names and len(opinions) == overlap * len(IDS)
    assert opinions.group_by("sample_id").agg(pl.col("annotator").n_unique())["annotator"].unique().item() == overlap
    assert len(opinions["annotator"].unique()) == 5 and opinions["seconds"].min() > 0
    decisions = several.decide(query(IDS), opinions, t=2)
    assert decisions.columns == DECISIONS.names and decisions["sample_id"].to_list() == IDS
    right = (decisions["label"].fill_null("") == "b").mean()
    assert right == pytest.approx({1: 0.7, 3: 0.78, 5: 0.87}[overlap], abs=0.06)


def test_adaptive_overlap_asks_others_only_where_there_is_doubt():
    several, truth = crowd(FIVE, overlap="adaptive"), dict.fromkeys(IDS, "a")
    opinions = several.ask(query(IDS), truth, t=0)
    often = opinions.group_by("sample_id").agg(pl.len(), pl.col("label").first())
    assert set(often.filter(pl.col("label") == "a")["len"]) == {1}
    assert set(often.filter(pl.col("label") != "a")["len"]) <= {2, 3}


def test_dawid_and_skene_weigh_who_errs_by_all_rounds():
    people = {"ann": person("1"), "ben": person("2", error_rate=0.6), "cy": person("3", error_rate=0.6)}
    truth, right = {i: CLASSES[int(i) % 3] for i in IDS}, {}
    for consensus in ("majority", "dawid_skene"):
        several = crowd(people, overlap=3, consensus=consensus)
        earlier = several.ask(query(IDS[:300]), truth, t=0)
        now = several.ask(query(IDS[300:]), truth, t=1)
        decided = several.decide(query(IDS[300:]), pl.concat([earlier, now]), t=1)
        right[consensus] = np.mean([label == truth[i] for i, label in decided.select("sample_id", "label").iter_rows()])
    assert right["dawid_skene"] > max(0.9, right["majority"] + 0.15)


def test_all_reject_what_is_none_of_the_classes():
    several = crowd(FIVE, overlap=2)
    decisions = several.decide(query("x"), several.ask(query("x"), {"x": None}, t=0), t=0)
    assert decisions.select("action", "label").rows() == [("reject", None)]


class TestReplay:
    @pytest.fixture(params=["csv", "parquet"])
    def table(self, request, tmp_path):
        given = [("x", "w1", "b"), ("x", "w2", "b"), ("x", "w3", "a"), ("y", "w1", "junk"), ("x", "w1", "c")]
        table = pl.DataFrame(given, schema=["item", "worker", "answer"], orient="row")
        path = tmp_path / f"answers.{request.param}"
        table.write_csv(path) if request.param == "csv" else table.write_parquet(path)
        return path

    def test_who_answered_then_answers_again(self, table):
        several = Crowd(CLASSES, Review(overlap=3), {}, replayed=Replayed(table))
        opinions = several.ask(query("xyz"), {}, t=0)
        assert sorted(opinions.select("sample_id", "annotator", "action", "label").rows()) == [
            ("x", "w1", "correct", "c"), ("x", "w2", "correct", "b"), ("x", "w3", "accept", "a"),
            ("y", "w1", "reject", None),
        ]  # fmt: skip
        decisions = several.decide(query("xyz"), opinions, t=0)
        assert decisions["action"].to_list() == ["flag", "reject", "flag"]
        assert "nobody answered" in decisions["comment"][2]

    def test_what_is_no_table_of_answers_is_told(self, tmp_path):
        with pytest.raises(UserError, match=r"review.replay: no table that can be read"):
            Replayed(tmp_path / "none.parquet")
        (path := tmp_path / "other.csv").write_text("item,label\nx,a\n")
        with pytest.raises(UserError, match=r"columns of answers are missing: worker, answer .*item, worker, answer"):
            Replayed(path)


PEOPLE = {"ann": {"error_rate": 0.2, "seconds": 3}, "ben": {"confusion": {"a": {"b": 0.5}}}, "cy": {"fatigue": 0.05}}


def test_a_run_keeps_what_each_said_and_repeats_itself(tmp_path):
    given = config(write(tmp_path / "data.parquet", rows()), review={"people": PEOPLE, "overlap": 2})
    first = run(given, tmp_path / "first")
    assert run(given, tmp_path / "second")["dataset_fingerprint"] == first["dataset_fingerprint"]
    for round_ in RunDir(tmp_path / "first").rounds()[:2]:
        opinions = read_table(round_.root / "opinions.parquet")
        assert len(opinions) == 10 and opinions.filter(annotator="ann")["seconds"].min() > 0
        asked = read_table(round_.root / "decisions.parquet")["annotator"].to_list()
        assert all(len(names.split(", ")) == 2 for names in asked)


def test_answers_of_a_table_label_a_run(tmp_path):
    data = write(tmp_path / "data.parquet", rows())
    run(config(data), tmp_path / "plain")
    truth = read_table(tmp_path / "plain" / "ingest" / "oracle.parquet")
    said = truth.select(pl.col("sample_id").alias("item"), pl.lit("ann").alias("worker"), pl.lit("c").alias("answer"))
    said.write_parquet(tmp_path / "said.parquet")
    run(config(data, review={"replay": str(tmp_path / "said.parquet")}), tmp_path / "run")
    bought = RunDir(tmp_path / "run").dataset().filter(pl.col("round") > 0)
    assert len(bought) == 10 and set(bought["label"]) == {"c"}


@pytest.mark.parametrize(
    ("person", "says"),
    [
        ({"confusion": {"x": {"a": 0.1}}}, r"review.people.ann.confusion: no such class .*'x'"),
        ({"error_rate": {"x": 0.1}}, r"review.people.ann.error_rate: no such class .*'x'"),
        ({"confusion": {"a": {"b": 0.7, "c": 0.7}}}, r"the chances of a sum to more than 1"),
    ],
)
def test_what_people_cannot_be_like_is_told(tmp_path, person, says):
    data = write(tmp_path / "data.parquet", rows())
    with pytest.raises(UserError, match=says):
        run(config(data, review={"people": {"ann": person}}), tmp_path / "run")


def test_a_matrix_is_of_single_label_tasks(tmp_path):
    meta = SimpleNamespace(classes=CLASSES, multi=True, modality="vector", subgroups=(), has_oracle=True)
    given = config(tmp_path / "none", review={"people": {"ann": {"confusion": {"a": {"b": 0.5}}}}})
    with pytest.raises(UserError, match="a matrix of confusions is of single-label tasks"):
        check_data(given, meta)
