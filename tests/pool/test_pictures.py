"""Real images are encoded from their originals, at the size that the encoder wants; nothing else of a run changes."""

from __future__ import annotations

import errno
import json
import shutil
from pathlib import Path

import numpy as np
import photos
import polars as pl
import pytest
import tiny

from adde_ray import Config
from adde_ray.artifacts.features import read_features
from adde_ray.artifacts.images import open_images
from adde_ray.artifacts.run_dir import RunDir, read_json, write_json
from adde_ray.artifacts.schema import SPLITS
from adde_ray.errors import Halted
from adde_ray.loop import prepare, run
from adde_ray.methods.encoders.transformer import Transformer
from adde_ray.methods.metrics.corruptions import corrupt
from adde_ray.pool import choose_encoder
from adde_ray.sources import originals
from adde_ray.sources.images import image_folder
from adde_ray.stages.ingest import ingest
from adde_ray.stages.metrics import corrupted_val
from adde_ray.verify import verify

SIDE = 16
"""What the tiny transformer wants."""


@pytest.fixture(scope="module")
def model(tmp_path_factory) -> Path:
    return tiny.vit(tmp_path_factory.mktemp("vit"))


@pytest.fixture
def config(tmp_path, model, monkeypatch):
    """Of a size: a folder of 400 x 300 photographs, read in chunks of three."""
    for path in sorted((photos.folder(tmp_path / "photos") / "labelled").glob("*/*"))[::4]:
        place = tmp_path / "photos" / "val" / path.parent.name / path.name  # so that sizes draw no other val
        place.parent.mkdir(parents=True, exist_ok=True)
        path.rename(place)
    monkeypatch.setattr(image_folder, "CHUNK", 3)

    def made(size: int = 8, **sections: dict) -> Config:
        base = {
            "data": {"source": "image_folder", "path": str(tmp_path / "photos"), "size": size},
            "encoder": {"name": "transformer", "model": str(model)},
            "generate": {"generator": "none"},
            "gates": {"near_copies": False},
            "review": {"annotator": "file"},
            "stream": {"workers": 0},
        }
        return Config.parse(base | {name: base.get(name, {}) | section for name, section in sections.items()})

    return made


def by_file(data) -> dict[str, np.ndarray]:
    """file → features of every real sample."""
    found = {}
    for split in data.splits.values():
        found |= dict(zip(split.table["file"], split.features, strict=True))
    for shard in data.pool.shards:
        batch = shard.read()
        files = shard.take(batch.ids.to_list()).table["file"]
        found |= dict(zip(files, np.asarray(batch.features, np.float32), strict=True))
    return found


def assert_same(found: dict, expected: dict, tolerance: float = 1e-5) -> None:
    assert found.keys() == expected.keys()
    assert max(np.abs(found[file] - expected[file]).max() for file in found) < tolerance


def shown(root: Path) -> dict:
    [path] = root.glob("embeddings/*/images.json")
    return read_json(path)


def artifacts(root: Path) -> dict[str, bytes]:
    files = (path for name in ("ingest", "embeddings") for path in sorted((root / name).rglob("*")) if path.is_file())
    return {str(path.relative_to(root)): path.read_bytes() for path in files}


def test_features_are_those_of_the_size_the_encoder_wants_and_payloads_those_of_data_size(config, tmp_path):
    small = prepare(config(8), RunDir(tmp_path / "small"))
    large = prepare(config(SIDE), RunDir(tmp_path / "large"))  # what is kept is what the encoder wants
    as_kept = prepare(config(8, encoder={"originals": False}), RunDir(tmp_path / "kept"))
    assert_same(by_file(small), by_file(large))
    tables = [*(split.table for split in small.splits.values()), small.pool.sample.table]
    assert {image.size for table in tables for image in open_images(table["image"])} == {(8, 8)}
    for name in SPLITS[:3]:
        ours, theirs = (tmp_path / of / "ingest" / f"{name}.parquet" for of in ("small", "kept"))
        assert ours.read_bytes() == theirs.read_bytes()
    different = by_file(as_kept)
    assert all(np.abs(different[file] - z).max() > 1e-3 for file, z in by_file(small).items())
    assert shown(tmp_path / "small") == {"side": SIDE, "larger": 32, "small": 0, "lacking": {}}
    assert not list(tmp_path.glob("large/embeddings/*/images.json"))
    assert not list(tmp_path.glob("kept/embeddings/*/images.json"))


@pytest.mark.parametrize("workers", [0, pytest.param(2, marks=pytest.mark.slow)])
def test_a_streamed_pool_has_the_features_of_one_in_memory(config, tmp_path, workers, request):
    if workers:
        request.getfixturevalue("ray_cluster")
    expected = by_file(prepare(config(8), RunDir(tmp_path / "memory")))
    streamed = {"min_rows": 1, "shard_rows": 5, "sample_rows": 4, "workers": workers}
    data = prepare(config(8, stream=streamed), RunDir(tmp_path / "streamed"))
    assert data.pool.is_streamed and len(data.pool.shards) > 1
    assert_same(by_file(data), expected, 1e-3)  # shards are kept in float16
    kept = dict(zip(data.pool.sample.table["file"], data.pool.sample.features, strict=True))
    assert_same(kept, {file: expected[file] for file in kept})
    assert shown(tmp_path / "streamed") == {"side": SIDE, "larger": 32, "small": 0, "lacking": {}}


