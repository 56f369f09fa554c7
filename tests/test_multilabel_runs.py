"""Multi-label tasks from the user's files to the export, on pictures in CheXpert's layout and on a table."""

from __future__ import annotations

import csv
import io
import json
import pickle

import numpy as np
import polars as pl
import pytest
import xrays
from finished import SYNTHETIC, finish
from PIL import Image
from small import config as small_config
from small import write
from typer.testing import CliRunner

from adde_ray import labels as codec
from adde_ray.artifacts.run_dir import RunDir, read_json
from adde_ray.artifacts.schema import Meta
from adde_ray.cli import app
from adde_ray.config import Config
from adde_ray.config.data import ChexpertData, CsvData, HubData
from adde_ray.errors import UserError
from adde_ray.loop import run
from adde_ray.methods.model.learner import LEARNERS
from adde_ray.methods.query.terms import OF_MEMBERS, UNCERTAINTY
from adde_ray.sources import SOURCES, WHERE
from adde_ray.stages.ingest import prepare
from adde_ray.strategies import STRATEGIES, strategy


@pytest.fixture(scope="session")
def folder(tmp_path_factory):
    return xrays.make(tmp_path_factory.mktemp("data"), patients=150, valid=40)


def config(path, **data) -> dict:
    return {
        "data": {"source": "chexpert", "path": str(path), "size": 24, **data},
        "generate": {"generator": "none"},
        "select": {"batch": 10},
        "stop": {"labels": 20},
    }


def small(parent, rows, header=xrays.HEADER, name="train.csv", images=True):
    """A folder whose CSV holds `rows`, each (patient, cells of the observations)."""
    source = xrays.make(parent / "from", patients=1, valid=0)
    picture = next(source.rglob("*.jpg")).read_bytes()
    folder = parent / xrays.ROOT
    folder.mkdir(exist_ok=True)
    lines = []
    for i, (patient, cells) in enumerate(rows):
        file = f"{xrays.ROOT}/train/{patient}/study1/view{i}_frontal.jpg"
        if images:
            path = parent / file
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(picture)
        lines.append([file, "Male", "61", "Frontal", "AP", *cells])
    with (folder / name).open("w", newline="") as out:
        csv.writer(out).writerows([header, *lines])
    return folder


def read(path, seed=0, **kwargs):
    return SOURCES["chexpert"](ChexpertData(source="chexpert", path=path, size=8, **kwargs), seed=seed).whole()


def labels_of(path, **kwargs):
    rows = read(path, seed_fraction=0.2, val_fraction=0.2, max_rejected=1, **kwargs)
    return dict(pl.concat(rows.splits.values()).select(pl.col(WHERE), "label").iter_rows()), rows


# --- the source -----------------------------------------------------------------------------------------------


def test_no_patient_is_in_two_splits_and_the_seed_decides(folder):
    splits = read(folder).splits
    assert set(splits) == {"seed", "pool", "val", "test"}
    patients = {name: set(table["patient"]) for name, table in splits.items()}
    assert sum(map(len, patients.values())) == len(set.union(*patients.values())) == 190
    assert len(patients["val"]) == 40  # valid.csv
    assert (len(patients["seed"]), len(patients["test"])) == (8, 30)
    assert set(read(folder).splits["seed"]["patient"]) == patients["seed"]
    assert set(read(folder, seed=1).splits["seed"]["patient"]) != patients["seed"]


def test_subgroups_and_classes(folder):
    rows = read(folder)
    assert rows.task == "multi" and rows.classes == tuple(sorted(xrays.OBSERVATIONS))
    assert rows.subgroups == ("sex", "age_band", "view")
    pool = rows.splits["pool"]
    assert set(pool["sex"].drop_nulls()) == {"Male", "Female"} and pool["sex"].null_count()  # Unknown is not known
    assert set(pool["view"]) == {"frontal AP", "frontal PA", "lateral"}
    assert set(pool["age_band"]) <= {"0-19", "20-39", "40-59", "60-79", "80+"}
    young = pool.filter(pl.col("age") < 40)
    assert set(young["age_band"]) <= {"0-19", "20-39"}
    assert set(read(folder, age_edges=(50,)).splits["pool"]["age_band"]) == {"0-49", "50+"}


