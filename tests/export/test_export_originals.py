"""An export has the images as the user has them: byte for byte, or as the model saw them where that cannot be."""

from __future__ import annotations

import csv
import io
import shutil
import tempfile

import numpy as np
import photos
import polars as pl
import pyarrow.parquet as pq
import pytest
import tifffile
from exports import digests, load
from PIL import Image
from typer.testing import CliRunner

from adde_ray.artifacts.run_dir import RunDir
from adde_ray.cli import app
from adde_ray.config import Config
from adde_ray.export import export
from adde_ray.export.originals import Images
from adde_ray.loop import run
from adde_ray.sources import SOURCES
from adde_ray.sources.rows import identify


def settings(data: dict) -> Config:
    return Config.parse(
        {
            "data": {"test_fraction": 0.2} | data, "generate": {"generator": "none"}, "train": {"steps": 10},
            "encoder": {"name": "pixels"}, "select": {"batch": 4}, "stop": {"labels": 4},
            "review": {"annotator": "file"},
        }
    )  # fmt: skip


def finished(config: Config, folder) -> RunDir:
    """A run whose people answer with the first class, whatever they see."""
    run(config, folder)
    path = folder / "rounds/000/review.csv"
    with path.open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, rows[0].keys())
        writer.writeheader()
        writer.writerows(row | {"action": "accept", "annotator": "Zoë"} for row in rows)
    assert run(config, folder, resume=True)["status"] == "finished"
    return RunDir.at(folder)


def images(out) -> dict[str, tuple[str, bytes, str | None]]:
    """sample_id → file, image bytes, image name, of all splits."""
    tables = [pl.read_parquet(p) for p in sorted((out / "data").glob("*.parquet"))]
    rows = pl.concat([t.select("sample_id", "file", "image") for t in tables])
    return {i: (file, image["bytes"], image["path"]) for i, file, image in rows.iter_rows()}


@pytest.fixture(scope="module")
def kept(tmp_path_factory):
    folder = tmp_path_factory.mktemp("photos")
    source = photos.folder(folder / "source")
    return finished(settings({"source": "image_folder", "path": str(source)}), folder / "run"), source


@pytest.fixture
def moved(kept, tmp_path):
    """Such a run of a copy of its source, which may be spoilt."""
    shutil.copytree(kept[1], tmp_path / "source")
    config = settings({"source": "image_folder", "path": str(tmp_path / "source")})
    return finished(config, tmp_path / "run"), tmp_path / "source"


def test_images_of_a_folder_are_the_files_byte_for_byte(kept, tmp_path):
    run_, source = kept
    told = []
    out = export(run_, tmp_path / "out", tell=told.append)
    exported = images(out)
    assert len(exported) == 20 and told == ["images: 20 originals"]
    for file, data, name in exported.values():
        assert data == (source / file).read_bytes() and name == file.rpartition("/")[2]
    loaded = load(out, tmp_path / "cache")
    assert {loaded["train"][i]["image"].size for i in range(4)} == {(400, 300)}
    assert loaded.num_rows == {s: pq.read_metadata(p).num_rows for p in (out / "data").iterdir()
                               for s in [p.name.split("-")[0]]}  # fmt: skip
    assert "byte for byte, and `image.path` the name of its file" in (out / "README.md").read_text()
    again = export(run_, tmp_path / "again")
    assert digests(again) == digests(out)


def test_row_groups_stay_small_when_images_are_large(kept, tmp_path, monkeypatch):
    monkeypatch.setattr("adde_ray.export.BYTES_PER_GROUP", 20_000)
    out = export(kept[0], tmp_path / "out")
    file = pq.ParquetFile(out / "data/train-00000-of-00001.parquet")
    assert file.num_row_groups > 1
    assert pl.read_parquet(out / "data/train-00000-of-00001.parquet")["sample_id"].to_list() == (
        kept[0].dataset().sort(["round", "sample_id"])["sample_id"].to_list()
    )


def test_what_the_model_saw_can_be_exported_instead(kept, tmp_path):
    run_, _ = kept
    told = []
    out = export(run_, tmp_path / "out", size="model", tell=told.append)
    seen = dict(run_.dataset().select("sample_id", "image").iter_rows())
    exported = images(out)
    assert all(exported[i][1:] == (png, None) for i, png in seen.items()) and not told
    assert {Image.open(io.BytesIO(data)).size for _, data, _ in exported.values()} == {(32, 32)}
    assert "Every image is as the model saw it, 32 × 32 pixels." in (out / "README.md").read_text()


