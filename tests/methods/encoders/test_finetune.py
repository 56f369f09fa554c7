"""Fine-tuned runs: the encoder learns, every round sees by its own features, and a resume sees the same."""

import shutil

import numpy as np
import polars as pl
import pytest
import tiny
import torch
from finished import artifacts
from safetensors.numpy import load_file

from adde_ray.artifacts.features import read_features
from adde_ray.artifacts.queries import read_asked
from adde_ray.artifacts.run_dir import RunDir
from adde_ray.config import Encoder, Train
from adde_ray.distributed import encoders as encoder_pool
from adde_ray.distributed.training import Tuning, fit
from adde_ray.loop import run
from adde_ray.methods.encoders import finetune
from adde_ray.methods.encoders.finetune import Recipe
from adde_ray.pool.fitted_encoder import Encoding, Tuned

MODES = ("lora", "full")


@pytest.fixture(scope="module")
def bert(tmp_path_factory):
    return tiny.bert(tmp_path_factory.mktemp("tiny") / "bert")


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    return tiny.write(tmp_path_factory.mktemp("data") / "texts.parquet", *tiny.texts(96))


def settings(path, model, mode="lora", **sections):
    sections["train"] = {"steps": 20, "tune_steps": 15, "tune_batch": 16, "backbone_lr": 0.01, "mode": mode} | (
        sections.get("train", {})
    )
    return tiny.config(path, {"name": "transformer", "model": str(model)}, **sections)


@pytest.mark.parametrize("mode", MODES)
def test_a_run_sees_by_this_rounds_encoder_and_a_resume_sees_the_same(tmp_path, data, bert, mode):
    config, folder = settings(data, bert, mode, measure={"corruptions": ["typos"]}), tmp_path / "run"
    summary = run(config, folder)
    assert summary["status"] == "finished" and summary["num_labels"] == 12
    rounds = RunDir(folder).rounds()
    ids, frozen = read_features(next((folder / "embeddings").iterdir()) / "pool.parquet")
    seen = [read_features(r.root / "embeddings" / "pool.parquet") for r in rounds]
    assert all(s.equals(ids) for s, _ in seen)
    assert not np.allclose(seen[0][1], frozen, atol=1e-3) and not np.allclose(seen[0][1], seen[1][1], atol=1e-3)
    names = load_file(rounds[0].root / "model" / "encoder.safetensors").keys()
    assert all("lora" in name for name in names) if mode == "lora" else any("word_embeddings" in name for name in names)
    assert "embed" in {e["stage"] for e in RunDir(folder).events()}
    worse = [read_features(r.root / "embeddings" / "val-typos-3.parquet")[1] for r in rounds]
    assert not np.allclose(worse[0], worse[1], atol=1e-3)
    assert all("macro_f1" in r.metrics["corruptions"]["typos"] for r in rounds)

    before = artifacts(folder)
    last = rounds[-1].root
    for name in ("manifest.json", "metrics.json", "gaps.parquet", "embeddings/val.parquet", "model/model.json"):
        (last / name).unlink()
    run(config, folder, resume=True)
    after = artifacts(folder)
    assert before.keys() == after.keys() and [n for n in before if before[n] != after[n]] == []


def test_fine_tuning_learns_what_the_frozen_encoder_does_not_tell(tmp_path, data, bert):
    """One word of many makes the class; by a random encoder's mean over the words, neighbours share other words.

    The same samples for all, drawn at random: which ones they are is no matter of fine-tuning.
    """
    sections = {"stop": {"labels": 36}, "select": {"batch": 36, "selector": "random"}}
    for mode in MODES:
        run(settings(data, bert, mode, train={"tune_steps": 60}, **sections), tmp_path / mode)
        made = RunDir(tmp_path / mode)
        labels = pl.read_parquet(made.root / "ingest" / "test.parquet")["label"].to_numpy()
        frozen = next((made.root / "embeddings").iterdir()) / "test.parquet"
        told = [share_of_like_neighbours(frozen, labels)]
        told += [share_of_like_neighbours(r.root / "embeddings" / "test.parquet", labels) for r in made.rounds()]
        assert told[-1] > told[0] + 0.1, (mode, told)


def share_of_like_neighbours(path, labels) -> float:
    """Of rows whose nearest other row is of their class."""
    z = np.asarray(read_features(path)[1], dtype=np.float64)
    far = np.square(z[:, None] - z).sum(axis=2)
    np.fill_diagonal(far, np.inf)
    return float((labels[far.argmin(axis=1)] == labels).mean())


