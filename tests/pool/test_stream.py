"""A pool that is streamed gives the same run whatever its shards are, and whoever reads them in what order."""

from __future__ import annotations

import errno
import os
import shutil
import signal
import sys
from pathlib import Path

import numpy as np
import polars as pl
import pytest
import ray
from PIL import Image
from sklearn.datasets import load_digits

from adde_ray import Config, run
from adde_ray.artifacts import damage
from adde_ray.artifacts.run_dir import RunDir, read_json
from adde_ray.errors import Halted, UserError
from adde_ray.pool import build as sharding
from adde_ray.pool import fitted_encoder as encoding
from adde_ray.pool.embed import embed_shards
from adde_ray.pool.files import shard_files
from adde_ray.pool.fitted_encoder import Encoding
from adde_ray.sources.images import image_folder
from adde_ray.stages import score
from adde_ray.stages.ingest import ingest

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
    for row in range(0, 200, 10):  # near copies: in other parts than their originals, some of them twice
        for shade in (0.9, 0.8)[: 1 + row % 20 // 10]:
            pixels = (np.asarray(Image.open(pool[row])) * shade).astype(np.uint8)
            Image.fromarray(pixels).save(root / "pool" / "9" / f"near-{row}-{shade}.png")
    return root


def config(folder: Path, **stream) -> Config:
    return Config.parse(
        {
            "data": {"source": "image_folder", "path": str(folder), "size": 8, "mode": "L"},
            "gates": {"leakage": "drop"},
            "encoder": {"name": "pixels"},
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
    assert set((expected / "ingest/pool").iterdir()) == set(parts)
    known = len(list((folder / "pool").rglob("*.png")))
    rejected = pl.read_parquet(expected / "ingest/rejected.parquet")
    near = rejected.filter(pl.col("gate") == "near_copy")
    assert ids.is_unique().all() and len(ids) == known - 3 - len(near) and 25 <= len(near) <= 30
    reasons = dict(rejected.select("where", "reason").iter_rows())
    assert dict(rejected.select("where", "gate").iter_rows())["pool/3/leak.png"] == "leakage"
    told = read_json(expected / "ingest/gates.json")
    assert told["leakage"] == {"exact": 1, "near": 0, "action": "drop"} and told["rows"]["pool"]["kept"] == len(ids)
    assert [(r["gate"], r["split"], r["rows"]) for r in told["rejected"]] == [
        ("copy", "pool", 1), ("leakage", "pool", 1), ("near_copy", "pool", len(near)), ("read", None, 1),
    ]  # fmt: skip
    assert set(reasons) >= {"pool/3/leak.png", "pool/3/cut.png"} and "also in val" in reasons["pool/3/leak.png"]
    assert sum("same content" in reason for reason in reasons.values()) == 1
    assert pl.read_parquet(expected / "ingest/oracle.parquet")["sample_id"].sort().equals(ids.sort())
    for part in parts:
        assert pl.read_parquet(part)["label"].null_count() == len(pl.read_parquet(part))
    assert len(run_.dataset()) == 60 + len(list((folder / "labelled").rglob("*.png")))
    first, last = run_.round(0).metrics, run_.rounds()[-1].metrics
    assert last["test"]["macro_f1"] > first["test"]["macro_f1"] + 0.1


def test_leakage_into_a_streamed_pool_is_an_error_unless_allowed(folder, tmp_path):
    strict = config(folder, shard_rows=64).override("gates.leakage=error")
    with pytest.raises(UserError, match=r"1 pool samples \(1 exact, 0 near\): pool/3/leak.png \(pool\) copies val/"):
        run(strict, tmp_path / "strict")
    assert not (tmp_path / "strict").exists()
    lax = config(folder, shard_rows=64).override("gates.leakage=allow", "stop.labels=20")
    run(lax, tmp_path / "lax")
    assert "pool/3/leak.png" not in pl.read_parquet(tmp_path / "lax/ingest/rejected.parquet")["where"]
    assert read_json(tmp_path / "lax/ingest/gates.json")["leakage"] == {"exact": 1, "near": 0, "action": "allow"}


def test_the_gates_find_what_they_find_in_memory(folder, expected, tmp_path):
    """Which rows go, the copies shown, and what the report says."""
    run_ = RunDir(tmp_path)
    ingest(config(folder, min_rows=10_000), run_)
    whole, streamed = (read_json(root / "ingest/gates.json") for root in (tmp_path, expected))
    assert whole["rows"] == streamed["rows"] and whole["leakage"] == streamed["leakage"]
    aside = [pl.read_parquet(root / "ingest/rejected.parquet").sort("where") for root in (tmp_path, expected)]
    exact = pl.col("gate") == "copy"
    assert aside[0].filter(~exact).equals(aside[1].filter(~exact))
    assert aside[0].filter(exact)["where"].equals(aside[1].filter(exact)["where"])
    pairs = [pl.read_parquet(root / "ingest/near_copies.parquet") for root in (tmp_path, expected)]
    assert pairs[0].equals(pairs[1]) and len(pairs[0]) == 24
    ids = pl.concat([pl.read_parquet(path, columns=["sample_id"]) for path in shard_files(expected / "ingest")])
    assert ids.sort("sample_id").equals(pl.read_parquet(tmp_path / "ingest/pool.parquet", columns=["sample_id"]))


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


@pytest.mark.slow
def test_nor_who_does_them(folder, expected, tmp_path, monkeypatch, ray_cluster):
    monkeypatch.setattr(image_folder, "CHUNK", 64)
    run(config(folder, shard_rows=128, workers=3), tmp_path / "run")
    assert artifacts(tmp_path / "run") == artifacts(expected)


class Dying(Encoding):
    """Its first shard kills the process it is encoded in, half way."""

    def shard(self, table, out):
        flag = self.folder / "died"
        if not flag.exists():
            flag.touch()
            (out.parent / f".{out.name}.tmp").write_bytes(b"half")
            os.kill(os.getpid(), signal.SIGKILL)
        super().shard(table, out)

    def __reduce__(self):
        return Dying, (self.settings, self.modality, self.folder)


@pytest.mark.slow
def test_an_actor_that_dies_in_mid_shard_is_replaced(expected, tmp_path, ray_cluster):
    ray.cloudpickle.register_pickle_by_value(sys.modules[__name__])
    [folder] = (expected / "embeddings").iterdir()
    (tmp_path / "pool").mkdir()
    for name in ("encoder.json", "encoder.safetensors"):
        shutil.copy(folder / name, tmp_path)
    parts = [(path, tmp_path / "pool" / path.name) for path in shard_files(expected / "ingest")[:6]]
    embed_shards(
        parts, Dying(Config.parse({"data": {"source": "digits"}}).encoder, "image", tmp_path), rows=384, workers=2
    )
    assert (tmp_path / "died").exists()
    for _, out in parts:
        assert out.read_bytes() == (folder / "pool" / out.name).read_bytes()


def test_a_full_disk_loses_nothing(folder, expected, tmp_path, monkeypatch):
    written, write = [], encoding.write_features

    def fill(path, ids, features, **about):
        if len(written) == 3:
            raise OSError(errno.ENOSPC, "No space left on device")
        write(path, ids, features, **about)
        written.append(path)

    monkeypatch.setattr(image_folder, "CHUNK", 64)
    monkeypatch.setattr(encoding, "write_features", fill)
    with pytest.raises(Halted, match=r"No space left on device.*--resume"):
        run(config(folder, shard_rows=64), tmp_path / "run")
    before = {path: path.stat().st_mtime_ns for path in written}
    monkeypatch.setattr(encoding, "write_features", write)
    run(config(folder, shard_rows=64), tmp_path / "run", resume=True)
    assert {path: path.stat().st_mtime_ns for path in written} == before
    assert artifacts(tmp_path / "run") == artifacts(expected)


def test_a_corrupt_shard_is_named_and_made_again(folder, expected, tmp_path):
    shutil.copytree(expected, tmp_path / "run")
    shutil.rmtree(tmp_path / "run/rounds/001")
    shutil.rmtree(tmp_path / "run/rounds/002")
    shutil.rmtree(tmp_path / "run/rounds/003")
    for t in (2, 3):
        (tmp_path / f"run/dataset/round-00{t}.parquet").unlink()
    [bad] = (tmp_path / "run/embeddings").glob("*/pool/part-00002.parquet")
    bad.write_bytes(bad.read_bytes()[:-200])
    assert {d.what.partition(":")[0] for d in damage.find(tmp_path / "run")} == {"is missing", "is cut short"}
    run(config(folder, shard_rows=64), tmp_path / "run", resume=True)
    assert artifacts(tmp_path / "run") == artifacts(expected)


def test_a_kill_while_the_pool_is_read_changes_nothing(folder, expected, tmp_path, monkeypatch):
    monkeypatch.setattr(image_folder, "CHUNK", 64)

    class Killed(BaseException):
        pass

    for function, at in (("write_rows", 4), ("find_copies", 1), ("_leave_out", 1), ("_leave_out", 4), ("sample", 1)):
        calls, original = [], getattr(sharding, function)

        def dies(*args, calls=calls, original=original, at=at, **kwargs):
            calls.append(args)
            if len(calls) == at:
                raise Killed
            return original(*args, **kwargs)

        with monkeypatch.context() as patch, pytest.raises(Killed):
            patch.setattr(sharding, function, dies)
            run(config(folder, shard_rows=64), tmp_path / "run", resume=(tmp_path / "run").exists())
    run(config(folder, shard_rows=64), tmp_path / "run", resume=True)
    assert artifacts(tmp_path / "run") == artifacts(expected)
    for name in ("rejected", "oracle", "pool-sample", "near_copies"):
        assert (tmp_path / f"run/ingest/{name}.parquet").read_bytes() == (
            expected / f"ingest/{name}.parquet"
        ).read_bytes()


@pytest.mark.parametrize("pool", ["one row", "all equal", "nothing readable", "all held out"])
def test_small_and_strange_pools(folder, tmp_path, pool):
    root = tmp_path / "data"
    for split in ("val", "labelled"):
        shutil.copytree(folder / split, root / split)
    image = next((folder / "pool/4").glob("*.png")) if pool != "all held out" else next((root / "val/4").glob("*.png"))
    for row in range(1 if pool == "one row" else 5):
        path = root / "pool" / "4" / f"{row}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"no image" if pool == "nothing readable" else image.read_bytes())
    settings = config(root, min_rows=1, sample_rows=2)
    if pool in ("one row", "all equal"):
        record = run(settings, tmp_path / "run")
        assert record["num_labels"] == 1 and "dry" in record["stop_reason"]
    else:
        with pytest.raises(UserError, match="no unlabelled sample"):
            run(settings, tmp_path / "run")
        assert not (tmp_path / "run").exists()


@pytest.mark.slow
def test_a_part_of_which_nothing_is_left(folder, tmp_path, monkeypatch):
    shutil.copytree(folder, tmp_path / "data")
    for row in range(4):  # the last files of the pool: a part of their own
        (tmp_path / "data" / "pool" / "9" / f"z{row}.png").write_bytes(b"no image")
    monkeypatch.setattr(image_folder, "CHUNK", 4)
    files = sorted(p.relative_to(tmp_path / "data").as_posix() for p in (tmp_path / "data/pool").rglob("*.png"))
    for name in files[: len(files) % 4]:
        (tmp_path / "data" / name).unlink()
    run(config(tmp_path / "data", shard_rows=4), tmp_path / "run")
    sizes = [len(pl.read_parquet(p)) for p in shard_files(tmp_path / "run/ingest")]
    assert 0 in sizes and len(RunDir.at(tmp_path / "run").dataset()) > 60
