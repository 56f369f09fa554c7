"""What a whole run measures: on vectors with subgroup columns, on images and texts with corruptions."""

from __future__ import annotations

import json

import numpy as np
import polars as pl
import pytest
import tiny
from finished import artifacts
from small import blobs, config, write

from adde_ray import run
from adde_ray.artifacts.features import read_features
from adde_ray.artifacts.run_dir import RunDir
from adde_ray.errors import UserError
from adde_ray.report.read import read_run_record
from adde_ray.stages.metrics import REGIONS

SIZES = {"seed": 9, "pool": 90, "val": 150, "test": 150}


def watched(split: str, count: int) -> list[dict]:
    """Rows with a site that leans to a class, and a sex that is not always known; the seed set knows one site alone."""
    rng, found = np.random.default_rng([7, *split.encode()]), blobs(split, count)
    for row in found:
        row["site"] = "north" if split == "seed" or (row["label"] == "a") ^ (rng.random() < 0.3) else "south"
        row["sex"] = (None, "f", "m")[rng.integers(3)]
    return found


@pytest.fixture(scope="module")
def finished(tmp_path_factory) -> RunDir:
    folder = tmp_path_factory.mktemp("measured")
    path = write(folder / "rows.parquet", [row for split, n in SIZES.items() for row in watched(split, n)])
    sections = {"data": {"subgroup_columns": ["site", "sex"]}, "measure": {"regions": 3}, "compare": {"random": True}}
    base = config(path).model_dump(mode="json")["data"]
    run(config(path, **sections | {"data": base | sections["data"]}), folder / "run")
    return RunDir.at(folder / "run")


def test_groups_are_measured_on_every_split_they_are_known_in(finished):
    metrics = finished.round(2).metrics
    assert metrics["fairness"].keys() == {"val", "test"} and metrics["ood"] == {}
    for split, of in metrics["fairness"].items():
        assert of.keys() == metrics["groups"][split].keys() == {"site", "sex", REGIONS}
        assert of["site"].keys() == {"gap", "equalised_odds", "worst_equalised_odds", "demographic_parity"}
    groups = metrics["groups"]["val"]
    assert 30 <= groups["sex"]["left_out"] <= 70 and groups[REGIONS]["left_out"] == 0
    assert groups["site"]["accuracy"].keys() == {"north", "south"} and groups["site"]["parity_of_truth"] > 0.15
    assert metrics["drops"].keys() == {"test"} and metrics["corruptions"] == {}
    assert metrics["drops"]["test"]["accuracy"] == pytest.approx(
        metrics["val"]["accuracy"] - metrics["test"]["accuracy"], abs=1e-6
    )
    json.dumps(metrics, allow_nan=False)


def test_amplification_starts_at_nothing_and_is_told_by_what_has_changed(finished):
    first, last = finished.round(0).metrics, finished.round(2).metrics
    assert first["amplification"]["overall"] == first["amplification"]["mean_imbalance"] == 0
    assert first["imbalance"]["site"]["dataset"] == 0.5 and first["per_subgroup"]["site"] == {"north": 9}
    south = last["per_subgroup"]["site"]["south"]
    assert last["amplification"]["imbalance"]["site"]["seed"] == pytest.approx(-south / last["num_samples"], abs=1e-6)
    table = pl.read_parquet(finished.root / "ingest" / "pool.parquet")
    north = (table["site"] == "north").mean()
    assert last["imbalance"]["site"]["pool"] == pytest.approx(abs(north - 0.5), abs=1e-6)
    before, now = (m["fairness"]["test"]["site"]["gap"] for m in (first, last))
    assert last["amplification"]["gaps"]["test"]["site"]["gap"] == pytest.approx(now - before, abs=1e-6)


def test_combinations_are_those_of_the_data_and_of_the_dataset(finished):
    first, last = finished.round(0).metrics["grid"], finished.round(2).metrics["grid"]
    assert first["num"] == last["num"] == 2 * 2 + 3 * 2 + 3 * 2 and last["covered"] > first["covered"]
    assert all(empty["of"].get("site") == "south" for empty in first["largest_empty"] if "site" in empty["of"])
    lacked = next(empty for empty in first["largest_empty"] if empty["of"].keys() == {"label", "site"})
    tables = [pl.read_parquet(finished.root / "ingest" / f"{split}.parquet") for split in ("val", "seed")]
    known = pl.concat([table.select("label", "site") for table in tables])
    assert lacked["share"] == pytest.approx(known.filter(**lacked["of"]).height / known.height, abs=1e-6)