CELLS = [("patient1", ["1.0", "-1.0", "0.0", "", "1", "-1"]), ("patient2", ["", "", "", "", "", ""])]
"""Atelectasis, Cardiomegaly, Consolidation, Edema, Fracture, Pleural Effusion."""


@pytest.mark.parametrize(
    ("policy", "expected"),
    [
        ({}, "Atelectasis|Fracture|?Cardiomegaly|?Pleural Effusion"),
        ({"uncertain": "zeros"}, "Atelectasis|Fracture"),
        ({"uncertain": "ones"}, "Atelectasis|Cardiomegaly|Fracture|Pleural Effusion"),
        ({"uncertain": {"Cardiomegaly": "ones"}}, "Atelectasis|Cardiomegaly|Fracture|?Pleural Effusion"),
        ({"uncertain": "zeros", "blank": "ignore"}, "Atelectasis|Fracture|?Edema"),
        ({"observations": ("Edema", "Fracture")}, "Fracture"),
    ],
)
def test_policies_for_uncertain_and_blank(tmp_path, policy, expected):
    found, rows = labels_of(small(tmp_path, CELLS), **policy)
    assert found["train.csv:2"] == expected
    nothing = "|".join(f"?{name}" for name in rows.classes) if policy.get("blank") else ""
    assert found["train.csv:3"] == nothing


def test_what_cannot_be_used_is_set_aside_with_its_reason(tmp_path):
    rows = [(f"patient{i}", ["1"] * 6) for i in range(6)]
    folder = small(tmp_path, [*rows, ("patient8", ["2"] + ["1"] * 5), ("nobody", ["1"] * 6)])
    next((folder / "train/patient3").rglob("*.jpg")).unlink()
    next((folder / "train/patient4").rglob("*.jpg")).write_bytes(b"no picture")
    found, read_ = labels_of(folder)
    assert sorted(found) == [f"train.csv:{n}" for n in (2, 3, 4, 7)]
    reasons = {row["where"]: row["reason"] for row in read_.rejected}
    assert reasons.keys() == {f"train.csv:{n}" for n in (5, 6, 8, 9)}
    assert "cannot be read: No such file" in reasons["train.csv:5"]
    assert reasons["train.csv:6"].endswith("view4_frontal.jpg is no image that can be decoded")
    assert reasons["train.csv:8"] == "Atelectasis is '2', none of 1, 0, -1 and blank"
    assert "patient's folder" in reasons["train.csv:9"]
    with pytest.raises(UserError, match="4 of 8 rows are unusable"):
        read(folder)


def test_a_patient_held_out_by_file_is_not_learned_from(tmp_path):
    folder = small(tmp_path, [(f"patient{i}", ["1"] * 6) for i in range(9)])
    small(tmp_path, [("patient4", ["1"] * 6)], name="valid.csv")
    found, rows = labels_of(folder)
    assert set(rows.splits["val"]["patient"]) == {"patient4"}
    assert [r["reason"] for r in rows.rejected] == ["its patient is also in valid.csv"]
    assert found["valid.csv:2"]


def test_the_folder_may_be_renamed(tmp_path):
    folder = small(tmp_path, [(f"patient{i}", ["1"] * 6) for i in range(9)])
    renamed = folder.rename(tmp_path / "xrays")
    assert not labels_of(renamed)[1].rejected


def test_in_a_bucket_and_in_chunks_that_travel(bucket):
    ours, query = bucket
    small(ours, [(f"patient{i}", ["1"] * 6) for i in range(9)])
    config = ChexpertData(source="chexpert", path=f"s3://ours/{xrays.ROOT}?{query}", size=8)
    rows = SOURCES["chexpert"](config, seed=0)
    pool, rejected = pickle.loads(pickle.dumps(rows.pool_chunks[0])).read()
    assert len(pool) == rows.pool_chunks[0].num_rows and not rejected and not rows.rejected
    here = ChexpertData(source="chexpert", path=ours / xrays.ROOT, size=8)
    assert SOURCES["chexpert"](here, seed=0).whole().splits["pool"].equals(pool)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"path": "nowhere"}, "nowhere: has no train.csv. Give the folder that holds"),
        ({"observations": ("Oedema",)}, r"data.observations: no such observation \(got 'Oedema'\).*Atelectasis"),
        ({"uncertain": {"Oedema": "ones"}}, "data.uncertain: no such observation"),
        ({"seed_fraction": 0.5, "test_fraction": 0.5}, "leave nothing for the pool"),
    ],
)
def test_mistakes_are_one_line(folder, tmp_path, given, message):
    with pytest.raises(UserError, match=message) as error:
        read(tmp_path / given.pop("path") if "path" in given else folder, **given)
    assert "\n" not in str(error.value)


