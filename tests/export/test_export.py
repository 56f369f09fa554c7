"""An export is held against the readers it is meant for: `datasets`, `mlcroissant`, and plain Parquet."""

from __future__ import annotations

import csv
import datetime as dt
import io
import json
import os
import shutil
import subprocess
import sys

import polars as pl
import pyarrow.parquet as pq
import pytest
import yaml
from exports import digests, load
from fake_run import HOSTILE, SIZES, add_columns, make_run
from PIL import Image

from adde_ray.artifacts.run_dir import read_table, write_table
from adde_ray.artifacts.schema import MODALITIES
from adde_ray.errors import UserError
from adde_ray.export import _common_type, _without_clashes, export

os.environ.update(HF_HUB_OFFLINE="1", HF_DATASETS_OFFLINE="1")

SPLITS = ("train", "validation", "test", "ood")


@pytest.fixture(scope="module", params=MODALITIES)
def exported(request, tmp_path_factory):
    folder = tmp_path_factory.mktemp(request.param)
    run = make_run(folder / "run", modality=request.param)
    return run, export(run, folder / "out"), request.param


def test_datasets_reads_it_without_a_script(exported, tmp_path):
    run, out, modality = exported
    loaded = load(out, tmp_path)
    assert tuple(loaded) == SPLITS
    features = loaded["train"].features
    assert all(loaded[split].features == features for split in SPLITS)
    classes = json.loads((run.root / "ingest/meta.json").read_text())["classes"]
    assert features["label"].names == classes

    truth = run.dataset().sort(["round", "sample_id"])
    train = loaded["train"]
    assert train["sample_id"][:] == truth["sample_id"].to_list()
    assert [classes[i] for i in train["label"]] == truth["label"].to_list()
    for column in ("round", "origin", "gap_id", "generator", "parents", "U", "Div", "Q", "decision_ids", "annotators"):
        assert train[column][:] == truth[column].to_list(), column
    assert loaded["validation"]["round"][:] == [None] * SIZES["val"]

    if modality == "image":
        first = train[0]["image"]
        assert isinstance(first, Image.Image) and first.size == (8, 8)
        assert first.tobytes() == Image.open(io.BytesIO(truth["image"][0])).tobytes()
    else:
        assert train[modality][:] == truth[modality].to_list()


def test_the_card_agrees_with_the_files(exported, tmp_path):
    datasets = pytest.importorskip("datasets")
    _, out, _ = exported
    head = yaml.safe_load((out / "README.md").read_text().split("---\n")[1])
    stored = datasets.Features.from_arrow_schema(pq.read_schema(out / "data/train-00000-of-00001.parquet"))
    assert head["dataset_info"]["features"] == stored._to_yaml_list()
    rows = {s: pq.read_metadata(out / f"data/{s}-00000-of-00001.parquet").num_rows for s in SPLITS}
    assert {s["name"]: s["num_examples"] for s in head["dataset_info"]["splits"]} == rows
    # `datasets` only checks what it loads against the card when it finds the card complete.
    builder = datasets.load_dataset_builder(str(out), cache_dir=str(tmp_path))
    assert {n: s.num_examples for n, s in builder.info.splits.items()} == rows


def test_croissant_reads_it_and_checks_its_hashes(exported):
    mlc = pytest.importorskip("mlcroissant")
    run, out, modality = exported
    dataset = mlc.Dataset(jsonld=str(out / "croissant.json"))
    assert not dataset.metadata.ctx.issues.errors
    classes = [record["classes/name"] for record in dataset.records("classes")]
    truth = run.dataset().sort(["round", "sample_id"])
    records = list(dataset.records("train"))  # raises where a file's SHA-256 is another
    assert [r["train/sample_id"].decode() for r in records] == truth["sample_id"].to_list()
    assert [classes[r["train/label"]] for r in records] == truth["label"].to_list()
    assert [r["train/label/name"].decode() for r in records] == truth["label"].to_list()
    assert [r["train/round"] for r in records] == truth["round"].to_list()
    table = pl.read_parquet(out / "data/train-00000-of-00001.parquet")
    payloads = [r[f"train/{modality}"] for r in records]
    if modality == "image":
        pixels = [Image.open(io.BytesIO(image["bytes"])).tobytes() for image in table["image"]]
        assert [image.tobytes() for image in payloads] == pixels
    else:
        told = payloads if modality == "vector" else [text.decode() for text in payloads]
        assert told == table[modality].to_list()
    if modality == "image":
        assert records[0]["train/image"].size == (8, 8)
    for split in SPLITS[1:]:
        records = list(dataset.records(split))
        assert len(records) == SIZES["val" if split == "validation" else split]
        assert all(r[f"{split}/origin"] is None and r[f"{split}/parents"] is None for r in records)


