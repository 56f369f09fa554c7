"""Values of satellite tiles: what is no data is shown as none, and a scale that fits nothing is told."""

import io

import numpy as np
import pytest
import tifffile
from PIL import Image

from adde_ray.config.data import TilesData
from adde_ray.errors import UserError
from adde_ray.sources.images import image_folder
from adde_ray.sources.images.tiles import read_tiles

SIZE = 16


def bands(dtype="uint16", gap=None, top=8000):
    """Four bands of noise from top / 2 on; `gap` in the upper half."""
    values = np.random.default_rng(0).uniform(top / 2, top, (4, SIZE, SIZE)).astype(dtype)
    if gap is not None:
        values[:, : SIZE // 2] = gap
    return values


def write(path, values, nodata=None, **settings):
    tags = [] if nodata is None else [(42113, "s", 0, nodata, True)]
    settings = {"photometric": "minisblack", "planarconfig": "separate", "extratags": tags} | settings
    tifffile.imwrite(path, values, **settings)
    return path


def read(path, size=SIZE, scale=(0.0, 10000.0)):
    [found] = read_tiles([path], size=size, bands=(1, 2, 3), ranges=(scale,) * 3)
    return found if isinstance(found, str) else np.asarray(Image.open(io.BytesIO(found))).astype(int)


@pytest.mark.parametrize(
    ("dtype", "gap", "nodata"),
    [
        ("uint16", 65535, "65535"),
        ("int16", -9999, "-9999 "),
        ("uint8", 0, "0"),
        ("float32", -3.4028234663852886e38, "-3.4028234663852886e+38"),
        ("float32", -9999, "-9999.0\0"),
        ("float64", np.nan, "nan"),
        ("float32", np.inf, None),
    ],
)
@pytest.mark.parametrize(
    "settings", [{}, {"bigtiff": True, "tile": (16, 16), "compression": "zlib"}], ids=["plain", "big"]
)
def test_no_data_is_black_and_takes_no_part_in_what_is_around_it(tmp_path, dtype, gap, nodata, settings):
    top = 200 if dtype == "uint8" else 8000
    path = write(tmp_path / "t.tif", bands(dtype, gap, top), nodata, **settings)
    if gap == np.inf:  # beyond the range, as any other number
        assert read(path)[0].min() == 255
        return
    whole = read(path, scale=(0.0, top))
    assert whole[:8].max() == 0 and whole[8:].min() > 120
    smaller = read(path, size=8, scale=(0.0, top))
    assert smaller[:3].max() == 0 and smaller[5:].min() > 120
    assert read(write(path, np.full((4, SIZE, SIZE), gap, dtype), nodata)) == "holds no data, only what stands for none"


def test_a_value_for_no_data_that_the_bands_cannot_hold_says_nothing(tmp_path):
    for nodata in ("-9999", "70000", "none"):
        assert read(write(tmp_path / "t.tif", bands(), nodata)).min() > 90


def test_masks_alpha_and_overviews_are_no_bands(tmp_path):
    values, there = bands(), np.ones((SIZE, SIZE), np.uint8)
    there[:4] = 0
    with tifffile.TiffWriter(tmp_path / "mask.tif") as file:
        file.write(values, photometric="minisblack", planarconfig="separate")
        file.write(values[:, ::2, ::2], photometric="minisblack", planarconfig="separate", subfiletype=1)
        file.write(there > 0, photometric="mask", subfiletype=4)
    masked = read(tmp_path / "mask.tif")
    assert masked[:4].max() == 0 and masked[4:].min() > 90
    assert read_tiles([tmp_path / "mask.tif"], size=8, bands=(5,), ranges=((0, 1),)) == ["has 4 bands, no band 5"]
    with_alpha = np.concatenate([values[:3], there[None].astype(np.uint16) * 65535])
    write(
        tmp_path / "alpha.tif",
        np.moveaxis(with_alpha, 0, -1),
        photometric="rgb",
        planarconfig="contig",
        extrasamples=["unassalpha"],
    )
    assert read(tmp_path / "alpha.tif")[:4].max() == 0


@pytest.mark.parametrize(
    ("dtype", "top", "remedy"),
    [("float32", 0.6, r"\[0, 1\]"), ("uint8", 255, r"\[0, 255\]"), ("uint16", 60000, r"\[0, 65535\]")],
)
def test_a_scale_that_makes_all_black_or_white_is_told_with_the_values_seen(tmp_path, dtype, top, remedy):
    for name in ("labelled/a", "labelled/b", "unlabelled"):
        (tmp_path / name).mkdir(parents=True)
        for i in range(2):
            write(tmp_path / name / f"{i}.tif", bands(dtype, top=top) if top < 1e4 else bands(dtype, top=top) + i)
    config = {"source": "tiles", "path": tmp_path, "bands": (1, 2, 3)}
    with pytest.raises(UserError, match=rf"data\.scale: pixels are from .* Set data\.scale = {remedy}"):
        image_folder.read(TilesData(**config), seed=0)
    image_folder.read(TilesData(**config, scale=(0, 10000), val_fraction=0.5), seed=0)
