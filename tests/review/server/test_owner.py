"""What owners see: figures of people and classes, disagreements, and samples behind a cell."""

import json
import uuid

import pytest
from asked import items, says
from review_server import Served, about


@pytest.fixture
def served(store, tmp_path, clock) -> Served:
    """Ann, bob and cid have answered six samples, the first two of which are gold. Cid takes B for A."""
    published = items(6)
    gold = [type(i)(**{**vars(i), "kind": "gold", "truth": "B"}) for i in published[:2]]
    store.publish([*gold, *published[2:]])
    made = Served(store, about(tmp_path, overlap=3))
    for who in ("ann", "bob", "cid"):
        for task, item in store.lease(who, 6, overlap=3):
            clock.seconds += 10
            label = "A" if who == "cid" or item.rank >= 4 else "B"
            store.answer([says(who, task, "correct", label, seconds=10.0, flags=("edge case",) * (who == "ann"))])
    return made


def test_people_are_measured_on_gold_and_against_each_other(served):
    told = served.browser("olga", "owner").get("/api/overview").json()
    people = {one["name"]: one for one in told["people"]}
    assert (people["ann"]["gold_accuracy"], people["cid"]["gold_accuracy"]) == (1.0, 0.0)
    assert people["ann"]["answers"] == 6 and people["ann"]["median_seconds"] == 10.0
    assert people["ann"]["per_hour"] == pytest.approx(360, rel=0.3) and isinstance(people["ann"]["drift"], list)
    assert people["bob"]["agreement"] > people["cid"]["agreement"]
    assert -1 <= told["agreement"]["low"] <= told["agreement"]["alpha"] <= told["agreement"]["high"] <= 1
    assert {c["name"]: c["confirmed"] for c in told["classes"]} == {"A": 2, "B": 4, "C": 0}
    assert told["flags"] == {"edge case": 6} and told["anchoring"]["shown"]["n"] == 12
    [progress] = told["progress"]
    assert (progress["round"], progress["asked"], progress["done"], progress["answers"]) == (0, 6, 6, 18)


def test_disagreements_are_listed_until_an_owner_settles_them(served):
    olga = served.browser("olga", "owner")
    divided = olga.get("/api/overview").json()["disagreements"]
    assert len(divided) == 4 and len(divided[0]["answers"]) == 3
    task = divided[0]["sample"]["task"]
    sent = {"answer_id": uuid.uuid4().hex, "task": task, "action": "correct", "label": "B"}
    refused = olga.post("/api/answers", {"answers": [sent]}).json()["refused"]
    assert "not given to you" in refused[0]["error"]
    taken = olga.post("/api/answers", {"answers": [sent | {"settle": True}]}).json()
    assert taken["refused"] == []
    found = Served(served.store, served.about)
    olga.http.app = found.app
    left = {
        one["sample"]["task"] for one in found.browser("otto", "owner").get("/api/overview").json()["disagreements"]
    }
    assert task not in left and len(left) == 3


def test_an_annotator_cannot_settle(served):
    dan = served.browser("dan")
    sent = {"answer_id": uuid.uuid4().hex, "task": 1, "action": "correct", "label": "B", "settle": True}
    sent["task"] = served.store.items()[0][0]
    assert len(dan.post("/api/answers", {"answers": [sent]}).json()["refused"]) == 1


def test_a_cell_of_the_confusions_opens_its_samples(served):
    olga = served.browser("olga", "owner")
    told = olga.get("/api/confusions").json()
    assert told["classes"] == ["A", "B", "C"]
    assert told["people"]["cid"] == [[2, 0, 0], [4, 0, 0], [0, 0, 0]]
    assert told["people"]["ann"][1][1] == 2  # gold; elsewhere bob and cid are divided
    found = olga.get("/api/samples", person="cid", truth="B", given="A").json()["samples"]
    assert len(found) == 4 and {one["label"] for one in found} == {"B"}
    assert olga.get("/api/samples", person="cid", truth="C", given="A").json()["samples"] == []


def test_samples_are_found_by_id_and_asked_about_again(served):
    olga = served.browser("olga", "owner")
    ids = [item.sample_id for _, item in served.store.items()][:2]
    assert len(olga.get("/api/samples", ids=",".join([*ids, "f" * 32])).json()["samples"]) == 2
    assert len(olga.post("/api/samples", {"sample_ids": ids}).json()["samples"]) == 2
    assert olga.get("/api/samples", ids="../x").status_code == 422
    assert olga.post("/api/again", {"sample_ids": ids, "reason": "blurred"}).json() == {"wanted": 2}
    assert [w.by for w in served.store.wanted_again()] == ["olga", "olga"]
    assert served.browser("ann2").post("/api/again", {"sample_ids": ids, "reason": "x"}).status_code == 403


def test_the_map_tells_annotators_of_their_own_samples_alone(served):
    ids = [item.sample_id for _, item in served.store.items()]
    points = [{"x": 0.0, "y": 1.0, "sample_id": i, "label": None, "kind": "asked"} for i in ids]
    points.append({"x": 0.0, "y": 0.0, "sample_id": "f" * 32, "label": "C", "kind": "labelled"})
    served.about.images(0).mkdir(parents=True)
    (served.about.images(0) / "map.json").write_text(json.dumps({"points": points}))
    mine = served.browser("new").get("/api/map/0").json()["points"]
    assert {p["task"] for p in mine} == {None} and [p["label"] for p in mine] == [None] * 6 + ["C"]
    all_ = served.browser("olga", "owner").get("/api/map/0").json()["points"]
    assert None not in {p["task"] for p in all_[:6]} and all_[0]["label"] in ("A", "B")
    assert served.browser("x").get("/api/map/7").json() == {"points": []}


def test_an_empty_run_has_figures(store, tmp_path):
    olga = Served(store, about(tmp_path)).browser("olga", "owner")
    told = olga.get("/api/overview").json()
    assert told["people"] == [] and told["progress"] == [] and told["agreement"]["alpha"] is None
    assert olga.get("/api/confusions").json()["people"] == {} and olga.get("/api/me").json()["round"] is None


def test_several_classes_are_confused_one_against_another(store, tmp_path, clock):
    store.publish(items(1, kind="gold", truth="A|B"))
    [(task, _)] = store.lease("ann", 1)
    store.answer([says("ann", task, "correct", "A|C")])
    olga = Served(store, about(tmp_path, multi=True)).browser("olga", "owner")
    assert olga.get("/api/confusions").json()["people"]["ann"] == [[1, 0, 0], [0, 0, 1], [0, 0, 0]]
    assert len(olga.get("/api/samples", person="ann", truth="B", given="C").json()["samples"]) == 1
    assert olga.get("/api/overview").json()["people"][0]["answers"] == 1
