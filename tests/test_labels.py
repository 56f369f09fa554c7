"""Labels as text and as numbers: one canonical form, there and back."""

import numpy as np
import polars as pl
import pytest

from adde_ray import labels as codec
from adde_ray.artifacts.schema import Meta
from adde_ray.errors import UserError

CLASSES = ("a", "b", "c")


@pytest.mark.parametrize("label", ["", "a", "a|c", "a|?b", "?a|?b|?c", "a|b|c"])
def test_there_and_back(label):
    assert codec.join(*codec.split(label)) == label
    assert codec.texts(codec.targets([label], CLASSES), CLASSES) == [label]


def test_one_canonical_form():
    assert codec.join(*codec.split(" c | a|? b |a|")) == "a|c|?b"
    assert codec.join(["a"], ["a", "b"]) == "a|?b"  # what holds is known


def test_targets_tell_no_class_from_not_known_and_from_unlabelled():
    found = codec.targets(["", "a|?c", None], CLASSES)
    np.testing.assert_array_equal(found, np.array([[0, 0, 0], [1, 0, np.nan], [np.nan] * 3], dtype=np.float32))
    assert found.dtype == np.float32 and codec.targets([], CLASSES).shape == (0, 3)


def test_meta_gives_the_form_its_task_has_and_reads_runs_that_had_no_task():
    given = pl.Series(["b", None])
    assert Meta("image", CLASSES).numbers(given).tolist() == [1, -1]
    assert Meta("image", CLASSES, task="multi").numbers(given)[0].tolist() == [0, 1, 0]
    assert not Meta.from_json({"modality": "text", "classes": ["x", "y"]}).multi


def test_holds_is_the_same_for_both_forms():
    rows = np.array([2, -1, 0])
    expected = np.array([[0, 0, 1], [0, 0, 0], [1, 0, 0]], dtype=bool)
    np.testing.assert_array_equal(codec.holds(rows, 3), expected)
    np.testing.assert_array_equal(codec.holds(np.where(expected, 1, np.array([0, np.nan, 0]))[:, :], 3), expected)


def test_likeliest_label_and_its_probability():
    proba = np.array([[0.9, 0.4, 0.5], [0.1, 0.2, 0.3]])
    names, p = codec.likeliest(proba, CLASSES, multi=True)
    assert names == ["a|c", ""] and p == pytest.approx([0.9 * 0.6 * 0.5, 0.9 * 0.8 * 0.7])
    names, p = codec.likeliest(proba, CLASSES, multi=False)
    assert names == ["a", "c"] and p.tolist() == [0.9, 0.3]
    assert codec.likeliest(np.zeros((0, 3)), CLASSES, multi=True)[0] == []


def test_rarest_class_stands_for_a_label():
    assert codec.rarest(["a|b", "a", "a|?c", "", "b|c"]) == ["b", "a", "a", "", "c"]


def test_counts_of_either_task():
    assert codec.count(["a|b", "b|?a", "", None], CLASSES, multi=True) == {"a": 1, "b": 2, "c": 0}
    assert codec.count(["a", "a", "junk", None], CLASSES, multi=False) == {"a": 2, "b": 0, "c": 0}


@pytest.mark.parametrize("name", ["a|b", "?a", "None", " a", ""])
def test_names_a_label_could_not_hold_are_refused_in_one_line(name):
    with pytest.raises(UserError, match="Rename it") as error:
        codec.check_classes(("x", name), where="x.csv")
    assert "\n" not in str(error.value)
    codec.check_classes(("Lung Opacity", "No Finding", "a/b"), where="x.csv")