def test_class_names_a_label_could_not_hold_are_refused(tmp_path):
    folder = small(tmp_path, CELLS, header=(*xrays.HEADER[:-1], "none"))
    with pytest.raises(UserError, match=r"train.csv: no name for a class .* \(got 'none'\)"):
        read(folder)
    with pytest.raises(UserError, match="uncertain"):
        Config.parse(config(folder, uncertain="maybe"))


# --- tables ---------------------------------------------------------------------------------------------------


def table(tmp_path, labels, **kwargs):
    pl.DataFrame({"text": [f"text {i}" for i in range(len(labels))], "label": labels}).write_csv(tmp_path / "t.csv")
    section = {"text_column": "text", "label_separator": ",", **kwargs}
    return SOURCES["csv"](CsvData(source="csv", path=tmp_path / "t.csv", **section), seed=0)


def test_tables_of_several_labels(tmp_path):
    rows = table(tmp_path, ["b, a", "none", "?a,b", "", "a", "b", "c,a", None, "NONE", "c"] * 2)
    assert rows.task == "multi" and rows.classes == ("a", "b", "c")
    labelled = pl.concat([t for name, t in rows.splits.items() if name != "pool"])
    assert set(labelled["label"]) == {"a|b", "", "b|?a", "a", "b", "a|c", "c"}
    assert len(rows.splits["pool"]) == 4 and rows.splits["pool"]["label"].null_count() == 4
    assert {name for label in rows.splits["val"]["label"] for name in codec.split(label)[0]} == {"a", "b", "c"}


def test_tables_with_lists_of_classes(tmp_path):
    labels = [["b", "a"], [], ["?a", "b"], None, ["a"], ["b"]] * 3
    path = tmp_path / "t.parquet"
    pl.DataFrame({"text": [f"text {i}" for i in range(18)], "label": labels}).write_parquet(path)
    given = CsvData(source="csv", path=path, text_column="text", label_separator="|")
    rows = SOURCES["csv"](given, seed=0)
    labelled = pl.concat([t for name, t in rows.splits.items() if name != "pool"])
    assert set(labelled["label"]) == {"a|b", "", "b|?a", "a", "b"} and len(rows.splits["pool"]) == 3


def test_an_export_is_data_for_the_next_run(finished, tmp_path):
    adde("export", finished.root, "--out", tmp_path / "out")
    given = {"source": "huggingface", "path": tmp_path / "out", "seed_per_class": 2, "image_column": "image"}
    rows = SOURCES["huggingface"](HubData(**given), seed=0).whole()
    assert rows.task == "multi" and rows.classes == classes()
    truth = dict(finished.dataset().select("sample_id", "label").iter_rows())
    learned = pl.concat([rows.splits["seed"], rows.splits["pool"]])
    assert sorted(learned["label"]) == sorted(truth.values())
    assert len(rows.splits["val"]) == len(pl.read_parquet(finished.root / "ingest/val.parquet"))
    assert {c for label in rows.splits["seed"]["label"] for c in codec.split(label)[0]} >= {"Fracture"}
    assert "unknown" not in rows.splits["seed"].columns


def test_lists_of_strings_in_a_folder_of_the_hub(tmp_path):
    labels = [["b", "a"], [], ["a"], None, ["b"]] * 4
    pl.DataFrame({"text": [f"text {i}" for i in range(20)], "label": labels}).write_parquet(tmp_path / "train.parquet")
    rows = SOURCES["huggingface"](HubData(source="huggingface", path=tmp_path), seed=0).whole()
    assert rows.task == "multi" and rows.classes == ("a", "b")
    assert {name: len(table) for name, table in rows.splits.items()} == {"seed": 12, "val": 4, "pool": 4}
    assert set(rows.splits["seed"]["label"]) == {"a|b", "", "a", "b"}


def test_a_table_whose_labels_do_not_fit(tmp_path):
    with pytest.raises(UserError, match="no name for a class"):
        table(tmp_path, ["a|b,c", "a"])
    with pytest.raises(UserError, match=r"label is not in data.classes .*\(got 'a\|d'\)"):
        table(tmp_path, ["a", "b", "a,d"], classes=("a", "b"))