@pytest.mark.parametrize("mode", MODES)
def test_weights_come_back_exactly(bert, mode):
    payloads = pl.Series("text", tiny.texts(9)[0])
    recipe, config = (
        Recipe(Encoder(name="transformer", model=str(bert)), "text", {}, {"revision": None}),
        Train(mode=mode),
    )
    changed = recipe.build(config, seed=1)
    with torch.no_grad():
        for p in finetune.trained(changed).values():
            p.add_(0.05 * torch.randn(p.shape, generator=torch.Generator().manual_seed(0)))
    weights = {name: p.detach().numpy().copy() for name, p in finetune.trained(changed).items()}
    again = recipe.build(config, weights, seed=2)
    np.testing.assert_array_equal(again.encode(payloads), changed.encode(payloads))
    fresh = recipe.build(config, seed=3).encode(payloads)
    assert not np.allclose(fresh, changed.encode(payloads), atol=1e-3)
    np.testing.assert_allclose(
        fresh, recipe.build(Train(mode="full")).encode(payloads), atol=1e-6
    )  # adapters start at 0
    with pytest.raises(AssertionError, match="another encoder"):
        recipe.build(config, {"x": np.zeros(1)})


def fitted(bert, *, batch_size=64, **options) -> dict[str, torch.Tensor]:
    texts, labels = tiny.texts(21)
    recipe = Recipe(Encoder(name="transformer", model=str(bert), batch_size=batch_size), "text", {}, {"revision": None})
    config = Train(**{"mode": "lora", "tune_steps": 4, "tune_batch": 9, "steps": 5, "backbone_lr": 0.01} | options)
    features, classes = recipe.build(Train(mode="full")).encode(pl.Series(texts)), sorted(set(labels))
    rows = np.array([classes.index(c) for c in labels])
    head = {name: w.numpy() for name, w in fit(features, rows, 3, Train(steps=5), seed=3).items()}
    tuning = Tuning(recipe, pl.Series("text", texts), head)
    return fit(features, rows, 3, config, seed=3, tuning=tuning)


def test_what_is_in_memory_at_once_changes_nothing(bert):
    whole, parts = fitted(bert), fitted(bert, batch_size=2)
    for name in whole:
        np.testing.assert_allclose(parts[name], whole[name], rtol=1e-3, atol=1e-5, err_msg=name)
    assert all(torch.equal(a, b) for a, b in zip(whole.values(), fitted(bert).values(), strict=True))


def test_bf16_where_it_is_asked_for(bert):
    whole, half = fitted(bert), fitted(bert, precision="bf16")
    assert any(not torch.equal(whole[name], half[name]) for name in whole)
    assert all(value.dtype == torch.float32 and torch.isfinite(value).all() for value in half.values())


@pytest.mark.slow
@pytest.mark.timeout(120)
def test_workers_fine_tune_as_one_process_does(bert, ray_cluster):
    """Batches of one row: a worker gets none, and takes part all the same."""
    alone, together = fitted(bert, mode="full", tune_batch=1), fitted(bert, mode="full", tune_batch=1, workers=2)
    for name in alone:
        np.testing.assert_allclose(together[name], alone[name], rtol=1e-2, atol=2e-4, err_msg=name)


def test_members_share_the_encoder(tmp_path, data, bert):
    sections = {"train": {"ensemble": 3}, "select": {"uncertainty": "bald", "batch": 6}}
    assert run(settings(data, bert, **sections), tmp_path / "run")["num_labels"] == 12
    u = RunDir(tmp_path / "run").round(0).read("candidates.parquet")["U"]
    assert 0 < u.max() <= 1


def test_a_shortlist_is_all_that_is_encoded_and_asked_about(tmp_path, data, bert):
    config = settings(data, bert, train={"reembed": "shortlist", "shortlist_rows": 10, "shortlist_random": 0.3})
    folder = tmp_path / "run"
    assert run(config, folder)["num_labels"] == 12
    asked = set()
    for r in RunDir(folder).rounds():
        seen = set(read_features(r.root / "embeddings" / "pool.parquet")[0])
        assert asked <= seen and len(seen) <= 10 + len(asked) + 5 * len(r.read("gaps.parquet"))
        if (query := r.read("query.parquet")) is not None:
            asked |= set(query["sample_id"])
            assert asked <= seen
    assert len(asked) == 12
    before = artifacts(folder)
    last = RunDir(folder).rounds()[-1].root
    for name in ("manifest.json", "metrics.json", "gaps.parquet", "embeddings/pool.parquet"):
        (last / name).unlink()
    run(config, folder, resume=True)
    assert artifacts(folder) == before


@pytest.mark.slow
@pytest.mark.parametrize("reembed", ["all", "shortlist"])
def test_a_streamed_pool_is_seen_by_this_rounds_encoder_too(tmp_path, monkeypatch, reembed):
    source = tiny.folder(tmp_path / "images")
    stream = {"min_rows": 20, "shard_rows": 16, "sample_rows": 30, "workers": 0}
    config = settings(
        None,
        tiny.vit(tmp_path / "vit"),
        train={"reembed": reembed, "shortlist_rows": 20},
        stream=stream,
        data={"source": "image_folder", "path": str(source), "size": 12, "mode": "L"},
    )
    folder, encoded = tmp_path / "run", []
    encode = Tuned.__call__
    with monkeypatch.context() as patch:
        patch.setattr(Tuned, "__call__", lambda self, x, **more: (encoded.append(set(x)), encode(self, x, **more))[1])
        assert run(config, folder)["num_labels"] == 12
    first = RunDir(folder).round(0)
    asked = set(read_asked(first).table["image"])
    # As the query when it is learned from, then for D_t and the counts of each later round: once each.
    assert encoded.count(asked) == len(RunDir(folder).rounds())
    frozen = next((folder / "embeddings").iterdir())
    parts = sorted(p.name for p in (frozen / "pool").iterdir())
    assert parts
    if reembed == "all":
        again = first.root / "embeddings" / "pool"
        assert sorted(p.name for p in again.iterdir()) == parts
        (ids, old), (same, new) = (read_features(at / parts[0]) for at in (frozen / "pool", again))
        assert ids.equals(same) and not np.allclose(old, new, atol=1e-2)
    else:
        assert len(read_features(first.root / "embeddings" / "pool.parquet")[0]) == 20
    before = artifacts(folder)
    shutil.rmtree(folder / "rounds" / "002")
    for name in ("manifest.json", "decisions.parquet", "query.parquet", "candidates.parquet"):
        (folder / "rounds" / "001" / name).unlink()
    run(config, folder, resume=True)
    assert artifacts(folder) == before


