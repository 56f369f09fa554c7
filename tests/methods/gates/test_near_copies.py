import io

import numpy as np
import polars as pl
import pytest
from PIL import Image
from sklearn.datasets import load_digits

from adde_ray.config import Gates
from adde_ray.methods.gates import near_copies
from adde_ray.methods.gates.near_copies import Pairs, between, keep_first, signatures, within
from adde_ray.methods.images import encode_images

CONFIG = Gates()


@pytest.fixture(scope="module")
def digits() -> pl.Series:
    return encode_images((load_digits().images / 16)[:, None].astype(np.float32))


def pairs(payloads, modality, config=CONFIG) -> set[tuple[int, int]]:
    found = within(signatures(payloads, modality), payloads, modality, config)
    assert (found.rows > found.others).all() and (found.similarity <= 1).all()
    return set(zip(found.rows.tolist(), found.others.tolist(), strict=True))


def matches(payloads, others, modality, config=CONFIG) -> set[tuple[int, int]]:
    signs = signatures(payloads, modality), payloads, signatures(others, modality), others
    found = between(*signs, modality, config)
    return set(zip(found.rows.tolist(), found.others.tolist(), strict=True))


# --- images ---------------------------------------------------------------------------------------------------


def altered(png: bytes, how: str) -> bytes:
    """A digit as somebody else might have it: blown up and saved as JPEG, then made small again; brighter; resized."""
    image = Image.open(io.BytesIO(png))
    if how == "jpeg":
        file = io.BytesIO()
        image.resize((64, 64), Image.Resampling.NEAREST).save(file, "JPEG", quality=75)
        image = Image.open(file).resize((8, 8), Image.Resampling.LANCZOS)
    elif how == "darker":
        image = image.point(lambda x: x * 0.8)
    elif how == "resized":
        image = image.resize((16, 16), Image.Resampling.BICUBIC).resize((8, 8), Image.Resampling.BOX)
    return encode_images(np.asarray(image)[None, None])[0]


@pytest.mark.parametrize(("how", "recall"), [("jpeg", 0.95), ("darker", 0.97), ("resized", 0.85)])
def test_altered_digits_are_found_and_nothing_else(digits, how, recall):
    originals = digits[:300]
    copies = pl.Series([altered(png, how) for png in originals[:100]], dtype=pl.Binary)
    assert not set(copies) & set(originals)
    found = matches(copies, originals, "image")
    assert len(found) >= recall * 100 and all(a == b for a, b in found)


def test_different_digits_are_no_copies_though_their_hashes_agree(digits):
    assert pairs(digits, "image") == set()
    assert len(pairs(digits, "image", CONFIG.model_copy(update={"image_correlation": 0.5}))) > 300


@pytest.mark.parametrize("distance", [0, 3, 6, 11, 16])
def test_no_hash_within_the_distance_is_missed(distance, monkeypatch):
    """Whatever bits differ: banding finds what comparing all with all finds."""
    rng = np.random.default_rng(distance)
    signs = rng.integers(2**64, size=(40, 1), dtype=np.uint64)
    flips = [rng.choice(64, rng.integers(0, 20), replace=False) for _ in range(400)]
    masks = np.array([sum(1 << int(bit) for bit in bits) for bits in flips], dtype=np.uint64)
    signs = np.unique(np.concatenate([signs, signs[rng.integers(40, size=400)] ^ masks[:, None]]), axis=0)
    config = Gates(image_distance=distance)
    apart = np.bitwise_count(signs ^ signs.T)
    wanted = {(int(i), int(j)) for i, j in np.argwhere(apart <= distance) if i > j}

    def every(rows, others, *_):
        return Pairs(rows, others, np.ones(len(rows)))

    monkeypatch.setattr(near_copies, "_confirm", every)
    found = within(signs, None, "image", config)
    assert set(zip(found.rows.tolist(), found.others.tolist(), strict=True)) == wanted
    half = len(signs) // 2
    found = between(signs[half:], None, signs[:half], None, "image", config)
    across = {(i - half, j) for i, j in wanted if i >= half > j}
    assert set(zip(found.rows.tolist(), found.others.tolist(), strict=True)) == across


def test_every_band_counts(digits):
    """Tiles whose colours agree and whose fourth band does not are different tiles."""
    pixels = (load_digits().images[:6] / 16).astype(np.float32)
    same, other = (np.stack([pixels[:3], pixels[:3], pixels[:3], last], axis=1) for last in (pixels[:3], pixels[3:]))
    darker = encode_images(same * 0.9)
    assert matches(darker, encode_images(same), "image") == {(0, 0), (1, 1), (2, 2)}
    assert matches(darker, encode_images(other), "image") == set()


def test_large_images_are_compared_too():
    rng = np.random.default_rng(0)
    pixels = np.kron(rng.random((4, 3, 10, 15)), np.ones((1, 1, 20, 20))).astype(np.float32)
    noisy = pixels + 0.02 * rng.normal(size=pixels.shape).astype(np.float32)
    assert matches(encode_images(noisy), encode_images(pixels), "image") == {(i, i) for i in range(4)}


def test_blanks_and_piles_of_one_image(digits):
    blank = encode_images(np.full((50, 1, 8, 8), 0.5, np.float32))
    assert pairs(blank, "image") == set()  # nothing to compare; the contrast gate is for them
    pile = pl.concat([digits[:1]] * 200)
    kept_for, _ = keep_first(200, within(signatures(pile, "image"), pile, "image", CONFIG))
    assert (kept_for >= 0).sum() >= 190  # not all pairs are looked at, yet hardly any copy stays


# --- texts ----------------------------------------------------------------------------------------------------

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
    pieces = [near_copies.pieces(text) for text in texts]
    wanted = {
        (i, j)
        for i in range(len(texts))
        for j in range(i)
        if len(pieces[i] & pieces[j]) / len(pieces[i] | pieces[j]) >= CONFIG.text_similarity
    }
    assert len(wanted) > 40 and pairs(pl.Series(texts), "text") == wanted


def test_signatures_are_the_same_shard_by_shard(digits):
    for payloads, modality in ((digits[:40], "image"), (pl.Series([f"text number {i}" for i in range(40)]), "text")):
        parts = np.concatenate([signatures(payloads[:15], modality), signatures(payloads[15:], modality)])
        assert np.array_equal(parts, signatures(payloads, modality))


@pytest.mark.parametrize("modality", ["text", "image"])
def test_none_and_one(modality, digits):
    one = digits[:1] if modality == "image" else pl.Series(["a"])
    for payloads in (one.clear(), one):
        assert pairs(payloads, modality) == set()
        assert matches(one.clear(), payloads, modality) == matches(payloads, one.clear(), modality) == set()
    assert matches(one, one, modality) == {(0, 0)}


# --- which one stays ------------------------------------------------------------------------------------------


def test_what_goes_resembles_something_that_stays():
    chain = Pairs(np.array([1, 2, 3]), np.array([0, 1, 2]), np.array([0.9, 0.95, 1.0]))
    kept_for, similarity = keep_first(4, chain)
    assert kept_for.tolist() == [-1, 0, -1, 2] and similarity.tolist() == [0, 0.9, 0, 1]
    assert keep_first(4, chain, fixed=2)[0].tolist() == [-1, -1, 1, -1]
    assert keep_first(0, Pairs(*[np.zeros(0, int)] * 3))[0].shape == (0,)
