"""Formulas in cells: nothing that is written begins like one, and every text comes back as it was."""

import csv
import io
import random

import pytest

from adde_ray.review.cells import csv_text, escape, unescape

FORMULAS = (
    "=1+1",
    "+1",
    "-1",
    "@SUM(A1)",
    "\t=1",
    "\rx",
    "\nx",
    " =1",
    '"=1"',
    "'=1",
    "''-x",
    "＝1",
    "\ufeff=1",
    "=cmd|' /C calc'!A0",
)


@pytest.mark.parametrize("text", FORMULAS)
def test_a_formula_is_marked_and_comes_back(text):
    assert escape(text) == f"'{text}" and unescape(escape(text)) == text


@pytest.mark.parametrize("text", ("", "'", "'x", "a=b", "1-2", "don't", '"quoted"', "x\t=1"))
def test_other_texts_stay_as_they_are(text):
    assert escape(text) == unescape(text) == text


def test_any_text_comes_back():
    rng = random.Random(0)
    for _ in range(20_000):
        text = "".join(rng.choices("='\"+-@ \t\r\n\u200bax1", k=rng.randint(0, 6)))
        assert unescape(escape(text)) == text


def test_numbers_in_a_table_stay_numbers():
    text = csv_text(["=name", "share", "note"], [{"=name": "-1", "share": -0.5, "note": None}])
    assert list(csv.reader(io.StringIO(text))) == [["'=name", "share", "note"], ["'-1", "-0.5", ""]]
