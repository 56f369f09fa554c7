"""The simulated annotator: truth, errors at the asked rate, junk and unrealistic samples rejected. Pseudo-labels."""

from types import SimpleNamespace

import numpy as np
import polars as pl
import pytest

from adde_ray.annotators.model import pseudo_labels
from adde_ray.annotators.simulated import Judges, SimulatedAnnotator
from adde_ray.artifacts.schema import ACTIONS, DECISIONS, QUERY, frame

CLASSES = ("a", "b", "c")


def query(ids, suggested="a", origin="real") -> pl.DataFrame:
    return frame([{"sample_id": i, "suggested": suggested, "origin": origin} for i in ids], QUERY)


def answers(annotator, table, truth=None, features=None) -> list[tuple]:
    decisions = annotator.answer(table, truth or {}, features or {}, t=4)
    assert decisions.columns == DECISIONS.names and len(decisions) == len(table)
    assert decisions["action"].is_in(ACTIONS).all()
    return decisions.select("sample_id", "action", "label").rows()


def test_accepts_corrects_and_rejects_junk():
    truth = {"x": "a", "y": "b", "z": "clouds"}
    given = answers(SimulatedAnnotator(CLASSES), query("xyz"), truth)
    assert given == [
        ("x", "accept", "a"),
        ("y", "correct", "b"),
        ("z", "reject", None),
    ]


@pytest.mark.parametrize("rate", [0.0, 0.3, 1.0])
def test_errs_at_the_asked_rate_and_the_same_way_in_any_batch(rate):
    ids = [f"{i:03d}" for i in range(400)]
    annotator, truth = SimulatedAnnotator(CLASSES, error_rate=rate, seed=5), dict.fromkeys(ids, "a")
    given = answers(annotator, query(ids), truth)
    assert np.mean([label != "a" for _, _, label in given]) == pytest.approx(rate, abs=0.07)
    assert answers(annotator, query(ids[::-1]), truth)[::-1] == given


def test_error_rate_by_class():
    annotator = SimulatedAnnotator(CLASSES, error_rate={"b": 1.0})
    (_, _, x), (_, _, y) = answers(annotator, query("xy"), {"x": "a", "y": "b"})
    assert x == "a" and y in ("a", "c")


def test_rejects_synthetic_samples_that_judges_do_not_recognise():
    rng = np.random.default_rng(0)
    centres = np.array([[0, 0], [10, 0], [0, 10]], dtype=float)
    labels = np.repeat([0, 1, 2], 30)
    judges = Judges(centres[labels] + rng.normal(size=(90, 2)), labels, seed=0)
    assert judges.recognise(np.array([[0.0, 0.1], [10.0, 0.3]])) == [0, 1]
    assert judges.recognise(np.zeros((0, 2))) == []
    annotator = SimulatedAnnotator(CLASSES, judges=judges)
    features = {"s": np.array([0.1, 0.1]), "t": np.array([10.0, 0.0]), "u": np.array([5.0, 0.2])}
    given = dict(
        (i, (action, label))
        for i, action, label in answers(annotator, query("stu", origin="synthetic"), features=features)
    )
    assert given["s"] == ("accept", "a") and given["t"] == ("correct", "b")


def test_without_judges_synthetic_samples_are_taken_at_their_word():
    assert answers(SimulatedAnnotator(CLASSES), query("s", "b", "synthetic")) == [("s", "accept", "b")]


class TestMultiLabel:
    def test_answers_with_the_whole_label(self):
        truth = {"w": "", "x": "a|c", "y": "a|?b", "z": "a|clouds"}
        given = answers(SimulatedAnnotator(CLASSES, multi=True), query("wxyz", suggested="a|c"), truth)
        assert given == [("w", "correct", ""), ("x", "accept", "a|c"), ("y", "correct", "a|?b"), ("z", "reject", None)]

    def test_errs_class_by_class_but_not_about_what_is_not_known(self):
        ids = [f"{i:03d}" for i in range(400)]
        rates = {"a": 0.25, "c": 1.0}
        annotator = SimulatedAnnotator(CLASSES, error_rate=rates, multi=True, seed=5)
        labels = [label for _, _, label in answers(annotator, query(ids), dict.fromkeys(ids, "a|?b"))]
        assert {label for label in labels} == {"a|c|?b", "c|?b"}
        assert np.mean([label == "c|?b" for label in labels]) == pytest.approx(0.25, abs=0.07)

    def test_judges_recognise_several_classes_and_reject_what_shows_none(self):
        rng = np.random.default_rng(0)
        targets = np.array([[0, 0, 0], [1, 0, 0], [1, 1, 0], [0, 1, 0]])[np.arange(120) % 4]
        features = targets[:, :2] * 10 + rng.normal(size=(120, 2))
        targets = targets.astype(np.float32)
        targets[5, 2] = np.nan
        judges = Judges(features, targets, seed=0)
        both, none = judges.recognise(np.array([[10.0, 10.0], [0.0, 0.0]]))
        assert both.tolist() == [1, 1, 0] and none is None
        annotator = SimulatedAnnotator(CLASSES, judges=judges, multi=True)
        shown = {"s": np.array([10.0, 10.0]), "t": np.array([0.0, 0.0])}
        given = answers(annotator, query("st", "a|b", "synthetic"), features=shown)
        assert given == [("s", "accept", "a|b"), ("t", "reject", None)]

    def test_what_judges_differ_on_cannot_be_told(self):
        judges = Judges(np.eye(3), np.eye(3), seed=0)
        seen = np.array([[[1, 0, 0], [1, 0, 0]], [[1, 1, 0], [0, 0, 0]]])
        judges._models = [SimpleNamespace(predict=lambda _, rows=rows: rows) for rows in seen]
        annotator = SimulatedAnnotator(CLASSES, judges=judges, multi=True)
        given = answers(annotator, query("st", "a|b", "synthetic"), features={"s": np.zeros(3), "t": np.zeros(3)})
        assert given == [("s", "correct", "a|?b"), ("t", "reject", None)]


def test_pseudo_labels_are_what_the_model_is_sure_of():
    rows = [("x", "a", 0.9), ("y", "b", 0.6), ("z", "", 0.59), ("w", "a|c", 0.6)]
    asked = frame([dict(zip(("sample_id", "suggested", "confidence"), row, strict=True)) for row in rows], QUERY)
    decisions = pseudo_labels(asked, min_confidence=0.6, t=2)
    assert decisions.columns == DECISIONS.names and set(decisions["annotator"]) == {"model"}
    assert decisions.select("sample_id", "action", "label", "comment").rows() == [
        ("x", "accept", "a", None),
        ("y", "accept", "b", None),
        ("z", "reject", None, "confidence 0.59 < 0.60"),
        ("w", "accept", "a|c", None),
    ]
