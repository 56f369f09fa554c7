"""What stands of what people said: once, undone, amended."""

import pytest
from asked import items, says

from adde_ray.errors import UserError


@pytest.fixture
def tasks(store) -> list[int]:
    """Three samples that ann has before her."""
    store.publish(items(3))
    return [task for task, _ in store.lease("ann", 3)]


def standing(store) -> list[tuple]:
    return store.answers().select("task", "annotator", "action", "label").rows()


def test_an_answer_comes_back_as_it_was_given(store, tasks):
    sent = says("ann", tasks[0], "correct", "B", flags=("edge case", "x"), comment="é <i>", seconds=2.5, saw_guess=True)
    store.answer([sent])
    [row] = store.answers(round=0).to_dicts()
    assert (row["flags"], row["comment"], row["seconds"]) == (["edge case", "x"], "é <i>", 2.5)
    assert (row["saw_guess"], row["saw_why"], row["after_close"]) == (True, False, False)
    assert row["when"] == "1970-01-12T13:46:40.000+00:00" and row["sample_id"] == items(1)[0].sample_id
    assert store.answers(round=1).is_empty()


def test_sending_an_answer_twice_changes_nothing(store, tasks):
    sent = [says("ann", task) for task in tasks]
    assert store.answer(sent) == store.answer(sent) == store.answer([*sent, *sent]) == []
    assert len(store.answers(in_effect=False)) == 3


def test_an_acceptance_takes_the_suggested_label(store, tasks):
    store.answer([says("ann", tasks[0])])
    assert standing(store) == [(tasks[0], "ann", "accept", "A")]


def test_an_undone_answer_is_asked_again_and_kept(store, tasks):
    store.answer([says("ann", tasks[0], "correct", "B"), says("ann", tasks[1], "reject")])
    undone, item = store.undo("ann")
    assert (undone.task, undone.action, item.rank) == (tasks[1], "reject", 1)
    assert standing(store) == [(tasks[0], "ann", "correct", "B")]
    assert tasks[1] in [task for task, _ in store.lease("ann", 3)] and store.lease("bob", 3) == []
    assert store.undo("ann")[0].task == tasks[0] and store.undo("ann") is None and standing(store) == []
    store.answer([says("ann", tasks[0], "flag")])
    assert standing(store) == [(tasks[0], "ann", "flag", None)]
    assert store.answers(in_effect=False)["action"].to_list() == ["correct", "reject", "undo", "undo", "flag"]


def test_undoing_twice_at_once_undoes_two(store, tasks):
    store.answer([says("ann", task) for task in tasks])
    assert {store.undo("ann")[0].task, store.undo("ann")[0].task} == set(tasks[1:])


def test_what_was_passed_on_comes_back_unless_somebody_else_has_it(store, tasks):
    store.answer([says("ann", tasks[0], "skip")])
    assert store.undo("ann")[0].action == "skip" and store.lease("bob", 1) == []
    store.answer([says("ann", tasks[0], "skip")])
    store.lease("bob", 1)
    with pytest.raises(UserError, match="others have answered it"):
        store.undo("ann")


def test_an_amendment_replaces_the_answer_it_names(store, tasks):
    first = says("ann", tasks[0])
    amended = says("ann", tasks[0], "correct", "B", replaces=first.answer_id)
    assert store.answer([first, amended]) == [] and store.answer([amended]) == []
    assert standing(store) == [(tasks[0], "ann", "correct", "B")]
    other = says("ann", tasks[0], "flag", replaces=first.answer_id)
    assert store.answer([other])[0].reason == "that answer was changed already"
    assert store.progress(0)["answers"] == 1
    assert store.answer_of(first.answer_id).action == "accept" and store.answer_of("none") is None


def test_an_answer_of_a_closed_round_can_be_amended_and_says_so(store, tasks):
    first = says("ann", tasks[0])
    store.answer([first])
    store.close(0)
    store.close(0)
    assert store.undo("ann") is None
    assert store.answer([says("ann", tasks[0], "reject", replaces=first.answer_id)]) == []
    assert store.answers().select("action", "after_close").rows() == [("reject", True)]
    assert store.progress(0)["closed"] == 1


def test_nothing_new_is_asked_in_a_closed_round(store, tasks):
    store.close(0)
    assert store.publish(items(3)) == 0
    with pytest.raises(UserError, match="the round is closed"):
        store.publish(items(4))
    assert len(store.items()) == 3


@pytest.mark.parametrize(
    ("changed", "reason"),
    [
        ({"action": "love"}, "unknown action"),
        ({"action": "correct"}, "a correction needs a label"),
        ({"action": "undo"}, "an undo names the answer"),
        ({"annotator": "bob"}, "not given to you"),
        ({"task": -1}, "no such sample"),
        ({"replaces": "nothing"}, "none of yours"),
        ({"comment": "x" * 10_001}, "at most 10,000"),
        ({"comment": "\0"}, "no text"),
        ({"action": "correct", "label": "\ud800"}, "no text"),
        ({"flags": ("x",) * 21}, "at most 20 flags"),
        ({"answer_id": ""}, "1 to 64"),
        ({"seconds": -1.0}, "negative"),
        ({"seconds": float("nan")}, "negative"),
    ],
)
def test_what_is_wrong_with_an_answer_is_told_and_the_others_are_taken(store, tasks, changed, reason):
    given = {"annotator": "ann", "task": tasks[0]} | changed
    refused = store.answer([says(**given), says("ann", tasks[1])])
    assert len(refused) == 1 and reason in refused[0].reason
    assert standing(store) == [(tasks[1], "ann", "accept", "A")]


def test_nobody_answers_twice_or_in_the_name_of_another(store, tasks):
    first = says("ann", tasks[0])
    store.answer([first])
    assert (
        store.answer([says("ann", tasks[0], "flag")])[0].reason == "you have answered this already; amend that answer"
    )
    stolen = says("bob", tasks[0], "flag", replaces=first.answer_id)
    assert "none of yours" in store.answer([stolen], settles=True)[0].reason
    same_id = says("ann", tasks[1], answer_id=first.answer_id)
    assert store.answer([same_id])[0].reason == "this id belongs to another answer"


def test_nothing_can_be_accepted_where_nothing_was_suggested(store):
    store.publish(items(1, suggested=None, confidence=None))
    [(task, _)] = store.lease("ann", 1)
    assert "nothing was suggested" in store.answer([says("ann", task)])[0].reason


def test_who_settles_a_dispute_needs_no_seat(store, tasks):
    store.answer([says("ann", tasks[0])])
    assert store.answer([says("olga", tasks[0], "correct", "B")])
    assert store.answer([says("olga", tasks[0], "correct", "B")], settles=True) == []
    assert len(standing(store)) == 2


def test_my_answers_come_newest_first_in_pages(store, tasks):
    store.answer([says("ann", task) for task in tasks])
    found = store.said(annotator="ann", limit=2)
    assert [answer.task for answer, _ in found] == tasks[:0:-1]
    [(answer, item)] = store.said(annotator="ann", before=found[-1][0].answer_id)
    assert answer.task == tasks[0] and item == items(1)[0]
    assert store.said(annotator="bob") == [] and store.said(round=1) == [] and len(store.said(tasks_=tasks[:2])) == 2


def test_the_order_of_answers_is_that_in_which_they_came(store, tasks):
    store.answer([says("ann", tasks[2])])
    store.answer([says("ann", tasks[0])])
    assert [row[0] for row in standing(store)] == [tasks[2], tasks[0]]
