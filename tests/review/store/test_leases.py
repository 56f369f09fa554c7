"""Who is given what, and when it is somebody else's turn."""

import subprocess
import sys
import threading
from collections import Counter
from concurrent.futures import ThreadPoolExecutor

import pytest
from asked import items, says

from adde_ray.review.store import ADAPTIVE


def given(store, who, number=1, **how) -> list[int]:
    return [task for task, _ in store.lease(who, number, **how)]


def test_samples_are_asked_in_the_order_of_their_rank(store):
    store.publish(reversed(items(5)))
    assert [item.rank for _, item in store.lease("ann", 9)] == [0, 1, 2, 3, 4]


def test_what_is_published_again_stays_as_it_is(store):
    assert store.publish(items(3)) == 3
    assert store.publish(items(4)) == 1
    assert store.publish([]) == 0
    assert len(store.items(0)) == 4


def test_items_come_back_as_they_were_published(store):
    [item] = items(1, why={"sentence": "it <b>is</b>", "U": 0.5}, truth="B", hides_guess=True)
    store.publish([item])
    assert [found for _, found in store.items()] == [item]
    assert store.item(store.items()[0][0]) == item and store.item(-1) is None


def test_two_people_never_hold_the_same_sample(store):
    store.publish(items(6))
    assert not set(given(store, "ann", 3)) & set(given(store, "bob", 9))
    assert given(store, "cid") == []


def test_a_second_opinion_goes_to_somebody_else(store):
    store.publish(items(3))
    first = given(store, "ann", 9, overlap=2)
    store.answer([says("ann", task) for task in first])
    assert given(store, "ann", 9, overlap=2) == []
    assert given(store, "bob", 9, overlap=2) == first
    assert given(store, "cid", 9, overlap=2) == []


def test_samples_with_the_fewest_opinions_come_first(store):
    store.publish(items(4))
    store.answer([says("ann", task) for task in given(store, "ann", 2, overlap=2)])
    assert given(store, "bob", 4, overlap=2) == [t for t, _ in sorted(store.items(), key=lambda i: i[1].rank < 2)]


def test_who_loads_the_page_again_gets_what_they_hold(store):
    store.publish(items(6))
    held = given(store, "ann", 3)
    assert given(store, "ann", 3) == held
    assert not set(given(store, "ann", 3, not_tasks=held)) & set(held)


def test_a_lease_ends_and_others_get_the_sample(store, clock):
    store.publish(items(2))
    held = given(store, "ann", 2, seconds=60)
    clock.seconds += 59
    assert given(store, "bob", 2) == []
    clock.seconds += 2
    assert given(store, "bob", 2) == held


def test_a_page_that_is_open_keeps_what_it_has(store, clock):
    store.publish(items(2))
    held = given(store, "ann", 2, seconds=60)
    clock.seconds += 50
    given(store, "ann", 1, seconds=60, not_tasks=held)
    clock.seconds += 50
    assert given(store, "bob", 2) == []


def test_who_is_late_is_heard_while_nobody_else_has_it(store, clock):
    store.publish(items(2))
    one, two = given(store, "ann", 2, seconds=60)
    clock.seconds += 61
    assert given(store, "bob", 1) == [one]
    refused = store.answer([says("ann", one), says("ann", two)])
    assert [r.reason for r in refused] == ["your time for this sample was over, and others have answered it"]
    assert store.answers()["task"].to_list() == [two]


def test_what_was_let_go_is_free_at_once(store):
    store.publish(items(2))
    held = given(store, "ann", 2)
    store.release("ann")
    assert given(store, "bob", 2) == held


def test_what_is_passed_on_goes_to_somebody_else_alone(store):
    store.publish(items(1))
    [task] = given(store, "ann")
    assert store.answer([says("ann", task, "skip")]) == []
    assert given(store, "ann") == [] and given(store, "bob") == [task]


def test_what_is_put_off_comes_back_last(store):
    store.publish(items(3))
    tasks = given(store, "ann", 3)
    store.answer([says("ann", tasks[0], "later")])
    assert given(store, "bob", 9) == []
    store.answer([says("ann", task) for task in tasks[1:]])
    assert given(store, "ann", 3) == [tasks[0]]


