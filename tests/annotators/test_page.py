"""People who answer on the page: what is published of a query, and what becomes of what they say."""

import json
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer
from uuid import uuid4

import numpy as np
import polars as pl
import pytest
from small import config, rows, write

from adde_ray.annotators.page import payload
from adde_ray.annotators.shown import as_kept
from adde_ray.artifacts.images import encode_images
from adde_ray.artifacts.run_dir import RunDir
from adde_ray.labels import in_words
from adde_ray.loop import run
from adde_ray.review.bands import all_bands, bands_beside
from adde_ray.review.room import room
from adde_ray.review.store import Answer


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    return write(tmp_path_factory.mktemp("data") / "rows.parquet", rows())


def told(task, item, who="Ann", label="a", action="correct", **more):
    known = {"answer_id": uuid4().hex, "task": task, "sample_id": item.sample_id, "round": item.round}
    return Answer(**known, annotator=who, action=action, label=label, **more)


def seated(store, who, overlap=1):
    return store.lease(who, 50, overlap=overlap)


def test_all_bands_of_an_image_lie_beside_what_is_shown(tmp_path):
    pixels = np.arange(2 * 5 * 4 * 4, dtype=np.uint8).reshape(2, 5, 4, 4)
    kept = pl.DataFrame(
        {
            "sample_id": ["0" * 32, "1" * 32],
            "image": pl.concat([encode_images(pixels[:1]), encode_images(pixels[1:, :3])]),
        }
    )
    for row in as_kept(kept, "image").iter_rows(named=True):
        payload(tmp_path, row, "image")
    folder = tmp_path / "review"
    assert [bands_beside(folder / f"{digit * 32}.png") for digit in "01"] == [5, 0]
    assert all_bands(folder / f"{'0' * 32}.png").read_bytes() == kept["image"][0]


def truth_of(run_dir):
    oracle = pl.read_parquet(run_dir / "ingest" / "oracle.parquet")
    return dict(oracle.select("sample_id", "label").iter_rows())


def answer_all(folder, who="Ann", overlap=1, wrong=()):
    """Somebody answers all they are given by the truth, the samples at these places as 'a' or 'b' instead."""
    truth = truth_of(folder)
    with room(RunDir.at(folder)) as store:
        given = seated(store, who, overlap)
        labels = [truth.get(item.sample_id, item.truth) for _, item in given]
        labels = [("a" if x != "a" else "b") if n in wrong else x for n, x in enumerate(labels)]
        refused = store.answer([told(t, i, who, x) for (t, i), x in zip(given, labels, strict=True)])
    assert not refused
    return [item for _, item in given]


def test_a_run_waits_goes_on_and_ends(data, tmp_path):
    asked = config(data, review={"annotator": "page"}, stop={"labels": 10})
    folder = tmp_path / "run"
    assert run(asked, folder)["status"] == "awaiting_review"
    assert run(asked, folder, resume=True)["review"] == {
        "round": 0, "table": None, "asked": 5, "open": 5, "lines": [],
    }  # fmt: skip
    assert len(answer_all(folder)) == 5
    assert run(asked, folder, resume=True)["review"]["round"] == 1
    answer_all(folder)
    record = run(asked, folder, resume=True)
    assert (record["status"], record["num_labels"], record["num_samples"]) == ("finished", 10, 16)
    kept = RunDir.at(folder).round(0).read("opinions.parquet")
    assert kept["annotator"].to_list() == ["Ann"] * 5 and kept["sample_id"].n_unique() == 5


def test_what_is_published_says_why_and_shows_neighbours(data, tmp_path):
    run(config(data, review={"annotator": "page", "gold": 0.4}), tmp_path / "run")
    query = RunDir.at(tmp_path / "run").round(0).read("query.parquet")
    with room(RunDir.at(tmp_path / "run")) as store:
        items = [item for _, item in store.items(0)]
    asked, gold = ([item for item in items if item.kind == kind] for kind in ("new", "gold"))
    assert [item.sample_id for item in asked] == query.sort("rank")["sample_id"].to_list()
    assert len(gold) == 2 and all(item.truth in "abc" and item.suggested is None for item in gold)
    assert len(json.loads(asked[0].payload)) == 4
    assert asked[0].why["sentence"].endswith(".") and len(asked[0].why["neighbours"]) == 3
    assert {n["label"] for n in asked[0].why["neighbours"]} <= {"a", "b", "c"}
    points = json.loads((tmp_path / "run/rounds/000/review/map.json").read_text())["points"]
    assert {p["kind"] for p in points} == {"asked", "labelled"} and len(points) == 5 + 2 + 6, "gold too"


