"""Several answers become one label: like crowd-kit's, of any kind of task, with ties that are always broken alike."""

import numpy as np
import polars as pl
import pytest

from adde_ray import errors
from adde_ray.errors import UserError
from adde_ray.methods.crowd.consensus import METHODS, consensus
from adde_ray.methods.crowd.votes import votes, votes_by_class

every_method = pytest.mark.parametrize("method", METHODS)


def answers(*rows) -> pl.DataFrame:
    schema = {"item": pl.String, "worker": pl.String, "label": pl.String}
    return pl.DataFrame(rows, schema=schema, orient="row")


def right(found: pl.DataFrame, truth: pl.DataFrame) -> float:
    both = found.join(truth, on="item", suffix="_true")
    return (both["label"] == both["label_true"]).mean()


@every_method
def test_most_answers_make_the_label_and_their_order_changes_nothing(crowd, method):
    given, truth = crowd([0.9, 0.8, 0.8, 0.7], share=0.8)
    found = consensus(given, method).table()
    assert found["item"].to_list() == sorted(given["item"].unique())
    assert right(found, truth) > 0.85
    assert found["confidence"].is_between(0, 1).all()
    assert consensus(given.sample(fraction=1.0, shuffle=True, seed=3), method).table().equals(found)


@every_method
def test_one_worker_one_answer_one_class_and_nobody(method):
    one = answers(("b", "ann", "x"), ("a", "ann", "y"))
    assert consensus(one, method).table()["label"].to_list() == ["y", "x"]
    assert consensus(one[:1], method).table().select("item", "label").rows() == [("b", "x")]
    same = answers(("a", "ann", "x"), ("b", "ben", "x"))
    assert consensus(same, method).table().rows() == [("a", "x", 1.0), ("b", "x", 1.0)]
    assert consensus(one[:0], method).table().is_empty()
    assert consensus(one[:0], method, classes=("x", "y"), multi=True).table().is_empty()


def test_majority_tells_its_share_and_breaks_ties_by_the_order_of_classes():
    given = answers(("a", "ann", "y"), ("a", "ben", "x"), ("b", "ann", "y"), ("b", "ben", "y"), ("b", "cy", "x"))
    assert consensus(given).table().rows() == [("a", "x", 0.5), ("b", "y", pytest.approx(2 / 3))]
    assert consensus(given, classes=("y", "x")).table()["label"].to_list() == ["y", "y"]


def test_null_is_no_vote_and_the_last_answer_of_a_worker_counts():
    given = answers(("a", "ann", "x"), ("a", "ann", "y"), ("a", "ben", None), ("b", "ben", None))
    assert consensus(given).table().rows() == [("a", "y", 1.0)]


def test_a_label_outside_the_classes_is_no_vote():
    assert consensus(answers(("a", "ann", "junk"), ("a", "ben", "x")), classes=("x",)).table().rows() == [
        ("a", "x", 1.0)
    ]


def test_dawid_skene_is_crowd_kits(crowd):
    from crowdkit.aggregation import DawidSkene

    given, _ = crowd([0.9, 0.6, 0.5, 0.5], share=0.7, seed=4)
    direct = DawidSkene(100).fit_predict_proba(given.rename({"item": "task"}).to_pandas())
    ours = consensus(given, "dawid_skene")
    assert np.allclose(direct.loc[list(ours.items), list(ours.classes)].to_numpy(), ours.proba, atol=1e-6)


@pytest.mark.parametrize("method", ["dawid_skene", "mace"])
def test_a_model_of_people_beats_majority_where_some_only_guess(crowd, method):
    given, truth = crowd([0.9, 0.9, 0.3, 0.3, 0.3], seed=2)
    assert right(consensus(given, method).table(), truth) > right(consensus(given).table(), truth) + 0.05


class TestMultiLabel:
    GIVEN = answers(
        ("a", "ann", "p|q"), ("a", "ben", "p"), ("a", "cy", "p|?q"), ("b", "ann", ""), ("b", "ben", "?p|?q"),
        ("c", "ann", "?p|?q"), ("d", "ann", "?p|q"), ("e", "ben", None),
    )  # fmt: skip

    def test_each_class_is_a_task_and_what_nobody_knows_stays_unknown(self):
        found = consensus(self.GIVEN, multi=True).table()
        assert found.rows() == [("a", "p", 0.5), ("b", "", 1.0), ("d", "q|?p", 1.0)]

    @every_method
    def test_every_method_finds_the_classes(self, crowd, method):
        single, truth = crowd([0.9, 0.9, 0.8, 0.8], classes="xyz", seed=1)
        named = {"x": "", "y": "p", "z": "p|q"}
        given, true = (t.with_columns(pl.col("label").replace(named)) for t in (single, truth))
        assert right(consensus(given, method, multi=True).table(), true) > 0.85

    def test_votes_of_a_class_are_those_who_know_it(self):
        found = votes_by_class(self.GIVEN)
        assert list(found) == ["p", "q"]
        p = found["p"]
        named = [(p.items[i], p.workers[w], int(c)) for i, w, c in zip(p.item, p.worker, p.label, strict=True)]
        assert named == [("a", "ann", 1), ("a", "ben", 1), ("a", "cy", 1), ("b", "ann", 0)]


def test_counts_are_of_votes():
    found = votes(answers(("a", "ann", "x"), ("a", "ben", "x"), ("b", "ann", "y")))
    assert found.counts().tolist() == [[2, 0], [0, 1]]


def test_an_unknown_method_and_a_missing_package_are_one_line(monkeypatch):
    with pytest.raises(UserError, match=r"unknown name .*'median'.*dawid_skene, mace, majority"):
        consensus(answers(("a", "ann", "x")), "median")
    monkeypatch.setattr(errors.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(UserError, match=r'needs the package crowdkit .*"adde_ray\[review\]"'):
        consensus(answers(("a", "ann", "x")), "dawid_skene")
    assert consensus(answers(("a", "ann", "x"))).table()["label"].to_list() == ["x"]
