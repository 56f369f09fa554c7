"""A pool that is streamed gives the same run whatever its shards are, and whoever reads them in what order."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from PIL import Image
from sklearn.datasets import load_digits

from adde_ray import Config, run
from adde_ray.rundir import RunDir
from adde_ray.sources import image_folder
from adde_ray.stages import score

KEPT = ("gaps", "candidates", "query", "asked", "decisions")


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    """The digits as PNG files: test, val, a small seed set, and a pool of which the classes are known."""
    root = tmp_path_factory.mktemp("digits")
    digits = load_digits()
    for row, (pixels, digit) in enumerate(zip(digits.images, digits.target, strict=True)):
        split = ["test", "val", "pool", "pool"][row % 4]
        split = "labelled" if split == "pool" and row < 100 and digit < 5 else split
        path = root / split / str(digit) / f"{row:04d}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray((pixels * 15.9).astype(np.uint8)).save(path)
    pool = sorted((root / "pool").rglob("*.png"))
    shutil.copy(pool[0], pool[-1].with_name("copy.png"))  # in another part than its original
    shutil.copy(next((root / "val").rglob("*.png")), root / "pool" / "3" / "leak.png")
    (root / "pool" / "3" / "cut.png").write_bytes(pool[5].read_bytes()[:60])
    return root


def config(folder: Path, **stream) -> Config:
    return Config.parse(
        {
            "data": {"source": "image_folder", "path": str(folder), "size": 8, "mode": "L"},
            "stream": {"min_rows": 100, "sample_rows": 250, "workers": 0} | stream,
            "generate": {"generator": "none"},
            "select": {"batch": 20},
            "stop": {"labels": 60},
        }
    )


def artifacts(root: Path) -> dict[str, bytes]:
    return {
        str(p.relative_to(root)): p.read_bytes()
        for p in sorted(root.rglob("*.parquet"))
        if p.stem in KEPT or p.parent.name == "dataset"
    }


@pytest.fixture(scope="module")
def expected(folder, tmp_path_factory):
    root = tmp_path_factory.mktemp("runs") / "one"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(image_folder, "CHUNK", 64)
        run(config(folder, shard_rows=64), root)
    return root


def test_a_streamed_run(folder, expected):
    run_ = RunDir.at(expected)
    parts = sorted((expected / "ingest/pool").glob("part-?????.parquet"))
    assert len(parts) > 5 and not (expected / "ingest/pool.parquet").exists()
    ids = pl.concat([pl.read_parquet(p, columns=["sample_id"]) for p in parts])["sample_id"]
    known = len(list((folder / "pool").rglob("*.png")))
    assert ids.is_unique().all() and len(ids) == known - 3
    reasons = dict(pl.read_parquet(expected / "ingest/rejected.parquet").iter_rows())
    assert set(reasons) >= {"pool/3/leak.png", "pool/3/cut.png"} and "also in val" in reasons["pool/3/leak.png"]
    assert sum("same content" in reason for reason in reasons.values()) == 1
    assert pl.read_parquet(expected / "ingest/oracle.parquet")["sample_id"].sort().equals(ids.sort())
    for part in parts:
        assert pl.read_parquet(part)["label"].null_count() == len(pl.read_parquet(part))
    assert len(run_.dataset()) == 60 + len(list((folder / "labelled").rglob("*.png")))
    first, last = run_.round(0).metrics, run_.rounds()[-1].metrics
    assert last["test"]["macro_f1"] > first["test"]["macro_f1"] + 0.1


@pytest.mark.parametrize(("chunk", "shard_rows"), [(64, 1000), (17, 40)])
def test_the_shards_make_no_difference(folder, expected, tmp_path, monkeypatch, chunk, shard_rows):
    monkeypatch.setattr(image_folder, "CHUNK", chunk)
    run(config(folder, shard_rows=shard_rows), tmp_path / "run")
    assert artifacts(tmp_path / "run") == artifacts(expected)


def test_neither_does_the_order_they_are_done_in(folder, expected, tmp_path, monkeypatch):
    each, rng = score.each, np.random.default_rng(0)

    def shuffled(*args, **kwargs):
        found = list(each(*args, **kwargs))
        return [found[row] for row in rng.permutation(len(found))]

    monkeypatch.setattr(score, "each", shuffled)
    monkeypatch.setattr(image_folder, "CHUNK", 64)
    run(config(folder, shard_rows=64), tmp_path / "run")
    assert artifacts(tmp_path / "run") == artifacts(expected)


def test_nor_who_does_them(folder, expected, tmp_path, monkeypatch, ray_cluster):
    monkeypatch.setattr(image_folder, "CHUNK", 64)
    run(config(folder, shard_rows=128, workers=3), tmp_path / "run")
    assert artifacts(tmp_path / "run") == artifacts(expected)
