"""Invitations, and what people tell each other."""

import pytest
from asked import items
from sqlalchemy import select

from adde_ray.errors import UserError
from adde_ray.review.store import Person
from adde_ray.review.store.tables import people


def test_a_token_lets_one_person_in_until_it_is_revoked(store):
    ann, olga = store.invite("ann"), store.invite("olga", "owner")
    assert store.authenticate(ann) == Person("ann", "annotator") and store.authenticate(olga).role == "owner"
    assert (
        store.authenticate("") is None and store.authenticate(ann[:-1]) is None and store.authenticate("\ud800") is None
    )
    store.revoke("ann")
    assert store.authenticate(ann) is None and store.people()[0] == Person("ann", "annotator", revoked=True)
    again = store.invite("ann")
    assert again != ann and store.authenticate(again) and store.authenticate(ann) is None


def test_tokens_are_long_and_kept_as_hashes_alone(store):
    token = store.invite("ann")
    kept = store._db.read(lambda c: c.execute(select(people.c.token)).scalars().all())
    assert len(token) >= 43 and token not in kept and all(len(found) == 64 for found in kept)


@pytest.mark.parametrize("name", ["", " ann", "a\nb", "x" * 81, "a\0b"])
def test_a_name_is_one_line(store, name):
    with pytest.raises(UserError, match="no name for a person"):
        store.invite(name)


def test_mistakes_with_invitations_are_told(store):
    store.invite("ann")
    with pytest.raises(UserError, match="is invited already"):
        store.invite("ann")
    with pytest.raises(UserError, match="unknown role"):
        store.invite("bob", "king")
    with pytest.raises(UserError, match=r"nobody of that name is invited .*Invited: ann"):
        store.revoke("bob")


def test_comments_are_read_by_all_in_order(store):
    store.comment("a", "ann", "first")
    store.comment("a", "bob", "<b>second</b>")
    assert [(c.by, c.text) for c in store.comments("a")] == [("ann", "first"), ("bob", "<b>second</b>")]
    assert store.num_comments(["a", "b"]) == {"a": 2} and store.comments("b") == []
    for wrong in ("  ", "x" * 10_001, "\0"):
        with pytest.raises(UserError, match="no comment"):
            store.comment("a", "ann", wrong)


def test_a_proposed_class_is_settled_by_somebody(store):
    store.propose_class("moth", "ann")
    store.propose_class("moth", "bob")
    [proposed] = store.classes()
    assert (proposed.by, proposed.state) == ("ann", "proposed")
    store.settle_class("moth", "merge", "insect", "olga")
    [settled] = store.classes()
    assert (settled.state, settled.into, settled.settled_by) == ("merge", "insect", "olga")
    for name, how, into in (("moth", "merge", None), ("moth", "adopt", "insect"), ("moth", "love", None)):
        with pytest.raises(UserError, match="no way to settle"):
            store.settle_class(name, how, into, "olga")
    with pytest.raises(UserError, match="nobody has proposed"):
        store.settle_class("bee", "adopt", None, "olga")


def test_what_is_wanted_again_is_wanted_until_it_is_published(store, clock):
    [item] = items(1)
    store.publish([item])
    clock.seconds += 1
    store.ask_again([item.sample_id, "other"], "olga", "blurred")
    store.ask_again([item.sample_id], "olga", "again")
    assert [(w.sample_id, w.reason) for w in store.wanted_again()] == [
        (item.sample_id, "blurred"),
        ("other", "blurred"),
    ]
    clock.seconds += 1
    [published] = items(1, round=1, kind="again")
    store.publish([type(published)(**{**vars(published), "sample_id": item.sample_id})])
    assert [w.sample_id for w in store.wanted_again()] == ["other"]
