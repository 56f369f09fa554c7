import io

import numpy as np
import polars as pl
import pytest
from PIL import Image

from adde_ray.artifacts.images import decode_images, encode_images, open_images, viewable
from adde_ray.artifacts.schema import sample_id


@pytest.mark.parametrize("shape", [(3, 1, 8, 8), (2, 3, 5, 7), (1, 3, 200, 150), (1, 1, 1, 1)])
def test_pixels_survive_exactly(shape):
    pixels = np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8)
    payloads = encode_images(pixels)
    back = decode_images(payloads)
    assert payloads.dtype == pl.Binary and back.dtype == np.float32 and back.shape == shape
    assert np.array_equal(np.rint(back * 255).astype(np.uint8), pixels)
    image = Image.open(io.BytesIO(payloads[0]))
    image.load()
    assert image.format == "PNG" and image.size == (shape[3], shape[2]) and image.mode == {1: "L", 3: "RGB"}[shape[1]]


def test_floats_are_clipped_and_rounded():
    pixels = np.array([-1.0, 0.0, 0.5, 1.0, 3.0, 0.0999]).reshape(1, 1, 2, 3)
    assert np.rint(decode_images(encode_images(pixels)) * 255).ravel().tolist() == [0, 0, 128, 255, 255, 25]


def test_bytes_depend_on_the_pixels_alone():
    # If this changes, the sample ids of every image data set change: old runs and exports no longer match.
    pixels = (np.arange(2 * 3 * 40 * 600) % 251).astype(np.uint8).reshape(2, 3, 40, 600)
    assert [sample_id(p) for p in encode_images(pixels)] == [
        "1196427e9b8c6d94b62acde129f4c2b8",
        "764479c7277bfb2c21e9a761c31bf673",
    ]


@pytest.mark.parametrize("bands", [2, 4, 13])
def test_many_bands_survive_exactly_and_can_be_looked_at(bands):
    pixels = np.random.default_rng(0).integers(0, 256, (3, bands, 6, 5), dtype=np.uint8)
    payloads = encode_images(pixels)
    assert np.array_equal(np.rint(decode_images(payloads) * 255).astype(np.uint8), pixels)
    image = Image.open(io.BytesIO(payloads[1]))
    assert image.mode == "L" and image.size == (5, 6 * bands)  # any other program sees the bands below each other
    seen, shown = open_images(payloads)[1], Image.open(io.BytesIO(viewable(payloads[1])))
    expected = pixels[1, 0] if bands == 2 else pixels[1, :3].transpose(1, 2, 0)
    assert np.array_equal(np.asarray(seen), expected) and np.array_equal(np.asarray(shown), expected)
    assert len({sample_id(p) for p in payloads}) == 3


def test_ordinary_images_are_shown_as_they_are():
    for channels in (1, 3):
        [payload] = encode_images(np.zeros((1, channels, 4, 4)))
        assert viewable(payload) == payload
    assert viewable(b"no image") == b"no image"


def test_other_modes_and_formats_decode():
    rgb = Image.new("RGB", (4, 3), (255, 0, 0))
    for mode, format_, channels in (("RGB", "JPEG", 3), ("P", "PNG", 3), ("RGBA", "PNG", 3), ("1", "PNG", 1)):
        buffer = io.BytesIO()
        rgb.convert(mode).save(buffer, format_)
        assert decode_images(pl.Series([buffer.getvalue()])).shape == (1, channels, 3, 4)


def test_no_images():
    assert len(decode_images(pl.Series([], dtype=pl.Binary))) == 0
    assert len(encode_images(np.zeros((0, 1, 4, 4)))) == 0