def test_a_convnet_from_scratch_sees_what_pixels_do_not_tell(tmp_path):
    """Bright pixels in a row or in a column may lie anywhere: none of them says which, their neighbours do."""
    images, labels = tiny.pictures(150)
    path = tiny.write(tmp_path / "images.parquet", images, labels, "image")
    sections = {"stop": {"labels": 40}, "select": {"batch": 20, "mix": []}}
    tuned = {"mode": "full", "tune_steps": 80, "tune_batch": 32, "backbone_lr": 0}
    f1 = {}
    for name, train_ in (("pixels", {"steps": 100}), ("convnet", tuned)):
        config = tiny.config(path, {"name": name}, "image", train=train_, **sections)
        f1[name] = run(config, tmp_path / name)["rounds"][-1]["test"]["macro_f1"]
    assert f1["convnet"] > f1["pixels"] + 0.2, f1


@pytest.mark.timeout(180)
def test_synthetic_samples_are_seen_by_each_rounds_encoder_and_kept_with_frozen_features(tmp_path, ray_cluster):
    images, labels = tiny.pictures(90)
    path = tiny.write(tmp_path / "images.parquet", images, labels, "image")
    config = tiny.config(
        path,
        {"name": "convnet"},
        "image",
        train={"mode": "full", "tune_steps": 5, "tune_batch": 8, "backbone_lr": 0},
        generate={"generator": "cvae", "steps": 10, "per_round": 90, "max_share": 0.5, "search": False},
        quality_control={"min_confidence": 0, "min_agreement": 0, "near_copy": 0},
        review={"reject_unrealistic": False},
        gaps={"tolerance": 1.0},
        select={"batch": 8, "selector": "random"},
        stop={"labels": 16},
    )
    folder = tmp_path / "run"
    assert run(config, folder)["num_synthetic"] > 0
    first = RunDir(folder).round(0)
    made = first.read("synthetic.parquet")
    frozen = Encoding(config.encoder, "image", next((folder / "embeddings").iterdir()))
    kept = np.array(made["features"].to_list(), dtype=np.float32)
    np.testing.assert_allclose(kept, frozen(made["image"]), atol=1e-5)
    tuned = frozen.tuned(config.train, first.root / "model" / "encoder.safetensors")
    assert not np.allclose(kept, tuned(made["image"]), atol=1e-2)


@pytest.mark.slow
@pytest.mark.timeout(240)
def test_workers_train_and_encode_a_run(tmp_path, data, bert, ray_cluster, monkeypatch):
    monkeypatch.setattr(encoder_pool, "FEW", 10)
    sections = {"stop": {"labels": 0}, "train": {"min_workers": 1, "tune_steps": 5}}
    alone, together = tmp_path / "alone", tmp_path / "together"
    run(settings(data, bert, train={"tune_steps": 5}, stop={"labels": 0}), alone)
    sections["train"]["workers"] = 2
    run(settings(data, bert, **sections), together)
    one, two = (read_features(at / "rounds" / "000" / "embeddings" / "pool.parquet")[1] for at in (alone, together))
    np.testing.assert_allclose(one, two, atol=5e-3)


@pytest.mark.parametrize("ensemble", [1, 3])
def test_multi_label_targets_fine_tune_too(bert, ensemble):
    texts, labels = tiny.texts(21)
    recipe = Recipe(Encoder(name="transformer", model=str(bert)), "text", {}, {"revision": None})
    config = Train(mode="full", tune_steps=4, tune_batch=8, steps=5, backbone_lr=0.01, ensemble=ensemble)
    targets = np.array([[c == "sat", c != "ran", float("nan")] for c in labels], dtype=np.float32)
    features = recipe.build(config).encode(pl.Series(texts))
    head = {name: w.numpy() for name, w in fit(features, targets, 3, config, seed=3).items()}
    tuning = Tuning(recipe, pl.Series("text", texts), head)
    whole = fit(features, targets, 3, config, seed=3, tuning=tuning)
    assert all(torch.isfinite(value).all() for value in whole.values())
    assert any(not np.array_equal(whole[name].numpy(), head[name]) for name in head)