def test_labels_by_name_for_spreadsheets(exported):
    run, out, modality = exported
    with (out / "labels.csv").open(newline="", encoding="utf-8") as file:
        lines = list(csv.DictReader(file))
    assert list(lines[0]) == ["sample_id", "file", "label", "round", "origin", "annotators", "split"]
    truth = run.dataset().sort(["round", "sample_id"])
    train = [line for line in lines if line["split"] == "train"]
    assert [line["sample_id"] for line in train] == truth["sample_id"].to_list()
    assert [line["label"].removeprefix("'") for line in train] == truth["label"].to_list()
    assert ("'---" in {line["label"] for line in train}) == (modality == "text")  # what opens like a formula
    assert [line["round"] for line in train] == [str(t) for t in truth["round"]]
    assert [line["annotators"] for line in train] == ["|".join(names) for names in truth["annotators"]]
    rest = [line for line in lines if line["split"] != "train"]
    assert len(rest) == SIZES["val"] + SIZES["test"] + SIZES["ood"] and {line["round"] for line in rest} == {""}


def test_dates_are_the_runs(exported):
    _, out, _ = exported
    tree = json.loads((out / "croissant.json").read_text())
    assert tree["dateCreated"] == "2025-10-09T08:53:20Z" and tree["dateModified"] == "2025-10-09T10:53:20Z"
    assert "ended on 2025-10-09" in (out / "README.md").read_text()


def test_a_run_without_dates_gives_none(tmp_path):
    out = export(make_run(tmp_path / "run", events=False), tmp_path / "out")
    assert "date" not in " ".join(json.loads((out / "croissant.json").read_text()))
    assert "UTC" not in (out / "README.md").read_text()


def test_same_bytes_in_a_fresh_process(exported, tmp_path):
    run, out, _ = exported
    code = "import sys; from adde_ray.artifacts.run_dir import RunDir; from adde_ray.export import export;"
    code += "export(RunDir.at(sys.argv[1]), sys.argv[2])"
    env = {**os.environ, "PYTHONHASHSEED": "7", "TZ": "Asia/Tokyo"}
    subprocess.run([sys.executable, "-c", code, str(run.root), str(tmp_path / "again")], check=True, env=env)
    assert digests(tmp_path / "again") == digests(out)


def test_user_columns_come_along_by_sample_id(tmp_path):
    run = make_run(tmp_path / "run", modality="text")
    out = export(run, tmp_path / "out")
    ingest = pl.concat([read_table(run.root / f"ingest/{s}.parquet").drop("label") for s in ("seed", "pool")])
    train = pl.read_parquet(out / "data/train-00000-of-00001.parquet")
    assert train["origin"].unique().to_list() == ["real"]  # ours
    expected = train.select("sample_id").join(ingest, on="sample_id", how="left", maintain_order="left")
    assert train["source_origin"].to_list() == expected["origin"].to_list()  # the user's
    for column in ("site", "score/10 %", "tags"):
        assert train[column].to_list() == expected[column].to_list(), column
    assert "The source's column origin is source_origin here." in (out / "README.md").read_text()
    test = pl.read_parquet(out / "data/test-00000-of-00001.parquet")
    assert test["site"].to_list() == read_table(run.root / "ingest/test.parquet")["site"].to_list()


def test_synthetic_samples_have_no_user_columns(tmp_path):
    run = make_run(tmp_path / "run", modality="image")
    add_columns(run, {key: {"camera": pl.lit("c1")} for key in ("seed", "pool", "val", "test", "ood")})
    train = pl.read_parquet(export(run, tmp_path / "out") / "data/train-00000-of-00001.parquet")
    cameras = dict(train.select("origin", "camera").unique().iter_rows())
    assert cameras == {"real": "c1", "synthetic": None}


