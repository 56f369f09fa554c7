import numpy as np
import polars as pl
import pytest
from pairing import CONFIG, matches, pairs
from pairing import digits as read_digits

from adde_ray.artifacts.images import encode_images
from adde_ray.methods.gates.near_copies import ALIKE, Pairs, keep_first, likeness, within


@pytest.fixture(scope="module")
def digits() -> pl.Series:
    return read_digits()


def test_signatures_are_the_same_shard_by_shard(digits):
    for payloads, modality in ((digits[:40], "image"), (pl.Series([f"text number {i}" for i in range(40)]), "text")):
        sign = likeness(modality, CONFIG).signatures
        assert np.array_equal(np.concatenate([sign(payloads[:15]), sign(payloads[15:])]), sign(payloads))


@pytest.mark.parametrize("modality", ["text", "image"])
def test_none_and_one(modality, digits):
    one = digits[:1] if modality == "image" else pl.Series(["a"])
    for payloads in (one.clear(), one):
        assert pairs(payloads, modality) == set()
        assert matches(one.clear(), payloads, modality) == matches(payloads, one.clear(), modality) == set()
    assert matches(one, one, modality) == {(0, 0)}


def test_blanks_and_piles_of_one_image(digits):
    blank = encode_images(np.full((50, 1, 8, 8), 0.5, np.float32))
    assert pairs(blank, "image") == set()  # nothing to compare; the contrast gate is for them
    pile = pl.concat([digits[:1]] * 200)
    alike = likeness("image", CONFIG)
    found = within(alike.signatures(pile), pile, alike)
    assert len(found) < 200 * ALIKE  # not all pairs are looked at, …
    assert (keep_first(200, found)[0] >= 0).sum() == 199  # … and yet only one stays


def test_what_goes_resembles_something_that_stays():
    chain = Pairs(np.array([1, 2, 3]), np.array([0, 1, 2]), np.array([0.9, 0.95, 1.0]))
    kept_for, similarity = keep_first(4, chain)
    assert kept_for.tolist() == [-1, 0, -1, 2] and similarity.tolist() == [0, 0.9, 0, 1]
    assert keep_first(0, Pairs(*[np.zeros(0, int)] * 3))[0].shape == (0,)