def test_two_people_who_disagree_leave_a_sample_out_until_an_owner_settles_it(data, tmp_path):
    asked = config(data, review={"annotator": "page", "overlap": 2}, stop={"labels": 10})
    folder = tmp_path / "run"
    run(asked, folder)
    answer_all(folder, "Ann", 2)
    assert run(asked, folder, resume=True)["review"]["open"] == 5
    [first, *_] = answer_all(folder, "Bob", 2, wrong=[0])
    run(asked, folder, resume=True)
    decisions = RunDir.at(folder).round(0).read("decisions.parquet")
    flagged = decisions.filter(pl.col("action") == "flag")
    assert flagged["sample_id"].to_list() == [first.sample_id]
    assert "people disagree: Ann" in flagged["comment"][0] and decisions["annotator"].unique().to_list() == ["Ann, Bob"]
    with room(RunDir.at(folder)) as store:
        store.invite("Eve", role="owner")
        [(task, item)] = [pair for pair in store.items(0) if pair[1].sample_id == first.sample_id]
        assert not store.answer([told(task, item, "Eve", truth_of(folder)[item.sample_id])], settles=True)
    answer_all(folder, "Ann", 2)
    answer_all(folder, "Bob", 2)
    run(asked, folder, resume=True)
    assert RunDir.at(folder).round(2).read("amended.parquet")["sample_id"].to_list() == [first.sample_id]
    assert first.sample_id in RunDir.at(folder).dataset()["sample_id"].to_list()


def test_an_answer_of_an_earlier_round_is_amended(data, tmp_path):
    asked = config(data, review={"annotator": "page"}, stop={"labels": 15})
    folder = tmp_path / "run"
    run(asked, folder)
    answer_all(folder)
    run(asked, folder, resume=True)
    before = RunDir.at(folder).dataset(1)
    with room(RunDir.at(folder)) as store:
        given = store.said(annotator="Ann", round=0)
        (old, item), (other, gone) = given[:2]
        other_label = "a" if old.label != "a" else "b"
        change = told(old.task, item, label=other_label, replaces=old.answer_id)
        leave = told(other.task, gone, action="reject", label=None, replaces=other.answer_id)
        assert not store.answer([change, leave])
    answer_all(folder)
    run(asked, folder, resume=True)
    kept = RunDir.at(folder)
    assert kept.dataset(1).equals(before), "what is done stays"
    now = dict(kept.dataset(2).select("sample_id", "label").iter_rows())
    assert now[item.sample_id] == other_label and gone.sample_id not in now
    amended = kept.round(2).read("amended.parquet")
    assert sorted(amended["sample_id"].to_list()) == sorted([item.sample_id, gone.sample_id])
    answer_all(folder)
    record = run(asked, folder, resume=True)
    assert record["status"] == "finished" and record["num_samples"] == 6 + 15 - 1
    assert in_words(dict(kept.dataset().select("sample_id", "label").iter_rows())[item.sample_id]) == other_label


def test_labels_that_are_doubted_are_asked_about_again_and_then_count(tmp_path):
    data = write(tmp_path / "rows.parquet", rows(pool=90))
    review = {"annotator": "page", "second_look": 0.3}
    asked = config(data, review=review, select={"batch": 20}, stop={"labels": 60}, train={"steps": 100})
    folder = tmp_path / "run"
    run(asked, folder)
    given = answer_all(folder, wrong=[1, 4])
    wrong = {given[place].sample_id for place in (1, 4)}
    run(asked, folder, resume=True)
    with room(RunDir.at(folder)) as store:
        again = {item.sample_id for _, item in store.items(1) if item.kind == "again"}
    assert again and again <= wrong, "what is right is not asked about again"
    assert len(answer_all(folder)) == 20 + len(again)
    run(asked, folder, resume=True)
    amended, truth = RunDir.at(folder).round(2).read("amended.parquet"), truth_of(folder)
    assert dict(amended.select("sample_id", "label").iter_rows()) == {i: truth[i] for i in again}
    with room(RunDir.at(folder)) as store:
        later = {item.sample_id for _, item in store.items(2) if item.kind == "again"}
    assert not later & again, "nobody is asked about one a third time"


def test_a_webhook_is_told_of_each_query_and_a_deaf_one_stops_nothing(data, tmp_path, caplog):
    told = []

    class Hook(BaseHTTPRequestHandler):
        def do_POST(self):
            told.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
            self.send_response(200)
            self.end_headers()

    with HTTPServer(("127.0.0.1", 0), Hook) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        url = f"http://127.0.0.1:{server.server_port}/secret"
        run(config(data, review={"annotator": "page", "webhook": url}), tmp_path / "run")
        server.shutdown()
    assert [(t["run"], t["round"], t["asked"]) for t in told] == [("run", 0, 5)]
    record = run(config(data, review={"annotator": "page", "webhook": url}), tmp_path / "other")
    assert record["status"] == "awaiting_review" and "127.0.0.1 was not told" in caplog.text
    assert "secret" not in caplog.text


def test_a_quorum_is_enough(data, tmp_path):
    asked = config(data, review={"annotator": "page", "quorum": 0.6}, stop={"labels": 5})
    folder = tmp_path / "run"
    run(asked, folder)
    with room(RunDir.at(folder)) as store:
        given = seated(store, "Ann")
        store.answer([told(task, item) for task, item in given[:3]])
    assert run(asked, folder, resume=True)["answers"] == {"correct": 3, "flag": 2}
    decisions = RunDir.at(folder).round(0).read("decisions.parquet")
    assert decisions.filter(pl.col("action") == "flag")["comment"].to_list() == ["nobody answered in time"] * 2
