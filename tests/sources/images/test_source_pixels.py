"""Pictures of every kind of transparency and depth show what is in them."""

import io

import imagecodecs
import numpy as np
import pytest
import tifffile
from PIL import Image, ImageDraw

from adde_ray.sources.images.pictures import read_images


def encoded(image, format_="PNG", **options):
    file = io.BytesIO()
    image.save(file, format_, **options)
    return file.getvalue()


def drawing(mode, ink, ground):
    """A square of a quarter of the picture."""
    image = Image.new(mode, (32, 32), ground)
    ImageDraw.Draw(image).rectangle((8, 8, 23, 23), fill=ink)
    return image


def pixels(data, mode="L", size=32):
    [found] = read_images([data], size=size, mode=mode)
    assert not isinstance(found, str), found
    return np.asarray(Image.open(io.BytesIO(found))).astype(int)


BLACK = drawing("RGBA", (0, 0, 0, 255), (0, 0, 0, 0))
TRANSPARENT = {
    "RGBA": encoded(BLACK),
    "LA": encoded(drawing("LA", (0, 255), (0, 0))),
    "P with a key": encoded(drawing("P", 1, 0), transparency=0),
    "P with bytes": encoded(drawing("P", 1, 0), transparency=bytes([0, 255])),
    "L with a key": encoded(drawing("L", 1, 0), transparency=0),
    "RGB with a key": encoded(drawing("RGB", (1, 0, 0), (0, 0, 0)), transparency=(0, 0, 0)),
    "GIF": encoded(BLACK, "GIF"),
    "WebP": encoded(BLACK, "WEBP", lossless=True),
    "TIFF": encoded(BLACK, "TIFF"),
    "16 bits": imagecodecs.png_encode(np.asarray(BLACK).astype(np.uint16) * 257),
}


@pytest.mark.parametrize("data", TRANSPARENT.values(), ids=TRANSPARENT)
@pytest.mark.parametrize("mode", ["L", "RGB"])
def test_a_black_drawing_lies_on_white(data, mode):
    found = pixels(data, mode)
    assert found[12:20, 12:20].max() < 10 and found[:6].min() > 245


@pytest.mark.parametrize("ink", [(255, 255, 255, 255), (250, 245, 255, 255), (255, 255, 255, 120)])
def test_a_white_drawing_lies_on_black(ink):
    found = pixels(encoded(drawing("RGBA", ink, (255, 255, 255, 0))))
    assert found[12:20, 12:20].min() > 100 and found[:6].max() < 10


def test_what_is_opaque_or_empty():
    opaque = drawing("RGB", (200, 30, 30), (250, 250, 250))
    assert np.array_equal(pixels(encoded(opaque.convert("RGBA")), "RGB"), pixels(encoded(opaque), "RGB"))
    assert read_images([encoded(Image.new("RGBA", (9, 9)))], size=8, mode="L") == ["is transparent throughout"]


@pytest.mark.parametrize("bits", [8, 10, 12, 14, 16])
def test_the_bits_that_are_used_count(bits):
    ramp = np.linspace(0, (1 << bits) - 1, 1024).reshape(32, 32).astype(np.uint16)
    wanted = (ramp >> (bits - 8)).astype(int)
    colour = np.stack([ramp] * 3, axis=-1)
    alpha = np.concatenate([colour, np.full((32, 32, 1), 0xFFFF, np.uint16)], axis=-1)
    tiff = io.BytesIO()
    tifffile.imwrite(tiff, colour, photometric="rgb")
    for data in (encoded(Image.fromarray(ramp)), imagecodecs.png_encode(colour), imagecodecs.png_encode(alpha)):
        assert np.abs(pixels(data) - wanted).max() <= 1
    assert np.abs(pixels(tiff.getvalue(), "RGB")[..., 1] - wanted).max() <= 1


def test_pixels_without_a_range_are_told_with_the_values_seen():
    for values, seen in ((np.float32([[0, 0.5]]), "from 0 to 0.5"), (np.int32([[-3, 9]]), "from -3 to 9")):
        [reason] = read_images([encoded(Image.fromarray(values), "TIFF")], size=8, mode="L")
        assert reason == f"has 32-bit pixels, {seen}; convert it to 8 or 16 bits"
