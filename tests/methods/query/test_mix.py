import numpy as np
import pytest

from adde_ray.config import Config
from adde_ray.config_check import check_names
from adde_ray.errors import UserError
from adde_ray.methods.query import mix
from adde_ray.methods.query.selectors import Candidates


def rng(seed=0):
    return np.random.default_rng(seed)


def asked(by, *classes, num=3):
    """Samples that one arm each named, with the class people said, None where they said nothing."""
    confirmed = np.zeros((len(by), num))
    for row, c in enumerate(classes):
        if c is not None:
            confirmed[row, c] = 1
    return mix.Asked(list(by), confirmed)


def beliefs(past, arms, num=3, head_start=0):
    return mix.beliefs(past, list(arms), np.arange(num), head_start=head_start)


def test_beliefs_are_counts_over_a_prior_of_one_sample():
    believed = beliefs([asked("aab", 0, 0, None)], "abc")
    assert all(known.sum() == pytest.approx(1 + n) for known, n in zip(believed.values(), (2, 1, 0), strict=True))
    assert believed["a"] == pytest.approx([2.25, 0.25, 0.25, 0.25])
    assert believed["b"] == pytest.approx([0.25, 0.25, 0.25, 1.25])


def test_what_is_past_fades():
    then, now = asked("a", 0), asked("a", 1)
    known = beliefs([then, now], "a")["a"]
    assert known[1] > known[0] > known[2]
    rested = beliefs([then] + [asked("")] * 50, "a")["a"]
    assert rested == pytest.approx(np.full(4, 0.25), abs=1e-4)


def test_what_people_give_several_classes_counts_once():
    half = mix.Asked(["a"], np.array([[0.5, 0.5, 0.0]]))
    assert beliefs([half], "a")["a"].sum() == pytest.approx(2)


def test_the_first_arm_has_a_head_start_that_fades():
    counts = np.array([9, 1, 5])
    first, second = (mix.beliefs(past, ["a", "b"], counts, head_start=10) for past in ([], [asked("")] * 2))
    assert first["a"][1] == pytest.approx(10.25) and second["a"][1] == pytest.approx(0.25 + 10 * mix.MEMORY**2)
    assert first["b"].sum() == pytest.approx(1)
    _, by = mix.allot({"a": range(50), "b": range(50, 99)}, first, counts, 20, rng())
    assert by.count("a") >= 15


def test_a_label_is_worth_more_the_rarer_its_class():
    assert mix.worth(np.array([0, 1, 3])).tolist() == [1.0, 0.5, 0.25, 0.0]


def test_who_finds_what_is_rare_gets_the_places():
    past = [asked("aaaaaabbbbbbcccccc", *[2] * 6, *[0] * 6, *[None] * 6)]
    ranked = {arm: range(100 * k, 100 * k + 50) for k, arm in enumerate("abc")}
    counts = np.array([50, 50, 1])
    rows, by = mix.allot(ranked, beliefs(past, "abc"), counts, 40, rng())
    assert by.count("a") >= 30 and len(rows) == len(set(rows)) == 40
    assert all(row // 100 == "abc".index(arm) for row, arm in zip(rows, by, strict=True))


def test_each_arm_names_its_best_that_is_left():
    rows, by = mix.allot({"a": [3, 1, 2], "b": [3, 2, 1]}, beliefs([], "ab", 2), np.array([1, 1]), 9, rng())
    assert rows[0] == 3 and sorted(rows) == [1, 2, 3] and len(by) == 3  # and no more than there are
    assert mix.allot({"a": [], "b": [7]}, beliefs([], "ab", 2), np.array([1, 1]), 2, rng()) == ([7], ["b"])


def test_in_the_long_run_nobody_is_left_out_without_a_reason():
    ranked = {arm: range(1000 * k, 1000 * k + 900) for k, arm in enumerate("abc")}
    _, by = mix.allot(ranked, beliefs([], "abc", 4), np.array([3, 3, 3, 3]), 600, rng())
    assert all(120 < by.count(arm) < 280 for arm in "abc")


@pytest.mark.parametrize("name", sorted(mix.ARMS))
def test_every_arm_passes_over_the_score(name):
    z = rng().normal(size=(60, 5)).astype(np.float32)
    proba = rng(1).dirichlet(np.ones(3), size=60).astype(np.float32)
    rows = [
        mix.ARMS[name](Candidates(score, z, proba, z[:4]), 8, redundancy=1.0, rng=rng(2)).tolist()
        for score in (rng(3).random(60), np.zeros(60))
    ]
    assert rows[0] == rows[1] and len(set(rows[0])) == 8


def test_where_it_is_left_out_it_goes_with_the_default_selector_alone():
    def arms(given, selector="batch_greedy", num_labelled=4, sought=True):
        return mix.arms(given, selector=selector, num_labelled=num_labelled, sought=sought)

    assert arms(None) == mix.DEFAULT
    assert arms(None, sought=False) == tuple(arm for arm in mix.DEFAULT if arm != "descriptions")
    assert arms(None, "top_k") == ()
    assert arms(("margin",), "top_k") == ("margin",)
    assert arms(None, num_labelled=0) == ()  # scores say nothing: it covers the pool


def test_by_description_each_class_has_its_likeliest_first():
    proba = np.array([[0.1, 0.9, 0.0], [0.2, 0.0, 0.8], [0.0, 0.1, 0.9], [0.9, 0.1, 0.0], [0.3, 0.3, 0.4]])
    assert mix.by_description(proba, np.array([1, 2]), 9).tolist() == [0, 2, 1, 3, 4]
    assert mix.by_description(proba, np.array([1, 2]), 2).tolist() == [0, 2]


def test_a_name_that_is_no_arm_is_refused():
    config = Config.parse({"data": {"source": "digits"}, "select": {"mix": ["random"]}})
    with pytest.raises(UserError, match=r"select\.mix"):
        check_names(config)
