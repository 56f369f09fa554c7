import io

import numpy as np
import polars as pl
import pytest
from pairing import CONFIG, matches, pairs
from pairing import digits as read_digits
from PIL import Image
from sklearn.datasets import load_digits

from adde_ray.artifacts.images import encode_images
from adde_ray.config import Gates
from adde_ray.methods.gates.near_copies import candidates, likeness


@pytest.fixture(scope="module")
def digits() -> pl.Series:
    return read_digits()


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
def test_no_hash_within_the_distance_is_missed(distance):
    """Whatever bits differ: banding finds what comparing all with all finds, each pair in one band."""
    rng = np.random.default_rng(distance)
    signs = rng.integers(2**64, size=(40, 1), dtype=np.uint64)
    flips = [rng.choice(64, rng.integers(0, 20), replace=False) for _ in range(400)]
    masks = np.array([sum(1 << int(bit) for bit in bits) for bits in flips], dtype=np.uint64)
    signs = np.unique(np.concatenate([signs, signs[rng.integers(40, size=400)] ^ masks[:, None]]), axis=0)
    config = Gates(image_distance=distance)
    apart = np.bitwise_count(signs ^ signs.T)
    wanted = {(int(i), int(j)) for i, j in np.argwhere(apart <= distance) if i > j}

    alike = likeness("image", config)
    signs = np.column_stack([signs, np.zeros((len(signs), 16), np.uint64)])  # pixels that agree
    found = [candidates(signs, band, alike) for band in range(alike.num_bands)]
    found = [pair for rows, others in found for pair in zip(rows.tolist(), others.tolist(), strict=True)]
    assert len(found) == len(set(found)) and set(found) == wanted
    half = len(signs) // 2
    found = [candidates(signs[half:], band, alike, signs[:half]) for band in range(alike.num_bands)]
    found = [pair for rows, others in found for pair in zip(rows.tolist(), others.tolist(), strict=True)]
    assert sorted(found) == sorted((i - half, j) for i, j in wanted if i >= half > j)


def test_pixels_too_far_apart_are_not_compared(digits):
    """Images need not be opened whose hashes agree and whose lowest frequencies do not; none that matches is lost."""
    correlations = np.corrcoef((load_digits().images / 16).reshape(len(digits), -1))
    for least in (0.9, 0.97):
        config = CONFIG.model_copy(update={"image_correlation": least, "image_distance": 16})
        alike = likeness("image", config)
        signs = alike.signatures(digits[:400])
        found = [candidates(signs, band, alike) for band in range(alike.num_bands)]
        rows, others = (np.concatenate([part[i] for part in found]) for i in (0, 1))
        bits = np.bitwise_count(signs[:, 0, None] ^ signs[:, 0]) <= 16
        copies = np.argwhere(np.tril((correlations[:400, :400] >= least) & bits, -1))
        assert set(map(tuple, copies.tolist())) <= set(zip(rows.tolist(), others.tolist(), strict=True))
        assert correlations[rows, others].min() > least - 0.02  # of 8x8 pixels, the frequencies are all there is


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
