"""What sets rows apart: terms of texts, attributes, and the descriptions near them."""

import numpy as np
import polars as pl
import pytest
from toy import Toy

from adde_ray.methods.descriptions import Prototypes
from adde_ray.methods.space.gap_words import Attributes, Terms, called, near, of_region

FILLERS = ("please", "today", "my", "the", "is", "card")


def talk(num: int, about: list[str], seed: int = 0) -> pl.Series:
    """Sentences of common words, each of the last ones with a word of `about`."""
    rng = np.random.default_rng(seed)
    texts = [" ".join(rng.choice(FILLERS, 4)) for _ in range(num)]
    return pl.Series([f"{text} {about[i % len(about)]}" if i >= num - 20 else text for i, text in enumerate(texts)])


def test_terms_are_what_others_do_not_say():
    texts = talk(200, ["Abroad replacement", "abroad"])
    found = Terms(texts, seed=0).of(np.arange(180, 200))
    assert found[:2] == ["abroad", "replacement"] and not set(found) & set(FILLERS)
    assert Terms(texts, seed=0).of(np.arange(0, 90)) == [], "chance sets nothing apart"
    assert Terms(texts, seed=0).of(np.arange(180, 182)) == [], "of two rows nothing can be told"


def test_a_rare_term_comes_before_one_that_many_texts_have():
    rng = np.random.default_rng(0)
    texts = [f"{'how ' if rng.random() < 0.25 else ''}number" for _ in range(400)] + ["how passcode"] * 30
    assert Terms(pl.Series(texts), seed=0).of(np.arange(400, 430))[0] == "passcode"


def test_numbers_and_signs_are_no_terms():
    texts = talk(200, ["42 <script>alert(7)</script> c++ don't"])
    assert set(Terms(texts, seed=0).of(np.arange(180, 200))) <= {"script", "alert", "don't"}


def test_terms_are_found_though_only_a_part_of_the_texts_is_counted(monkeypatch):
    monkeypatch.setattr("adde_ray.methods.space.gap_words.MAX_TEXTS", 60)
    texts = talk(300, ["abroad"])
    assert Terms(texts, seed=1).of(np.arange(280, 300)) == ["abroad"]


def test_attributes_that_members_have_more_often():
    site = ["east" if row >= 180 else ("west", "south", None)[row % 3] for row in range(200)]
    sex = [("f", "m")[row % 2] for row in range(200)]
    found = Attributes({"site": site, "sex": sex})
    assert found.of(np.arange(180, 200)) == ["site=east (100%, elsewhere 0%)"]
    assert found.of(np.arange(180, 200), without="site") == []
    assert found.of(np.arange(60)) == []
    assert Attributes({"site": [None] * 9}).of(np.arange(5)) == []


def described(vectors: np.ndarray, known: list[bool]) -> Prototypes:
    of = tuple((f"it is {i}", "more") if one and i else () for i, one in enumerate(known))
    return Prototypes(vectors.astype(np.float32), np.array(known), ("words",) * len(known), of)


def test_the_nearest_descriptions_are_told_by_direction():
    rng = np.random.default_rng(0)
    centres = 5 * np.eye(4, 6)
    features = (np.repeat(centres, 50, axis=0) + rng.normal(size=(200, 6))).astype(np.float32)
    words = 0.1 * centres + 40  # far from all samples, and told apart in the same way
    classes = ("a", "b", "c", "d")
    assert near(np.arange(50, 100), features, described(words, [True] * 4), classes) == ["“it is 1”"]
    assert near(np.arange(50), features, described(words, [True] * 4), classes) == ["“a”"], "files: by its name"
    assert near(np.arange(50, 100), features, described(words, [False, True, False, False]), classes) == []
    assert near(np.arange(0), features, described(words, [True] * 4), classes) == []
    between = np.concatenate([np.arange(50, 100), np.arange(100, 150)])
    assert set(near(between, features, described(words, [True] * 4), classes)) == {"“it is 1”", "“it is 2”"}


@pytest.mark.parametrize("kind", ["density", "small_cluster"])
def test_the_rows_of_a_region_are_those_that_lie_in_it(kind):
    toy = Toy()
    gap = toy.find([*toy.of_class("a", 20), *toy.of_class("b", 20), *toy.of_class("c", 20)], kinds=[kind])[0]
    rows = of_region(gap, toy.space)
    places = toy.space.cells if kind == "density" else toy.space.clusters
    assert set(gap.anchors) <= {toy.ids[row] for row in rows}
    assert len({int(places[row]) for row in rows}) == 1 and len(rows) == (places == places[rows[0]]).sum()


def test_phrases_are_cut_where_they_are_long():
    assert called(["card lost", "x" * 99, "more"], 2) == f"“card lost”, “{'x' * 59}…”"