def test_every_strategy_is_measured_alike(finished):
    ours, random = finished.round(0).metrics, RunDir(finished.root / "baselines" / "random").round(0).metrics
    same = ("rare_classes", "val", "fairness", "groups", "imbalance", "grid", "amplification")
    assert {k: ours[k] for k in same} == {k: random[k] for k in same}
    assert finished.round(2).metrics["rare_classes"] == ours["rare_classes"]


def test_forgetting_is_kept_up(finished):
    rounds = [finished.round(t).metrics for t in range(3)]
    assert rounds[0]["forgetting"]["mean"] == 0
    best = {c: max(m["val"]["recall"][c] for m in rounds) for c in "abc"}
    assert rounds[2]["forgetting"]["best"] == best
    fall = np.mean([best[c] - rounds[2]["val"]["recall"][c] for c in "abc"])
    assert rounds[2]["forgetting"]["mean"] == pytest.approx(fall, abs=1e-6)


def test_the_report_shows_it(finished, monkeypatch):
    from adde_ray.report import fairness, latent, render

    monkeypatch.setattr(latent, "MIN_UMAP", 10**9)  # UMAP takes seconds to load
    record = read_run_record(finished)
    titles = [title for title, _ in fairness.charts(record)]
    assert {"Accuracy by site, test", "Accuracy by region, test", "Equalised odds difference, test"} <= set(titles)
    assert "Drop of macro-F1 from val" in titles and fairness.amplification(record) is not None
    page = render(record)
    assert 'id="fairness"' in page and "of the 16 combinations of class and subgroup columns" in page


@pytest.mark.parametrize(("kind", "ways"), [("image", ("noise", "jpeg")), ("text", ("typos", "case"))])
def test_corrupted_val_is_encoded_once_and_comes_out_the_same(tmp_path, kind, ways):
    payloads, labels = tiny.pictures(66) if kind == "image" else tiny.texts(66)
    path = tiny.write(tmp_path / "rows.parquet", payloads, labels, kind)
    settings = tiny.config(
        path, {"name": "pixels" if kind == "image" else "tfidf"}, kind, measure={"corruptions": ways, "severity": 4}
    )
    run(settings, tmp_path / "run")
    kept = sorted((tmp_path / "run" / "embeddings").glob("*/val-*.parquet"))
    assert [p.name for p in kept] == sorted(f"val-{way}-4.parquet" for way in ways)
    metrics = RunDir(tmp_path / "run").round(1).metrics
    for way in ways:
        found = metrics["corruptions"][way]
        assert found["drop"] == pytest.approx(metrics["val"]["macro_f1"] - found["macro_f1"], abs=1e-6)
    clean, worse = (read_features(kept[0].parent / n)[1] for n in ("val.parquet", f"val-{ways[0]}-4.parquet"))
    assert clean.shape == worse.shape and not np.allclose(clean, worse)
    before = artifacts(tmp_path / "run")
    kept[0].unlink()
    (tmp_path / "run" / "rounds" / "002" / "manifest.json").unlink()
    (tmp_path / "run" / "rounds" / "002" / "metrics.json").unlink()
    run(settings, tmp_path / "run", resume=True)
    assert artifacts(tmp_path / "run") == before


@pytest.mark.parametrize(
    ("measure", "message"),
    [
        ({"corruptions": ["noise"]}, "measure.corruptions: is no corruption of vectors"),
        ({"corruptions": ["rain"]}, "measure.corruptions: unknown name"),
        ({"rare_classes": ["z"]}, "measure.rare_classes: no such class"),
    ],
)
def test_mistakes_are_told_before_anything_is_learned(tmp_path, measure, message):
    path = write(tmp_path / "rows.parquet", [row for split, n in SIZES.items() for row in blobs(split, n)])
    with pytest.raises(UserError, match=message):
        run(config(path, measure=measure), tmp_path / "run")


def test_without_regions_or_columns_there_are_no_groups(tmp_path):
    path = write(tmp_path / "rows.parquet", [row for split, n in SIZES.items() for row in blobs(split, n)])
    run(config(path, measure={"regions": 0, "rare_classes": ["b"]}), tmp_path / "run")
    metrics = RunDir(tmp_path / "run").round(1).metrics
    assert metrics["fairness"] == {"val": {}, "test": {}} and metrics["grid"] == metrics["per_subgroup"] == {}
    assert metrics["imbalance"].keys() == {"label"} and "mean_gaps" not in metrics["amplification"]
    assert metrics["val"]["rare_recall"] == metrics["val"]["recall"]["b"]
