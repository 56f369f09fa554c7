"""Planted errors are among the first labels proposed for another look."""

import numpy as np
import pytest

from adde_ray import errors
from adde_ray.errors import UserError
from adde_ray.methods.crowd.second_look import second_look


def planted(n=400, share=0.1, seed=0):
    """Probabilities of a fair model, labels of which a share is wrong, and which those are."""
    rng = np.random.default_rng(seed)
    true = rng.integers(4, size=n)
    proba = np.exp(rng.normal(size=(n, 4)) + 3 * np.eye(4)[true])
    proba /= proba.sum(axis=1, keepdims=True)
    wrong = rng.permutation(n)[: int(share * n)]
    labels = true.copy()
    labels[wrong] = (true[wrong] + rng.integers(1, 4, size=len(wrong))) % 4
    return labels, proba, true, wrong


def test_planted_errors_come_first_with_the_class_it_may_be():
    labels, proba, true, wrong = planted()
    found = second_look(labels, proba)
    assert sorted(found["row"]) == list(range(400))
    first = found[:60]
    assert np.isin(wrong, first["row"]).mean() > 0.7
    hit = first.filter(first["row"].is_in(wrong.tolist()) & first["issue"])
    assert np.mean(true[hit["row"]] == hit["class_row"].to_numpy()) > 0.9
    assert found["issue"].to_list() == sorted(found["issue"], reverse=True)


def test_multi_label_goes_class_by_class_and_leaves_out_what_is_unknown():
    single, proba, true, wrong = planted()
    labels = np.eye(4)[single].astype(np.float32)
    labels[wrong[0]] = np.nan
    labels[wrong[1], true[wrong[1]]] = np.nan
    found = second_look(labels, proba)
    assert wrong[0] not in found["row"].to_list() and len(found) == 399
    assert np.isin(wrong[1:], found[:60]["row"]).mean() > 0.7
    assert found.filter(row=int(wrong[1]))["class_row"].item() != true[wrong[1]]


@pytest.mark.parametrize(
    ("labels", "classes", "rows"),
    [(np.zeros(0, dtype=int), 3, 0), (np.array([1]), 3, 1), (np.array([2, 2, -1]), 3, 2), (np.zeros((0, 2)), 2, 0)],
    ids=["none", "one", "one class", "none of several"],
)
def test_few_labels_are_no_trouble(labels, classes, rows):
    assert len(second_look(labels, np.full((len(labels), classes), 1 / classes))) == rows


def test_a_missing_package_is_one_line(monkeypatch):
    monkeypatch.setattr(errors.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(UserError, match=r'needs the package cleanlab .*"adde_ray\[review\]"'):
        second_look(np.array([0, 1]), np.eye(2))
