"""What annotators' browsers ask for and send."""

import uuid

import pytest
from asked import items
from review_server import Browser, Served, about


@pytest.fixture
def served(store, tmp_path) -> Served:
    store.publish(items(4, why={"sentence": "The model is <b>unsure</b>.", "U": 0.5}))
    return Served(store, about(tmp_path))


def says(task: int, action: str = "accept", label=None, **more) -> dict:
    return {"answer_id": uuid.uuid4().hex, "task": task, "action": action, "label": label} | more


def send(browser: Browser, *sent: dict) -> dict:
    told = browser.post("/api/answers", {"answers": list(sent)})
    assert told.status_code == 200, told.text
    return told.json()


def error(response, status: int) -> str:
    assert response.status_code == status, response.text
    assert set(response.json()) == {"error"} and "\n" not in response.json()["error"]
    return response.json()["error"]


def test_who_signs_in_is_told_of_the_run(served):
    me = served.browser("ann").get("/api/me").json()
    assert (me["name"], me["role"], me["run"], me["classes"]) == ("ann", "annotator", "tickets", ["A", "B", "C"])
    assert me["round"] == 0 and me["progress"]["asked"] == 4 and me["guide_html"] is None and not me["multi"]
    assert "biased" in me["flags"] and me["may_show_guess"] is True


def test_samples_come_until_there_are_none(served):
    ann, bob = served.browser("ann"), served.browser("bob")
    first = ann.get("/api/next", n=3).json()
    assert [s["text"] for s in first["samples"]] == ["text 0", "text 1", "text 2"] and not first["waiting"]
    has = ",".join(str(s["task"]) for s in first["samples"])
    assert [s["text"] for s in ann.get("/api/next", n=3, **{"not": has}).json()["samples"]] == ["text 3"]
    assert bob.get("/api/next").json()["samples"] == [] and bob.get("/api/next").json()["waiting"]


def test_nothing_tells_gold_from_what_is_new(store, tmp_path):
    new, gold = items(2)
    gold = type(gold)(**{**vars(gold), "kind": "gold", "truth": "B"})
    store.publish([gold, new])
    ann = Served(store, about(tmp_path)).browser("ann")
    found = ann.get("/api/next").json()["samples"]
    assert found[0].keys() == found[1].keys() and "B" not in str(found[1].values())
    assert [s["task"] for s in found] == sorted(s["task"] for s in found)
    assert {s["origin"] for s in found} == {"real"} and {s["can_show_guess"] for s in found} == {True}


def test_an_answer_is_taken_once_however_often_it_is_sent(served):
    ann = served.browser("ann")
    [first, second] = ann.get("/api/next", n=2).json()["samples"]
    sent = [says(first["task"], flags=["edge case"], comment="x", seconds=1.5), says(second["task"], "correct", "B")]
    for _ in range(2):
        told = send(ann, *sent)
        assert told["accepted"] == [one["answer_id"] for one in sent] and told["refused"] == []
    rows = served.store.answers().select("annotator", "action", "label", "seconds").rows()
    assert rows == [("ann", "accept", "A", 1.5), ("ann", "correct", "B", 0.0)]


def test_what_is_refused_says_why_and_the_rest_is_taken(served):
    ann = served.browser("ann")
    [sample] = ann.get("/api/next", n=1).json()["samples"]
    told = send(
        ann, says(sample["task"], "correct", "Z"), says(sample["task"] + 1), says(sample["task"], "correct", "C")
    )
    assert len(told["accepted"]) == 1
    assert [one["error"] for one in told["refused"]] == [
        "no class of this run (got 'Z').",
        "this sample was not given to you",
    ]


@pytest.mark.parametrize(
    "wrong",
    [
        {"action": "love"},
        {"task": "1; DROP TABLE"},
        {"task": 2**63},
        {"seconds": -1},
        {"seconds": 1e9},
        {"answer_id": "../x"},
        {"answer_id": ""},
        {"comment": "x" * 10_001},
        {"flags": ["x"] * 21},
        {"kind": "gold"},
    ],
)
def test_what_is_no_answer_is_one_line(served, wrong):
    ann = served.browser("ann")
    error(ann.post("/api/answers", {"answers": [says(1) | wrong]}), 422)
    assert served.store.answers().is_empty()


