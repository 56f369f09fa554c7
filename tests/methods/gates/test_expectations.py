import numpy as np
import polars as pl
import pytest
from sklearn.datasets import load_digits

from adde_ray.artifacts.images import encode_images
from adde_ray.artifacts.schema import MODALITIES
from adde_ray.config import Expectation, Gates
from adde_ray.errors import UserError
from adde_ray.methods.gates.expectations import (
    add_nulls,
    check_names,
    check_nulls,
    column_reasons,
    count_nulls,
    reasons,
)

ORDINARY = [
    "hi",
    "no",
    "ok!!!",
    "?",
    "a",
    "what's my balance",
    "call 555-0199 or 555-0142 before 9:30",
    "我想查询我的银行账户余额请问应该怎么办呢谢谢您的帮助",
    "ขอทราบยอดเงินในบัญชีของฉันหน่อยครับ",
    "मेरे खाते में कितना पैसा है, कृपया मुझे बताइए",
    "very very very good",
    "one\ntwo\nthree\nfour\nfive\nsix",
    "<p>the app closes by itself</p>",
]


def test_ordinary_texts_pass():
    assert reasons(pl.Series(ORDINARY), "text", Gates())["reason"].to_list() == [None] * len(ORDINARY)


@pytest.mark.parametrize(
    ("text", "gate", "reason"),
    [
        ("", "length", "0 characters, fewer than 1"),
        ("x y " * 40_000, "length", "160000 characters, more than 100000"),
        ("x " * 21_000, "length", "21000 words, more than 20000"),
        ("a" * 15 + "bcdefghij", "repetition", "one character makes 62% of it"),
        ("buy now " * 2 + "buy " * 10, "repetition", "one word makes 86% of it"),
        ("alpha beta\ngamma\n" * 6, "repetition", "83% of its lines are repeated"),
        ("-- 0912 -- 5561 -- 9082 -- 1123", "symbols", "hardly a letter in it"),
    ],
)
def test_texts_that_fail(text, gate, reason):
    found = reasons(pl.Series(["fine", text]), "text", Gates())
    assert found.rows() == [(None, None), (gate, reason)]


def test_every_limit_can_be_set():
    text = pl.Series(["aaaa bbbb aaaa bbbb aaaa bbbb aaaa bbbb aaaa bbbb 12345 6789"])
    assert reasons(text, "text", Gates())["gate"].item() is None
    for changed in (
        {"min_chars": 100},
        {"max_chars": 10},
        {"max_words": 3},
        {"max_char_share": 0.3},
        {"max_word_share": 0.3},
        {"max_symbol_share": 0.1},
    ):
        assert reasons(text, "text", Gates(**changed))["gate"].item(), changed
    lines = pl.Series(["a\nb\nc\nd\na"])
    assert reasons(lines, "text", Gates(max_line_share=0.1))["gate"].item() == "repetition"


@pytest.mark.parametrize("mode", [1, 3, 4])
def test_blank_images(mode):
    pixels = np.repeat((load_digits().images[:20, None] / 16), mode, axis=1).astype(np.float32)
    pixels[3], pixels[7] = 0, 0.5
    pixels[3, mode - 1] = 0.9  # a blank of two shades: no band has a picture in it
    pixels[7, 0, 0, 0] = 0.504  # one pixel, one level
    found = reasons(encode_images(pixels), "image", Gates())
    assert [i for i, gate in enumerate(found["gate"]) if gate == "contrast"] == [3, 7]
    assert reasons(encode_images(pixels), "image", Gates(min_contrast=0))["gate"].null_count() == 20


@pytest.mark.parametrize("modality", MODALITIES)
def test_no_rows(modality):
    dtype = {"text": pl.String, "image": pl.Binary, "vector": pl.List(pl.Float32)}[modality]
    assert reasons(pl.Series([], dtype=dtype), modality, Gates()).rows() == []


# --- columns --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("values", "expected", "failing"),
    [
        (["1", "2.5", None, "x", " 7 "], {"type": "number"}, {3: "age is no number"}),
        ([1, 200, -3, None], {"min": 0, "max": 120}, {1: "age is more than 120", 2: "age is less than 0"}),
        ([1.0, float("nan")], {"type": "number"}, {1: "age is no number"}),
        (["m", "f", "x", None], {"values": ["m", "f"]}, {2: "age is none of the values expected"}),
        ([1, 2], {"type": "text"}, dict.fromkeys((0, 1), "age is a number, not a text")),
        (["1", None], {}, {}),
        ([], {"type": "number"}, {}),
    ],
)
def test_columns(values, expected, failing):
    found = column_reasons(pl.Series("age", values, strict=False), Expectation(**expected))
    assert {i: why for i, why in enumerate(found) if why} == failing and len(found) == len(values)


def test_columns_as_a_whole():
    tables = [pl.DataFrame({"age": ["1", None], "_where": ["a", "b"]}), pl.DataFrame({"age": [None, None], "sex": "m"})]
    config = Gates(expect={"age": {"max_null": 0.75}, "sex": {}})
    assert count_nulls(tables, config) == {"age": (3, 4), "sex": (0, 2)}
    check_nulls(count_nulls(tables, config), config)
    strict = Gates(expect={"age": {"max_null": 0.5}})
    with pytest.raises(UserError, match=r"gates\.expect\.age: a share of 0\.75 is missing \(got 0\.5\)"):
        check_nulls(count_nulls(tables, strict), strict)
    check_nulls(count_nulls([], strict), strict)
    check_names(["age", "_where"], strict)
    with pytest.raises(UserError, match=r"gates\.expect\.sex: the data has no such column\. Columns: age\.$"):
        check_names(["age", "_where"], config)


def test_what_parts_lack_adds_up():
    assert add_nulls({"age": (1, 4)}, {"age": (2, 2), "sex": (0, 2)}) == {"age": (3, 6), "sex": (0, 2)}
