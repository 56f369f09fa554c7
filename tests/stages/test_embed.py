import io
import shutil
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import polars as pl
import pytest
import rich
from rich.console import Console

from adde_ray import progress
from adde_ray.artifacts.features import read_features
from adde_ray.artifacts.run_dir import RunDir
from adde_ray.artifacts.schema import sample_id
from adde_ray.config import Config
from adde_ray.errors import UserError
from adde_ray.methods import encoders
from adde_ray.methods.encoders import encode_images
from adde_ray.pool.fitted_encoder import in_batches
from adde_ray.stages import embed as stage
from adde_ray.stages.embed import embed
from adde_ray.stages.ingest import ingest


@pytest.fixture(scope="module")
def digits(tmp_path_factory):
    config = Config.parse({"data": {"source": "digits"}, "encoder": {"name": "pixels"}})
    root = tmp_path_factory.mktemp("digits")
    return config, ingest(config, RunDir(root)), root


@pytest.fixture
def fresh(digits, tmp_path):
    """config, meta and a new run over the same ingested data."""
    config, meta, root = digits
    (tmp_path / "ingest").symlink_to(root / "ingest")
    return config, meta, RunDir(tmp_path)


def features(run):
    return {p.name: p.read_bytes() for p in (run.root / "embeddings").rglob("*") if p.is_file()}


def synthetic(n=3):
    return encode_images(np.random.default_rng(0).random((n, 1, 8, 8)))


def test_every_split_has_features_in_its_order(fresh):
    embedding = embed(*fresh)
    splits = embedding.splits()
    splits["pool"] = embedding.pool().sample
    assert {n: len(s) for n, s in splits.items()} == fresh[1].num_rows
    for name, split in splits.items():
        assert split.features.shape == (len(split), 64) and split.features.dtype == np.float32
        assert split.features.flags.writeable and split.features.flags.c_contiguous
        assert np.array_equal(embedding.encode(split.table["image"]), split.features), name
    ids, kept = read_features(embedding.encode.folder / "val.parquet")
    assert ids.to_list() == splits["val"].ids and np.array_equal(kept, splits["val"].features)


def test_fitted_on_pool_and_seed_alone(fresh):
    embedding = embed(*fresh)
    splits = embedding.splits()
    both = np.concatenate([embedding.pool().sample.features, splits["seed"].features])
    assert np.allclose(both.mean(axis=0), 0, atol=1e-6)
    assert not np.allclose(splits["test"].features.mean(axis=0), 0, atol=1e-2)


def test_the_order_rows_are_fitted_in_is_that_of_their_ids(fresh, monkeypatch):
    seen, fit = [], encoders.Pixels.fit
    monkeypatch.setattr(encoders.Pixels, "fit", lambda self, p, *, seed: (seen.append(p), fit(self, p, seed=seed)))
    embed(*fresh)
    ids = [sample_id(payload) for payload in seen[0]]
    assert ids == sorted(ids) and len(ids) == fresh[1].num_rows["pool"] + fresh[1].num_rows["seed"]


def test_absent_splits_are_none(digits, tmp_path):
    config, meta, root = digits
    (tmp_path / "ingest").mkdir()
    for name in ("seed", "pool", "val"):
        (tmp_path / "ingest" / f"{name}.parquet").symlink_to(root / "ingest" / f"{name}.parquet")
    embedding = embed(config, meta, RunDir(tmp_path))
    assert embedding.load("ood") is None and set(embedding.splits()) == {"seed", "val"}


def test_a_resume_computes_nothing_again_and_encodes_new_samples_the_same(fresh, monkeypatch):
    config, meta, run = fresh
    config = config.override("encoder.dims=5")
    first = embed(config, meta, run)
    new, before = first.encode(synthetic()), features(run)
    monkeypatch.setattr(encoders.Reduced, "fit", None)
    monkeypatch.setattr(stage, "write_features", None)
    again = embed(config, meta, run)
    assert np.array_equal(again.encode(synthetic()), new) and new.shape == (3, 5)
    assert features(run) == before and again.encode.folder == first.encode.folder


def test_a_kill_half_way_changes_nothing(fresh, tmp_path, monkeypatch):
    config, meta, run = fresh
    config = config.override("encoder.dims=5")
    whole = embed(config, meta, run)
    expected = features(run)
    folder = whole.encode.folder
    for lost in (
        ["encoder.json"],
        ["test.parquet", "pool.parquet"],
        ["encoder.safetensors", "encoder.json", "val.parquet"],
    ):
        for name in lost:
            (folder / name).unlink()
        embed(config, meta, run)
        assert features(run) == expected, lost