def test_column_types_that_differ_between_splits_are_reconciled(tmp_path):
    run = make_run(tmp_path / "run", modality="image")
    columns = {
        "seed": {"n": pl.lit(None), "m": pl.lit(1), "c": pl.lit("u", pl.Categorical), "w": pl.lit(None)},
        "pool": {"n": pl.lit(2, pl.Int32), "m": pl.lit("two"), "c": pl.lit("v", pl.Categorical), "w": pl.lit(None)},
        "val": {"n": pl.lit(0.5), "m": pl.lit(None), "w": pl.lit(None)},
    }
    add_columns(run, columns)
    loaded = load(export(run, tmp_path / "out"), tmp_path / "cache")
    types = {name: loaded["test"].features[name].dtype for name in ("n", "m", "c", "w")}
    assert types == {"n": "float64", "m": "string", "c": "string", "w": "string"}
    assert set(loaded["train"]["m"]) == {"1", "two", None} and set(loaded["test"]["m"]) == {None}


def test_every_kind_of_user_column(tmp_path):
    run = make_run(tmp_path / "run", modality="text", splits=("seed", "pool", "test"))
    given = {
        "image": pl.lit("not one of ours"),
        "flag": pl.lit(True),
        "day": pl.lit(dt.date(2024, 5, 6)),
        "at": pl.lit(dt.datetime(2024, 5, 6, 7, 8, tzinfo=dt.UTC)),
        "took": pl.lit(dt.timedelta(seconds=5)),
        "price": pl.lit("1.25").cast(pl.Decimal(8, 2)),
        "blob": pl.lit(b"\x00\xff"),
        "pair": pl.concat_list(pl.lit(1.0), pl.lit(2.0)).list.to_array(2),
        "nested": pl.struct(pl.lit("x").alias("a"), pl.concat_list(pl.lit(1), pl.lit(2)).alias("b")),
    }
    add_columns(run, dict.fromkeys(("seed", "pool", "test"), given))
    out = export(run, tmp_path / "out")
    loaded = load(out, tmp_path / "cache")
    assert loaded["train"].features == loaded["test"].features
    row = loaded["train"][0]
    assert row["image"] == "not one of ours" and row["flag"] is True and row["day"] == dt.date(2024, 5, 6)
    assert row["at"].astimezone(dt.UTC) == dt.datetime(2024, 5, 6, 7, 8, tzinfo=dt.UTC)
    assert row["took"] == dt.timedelta(seconds=5) and str(row["price"]) == "1.25" and row["blob"] == b"\x00\xff"
    assert row["pair"] == [1.0, 2.0] and row["nested"] == {"a": "x", "b": [1, 2]}
    mlc = pytest.importorskip("mlcroissant")
    record = next(iter(mlc.Dataset(jsonld=str(out / "croissant.json")).records("train")))
    assert record["train/image"] == b"not one of ours" and record["train/price"] == 1.25
    assert "train/nested" not in record


def test_hostile_names_survive_header_and_tables(tmp_path):
    out = export(make_run(tmp_path / "run", modality="text"), tmp_path / "out")
    assert load(out, tmp_path / "cache")["train"].features["label"].names == sorted(HOSTILE)
    text = (out / "README.md").read_text()
    assert "<b>" not in text.split("\n---\n", 1)[1]
    widths = {}
    for line in text.split("## Classes")[1].split("##")[0].strip().splitlines():
        widths[line] = line.replace("\\|", "").count("|")
    assert len(widths) == len(HOSTILE) + 2 and set(widths.values()) == {8}


@pytest.mark.parametrize(("rounds", "split"), [(0, "image"), (0, "text")])
def test_only_the_seed_set(tmp_path, rounds, split):
    run = make_run(tmp_path / "run", modality=split, rounds=rounds, finished=False, splits=("seed", "pool", "val"))
    out = export(run, tmp_path / "out")
    loaded = load(out, tmp_path / "cache")
    assert {name: len(rows) for name, rows in loaded.items()} == {"train": SIZES["seed"], "validation": SIZES["val"]}
    text = (out / "README.md").read_text()
    assert "**The run is not finished.** No round is over yet" in text