def test_texts_come_back_as_they_were_written(served):
    ann = served.browser("ann")
    [sample] = ann.get("/api/next", n=1).json()["samples"]
    text = "<script>alert(1)</script> é 😀 \u202e"
    send(ann, says(sample["task"], comment=text, flags=[text]))
    [mine] = ann.get("/api/mine").json()["answers"]
    assert mine["comment"] == text and mine["flags"] == [text] and mine["sample"]["text"] == "text 0"
    half = b'{"answers": [{"answer_id": "a", "task": 1, "action": "flag", "comment": "\\ud800"}]}'
    headers = {"X-CSRF-Token": ann.csrf, "Content-Type": "application/json"}
    assert ann.http.post("/api/answers", content=half, headers=headers).status_code in (200, 422)
    assert len(served.store.answers()) == 1


def test_an_answer_is_undone_and_comes_back(served):
    ann = served.browser("ann")
    [sample] = ann.get("/api/next", n=1).json()["samples"]
    send(ann, says(sample["task"], "correct", "C"))
    undone = ann.post("/api/undo").json()
    assert undone["sample"]["task"] == sample["task"] and undone["answer"]["label"] == "C"
    assert ann.post("/api/undo").json() == {"sample": None, "answer": None}
    assert send(ann, says(sample["task"], "reject"))["refused"] == []


def test_mine_are_listed_in_pages_and_amended(served):
    ann = served.browser("ann")
    found = ann.get("/api/next").json()["samples"]
    send(ann, *[says(s["task"], "correct", "B") for s in found])
    page = ann.get("/api/mine", limit=3).json()["answers"]
    rest = ann.get("/api/mine", limit=3, before=page[-1]["answer_id"], round=0).json()["answers"]
    assert [one["sample"]["text"] for one in page + rest] == ["text 3", "text 2", "text 1", "text 0"]
    assert not page[0]["closed"] and ann.get("/api/mine", round=1).json()["answers"] == []
    served.store.close(0)
    last = rest[0]
    asked = ann.post(f"/api/answers/{last['answer_id']}/preview", {"action": "reject", "label": None}).json()
    assert asked["changes"][0] == "You said 'B', and will have said rejected."
    assert (
        any("Round 0 is closed" in line for line in asked["changes"]) and "leaves the dataset" in asked["changes"][-1]
    )
    send(ann, says(last["task"], "reject", replaces=last["answer_id"]))
    assert served.store.answers().filter(task=last["task"]).select("action", "after_close").rows() == [("reject", True)]
    same = ann.post(f"/api/answers/{page[0]['answer_id']}/preview", {"action": "correct", "label": "B"}).json()
    assert same["changes"] == ["Nothing changes: that is what you said."]


def test_nobody_sees_or_previews_the_answers_of_others(served):
    ann, bob = served.browser("ann"), served.browser("bob")
    [sample] = ann.get("/api/next", n=1).json()["samples"]
    [accepted] = send(ann, says(sample["task"]))["accepted"]
    error(bob.post(f"/api/answers/{accepted}/preview", {"action": "reject"}), 404)
    assert bob.get("/api/mine").json()["answers"] == []
    for path in ("guess", "why", "comments"):
        error(bob.get(f"/api/tasks/{sample['task']}/{path}"), 404)
    error(bob.post(f"/api/tasks/{sample['task']}/comments", {"text": "x"}), 404)


def test_the_guess_is_told_when_it_is_asked_for_and_may_be(store, tmp_path):
    shown, hidden = items(2)
    store.publish([shown, type(hidden)(**{**vars(hidden), "hides_guess": True})])
    served = Served(store, about(tmp_path))
    ann = served.browser("ann")
    one, two = ann.get("/api/next").json()["samples"]
    assert (one["can_show_guess"], two["can_show_guess"]) == (True, False)
    assert ann.get(f"/api/tasks/{one['task']}/guess").json() == {"suggested": "A", "confidence": 0.9}
    error(ann.get(f"/api/tasks/{two['task']}/guess"), 403)
    error(ann.get(f"/api/tasks/{two['task']}/why"), 403)  # it sways as much, and gold has none
    never = Browser(Served(store, about(tmp_path, guesses=False)).app)
    never.http.cookies = ann.http.cookies
    error(never.get(f"/api/tasks/{one['task']}/guess"), 403)


