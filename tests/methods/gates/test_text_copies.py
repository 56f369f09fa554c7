import numpy as np
import polars as pl
import pytest
from pairing import CONFIG, pairs

from adde_ray.methods.gates.text_copies import pieces

SENTENCE = "can you tell me why my credit card was declined at the store yesterday"


@pytest.mark.parametrize(
    ("other", "same"),
    [
        (SENTENCE.upper() + "!!", True),
        (SENTENCE.replace(" ", "  "), True),
        ("and " + SENTENCE, True),
        (SENTENCE.replace("yesterday", "this morning"), False),
        (SENTENCE.replace("why", "when"), False),
        ("why was my credit card declined yesterday at the store, can you tell me", False),
    ],
)
def test_texts(other, same):
    assert pairs(pl.Series([SENTENCE, other]), "text") == ({(1, 0)} if same else set())


def test_numbers_make_another_text():
    texts = pl.Series([f"give the patient {dose} mg of the drug twice a day after meals" for dose in (5, 50, 55)])
    assert pairs(texts, "text") == set()
    assert pairs(pl.Series(["take 5 mg", "take 5 mg!"]), "text") == {(1, 0)}


def test_short_texts_and_other_scripts():
    assert pairs(pl.Series(["hi", "no", "ok", "hi!", "!!!", "...", "", "¿?"]), "text") == {(3, 0)}
    chinese = "我想查询我的银行账户余额请问应该怎么办呢谢谢您的帮助祝您生活愉快"
    assert pairs(pl.Series([chinese, chinese + "。", chinese[::-1]]), "text") == {(1, 0)}
    assert pairs(pl.Series(["ＡＢＣ ｄｅｆ", "abc def"]), "text") == {(1, 0)}


def test_banding_of_texts_agrees_with_comparing_all():
    rng = np.random.default_rng(0)
    words = ["".join(rng.choice(list("abcdefghijklmnopqrst"), 6)) for _ in range(200)]
    texts = [" ".join(rng.choice(words, 25)) for _ in range(60)]
    for text in texts[:60]:  # one word changed: about 0.85; a letter: about 0.93
        at = int(rng.integers(len(text)))
        texts.append(text[:at] + "z" + text[at + 1 :])
    cut = [pieces(text) for text in texts]
    wanted = {
        (i, j)
        for i in range(len(texts))
        for j in range(i)
        if len(cut[i] & cut[j]) / len(cut[i] | cut[j]) >= CONFIG.text_similarity
    }
    assert len(wanted) > 40 and pairs(pl.Series(texts), "text") == wanted