def test_originals_that_are_not_there_any_more_are_counted_and_named(moved, tmp_path):
    run_, source = moved
    train = export(run_, tmp_path / "before")
    gone, changed = pl.read_parquet(train / "data/train-00000-of-00001.parquet")["file"][:2]
    (source / gone).unlink()
    (source / changed).write_bytes(photos.photo(np.random.default_rng(3), (250, 0, 0)))
    result = CliRunner().invoke(app, ["export", str(run_.root), "--out", str(tmp_path / "out")])
    assert result.exit_code == 0, result.output
    line = next(line for line in result.output.splitlines() if line.startswith("images:"))
    assert line.startswith("images: 18 originals; 2 only as the model saw them")
    assert f"{gone} is gone" in line and f"{changed} has changed since" in line
    by_file = {file: (data, name) for file, data, name in images(tmp_path / "out").values()}
    for file, (data, name) in by_file.items():
        if file in (gone, changed):
            assert name is None and Image.open(io.BytesIO(data)).size == (32, 32)
        else:
            assert name and data == (source / file).read_bytes()
    card = (tmp_path / "out/README.md").read_text()
    assert "| train | " in card and "has changed since" in card and "is gone" in card
    assert load(tmp_path / "out", tmp_path / "cache")["train"].num_rows > 0


def test_the_source_is_gone_as_a_whole(moved, tmp_path):
    run_, source = moved
    shutil.rmtree(source)
    told = []
    out = export(run_, tmp_path / "out", tell=told.append)
    assert told[0].startswith("images: 0 originals; 20 only as the model saw them") and told[0].count(" is gone") == 20
    assert digests(out / "data") == digests(export(run_, tmp_path / "model", size="model") / "data")


def test_synthetic_samples_have_no_original_and_lack_none(tmp_path):
    config = settings({"source": "image_folder", "path": str(photos.folder(tmp_path / "source")), "size": 16})
    rows = SOURCES["image_folder"](config.data, seed=0).whole().splits["seed"]
    rows = rows.select(identify(rows["image"]), "image", "file", origin=pl.lit("real"))
    made = pl.DataFrame({"sample_id": "made", "image": rows["image"][0], "file": None, "origin": "synthetic"})
    held = rows[:3].with_columns(origin=pl.lit(None, pl.String))
    splits = {"train": pl.concat([rows[3:], made.cast(dict(rows.schema))]), "test": held}
    with tempfile.TemporaryFile() as file:
        images = Images.gather(config, splits, file)
        assert images.told() == f"images: {len(rows)} originals" and images.read("made") is None
        told = {name: images.read(i).data for i, name in rows.select("sample_id", "file").iter_rows()}
    assert told == {name: (tmp_path / "source" / name).read_bytes() for name in told}


def test_an_unknown_size_is_refused(kept, tmp_path):
    result = CliRunner().invoke(app, ["export", str(kept[0].root), "--out", str(tmp_path / "out"), "--size", "huge"])
    assert result.exit_code == 2 and not (tmp_path / "out").exists()


def test_images_in_a_tables_cells(tmp_path):
    rng = np.random.default_rng(0)
    pictures = [photos.photo(rng, list(photos.COLOURS.values())[i % 2], size=(60, 40)) for i in range(40)]
    labels = [["sea", "forêt"][i % 2] if i < 20 else None for i in range(40)]
    table = pl.DataFrame({"photo": pictures, "label": labels, "n": range(40)})
    table.write_parquet(tmp_path / "t.parquet", row_group_size=7)
    data = {"source": "table", "path": str(tmp_path / "t.parquet"), "image_column": "photo"}
    out = export(finished(settings(data), tmp_path / "run"), tmp_path / "out")
    for path in (out / "data").iterdir():
        for n, row, image in pl.read_parquet(path).select("n", "source_row", "image").iter_rows():
            assert (
                image["bytes"] == pictures[n] and image["path"].endswith(".jpeg") and row == f"t.parquet: row {n + 1}"
            )


def test_tiles_are_exported_as_they_are_and_loaded_as_bytes(tmp_path):
    rng = np.random.default_rng(0)
    for i in range(30):
        path = tmp_path / "tiles" / ("labelled/a", "labelled/b", "unlabelled")[i % 3] / f"{i}.tif"
        path.parent.mkdir(parents=True, exist_ok=True)
        bands = rng.integers(1000 * (i % 3), 1000 * (i % 3) + 900, (13, 20, 30), dtype=np.uint16)
        tifffile.imwrite(path, bands, photometric="minisblack", planarconfig="separate")
    data = {"source": "tiles", "path": str(tmp_path / "tiles"), "scale": [0, 3000], "size": 16}
    out = export(finished(settings(data), tmp_path / "run"), tmp_path / "out")
    loaded = load(out, tmp_path / "cache")["train"]
    for row in loaded:
        assert row["image"]["bytes"] == (tmp_path / "tiles" / row["file"]).read_bytes()
        assert tifffile.imread(io.BytesIO(row["image"]["bytes"])).shape == (13, 20, 30)
    assert "formats that Pillow does not read" in (out / "README.md").read_text()
    mlc = pytest.importorskip("mlcroissant")
    records = list(mlc.Dataset(jsonld=str(out / "croissant.json")).records("train"))
    assert [r["train/image"] for r in records] == [row["image"]["bytes"] for row in loaded]
