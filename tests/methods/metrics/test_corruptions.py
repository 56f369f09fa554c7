"""Every corruption: the same kind of sample comes back, worse the heavier, and the same whoever lies beside it."""

import itertools

import numpy as np
import polars as pl
import pytest

from adde_ray.artifacts.images import decode_images, encode_images, planes
from adde_ray.errors import UserError
from adde_ray.methods.metrics.corruptions import CORRUPTIONS, check_fit, corrupt

IMAGES = sorted(name for name, c in CORRUPTIONS.items() if c.modality == "image")
TEXTS = sorted(name for name, c in CORRUPTIONS.items() if c.modality == "text")
SENTENCES = [
    "the parcel that was promised for Tuesday has still not arrived at my door",
    "somebody charged my credit card twice, please return what was taken",
    "a", "", "two  spaces", "Überraschung: größere Ärgernisse!",
] * 4  # fmt: skip


def pictures(bands: int = 3, side: int = 16) -> pl.Series:
    """Smooth blobs, as photographs are and noise is not."""
    rng = np.random.default_rng(0)
    y, x = np.mgrid[:side, :side] / side
    wave = [np.sin(7 * (x * a + y * b) + c) for a, b, c in rng.random((6 * bands, 3))]
    return encode_images(0.4 + 0.3 * np.array(wave).reshape(6, bands, side, side))


def ids(payloads) -> pl.Series:
    return pl.Series([f"id{i}" for i in range(len(payloads))])


@pytest.mark.parametrize("bands", [1, 3, 5])
@pytest.mark.parametrize("name", IMAGES)
def test_images_stay_images_and_suffer_more_the_heavier(name, bands):
    payloads = pictures(bands)
    clean, far = np.stack(list(planes(payloads))).astype(float), []
    for severity in range(1, 6):
        worse = np.stack(list(planes(corrupt(payloads, ids(payloads), name, severity, seed=0))))
        assert worse.shape == clean.shape and worse.dtype == np.uint8
        far.append(np.abs(worse - clean).mean())
    assert far[0] > 0 and all(a <= b * 1.02 for a, b in itertools.pairwise(far)), far
    assert far[-1] < 128


@pytest.mark.parametrize("side", [1, 2, 8])
@pytest.mark.parametrize("name", IMAGES)
def test_tiny_images(name, side):
    payloads = pictures(1, side)
    assert decode_images(corrupt(payloads, ids(payloads), name, 5, seed=0)).shape == (6, 1, side, side)


@pytest.mark.parametrize("name", TEXTS)
def test_texts_stay_texts_and_suffer_more_the_heavier(name):
    payloads, changed = pl.Series("text", SENTENCES), []
    for severity in range(1, 6):
        worse = corrupt(payloads, ids(payloads), name, severity, seed=0)
        assert worse.dtype == pl.String and len(worse) == len(payloads) and not worse.is_null().any()
        assert all(b.strip() for a, b in zip(payloads, worse, strict=True) if a.strip())
        words = [(set(a.split()), set(b.split())) for a, b in zip(payloads, worse, strict=True)]
        changed.append(sum(len(a - b) for a, b in words))
    assert changed[0] > 0 and changed == sorted(changed), changed


@pytest.mark.parametrize("name", sorted(CORRUPTIONS))
def test_a_row_is_the_same_whatever_lies_beside_it(name):
    payloads = pictures() if name in IMAGES else pl.Series("text", SENTENCES)
    names = ids(payloads)
    whole = corrupt(payloads, names, name, 3, seed=0)
    order = np.random.default_rng(0).permutation(len(payloads))
    assert corrupt(payloads[order], names[order], name, 3, seed=0).to_list() == whole[order].to_list()
    assert corrupt(payloads[1:2], names[1:2], name, 3, seed=0).to_list() == whole[1:2].to_list()
    assert len(corrupt(payloads[:0], names[:0], name, 3, seed=0)) == 0


@pytest.mark.parametrize("name", ["noise", "typos", "dropped_words", "case"])
def test_the_seed_decides(name):
    payloads = pictures() if name in IMAGES else pl.Series("text", SENTENCES)
    names = ids(payloads)
    assert corrupt(payloads, names, name, 3, seed=0).to_list() != corrupt(payloads, names, name, 3, seed=1).to_list()


def test_a_corruption_of_another_modality_is_refused():
    check_fit(("noise", "jpeg"), "image", where="x")
    check_fit((), "vector", where="x")
    with pytest.raises(UserError, match=r"is no corruption of texts.*There are: typos"):
        check_fit(("noise",), "text", where="measure.corruptions")
    with pytest.raises(UserError, match="There are none"):
        check_fit(("noise",), "vector", where="measure.corruptions")