@pytest.mark.parametrize("min_rows", [1, 1000])
def test_an_original_that_has_changed_since_is_encoded_as_kept_and_told(config, tmp_path, capsys, min_rows):
    settings = config(8, stream={"min_rows": min_rows, "shard_rows": 5, "sample_rows": 4}, stop={"labels": 4})
    as_kept = by_file(prepare(config(8, encoder={"originals": False}), RunDir(tmp_path / "kept")))
    larger = by_file(prepare(settings, RunDir(tmp_path / "larger")))
    prepare(settings, RunDir(tmp_path / "run"))
    shutil.rmtree(tmp_path / "run" / "embeddings")
    files = sorted(file for file in larger if file.startswith("unlabelled/"))
    (tmp_path / "photos" / files[0]).write_bytes((tmp_path / "photos" / files[-1]).read_bytes())
    (tmp_path / "photos" / files[1]).unlink()
    found = by_file(prepare(settings, RunDir(tmp_path / "run")))
    for file in files[:2]:
        assert np.abs(found.pop(file) - as_kept[file]).max() < 1e-3
    assert_same(found, {file: larger[file] for file in found}, 1e-3)
    assert shown(tmp_path / "run") == {
        "side": SIDE, "larger": 30, "small": 0, "lacking": {"has changed since": 1, "is gone": 1},
    }  # fmt: skip


def test_what_was_encoded_is_said_by_the_run_and_its_summary(config, tmp_path, monkeypatch):
    from adde_ray.cli import _images_text

    first = next((tmp_path / "photos" / "unlabelled").iterdir())
    shutil.copy(first, tmp_path / "photos" / "unlabelled" / "small.png")
    photo = photos.photo(np.random.default_rng(7), (90, 9, 9), "PNG", (8, 6))
    (tmp_path / "photos" / "unlabelled" / "small.png").write_bytes(photo)
    record = run(config(8, stop={"labels": 4}), tmp_path / "run")
    assert record["images"] == {"side": SIDE, "larger": 32, "small": 1, "lacking": {}}
    assert _images_text(record["images"]) == (
        "images: 32 encoded from their originals at up to 16 pixels a side; "
        "1 as they are kept, for their originals have no more pixels"
    )
    lacking = {"has changed since": 3, "is gone": 1}
    assert _images_text(record["images"] | {"lacking": lacking}).endswith(
        "; 4 as they are kept, for the original has changed since (3), is gone (1)"
    )


@pytest.mark.parametrize("dims", [0, 3])
def test_a_killed_run_goes_on_to_the_same_bytes_and_reads_nothing_that_it_has(config, tmp_path, dims):
    settings = config(8, encoder={"dims": dims}, stream={"min_rows": 1, "shard_rows": 5, "sample_rows": 4})
    root = tmp_path / "run"
    prepare(settings, RunDir(root))
    expected = artifacts(root)
    [folder] = (root / "embeddings").iterdir()
    for lost in (["images.json", "pool/part-00001.parquet"], ["val.parquet", "images.json"], ["encoder.json"]):
        for name in lost:
            (folder / name).unlink()
        prepare(settings, RunDir(root))
        assert artifacts(root) == expected, lost
    shutil.rmtree(tmp_path / "photos")
    prepare(settings, RunDir(root))
    assert artifacts(root) == expected


def test_reduced_features_are_fitted_on_the_originals(config, tmp_path):
    small, large = (
        by_file(prepare(config(size, encoder={"dims": 3}), RunDir(tmp_path / str(size)))) for size in (8, SIDE)
    )
    assert small.keys() == large.keys()
    a, b = (np.stack([found[file] for file in sorted(small)]) for found in (small, large))
    assert np.allclose(a @ a.T, b @ b.T, atol=1e-5)  # but for the signs of components


def test_what_cannot_be_read_now_halts_instead_of_giving_other_features(config, tmp_path, monkeypatch):
    settings, root = config(8), tmp_path / "run"
    whole = prepare(settings, RunDir(tmp_path / "whole"))
    prepare(settings, RunDir(root))
    shutil.rmtree(root / "embeddings")
    (tmp_path / "photos").rename(tmp_path / "unmounted")
    with pytest.raises(Halted, match=r"photos: is not there, and its images are to be read again\. .*--resume"):
        prepare(settings, RunDir(root))
    (tmp_path / "unmounted").rename(tmp_path / "photos")

    def broken(path, at_most):
        raise OSError(errno.EIO, "Input/output error")

    monkeypatch.setattr(originals, "read_bytes", broken)
    with pytest.raises(Halted, match="an image that is to be read again cannot be read: Input/output error"):
        prepare(settings, RunDir(root))
    monkeypatch.undo()
    assert_same(by_file(prepare(settings, RunDir(root))), by_file(whole), 1e-6)


