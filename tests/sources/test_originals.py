"""Originals of image samples: found again by every source, shown to people; what has gone or changed is told."""

from __future__ import annotations

import csv
import io
from pathlib import Path

import numpy as np
import photos
import polars as pl
import pyarrow as pa
import pytest
import tifffile
import xrays
from PIL import Image

from adde_ray.config import Config
from adde_ray.config.data import ChexpertData, CsvData, FolderData, HubData, TilesData
from adde_ray.loop import run
from adde_ray.sources import ORIGINALS, SOURCES
from adde_ray.sources.images.views import View, view_image
from adde_ray.sources.originals import Original, Unread, find, find_larger
from adde_ray.sources.rows import WHERE, identify
from adde_ray.stages.select import select


def read(config) -> pl.DataFrame:
    """All rows a source reads, with their sample_id."""
    rows = SOURCES[config.source](config, seed=0).whole()
    return pl.concat([t.with_columns(identify(t["image"])) for t in rows.splits.values()], how="diagonal_relaxed")


def found(config, rows: pl.DataFrame) -> dict[str, Original | str]:
    return dict(find(ORIGINALS[config.source](config), rows))


def of_file(config, rows: pl.DataFrame) -> dict[str, bytes | str]:
    """file → the bytes of its original, or why there is none."""
    originals = found(config, rows)
    assert originals.keys() == set(rows["sample_id"])
    told = {i: x.data if isinstance(x, Original) else x for i, x in originals.items()}
    return {file: told[i] for i, file in rows.select("sample_id", "file").iter_rows()}


def test_files_of_an_image_folder(tmp_path):
    config = FolderData(source="image_folder", path=photos.folder(tmp_path))
    rows = read(config)
    assert of_file(config, rows) == {file: (tmp_path / file).read_bytes() for file in rows["file"]}
    names = {x.name for x in found(config, rows).values()}
    assert names == {Path(file).name for file in rows["file"]} and "été 0.jpg" in names


def test_a_file_that_is_gone_or_has_changed_is_no_original(tmp_path):
    config = FolderData(source="image_folder", path=photos.folder(tmp_path))
    rows = read(config)
    first, second, third, fourth, fifth = rows["file"][:5]
    (tmp_path / first).unlink()
    (tmp_path / second).write_bytes((tmp_path / fifth).read_bytes())
    (tmp_path / third).write_bytes((tmp_path / third).read_bytes()[:200])
    (tmp_path / fourth).unlink()
    (tmp_path / fourth).mkdir()
    told = of_file(config, rows)
    assert [told.pop(file) for file in (first, second, third, fourth)] == [
        "is gone", "has changed since", "has changed since", "cannot be read: is a folder",
    ]  # fmt: skip
    assert told == {file: (tmp_path / file).read_bytes() for file in told}


def sides(config, rows: pl.DataFrame, side: int) -> dict[str, tuple[int, int] | str | None]:
    """sample_id → width and height of the larger picture that encoders are given."""
    found = dict(find_larger(ORIGINALS[config.source](config), rows, side))
    assert found.keys() == set(rows["sample_id"])
    return {i: Image.open(io.BytesIO(x)).size if isinstance(x, bytes) else x for i, x in found.items()}


def assert_as_if_read_larger(config, rows: pl.DataFrame, side: int) -> None:
    """The larger picture is, to the byte, what this size would have kept of it."""
    large = read(config.model_copy(update={"size": side}))
    larger = dict(find_larger(ORIGINALS[config.source](config), rows, side))
    given = {where: larger[i] for i, where in rows.select("sample_id", WHERE).iter_rows()}
    assert len(given) == len(rows) and given == dict(large.select(WHERE, "image").iter_rows())


@pytest.mark.parametrize("mode", ["L", "RGB"])
def test_a_larger_picture_is_what_a_larger_size_would_have_kept(tmp_path, mode):
    config = FolderData(source="image_folder", path=photos.folder(tmp_path), size=16, mode=mode)
    assert_as_if_read_larger(config, read(config), 96)