def test_an_unfinished_run_says_so(tmp_path):
    out = export(make_run(tmp_path / "run", finished=False), tmp_path / "out")
    assert "**The run is not finished.**" in (out / "README.md").read_text()


def test_an_empty_split_is_left_out(tmp_path):
    run = make_run(tmp_path / "run")
    path = run.root / "ingest/ood.parquet"
    write_table(path, read_table(path).head(0))
    out = export(run, tmp_path / "out")
    assert sorted(p.name.split("-")[0] for p in (out / "data").iterdir()) == ["test", "train", "validation"]
    assert "ood" not in load(out, tmp_path / "cache")


def test_refuses_a_folder_in_use(tmp_path):
    run = make_run(tmp_path / "run")
    (tmp_path / "out").mkdir()
    assert export(run, tmp_path / "out") == tmp_path / "out"  # an empty folder is fine
    before = digests(tmp_path / "out")
    with pytest.raises(UserError, match=r"out: is not empty.*another folder"):
        export(run, tmp_path / "out")
    assert digests(tmp_path / "out") == before
    (tmp_path / "file").write_text("x")
    with pytest.raises(UserError, match="is a file"):
        export(run, tmp_path / "file")
    with pytest.raises(UserError, match="cannot be written"):
        export(run, tmp_path / "file" / "out")


def test_a_baseline_shares_the_data_of_its_run(tmp_path):
    run = make_run(tmp_path / "run", modality="text")
    beside = make_run(run.root / "baselines/random", modality="text")
    shutil.rmtree(beside.root / "ingest")
    out = export(beside, tmp_path / "out")
    assert pq.read_metadata(out / "data/test-00000-of-00001.parquet").num_rows == SIZES["test"]


def test_refuses_a_run_without_a_dataset(tmp_path):
    run = make_run(tmp_path / "run", rounds=0, finished=False)
    run.dataset_part(0).unlink()
    with pytest.raises(UserError, match="holds no dataset yet"):
        export(run, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_leaves_nothing_behind_when_it_fails(tmp_path, monkeypatch):
    run = make_run(tmp_path / "run")

    def broken(**_):
        raise RuntimeError("no")

    monkeypatch.setattr("adde_ray.export.croissant", broken)
    with pytest.raises(RuntimeError):
        export(run, tmp_path / "new/out")
    assert list((tmp_path / "new").iterdir()) == []


def test_what_a_killed_export_left_does_not_leak_in(tmp_path):
    run = make_run(tmp_path / "run")
    (tmp_path / ".out.tmp").mkdir()
    (tmp_path / ".out.tmp/stray").write_text("x")
    out = export(run, tmp_path / "out")
    assert not (out / "stray").exists() and not (tmp_path / ".out.tmp").exists()


def test_does_not_touch_the_run(tmp_path):
    run = make_run(tmp_path / "run")
    before = digests(run.root)
    export(run, tmp_path / "out")
    assert digests(run.root) == before


def test_more_rows_than_a_row_group(tmp_path, monkeypatch):
    monkeypatch.setattr("adde_ray.export.ROWS_PER_GROUP", 5)
    run = make_run(tmp_path / "run")
    out = export(run, tmp_path / "out")
    assert pq.read_metadata(out / "data/train-00000-of-00001.parquet").num_row_groups > 1
    assert load(out, tmp_path / "cache")["train"]["sample_id"][:] == (
        run.dataset().sort(["round", "sample_id"])["sample_id"].to_list()
    )


def test_clashing_names_stay_apart():
    names = ["origin", "source_origin", "site"]
    found = _without_clashes(names, ["origin", "label"])
    assert found == {"origin": "source_source_origin", "source_origin": "source_origin", "site": "site"}


def test_common_type():
    assert _common_type([pl.Int32(), pl.Float64()]) == pl.Float64
    assert _common_type([pl.List(pl.Int8), pl.String()]) == pl.String
    assert _common_type([pl.Null()]) == pl.String


def test_importing_it_loads_neither_ray_nor_mlcroissant():
    code = "import adde_ray.export, sys; heavy = {'ray', 'mlcroissant', 'pandas', 'datasets', 'torch'};"
    code += "print(sorted(heavy & sys.modules.keys()))"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "[]\n"