def test_why_comes_with_what_to_compare_it_to(store, tmp_path):
    other = {"sample_id": "f" * 32, "label": "B", "payload": f"{'f' * 32}.png"}
    why = {"sentence": "s", "U": 0.1, "Div": None, "Q": 0.2, "neighbours": [other]}
    why["gap"] = {"gap_id": "g1", "words": "night", "exemplars": [other]}
    store.publish(items(1, modality="image", why=why))
    ann = Served(store, about(tmp_path, modality="image")).browser("ann")
    [sample] = ann.get("/api/next").json()["samples"]
    told = ann.get(f"/api/tasks/{sample['task']}/why").json()
    shown = {"sample_id": "f" * 32, "label": "B", "image": f"/api/images/0/{'f' * 32}.png"}
    assert told["neighbours"] == told["gap"]["exemplars"] == [shown] and told["gap"]["words"] == "night"


def test_vectors_come_as_numbers(store, tmp_path):
    [item] = items(1, modality="vector")
    store.publish([type(item)(**{**vars(item), "payload": "[1.5, 2.0]"})])
    [sample] = Served(store, about(tmp_path, modality="vector")).browser("ann").get("/api/next").json()["samples"]
    assert sample["values"] == [1.5, 2.0]


def test_comments_are_read_by_whoever_has_the_sample(served):
    served = Served(served.store, about(served.about.root, overlap=2))
    ann, bob = served.browser("ann"), served.browser("bob")
    [sample] = ann.get("/api/next", n=1).json()["samples"]
    ann.post(f"/api/tasks/{sample['task']}/comments", {"text": "<b>look</b> at the edge"})
    bob.get("/api/next", n=4)
    [comment] = bob.get(f"/api/tasks/{sample['task']}/comments").json()["comments"]
    assert (comment["by"], comment["text"]) == ("ann", "<b>look</b> at the edge")
    assert {s["comments"] for s in ann.get("/api/next", n=1).json()["samples"]} == {1}


def test_a_new_class_is_proposed_by_naming_it(served):
    ann, olga = served.browser("ann"), served.browser("olga", "owner")
    [sample] = ann.get("/api/next", n=1).json()["samples"]
    assert send(ann, says(sample["task"], "correct", "new: moth "))["refused"] == []
    assert served.store.answers()["label"].to_list() == ["new:moth"]
    ann.post("/api/classes", {"name": "bee"})
    assert [c["name"] for c in ann.get("/api/classes").json()["proposed"]] == ["bee", "moth"]
    error(ann.post("/api/classes", {"name": "  "}), 400)
    error(ann.post("/api/classes/moth/settle", {"as": "adopt"}), 403)
    error(olga.post("/api/classes/moth/settle", {"as": "merge", "into": "Z"}), 400)
    settled = olga.post("/api/classes/moth/settle", {"as": "merge", "into": "B"}).json()["proposed"][1]
    assert (settled["state"], settled["into"], settled["settled_by"]) == ("merge", "B", "olga")
    ann.post("/api/classes", {"name": "a/b & c"})
    assert olga.post("/api/classes/a%2Fb%20%26%20c/settle", {"as": "refuse"}).status_code == 200
    assert served.store.classes()[0].state == "refuse"


def test_several_classes_are_kept_in_their_one_form(store, tmp_path):
    store.publish(items(2))
    ann = Served(store, about(tmp_path, multi=True)).browser("ann")
    one, two = ann.get("/api/next").json()["samples"]
    told = send(ann, says(one["task"], "correct", "C|A|?B"), says(two["task"], "correct", "A|Z"))
    assert len(told["refused"]) == 1 and store.answers()["label"].to_list() == ["A|C|?B"]
    assert send(ann, says(two["task"], "correct", ""))["refused"] == []


def test_who_signs_out_lets_go_of_what_they_hold(served):
    ann, bob = served.browser("ann"), served.browser("bob")
    ann.get("/api/next", n=4)
    assert bob.get("/api/next").json()["samples"] == []
    assert ann.post("/api/sign-out").status_code == 200
    assert len(bob.get("/api/next").json()["samples"]) == 4
    error(ann.get("/api/me"), 401)