def test_no_picture_is_larger_than_its_original_and_none_is_made_of_a_small_one(tmp_path):
    rng = np.random.default_rng(0)
    for i, size in enumerate([(40, 30), (16, 9), (30, 90), (300, 200)]):
        path = tmp_path / "labelled" / "ab"[i % 2] / f"{i}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(photos.photo(rng, (0, 90, 200), "PNG", size))
    config = FolderData(source="image_folder", path=tmp_path, size=16)
    rows = read(config)
    told, files = sides(config, rows, 64), dict(rows.select("file", "sample_id").iter_rows())
    assert [told[files[f"labelled/{name}.png"]] for name in ("a/0", "b/1", "a/2", "b/3")] == [
        (40, 40), None, (64, 64), (64, 64),
    ]  # fmt: skip


def test_of_what_has_changed_no_larger_picture_is_given(tmp_path):
    config = FolderData(source="image_folder", path=photos.folder(tmp_path))
    rows = read(config)
    first, second, third, fourth = rows["file"][:4]
    (tmp_path / first).unlink()
    (tmp_path / second).write_bytes((tmp_path / fourth).read_bytes())
    with (tmp_path / third).open("r+b") as file:  # of a picture that is larger than any may be
        file.truncate(1 << 29)
    told = sides(config, rows, 64)
    ids = dict(rows.select("file", "sample_id").iter_rows())
    reasons = [told.pop(ids[file]) for file in (first, second, third)]
    assert reasons == ["is gone", "has changed since", "cannot be read: is larger than 256 MiB"]
    assert not any(isinstance(reason, Unread) for reason in reasons) and set(told.values()) == {(64, 64)}


def test_a_folder_that_is_gone(tmp_path):
    config = FolderData(source="image_folder", path=photos.folder(tmp_path / "here"))
    rows = read(config)
    (tmp_path / "here").rename(tmp_path / "there")
    assert set(of_file(config, rows).values()) == {"is gone"}


def test_files_that_a_table_names(tmp_path):
    photos.folder(tmp_path)
    files = sorted(str(p.relative_to(tmp_path)) for p in tmp_path.rglob("*.*"))
    labels = [None if "unlabelled" in file else file.split("/")[1] for file in files]
    pl.DataFrame({"file": files, "label": labels}).write_csv(tmp_path / "table.csv")
    config = CsvData(source="csv", path=tmp_path / "table.csv", image_column="file", size=16)
    rows = read(config)
    assert of_file(config, rows) == {file: (tmp_path / file).read_bytes() for file in files}


def test_a_users_column_called_file_makes_room_for_the_path(tmp_path):
    photos.folder(tmp_path)
    paths = sorted(str(p.relative_to(tmp_path)) for p in tmp_path.rglob("*.*"))
    table = pl.DataFrame({"path": paths, "file": "scan 7", "label": [p.split("/")[1] for p in paths]})
    table.filter(~pl.col("path").str.contains("unlabelled")).write_csv(tmp_path / "table.csv")
    config = CsvData(source="csv", path=tmp_path / "table.csv", image_column="path", subgroup_columns=())
    rows = read(config)
    assert set(rows["source_file"]) == {"scan 7"}
    assert all(isinstance(x, Original) for x in found(config, rows).values())


def test_files_that_the_tables_of_a_pool_name_are_relative_to_those(tmp_path):
    photos.folder(tmp_path / "main")
    photos.folder(tmp_path / "more", labelled=0, unlabelled=12)  # the same names, other pictures
    for name in ("main", "more"):
        files = sorted(str(p.relative_to(tmp_path / name)) for p in (tmp_path / name).rglob("*.*"))
        labels = [None if "unlabelled" in file else file.split("/")[1] for file in files]
        pl.DataFrame({"photo": files, "label": labels}).write_csv(tmp_path / name / "t.csv")
    config = CsvData(
        source="csv", path=tmp_path / "main/t.csv", pool=tmp_path / "more/t.csv", image_column="photo", size=16
    )
    rows = read(config)
    assert all(isinstance(x, Original) for x in found(config, rows).values())
    assert_as_if_read_larger(config, rows, 64)


