"""Multi-band tiles cut from real photographs, through the source, the encoders, a generator and the report."""

import io

import numpy as np
import polars as pl
import pytest
import tifffile
from PIL import Image
from sklearn.datasets import load_sample_images

from adde_ray.artifacts.images import decode_images
from adde_ray.config import Config, Generate
from adde_ray.config.data import TilesData
from adde_ray.errors import UserError
from adde_ray.methods import encoders
from adde_ray.methods.synthesis.generators import GENERATORS, FitData
from adde_ray.sources.images import image_folder
from adde_ray.web.pictures import thumbnail

NUM_BANDS = 13
GEO = [
    (33550, "d", 3, (10.0, 10.0, 0.0), True),  # ModelPixelScale: 10 m
    (33922, "d", 6, (0.0, 0.0, 0.0, 399960.0, 5300040.0, 0.0), True),  # ModelTiepoint
    (34735, "H", 8, (1, 1, 0, 1, 3072, 0, 1, 32632), True),  # GeoKeyDirectory: UTM 32N
]


@pytest.fixture(scope="module")
def photos():
    """class -> 32 tiles (13, 40, 40) uint16: reflectances made of a photograph's colours."""
    made = {}
    for name, photo in zip(("roofs", "petals"), load_sample_images().images, strict=True):
        cuts = [photo[40 * r : 40 * r + 40, 40 * c : 40 * c + 40] for r in range(4) for c in range(8)]
        mixing = np.random.default_rng(0).dirichlet(np.ones(3), NUM_BANDS)
        mixing[[3, 2, 1]] = np.eye(3)  # bands 4, 3, 2 are red, green, blue
        made[name] = [np.einsum("bc,yxc->byx", mixing, cut * (3000 / 255)).round().astype(np.uint16) for cut in cuts]
    return made


def write(path, bands, **settings):
    path.parent.mkdir(parents=True, exist_ok=True)
    settings = {"photometric": "minisblack", "planarconfig": "separate", "extratags": GEO} | settings
    tifffile.imwrite(path, bands, **settings)


@pytest.fixture
def folder(tmp_path, photos):
    for name, tiles in photos.items():
        for i, tile in enumerate(tiles):
            write(tmp_path / (f"labelled/{name}" if i < 8 else "unlabelled") / f"{name}-{i}.tif", tile)
    return tmp_path


def read(path, **settings):
    return image_folder.read(TilesData(source="tiles", path=path, **settings), seed=0)


def test_three_bands_make_a_picture(folder, photos):
    rows = read(folder, bands=(4, 3, 2), scale=(0, 3000), size=40).whole()
    assert {n: len(t) for n, t in rows.splits.items()} == {"seed": 12, "val": 4, "pool": 48} and not rows.rejected
    seen = rows.splits["pool"].filter(pl.col("file") == "unlabelled/roofs-20.tif")["image"]
    expected = np.clip(photos["roofs"][20][[3, 2, 1]] / 3000, 0, 1)
    assert np.abs(decode_images(seen)[0] - expected).max() <= 0.5 / 255 + 1e-6
    assert decode_images(read(folder, bands=(8,), size=20).whole().splits["val"]["image"]).shape == (4, 1, 20, 20)


@pytest.mark.parametrize(
    "settings",
    [
        {},
        {"planarconfig": "contig"},
        {"compression": "zlib", "predictor": True},
        {"compression": "lzw", "tile": (16, 16)},
        {"compression": "zstd"},
        {"pages": True},
        {"bigtiff": True, "byteorder": ">"},
    ],
    ids=str,
)
def test_every_layout_gives_the_same_tile(tmp_path, photos, settings):
    tile = photos["petals"][3]
    for name in ("labelled/a", "labelled/b", "unlabelled"):
        path = tmp_path / name / "x.tif"
        if settings.get("pages"):
            path.parent.mkdir(parents=True)
            with tifffile.TiffWriter(path) as file:
                for band in tile:
                    file.write(band, photometric="minisblack", contiguous=False)
        elif settings.get("planarconfig") == "contig":
            write(path, tile.transpose(1, 2, 0), **settings)
        else:
            write(path, tile, **settings)
    bands = (1, 13, 4, 8)
    rows = read(tmp_path, bands=bands, scale=(0, 3000), size=40).whole()
    pixels = decode_images(rows.splits["pool"]["image"])
    assert pixels.shape == (1, 4, 40, 40)
    assert np.abs(pixels[0] - tile[[b - 1 for b in bands]] / 3000).max() <= 0.5 / 255 + 1e-6