def test_other_settings_are_kept_apart(fresh):
    config, meta, run = fresh
    marks = {embed(c, meta, run).encode.folder for c in (config, config.override("encoder.dims=5"))}
    assert len(marks) == 2 == len(list((run.root / "embeddings").iterdir()))


def test_texts_by_their_letters(tmp_path):
    words = ["alpha", "beta", "gamma", "delta"]
    lines = ["text,label"] + [f"{words[i % 4]} {words[i % 3]} {i},{'ab'[i % 2] if i < 12 else ''}" for i in range(60)]
    (tmp_path / "a.csv").write_text("\n".join(lines))
    data = {"source": "csv", "path": str(tmp_path / "a.csv"), "text_column": "text"}
    config = Config.parse({"data": data, "encoder": {"name": "tfidf"}})
    run = RunDir(tmp_path / "run")
    meta = ingest(config, run)
    embedding = embed(config, meta, run)
    pool = embedding.pool().sample
    assert np.allclose(np.linalg.norm(pool.features, axis=1), 1, atol=1e-5) and pool.features.shape[1] <= 58
    with pytest.raises(UserError, match=r"encoder\.name: encodes image data, but the data is text"):
        embed(config.override("encoder.name=pixels"), meta, run)


def test_chunks_cover_everything_once():
    payloads = pl.Series(range(600))
    calls = []

    def encode(part):
        calls.append(len(part))
        return part.to_numpy()[:, None].astype(np.float32)

    z = in_batches(encode, payloads, title="x")
    assert z.ravel().tolist() == list(range(600)) and calls == [256, 256, 88]
    assert in_batches(encode, payloads[:0], title="x").shape == (0, 1)


def test_progress_shows_only_when_slow_and_in_a_terminal(monkeypatch):
    def shown(terminal, quiet):
        console = Console(file=io.StringIO(), force_terminal=terminal)
        monkeypatch.setattr(rich, "_console", console)
        monkeypatch.setattr(progress, "QUIET_SECONDS", quiet)
        z = in_batches(lambda part: np.zeros((len(part), 1)), pl.Series(range(3000)), title="embedding pool")
        return len(z) == 3000 and console.file.getvalue()

    assert "embedding pool" in shown(True, -1)
    assert shown(True, 60) == "" and shown(False, -1) == ""


def test_runs_share_what_they_encoded_through_a_cache(digits, tmp_path, monkeypatch):
    config, meta, root = digits
    config = config.override(f"run.cache={tmp_path / 'cache'}")
    runs = [RunDir(tmp_path / name) for name in ("one", "two")]
    for run in runs:
        run.root.mkdir()
        (run.root / "ingest").symlink_to(root / "ingest")
    first = embed(config, meta, runs[0])
    [shared] = filter(Path.is_dir, (tmp_path / "cache").iterdir())
    assert first.encode.folder.resolve() == shared and (shared / "val.parquet").is_file()
    monkeypatch.setattr(stage, "write_features", None)  # nothing is left to write
    monkeypatch.setattr(encoders.Pixels, "fit", None)
    second = embed(config, meta, runs[1])
    assert np.array_equal(second.pool().sample.features, first.pool().sample.features)
    monkeypatch.undo()
    shutil.rmtree(tmp_path / "cache")
    again = embed(config, meta, runs[1])
    assert np.array_equal(again.pool().sample.features, first.encode(first.pool().sample.table["image"]))


def test_runs_that_share_a_cache_and_begin_at_once_encode_once(digits, tmp_path, monkeypatch):
    config, meta, root = digits
    config = config.override(f"run.cache={tmp_path / 'cache'}")
    fitted, fit = [], stage.Encoding.fit

    def slowly(encode, samples, *, seed):
        fitted.append(encode.folder)
        time.sleep(0.2)
        fit(encode, samples, seed=seed)

    monkeypatch.setattr(stage.Encoding, "fit", slowly)

    def begin(number: int):
        folder = tmp_path / str(number)
        folder.mkdir()
        (folder / "ingest").symlink_to(root / "ingest")
        return embed(config, meta, RunDir(folder)).pool().sample.features

    with ThreadPoolExecutor(3) as threads:
        one, *others = threads.map(begin, range(3))
    assert len(fitted) == 1 and all(np.array_equal(one, other) for other in others)