@pytest.mark.parametrize("kind", ["bytes", "structs"])
def test_images_in_the_cells_of_a_table(tmp_path, kind):
    rng = np.random.default_rng(0)
    images = [photos.photo(rng, (0, 90, 200), size=(40, 30)) for _ in range(120)]
    cells = [{"bytes": x, "path": f"a b/{i}.jpg"} for i, x in enumerate(images)] if kind == "structs" else images
    table = pl.DataFrame({"photo": cells, "label": ["a", "b", None] * 40, "n": range(120)})
    table.write_parquet(tmp_path / "t.parquet", row_group_size=25)
    config = CsvData(source="table", path=tmp_path / "t.parquet", image_column="photo", size=16)
    rows = read(config)
    originals = found(config, rows)
    assert all(originals[i].data == images[n] for i, n in rows.select("sample_id", "n").iter_rows())
    if kind == "structs":
        assert all(originals[i].name == f"{n}.jpg" for i, n in rows.select("sample_id", "n").iter_rows())
    assert_as_if_read_larger(config, rows, 40)
    some = rows.filter(pl.col("n").is_in([7, 60, 61, 119]))
    assert {x.data for x in found(config, some).values()} == {images[n] for n in (7, 60, 61, 119)}
    table.reverse().head(100).write_parquet(tmp_path / "t.parquet")
    told = found(config, rows)
    assert {told[i] for i, n in rows.select("sample_id", "n").iter_rows() if n < 60} == {"has changed since"}
    (tmp_path / "t.parquet").write_bytes(b"PAR1 no more")
    assert all("cannot be read" in x for x in found(config, rows).values())
    (tmp_path / "t.parquet").unlink()
    assert set(found(config, rows).values()) == {"is gone"}


@pytest.mark.parametrize("form", ["parquet", "arrow", "paths"])
def test_images_of_a_hugging_face_folder(tmp_path, form):
    rng = np.random.default_rng(0)
    images = [photos.photo(rng, (0, 90, 200), size=(40, 30)) for _ in range(60)]
    cells = [{"bytes": x, "path": f"{i}.jpg"} for i, x in enumerate(images)]
    if form == "paths":
        (tmp_path / "images").mkdir()
        for i, x in enumerate(images):
            (tmp_path / f"images/{i}.jpg").write_bytes(x)
        cells = [{"bytes": None, "path": f"images/{i}.jpg"} for i in range(60)]
    table = pl.DataFrame({"image": cells, "label": ["a", "b"] * 30, "n": range(60)}).to_arrow()
    table = table.cast(pa.schema([f if f.name != "image" else pa.field("image", IMAGE) for f in table.schema]))
    for split, part in (("train", table.slice(0, 40)), ("test", table.slice(40))):
        if form == "arrow":
            (tmp_path / split).mkdir()
            with pa.ipc.new_stream(tmp_path / split / "data-00000-of-00001.arrow", part.schema) as stream:
                stream.write_table(part, max_chunksize=7)
        else:
            pl.from_arrow(part).write_parquet(tmp_path / f"{split}-00000-of-00001.parquet", row_group_size=11)
    config = HubData(source="huggingface", path=tmp_path, seed_per_class=3)
    rows = read(config)
    originals = found(config, rows)
    assert len(rows) == 60 and all(originals[i].data == images[n] for i, n in rows.select("sample_id", "n").iter_rows())
    assert {x.name for x in originals.values()} == {f"{i}.jpg" for i in range(60)}
    assert_as_if_read_larger(config, rows, 40)


OLDEST = pl.CompatLevel.oldest()
IMAGE = pa.struct([("bytes", pa.binary()), ("path", pa.string())])


@pytest.mark.parametrize("form", ["parquet", "arrow"])
def test_a_damaged_table_gives_no_other_picture_and_no_traceback(tmp_path, form):
    rng = np.random.default_rng(0)
    images = [photos.photo(rng, (0, 90, 200), size=(30, 20)) for _ in range(40)]
    table = pl.DataFrame({"photo": images, "label": ["a", "b", None, "a"] * 10}).to_arrow(compat_level=OLDEST)
    path = tmp_path / f"train.{form}"
    if form == "arrow":
        with pa.ipc.new_stream(path, table.schema) as stream:
            stream.write_table(table, max_chunksize=7)
        config = HubData(source="huggingface", path=tmp_path, image_column="photo", size=8)
    else:
        pl.from_arrow(table).write_parquet(path, row_group_size=10)
        config = CsvData(source="table", path=path, image_column="photo", size=8)
    rows, whole = read(config), path.read_bytes()
    decode = ORIGINALS[config.source](config).decode
    for i in range(60):
        spoilt = bytearray(whole[: rng.integers(len(whole))] if i % 3 == 0 else whole)
        for at in rng.integers(max(len(spoilt) - 600, 0) if i % 3 == 1 else 0, len(spoilt), 4 * (i % 3)):
            spoilt[at] ^= 1 << rng.integers(8)
        path.unlink()  # it may still be mapped into memory
        path.write_bytes(spoilt)
        told = found(config, rows)
        originals = {sample_id: x.data for sample_id, x in told.items() if isinstance(x, Original)}
        assert len(told) == 40 and list(identify(decode(list(originals.values())))) == list(originals)