def test_nobody_is_asked_in_a_closed_round_or_about_what_was_withdrawn(store):
    store.publish(items(2) + items(2, round=1))
    assert store.open_rounds() == [0, 1]
    store.close(0)
    found = store.items(1)
    store.withdraw(1, [found[0][1].sample_id])
    assert store.open_rounds() == [1] and given(store, "ann", 9) == [found[1][0]]
    assert len(store.items(1)) == 1 and store.progress(1)["asked"] == 1 and store.rounds() == [0, 1]


@pytest.mark.parametrize(
    ("confidence", "first", "second", "asked"),
    [
        (0.9, ("accept", None), None, 1),
        (0.4, ("accept", None), ("correct", "A"), 2),
        (0.4, ("accept", None), ("correct", "B"), 3),
        (0.9, ("correct", "B"), ("correct", "B"), 2),
        (0.9, ("flag", None), ("flag", None), 2),
        (0.9, ("reject", None), None, 1),
        (None, ("correct", "B"), None, 1),
    ],
)
def test_adaptive_overlap_asks_again_only_in_doubt(store, confidence, first, second, asked):
    store.publish(items(1, confidence=confidence))
    said = {"ann": first, "bob": second, "cid": ("accept", None)}
    number = 0
    for who, what in said.items():
        for task in given(store, who, overlap=ADAPTIVE):
            assert store.answer([says(who, task, *what)]) == []
            number += 1
    assert number == asked and given(store, "dan", overlap=ADAPTIVE) == []
    assert store.progress(0, overlap=ADAPTIVE)["done"] == 1


def test_adaptive_overlap_asks_once_about_gold(store):
    store.publish(items(1, kind="gold", truth="A", confidence=0.1))
    store.answer([says("ann", task, "correct", "B") for task in given(store, "ann", overlap=ADAPTIVE)])
    assert given(store, "bob", overlap=ADAPTIVE) == []


def test_runs_in_one_database_know_nothing_of_each_other(store, address):
    from adde_ray.review.store import Store

    other = Store.open(address[0], "another")
    store.publish(items(1))
    [task] = given(store, "ann")
    assert other.items() == [] and other.lease("ann", 1) == [] and other.item(task) is None
    assert other.answer([says("ann", task)])[0].reason == "no such sample is asked about"
    other.shut()


def test_many_people_at_once_get_each_sample_as_often_as_overlap_asks(store):
    number, people, overlap = 60, 12, 2
    store.publish(items(number))
    start, seen = threading.Barrier(people), {}

    def work(who: str) -> None:
        start.wait()
        seen[who] = []
        while tasks := given(store, who, 3, overlap=overlap):
            assert store.answer([says(who, task) for task in tasks]) == []
            seen[who] += tasks

    with ThreadPoolExecutor(people) as pool:
        list(pool.map(work, [f"p{i}" for i in range(people)]))
    assert all(len(tasks) == len(set(tasks)) for tasks in seen.values())
    assert set(Counter(t for tasks in seen.values() for t in tasks).values()) == {overlap}
    progress = store.progress(0, overlap=overlap)
    assert progress["done"] == number and progress["answers"] == number * overlap and progress["held"] == 0


WORKER = """
import sys
from adde_ray.review.store import Answer, Store
import uuid
url, run, who = sys.argv[1:]
store = Store.open(url, run)
while found := store.lease(who, 2, overlap=2):
    sent = [Answer(uuid.uuid4().hex, task, "", 0, who, "accept") for task, _ in found]
    assert store.answer(sent) == [], who
store.shut()
"""


def test_many_processes_at_once_get_each_sample_as_often_as_overlap_asks(store, address):
    store.publish(items(40))
    command = [sys.executable, "-c", WORKER, *address]
    begun = [subprocess.Popen([*command, f"p{i}"], stderr=subprocess.PIPE, text=True) for i in range(4)]
    assert [process.wait(120) for process in begun] == [0] * 4, [process.stderr.read() for process in begun]
    said = store.answers()
    assert set(Counter(said["task"]).values()) == {2} and said.select("task", "annotator").n_unique() == 80


def test_one_person_in_two_windows_gets_each_sample_once(store):
    store.publish(items(40))
    with ThreadPoolExecutor(8) as pool:
        found = list(pool.map(lambda _: given(store, "ann", 40, overlap=3), range(16)))
    assert {tuple(sorted(tasks)) for tasks in found[-1:]} == {tuple(t for t, _ in store.items())}
    assert store.progress(0)["held"] == 40