# --- the loop -------------------------------------------------------------------------------------------------


def test_ingest_keeps_the_task_and_hides_the_labels(folder):
    prepared = prepare(Config.parse(config(folder)))
    assert prepared.meta.multi and prepared.meta.has_oracle
    assert prepared.splits["pool"]["label"].null_count() == len(prepared.splits["pool"])
    counts = prepared.class_counts["val"]
    assert counts.keys() == set(xrays.OBSERVATIONS) and sum(counts.values()) > len(prepared.splits["val"])


def adde(*arguments):
    result = CliRunner().invoke(app, [str(a) for a in arguments])
    assert result.exit_code == 0, result.output
    return result.output


@pytest.fixture(scope="session")
def finished(folder, tmp_path_factory):
    """Two rounds through the command line, as anyone would run them."""
    at = tmp_path_factory.mktemp("run")
    sections = config(folder)
    (at / "c.json").write_text(json.dumps(sections))
    lines = [
        f"[{name}]\n" + "".join(f"{k} = {json.dumps(v)}\n" for k, v in keys.items()) for name, keys in sections.items()
    ]
    (at / "c.toml").write_text("".join(lines))
    assert "several may hold at once" in adde("check", at / "c.toml")
    assert "label budget spent" in adde("run", at / "c.toml", "--run-dir", at / "run")
    return RunDir.at(at / "run")


def test_a_run_learns_and_is_the_same_again(finished, folder):
    first, last = finished.round(0).metrics, finished.round(2).metrics
    assert last["val"]["macro_f1"] > first["val"]["macro_f1"] + 0.05
    assert {"micro_f1", "macro_auroc", "macro_auprc", "worst_class_recall", "ece", "nll"} <= last["val"].keys()
    assert sum(last["per_class"].values()) > last["num_samples"]  # several hold
    assert {"sex", "adde:regions"} <= last["fairness"]["val"].keys() and last["fairness"]["val"]["sex"]["gap"] >= 0
    assert last["amplification"]["overall"] != 0 and 0 < last["grid"]["covered"] <= 1
    assert {"label", "sex"} in [empty["of"].keys() for empty in first["grid"]["largest_empty"]]
    record = run(Config.parse(config(folder)), finished.root.parent / "again")
    assert record["dataset_fingerprint"] == finished.dataset_fingerprint()


def test_what_is_asked_and_answered_are_whole_labels(finished):
    meta = Meta.from_json(read_json(finished.root / "ingest/meta.json"))
    truth = dict(pl.read_parquet(finished.root / "ingest/oracle.parquet").select("sample_id", "label").iter_rows())
    query = pl.read_parquet(finished.root / "rounds/001/query.parquet")
    decisions = pl.read_parquet(finished.root / "rounds/001/decisions.parquet").join(query, on="sample_id")
    assert decisions["label"].to_list() == [truth[i] for i in decisions["sample_id"]]
    assert (decisions["U"].is_between(0, 1) & decisions["Div"].is_between(0, 1)).all()
    accepted = decisions.filter(action="accept")
    assert (accepted["label"] == accepted["suggested"]).all()
    dataset = finished.dataset()
    assert np.isfinite(np.nan_to_num(meta.numbers(dataset["label"]))).all()
    assert "" in set(dataset["label"]) | set(truth.values())


def test_a_pool_in_parts_is_scored_as_one_in_memory(finished, folder, tmp_path):
    """Up to its features, which are float16 and may tip a choice."""
    stream = {"min_rows": 100, "shard_rows": 64, "sample_rows": 10_000, "workers": 0}
    run(Config.parse(config(folder) | {"stream": stream}), tmp_path / "run")
    assert (tmp_path / "run/ingest/pool").is_dir()
    first, again = (r.round(0) for r in (finished, RunDir(tmp_path / "run")))
    of, others = (r.read("candidates.parquet", "sample_id", "U", "Div", "score") for r in (first, again))
    assert of["sample_id"].equals(others["sample_id"])
    np.testing.assert_allclose(of.drop("sample_id").to_numpy(), others.drop("sample_id").to_numpy(), atol=1e-3)
    asked, now = (set(r.read("query.parquet")["sample_id"]) for r in (first, again))
    assert len(asked & now) >= 8