@pytest.mark.parametrize("renamed", [False, True])
def test_files_in_chexperts_layout(tmp_path, renamed):
    root = xrays.make(tmp_path, patients=12, valid=3)
    if renamed:
        root = root.rename(tmp_path / "x-rays")
    config = ChexpertData(source="chexpert", path=root, size=16)
    rows = read(config)
    told = of_file(config, rows)
    assert told == {file: (root / file.partition("/")[2]).read_bytes() for file in rows["file"]}
    assert_as_if_read_larger(config, rows, 24)


def test_tiles_are_shown_in_the_bands_and_the_scale_of_the_config(tmp_path):
    rng = np.random.default_rng(0)
    for i in range(12):
        path = tmp_path / ("labelled/a", "labelled/b", "unlabelled")[i % 3] / f"{i}.tif"
        path.parent.mkdir(parents=True, exist_ok=True)
        bands = rng.integers(0, 3000, (5, 40, 60), dtype=np.uint16)
        tifffile.imwrite(path, bands, photometric="minisblack", planarconfig="separate")
    config = TilesData(source="tiles", path=tmp_path, bands=(4, 3, 2, 5), scale=(0, 3000), size=16)
    rows = read(config)
    assert of_file(config, rows) == {file: (tmp_path / file).read_bytes() for file in rows["file"]}
    view = ORIGINALS["tiles"](config).view((tmp_path / rows["file"][0]).read_bytes())
    seen = np.asarray(Image.open(io.BytesIO(view.data)))
    bands = tifffile.imread(tmp_path / rows["file"][0])[[3, 2, 1]]
    assert not view.is_original and view.extension == "png" and seen.shape == (40, 60, 3)
    assert np.abs(seen - bands.transpose(1, 2, 0) / 3000 * 255).max() <= 0.51
    assert_as_if_read_larger(config, rows, 60)


def test_no_data_stays_so_in_larger_pictures_of_tiles(tmp_path):
    rng = np.random.default_rng(0)
    for i in range(4):
        path = tmp_path / "labelled" / "ab"[i % 2] / f"{i}.tif"
        path.parent.mkdir(parents=True, exist_ok=True)
        bands = rng.integers(1, 3000, (2, 40, 40), np.uint16)
        bands[:, :, :15] = 0
        no_data = [(42113, "s", 0, "0", True)]
        tifffile.imwrite(path, bands, photometric="minisblack", planarconfig="separate", extratags=no_data)
    config = TilesData(source="tiles", path=tmp_path, bands=(1, 2), scale=(-3000, 3000), size=16)
    rows = read(config)
    assert_as_if_read_larger(config, rows, 40)
    larger = dict(find_larger(ORIGINALS["tiles"](config), rows, 64))
    seen = np.asarray(Image.open(io.BytesIO(larger[rows["sample_id"][0]])))
    assert seen.shape == (80, 40)  # of two bands, one lies below the other
    assert not seen[:, :15].any() and seen[:, 15:].min() > 120


# --- views ------------------------------------------------------------------------------------------------


def encoded(image: Image.Image, kind: str, **settings) -> bytes:
    file = io.BytesIO()
    image.save(file, kind, **settings)
    return file.getvalue()


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "GIF", "WEBP", "BMP"])
def test_what_any_browser_shows_is_shown_as_it_is(kind):
    data = encoded(Image.new("RGB", (50, 20), (9, 80, 7)), kind)
    assert view_image(data) == View(data, {"JPEG": "jpg"}.get(kind, kind.lower()), True)