def test_bands_of_different_resolution_and_a_range_each(tmp_path):
    values = np.arange(3, dtype=np.uint16)[:, None, None] * 100 + 100
    for name in ("labelled/a", "labelled/b", "unlabelled"):
        (tmp_path / name).mkdir(parents=True)
        with tifffile.TiffWriter(tmp_path / name / "x.tif") as file:
            for value, side in zip(values, (24, 12, 4), strict=True):
                file.write(np.broadcast_to(value, (side, side)).copy(), photometric="minisblack")
    rows = read(tmp_path, bands=(1, 2, 3), scale=((0, 200), (0, 200), (200, 400)), size=8).whole()
    pixels = np.rint(decode_images(rows.splits["pool"]["image"])[0] * 255)
    assert [set(band.ravel()) for band in pixels] == [{128}, {255}, {128}]


def test_floats_and_no_data(tmp_path):
    tile = np.full((2, 8, 8), 0.5, np.float32)
    tile[0, 0] = np.nan
    for name in ("labelled/a", "labelled/b", "unlabelled"):
        write(tmp_path / name / "x.tif", tile)
    pixels = decode_images(read(tmp_path, bands=(1, 2), scale=(0, 1), size=8).whole().splits["pool"]["image"])[0]
    assert np.all(pixels[0, 0] == 0) and np.allclose(pixels[0, 1:], 0.5, atol=0.01) and np.isfinite(pixels).all()


def test_broken_tiles_are_set_aside_with_their_name_and_reason(folder, photos):
    broken = folder / "unlabelled" / "ümlaut 東京"
    broken.mkdir()
    whole = (folder / "unlabelled" / "roofs-9.tif").read_bytes()
    (broken / "cut.tif").write_bytes(whole[: len(whole) // 2])
    (broken / "empty.tif").write_bytes(b"")
    (broken / "text.tif").write_text("no tile at all")
    write(broken / "few.tif", photos["roofs"][0][:3])
    write(broken / "complex.tif", np.ones((13, 8, 8), np.complex64))
    Image.new("RGB", (8, 8)).save(broken / "photo.png")
    rows = read(folder, max_rejected=0.2).whole()
    reasons = {r["where"].rpartition("/")[2]: r["reason"] for r in rows.rejected}
    assert set(reasons) == {"cut.tif", "empty.tif", "text.tif", "few.tif", "complex.tif"}
    assert reasons["empty.tif"] == "is empty" and reasons["few.tif"] == "has 3 bands, no band 4"
    assert "cannot be decoded" in reasons["text.tif"] and "no plain numbers" in reasons["complex.tif"]
    assert any("photo.png" in note for note in rows.notes) and len(rows.splits["pool"]) == 48
    with pytest.raises(UserError, match=r"of 69 images are unusable"):
        read(folder).whole()


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"bands": [4, 4]}, "a band is named twice"),
        ({"bands": [0]}, "greater than or equal to 1"),
        ({"bands": []}, "at least 1 value"),
        ({"scale": [3000, 0]}, "low below high"),
        ({"bands": [1, 2], "scale": [[0, 1], [0, 1], [0, 1]]}, "one for each of 2 bands"),
    ],
)
def test_settings_that_cannot_be(settings, message):
    with pytest.raises(UserError, match=message):
        Config.parse({"data": {"source": "tiles", "path": "x"} | settings})


def test_thirteen_bands_through_encoders_generator_and_report(folder):
    rows = read(
        folder, bands=tuple([4, 3, 2, *(b for b in range(1, 14) if b not in (2, 3, 4))]), scale=(0, 3000), size=12
    )
    pool = rows.whole().splits["pool"]
    pixels = decode_images(pool["image"])
    assert pixels.shape == (48, 13, 12, 12)
    for name in ("pixels", "patches"):
        section = Config.parse({"data": {"source": "digits"}, "encoder": {"name": name}}).encoder
        encoder = encoders.make(section, "image")
        encoder.fit(pool["image"], seed=0)
        features = encoder.encode(pool["image"])
        assert len(features) == 48 and np.isfinite(features).all() and features.std(0).max() > 0
        again = encoders.make(section, "image")
        again.load(*encoder.save())
        assert np.array_equal(again.encode(encoders.encode_images(pixels)), features)
    rng = np.random.default_rng(0)
    generator = GENERATORS["cvae"](Generate(steps=5))
    probs = rng.dirichlet(np.ones(2), 48).astype(np.float32)
    weights = generator.fit(FitData(pixels, probs, rng.normal(size=(48, 3)).astype(np.float32)), seed=0)
    made = generator.sample(weights, np.array([0, 1]), np.zeros((2, 3)), temperature=1.0, seed=0)
    assert made.shape == (2, 13, 12, 12) and decode_images(encoders.encode_images(made)).shape == made.shape
    import base64

    seen = Image.open(io.BytesIO(base64.b64decode(thumbnail(pool["image"][0]).partition(",")[2])))
    assert seen.size == (12, 12) and seen.mode == "RGB"
    assert np.array_equal(np.asarray(seen), np.rint(pixels[0, :3].transpose(1, 2, 0) * 255))