def test_damaged_features_are_made_again_from_originals_that_are_the_same(config, tmp_path):
    root = tmp_path / "run"
    run(config(8, stop={"labels": 4}), root)
    [folder] = (root / "embeddings").iterdir()
    whole = {path.name: path.read_bytes() for path in folder.glob("*.*")}
    assert verify(root).findings == []
    for name in ("pool.parquet", "images.json"):
        (folder / name).write_bytes(whole[name][:-9])
    assert all(finding.mended for finding in verify(root, repair=True).findings) and verify(root).findings == []
    assert {path.name: path.read_bytes() for path in folder.glob("*.*")} == whole
    (folder / "pool.parquet").write_bytes(whole["pool.parquet"][:-9])
    next((tmp_path / "photos" / "unlabelled").iterdir()).unlink()
    [finding, *_] = verify(root, repair=True).findings
    assert finding.file.endswith("pool.parquet") and not finding.mended
    assert (folder / "pool.parquet").read_bytes() == whole["pool.parquet"][:-9]


def test_what_features_are_made_of_is_part_of_their_name(config, tmp_path):
    """Also where payloads are the same, and the originals of one are as small as these."""
    cache = {"cache": str(tmp_path / "cache")}
    data = prepare(config(8, run=cache), RunDir(tmp_path / "run"))
    for split in (*data.splits.values(), data.pool.sample):
        for file, image in split.table.select("file", "image").iter_rows():
            (tmp_path / "photos" / file).unlink()
            (tmp_path / "photos" / file).with_suffix(".png").write_bytes(image)
    again = prepare(config(8, run=cache), RunDir(tmp_path / "again"))
    assert again.pool.sample.ids == data.pool.sample.ids
    assert len([path for path in (tmp_path / "cache").iterdir() if path.is_dir()]) == 2
    assert shown(tmp_path / "again") == {"side": SIDE, "larger": 0, "small": 32, "lacking": {}}
    kept = prepare(config(8, encoder={"originals": False}, run=cache), RunDir(tmp_path / "kept"))
    assert np.allclose(kept.pool.sample.features, again.pool.sample.features, atol=1e-6)


def test_the_probe_of_auto_compares_encoders_on_what_the_run_encodes(config, tmp_path, model, monkeypatch):
    seen, encode = [], Transformer.encode
    monkeypatch.setattr(Transformer, "encode", lambda self, images: (seen.append(images), encode(self, images))[1])
    meta = ingest(config(8), RunDir(tmp_path / "run"))
    tables = {name: pl.read_parquet(tmp_path / f"run/ingest/{name}.parquet") for name in ("seed", "val", "pool")}
    choice = choose_encoder.decide(config(8, encoder={"name": "auto", "model": str(model)}), meta, tables)
    assert choice.rows == 16 and any(one.name == f"transformer {model}" for one in choice.tried)
    assert seen and {image.size for images in seen for image in open_images(images)} == {(SIDE, SIDE)}


def test_a_run_of_an_earlier_version_goes_on_as_it_began(config, tmp_path):
    settings = config(8)
    kept = json.loads(settings.model_dump_json())
    for key in ("originals", "views"):
        del kept["encoder"][key]
    root = tmp_path / "run"
    root.mkdir()
    write_json(root / "config.json", kept, recorded=False)
    began = by_file(prepare(settings, RunDir(root)))
    assert_same(began, by_file(prepare(config(8, encoder={"originals": False}), RunDir(tmp_path / "kept"))))
    assert not list(root.glob("embeddings/*/images.json"))


def test_an_encoder_that_is_trained_and_one_that_takes_any_size_see_what_is_kept(config, tmp_path):
    tuned = prepare(config(8, train={"mode": "full"}), RunDir(tmp_path / "tuned"))
    kept = prepare(config(8, encoder={"originals": False}), RunDir(tmp_path / "kept"))
    assert_same(by_file(tuned), by_file(kept))
    patches = {"name": "patches", "model": None}
    ours, theirs = (
        prepare(config(8, encoder=patches | {"originals": on}), RunDir(tmp_path / f"patches-{on}"))
        for on in (True, False)
    )
    assert_same(by_file(ours), by_file(theirs), 1e-9)


def test_what_is_corrupted_of_val_is_what_the_encoder_sees(config, tmp_path):
    settings = config(8, measure={"corruptions": ["blur"]})
    data = prepare(settings, RunDir(tmp_path / "run"))
    [features] = corrupted_val(data, settings, data.encode.folder).values()
    table, large = data.splits["val"].table, prepare(config(SIDE), RunDir(tmp_path / "large"))
    sees = dict(pl.concat([s.table.select("file", "image") for s in large.splits.values()], how="vertical").iter_rows())
    worse = corrupt(pl.Series([sees[file] for file in table["file"]]), table["sample_id"], "blur", 3, seed=0)
    assert np.allclose(features, data.encode(worse), atol=1e-5)
    assert list(read_features(data.encode.folder / "val-blur-3.parquet")[0]) == data.splits["val"].ids