def test_killed_and_resumed_it_ends_the_same(finished, folder, tmp_path):
    half = Config.parse(config(folder))
    seen = []

    def stop_after_one(*round_):
        seen.append(round_)
        if len(seen) == 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run(half, tmp_path / "run", watch=stop_after_one)
    record = run(half, tmp_path / "run", resume=True)
    assert record["dataset_fingerprint"] == finished.dataset_fingerprint()


# --- report and export ------------------------------------------------------------------------------------------


def test_the_report_tells_several_classes(finished, tmp_path):
    from adde_ray.report.figures import quality
    from adde_ray.report.gallery import selected
    from adde_ray.report.latent import latent_map
    from adde_ray.report.read import read_run_record

    adde("report", finished.root, "--out", tmp_path / "report.html")
    page = (tmp_path / "report.html").read_text()
    assert "of which several may hold at once" in page and "colour of the rarest" in page
    record = read_run_record(finished)
    assert {"Macro-AUROC, val", "Micro-F1, val"} <= {title for title, _ in quality(record)}
    points, labels = latent_map(record), dict(record.dataset.select("sample_id", "label").iter_rows())
    assert len(points["classes"]) == len(points["colours"]) == 7 and points["classes"][-1] == "none"
    for sample_id, name, row in zip(points["ids"], points["names"], points["label"], strict=True):
        label = labels.get(sample_id)
        assert name == codec.in_words(label)
        assert (row == -1) if label is None else points["classes"][row] in (codec.split(label)[0] or ["none"])
    tiles = [tile for part in selected(record) for tile in part["tiles"]]
    told = {tile["decided"].replace(" | ", "|").replace("none", "") for tile in tiles}
    assert told == set(record.dataset.filter(pl.col("round") > 0)["label"])


def test_the_export_is_read_by_those_it_is_for(finished, tmp_path, monkeypatch):
    monkeypatch.setenv("HF_DATASETS_OFFLINE", "1")
    out = tmp_path / "out"
    adde("export", finished.root, "--out", out)
    datasets = pytest.importorskip("datasets")
    datasets.disable_progress_bars()
    loaded = datasets.load_dataset(str(out), cache_dir=str(tmp_path / "cache"))
    features = loaded["train"].features
    assert features["label"] == features["unknown"] == datasets.List(datasets.ClassLabel(names=list(classes())))
    truth = finished.dataset().sort(["round", "sample_id"])["label"].to_list()
    told = [
        codec.join([classes()[c] for c in row["label"]], [classes()[c] for c in row["unknown"]])
        for row in loaded["train"].select_columns(["label", "unknown"])
    ]
    assert told == truth
    card = (out / "README.md").read_text()
    assert "multi-label-image-classification" in card and "a list of the classes that hold" in card
    positives = sum("Edema" in codec.split(label)[0] for label in truth)
    assert f"| Edema | {positives} |" in card


def test_croissant_reads_the_lists(finished, tmp_path):
    mlc = pytest.importorskip("mlcroissant")
    adde("export", finished.root, "--out", tmp_path / "out")
    dataset = mlc.Dataset(str(tmp_path / "out/croissant.json"))
    assert not dataset.metadata.ctx.issues.errors
    names = [record["classes/name"] for record in dataset.records("classes")]
    truth = finished.dataset().sort(["round", "sample_id"])["label"].to_list()
    records = list(dataset.records("train"))
    told = [codec.join(*([names[c] for c in r[f"train/{key}"]] for key in ("label", "unknown"))) for r in records]
    assert told == truth
    originals = pl.read_parquet(tmp_path / "out/data/train-00000-of-00001.parquet")["image"]
    for record, image in zip(records, originals, strict=True):
        assert record["train/image"].tobytes() == Image.open(io.BytesIO(image["bytes"])).tobytes()
    with (tmp_path / "out/labels.csv").open(newline="", encoding="utf-8") as file:
        lines = [row["label"] for row in csv.DictReader(file) if row["split"] == "train"]
    assert lines == [codec.in_words(label) for label in truth]


def classes() -> tuple[str, ...]:
    return tuple(sorted(xrays.OBSERVATIONS))


# --- at the edge --------------------------------------------------------------------------------------------------


