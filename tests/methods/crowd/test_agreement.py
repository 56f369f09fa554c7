"""Agreement beyond chance: the textbooks' figures, missing answers, intervals that hold the truth."""

import numpy as np
import polars as pl
import pytest
from sklearn.metrics import cohen_kappa_score

from adde_ray.methods.crowd import agreement


def table(matrix: list[str]) -> pl.DataFrame:
    """A worker a line, an item a column; "." is no answer."""
    rows = [(f"i{i:02d}", f"w{w}", c) for w, line in enumerate(matrix) for i, c in enumerate(line) if c != "."]
    return pl.DataFrame(rows, schema=["item", "worker", "label"], orient="row")


def test_alpha_is_krippendorffs_example():
    """Krippendorff (2011), computing alpha-reliability: nominal data, four observers, missing answers: .743."""
    given = table(["123321412...", "1233224125.3", ".3332342251.", "12332441251."])
    assert agreement.krippendorff(given).value == pytest.approx(0.743, abs=5e-4)


def test_alpha_by_hand():
    """Items aa, ab, bb: D_o = 2 / 6, D_e = (36 - 9 - 9) / 30."""
    assert agreement.krippendorff(table(["aab", "abb"])).value == pytest.approx(1 - (1 / 3) / (18 / 30))


def test_kappa_is_fleiss_example():
    """Fleiss (1971) as told everywhere: ten items, fourteen raters, five categories: .210."""
    counts = [
        [0, 0, 0, 0, 14], [0, 2, 6, 4, 2], [0, 0, 3, 5, 6], [0, 3, 9, 2, 0], [2, 2, 8, 1, 1], [7, 7, 0, 0, 0],
        [3, 2, 6, 3, 0], [2, 5, 3, 2, 2], [6, 5, 2, 1, 0], [0, 2, 2, 3, 7],
    ]  # fmt: skip
    said = [[c for c, n in enumerate(row) for _ in range(n)] for row in counts]
    rows = [(f"i{i}", f"w{w:02d}", str(c)) for i, row in enumerate(said) for w, c in enumerate(row)]
    given = pl.DataFrame(rows, schema=["item", "worker", "label"], orient="row")
    assert agreement.fleiss(given).value == pytest.approx(0.210, abs=5e-4)


def test_cohen_is_that_of_scikit_learn_for_each_pair(crowd):
    given, _ = crowd([0.9, 0.7, 0.6], share=0.8)
    wide = given.pivot(on="worker", index="item", values="label")
    found = agreement.cohen(given)
    assert list(found) == [("w00", "w01"), ("w00", "w02"), ("w01", "w02")]
    for (a, b), kappa in found.items():
        both = wide.drop_nulls([a, b])
        assert kappa.n == len(both) and kappa.low < kappa.value < kappa.high
        assert kappa.value == pytest.approx(cohen_kappa_score(both[a], both[b]))


def test_pairs_that_never_met_have_no_kappa():
    assert list(agreement.cohen(table(["ab..", "ab..", "..ab"]))) == [("w0", "w1")]


def test_what_cannot_be_told_is_nan():
    for given in (table(["ab"]), table(["aa", "aa"]), table(["a"])[:0]):
        for found in (agreement.krippendorff(given), agreement.fleiss(given)):
            assert np.isnan([found.value, found.low, found.high]).all()


def test_by_class_is_that_class_against_the_rest():
    found = agreement.by_class(table(["aabbc", "aabcb"]))
    assert found["a"].value == 1.0
    assert found["b"].value == pytest.approx(1 - (4 / 10) / (2 * 4 * 6 / 90))  # 4 votes for b, 2 of 5 items differ
    assert found["c"].value == pytest.approx(1 - (4 / 10) / (2 * 2 * 8 / 90))


def test_over_time_shows_when_people_part(crowd):
    early, _ = crowd([0.95, 0.95], items=100)
    late, _ = crowd([0.5, 0.5], items=100, seed=1)
    late = late.with_columns(pl.format("j{}", "item").alias("item"))
    given = pl.concat([late.with_columns(when=pl.lit("2026-02-01")), early.with_columns(when=pl.lit("2026-01-01"))])
    first, second = agreement.over_time(given, 2)
    assert first.n == second.n == 100 and first.low > second.high


def test_a_multi_label_task_is_its_classes_and_unknown_is_no_answer():
    single = table(["0011", "0111"])
    named = single.with_columns(pl.col("label").replace({"0": "?q", "1": "p|?q"}))
    alpha = agreement.krippendorff(single)
    assert agreement.krippendorff(named, multi=True).value == pytest.approx(alpha.value)
    assert agreement.by_class(named, multi=True)["p"].value == pytest.approx(alpha.value)
    assert np.isnan(agreement.by_class(named, multi=True)["q"].value)
    assert agreement.cohen(named, multi=True)["w0", "w1"].value == pytest.approx(
        agreement.cohen(single)["w0", "w1"].value
    )


def test_intervals_hold_the_truth_and_the_seed_decides_them(crowd):
    """Alpha of two who are right with .8 and else name one of two others, in 60 crowds of 120 items."""
    agree = 0.8**2 + 0.2**2 / 2
    truth = 1 - (1 - agree) / (2 / 3)
    found = [agreement.krippendorff(crowd([0.8, 0.8], items=120, seed=s)[0], seed=s) for s in range(60)]
    assert np.mean([f.low <= truth <= f.high for f in found]) > 0.85
    given = crowd([0.8, 0.8])[0]
    assert agreement.krippendorff(given, seed=1) == agreement.krippendorff(given, seed=1)
    assert agreement.krippendorff(given, seed=1) != agreement.krippendorff(given, seed=2)