@pytest.mark.parametrize("mode", ["RGB", "L", "1", "CMYK", "RGBA", "LA"])
def test_other_formats_are_shown_as_pictures(mode):
    colour = 255 if mode in ("L", "1") else (90, 255, 255, 255)[: len(mode)]
    view = view_image(encoded(Image.new(mode, (50, 20), colour), "TIFF"))
    seen = Image.open(io.BytesIO(view.data))
    assert not view.is_original and seen.format == "PNG" and seen.size == (50, 20)


@pytest.mark.parametrize("kind", ["PNG", "TIFF"])
def test_of_many_bits_those_that_are_used_are_shown(kind):
    """12 bits of 16, as scanners and X-rays have them, are black in a browser."""
    view = view_image(encoded(Image.fromarray(np.full((20, 50), 4000, np.uint16)), kind))
    assert not view.is_original and Image.open(io.BytesIO(view.data)).getpixel((0, 0)) == (4000 >> 4,) * 3


def test_what_is_too_large_is_shown_smaller_and_upright(monkeypatch):
    monkeypatch.setattr("adde_ray.sources.images.views.MAX_VIEW_PIXELS", 1_000_000)
    exif = Image.Exif()
    exif[0x0112] = 6  # lies on its side
    view = view_image(encoded(Image.new("RGB", (3000, 1500)), "JPEG", exif=exif))
    assert not view.is_original and Image.open(io.BytesIO(view.data)).size == (512, 1024)


def test_what_cannot_be_shown_says_why():
    assert "cannot be shown" in view_image(b"no image")


# --- people -----------------------------------------------------------------------------------------------


def asked(run_dir: Path) -> list[dict]:
    with (run_dir / "rounds/000/review.csv").open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def settings(data: dict, **sections) -> Config:
    base = {
        "data": data, "generate": {"generator": "none"}, "train": {"steps": 10}, "encoder": {"name": "pixels"},
        "select": {"batch": 6}, "stop": {"labels": 6}, "review": {"annotator": "file"},
    }  # fmt: skip
    return Config.parse(base | sections)


def test_people_see_the_originals_byte_for_byte(tmp_path):
    source = photos.folder(tmp_path / "photos")
    config = settings({"source": "image_folder", "path": str(source)})
    assert run(config, tmp_path / "run")["status"] == "awaiting_review"
    rows, folder = asked(tmp_path / "run"), tmp_path / "run/rounds/000"
    assert len(rows) == 6 and {row["view"] for row in rows} == {"original"}
    for row in rows:
        assert (folder / row["sample"]).read_bytes() == (source / row["file"]).read_bytes()
    assert {Path(row["sample"]).suffix for row in rows} <= {".jpg", ".png", ".webp"}
    assert "original: the file named under file, unchanged" in (folder / "review.txt").read_text()


def test_what_has_gone_or_changed_is_shown_as_the_model_sees_it_and_told(tmp_path, monkeypatch):
    source = photos.folder(tmp_path / "photos")
    config = settings({"source": "image_folder", "path": str(source), "size": 24})

    def select_and_lose(*args):
        query = select(*args)
        files = sorted((source / "unlabelled").iterdir())
        for file in files[::2]:
            file.unlink()
        for file in files[1::2]:
            file.write_bytes(photos.photo(np.random.default_rng(9), (200, 0, 0)))
        return query

    monkeypatch.setattr("adde_ray.loop.select", select_and_lose)
    run(config, tmp_path / "run")
    rows = asked(tmp_path / "run")
    told = {row["view"] for row in rows}
    assert told <= {f"as the model sees it: the original {why}" for why in ("is gone", "has changed since")}
    for row in rows:
        with Image.open(tmp_path / "run/rounds/000" / row["sample"]) as image:
            assert image.size == (24, 24) and row["sample"].endswith(".png")


def test_what_never_had_an_original_is_shown_as_before(tmp_path):
    run(settings({"source": "digits"}), tmp_path / "run")
    assert "view" not in asked(tmp_path / "run")[0]
    assert "view " not in (tmp_path / "run/rounds/000/review.txt").read_text()