def vectors(labels: dict[str, list[str]], seed: int = 0) -> list[dict]:
    """Rows of each split: one dimension a class, high where it holds."""
    rng = np.random.default_rng(seed)
    rows = []
    for split, given in labels.items():
        for label in given:
            centre = [6.0 * (name in codec.split(label)[0]) for name in "abc"]
            rows.append({"vector": (centre + rng.normal(size=3)).tolist(), "label": label or "none", "split": split})
    return rows


MIXED = ["", "a", "b", "a|b", "c", "b|c", "a|?c", "a"]
SPLITS = {"seed": ["", "a", "b", "a|b"], "val": MIXED, "test": MIXED, "pool": MIXED * 6}


def settings(tmp_path, splits, **sections):
    path = write(tmp_path / "data.parquet", vectors(splits))
    data = {"label_separator": "|", "classes": ["a", "b", "c"]}
    return small_config(path, **{"data": data, **sections})


@pytest.mark.parametrize("name", UNCERTAINTY)
@pytest.mark.parametrize("learner", LEARNERS)
def test_every_learner_and_uncertainty(tmp_path, name, learner):
    train = {"learner": learner, "steps": 20, "hidden": 8, "ensemble": 3 if name in OF_MEMBERS else 1}
    chosen = {"train": train, "select": {"uncertainty": name, "batch": 5}}
    finish(tmp_path / "run", settings(tmp_path, SPLITS, **chosen, review={"error_rate": 0.2}))


@pytest.mark.parametrize("name", STRATEGIES)
def test_every_strategy(tmp_path, name):
    config = settings(tmp_path, SPLITS, train={"steps": 20}, review={"min_confidence": 0.2}, select={"batch": 5})
    record = finish(tmp_path / "run", strategy(name).over(config))
    assert record["num_asked"] == (0 if name == "seed" else 10)


@pytest.mark.parametrize(
    "splits",
    [
        {**SPLITS, "seed": [""]},
        {**SPLITS, "seed": ["?a|?b|?c"]},
        {**SPLITS, "val": ["?a|?b|?c", "?a|?b|?c"]},
        {**SPLITS, "val": ["", ""]},
        {**SPLITS, "pool": [""] * 12},
        {**SPLITS, "pool": ["a|b|c"] * 12, "seed": ["a|b|c"]},
        {**SPLITS, "pool": ["?a|?b|?c"] * 12},
        {**SPLITS, "pool": ["a", "", "a|clouds"] * 4},
    ],
    ids=["no class", "seed unknown", "val unknown", "val without", "pool without", "all", "pool unknown", "junk"],
)
def test_labels_at_the_edge(tmp_path, splits):
    finish(tmp_path / "run", settings(tmp_path, splits))


def test_synthetic_samples_of_several_classes(tmp_path, ray_cluster):
    record = finish(tmp_path / "run", settings(tmp_path, SPLITS, **SYNTHETIC, stop={"labels": 30}))
    assert record["num_synthetic"] > 0
    made = pl.concat([pl.read_parquet(p) for p in sorted((tmp_path / "run").glob("rounds/*/synthetic.parquet"))])
    assert set(made["intended"]) <= set("abc")
    asked = pl.concat([pl.read_parquet(p) for p in sorted((tmp_path / "run").glob("rounds/*/query.parquet"))])
    asked = asked.filter(origin="synthetic").join(made.select("sample_id", "intended"), on="sample_id")
    assert all(c in codec.split(label)[0] for c, label in asked.select("intended", "suggested").iter_rows())


def test_people_answer_with_several_classes(tmp_path):
    by_people = settings(tmp_path, SPLITS, review={"annotator": "file"}, stop={"labels": 5})
    assert run(by_people, tmp_path / "run")["status"] == "awaiting_review"
    path = tmp_path / "run/rounds/000/review.csv"
    with path.open(newline="") as file:
        rows = list(csv.DictReader(file))
    answers = ["b|a", "none", "?a|c", "c", ""]
    with path.open("w", newline="") as file:
        writer = csv.DictWriter(file, rows[0])
        writer.writeheader()
        for row, label in zip(rows, answers, strict=True):
            writer.writerow(row | {"label": label, "action": "" if label else "reject"})
    assert run(by_people, tmp_path / "run", resume=True)["status"] == "finished"
    grown = RunDir(tmp_path / "run").dataset().filter(round=1)
    assert sorted(grown["label"]) == ["", "a|b", "c", "c|?a"]
