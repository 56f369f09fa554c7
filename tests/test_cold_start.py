"""Runs that begin without a label: from a list of classes and a pool."""

import csv

import numpy as np
import polars as pl
import pytest
from small import CLASSES, blobs, config, rows, write
from tiny import pictures

from adde_ray.artifacts.run_dir import RunDir, read_json
from adde_ray.config import Config
from adde_ray.errors import UserError
from adde_ray.export import export
from adde_ray.loop import prepare, run
from adde_ray.methods.query.selectors import SELECTORS
from adde_ray.progress import summary_table
from adde_ray.report import write_report
from adde_ray.report.summary import summarise
from adde_ray.stages.ingest import prepare as read


def without(*splits: str, pool: int = 60) -> list[dict]:
    return [row for row in rows(pool=pool) if row["split"] not in splits]


def cold(tmp_path, *splits: str, **sections) -> Config:
    """A config of `small`'s world without these splits."""
    data = write(tmp_path / "data.parquet", without(*splits))
    sections["data"] = {"classes": list(CLASSES)} | sections.get("data", {})
    return config(data, **sections)


def asked(folder, t: int) -> list[str]:
    return RunDir.at(folder).round(t).read("query.parquet")["sample_id"].to_list()


@pytest.mark.parametrize("gone", [("seed",), ("val",), ("seed", "val"), ("seed", "val", "test")], ids="-".join)
def test_a_list_of_classes_and_a_pool_are_enough(tmp_path, gone):
    # Without val no target is reached, and no plateau of quality seen.
    stop = {"labels": 10, "target": 0.01, "plateau": 2, "tolerance": 0} if "val" in gone else {"labels": 10}
    told = cold(tmp_path, *gone, compare={"random": True}, stop=stop)
    record = run(told, tmp_path / "run")
    assert record["stop_reason"] == "label budget spent (10 of 10)"
    assert record["rounds"][0]["num_samples"] == (0 if "seed" in gone else 6)
    assert [bool(r["quality"]) for r in record["rounds"]] == ["val" not in gone] * 3
    assert [bool(r["test"]) for r in record["rounds"]] == ["test" not in gone] * 3
    if "test" not in gone:
        assert record["rounds"][-1]["test"]["macro_f1"] > 0.9
    run_dir = RunDir.at(tmp_path / "run")
    assert summarise(run_dir)["dataset_fingerprint"] == record["dataset_fingerprint"]
    assert summary_table(record).row_count == 3
    assert "</html>" in write_report(run_dir, tmp_path / "report.html").read_text()
    export(run_dir, tmp_path / "export")
    assert (tmp_path / "export" / "README.md").exists()


def test_the_first_batch_is_spread_over_the_pool(tmp_path):
    # Six classes, in the order of their ids nothing but chance: by ties alone a batch would miss some.
    letters = "abcdef"
    data = write(tmp_path / "data.parquet", blobs("pool", 240, classes=letters))
    for seed in range(3):
        run(
            config(data, data={"classes": list(letters)}, select={"batch": 6}, stop={"rounds": 1}, run={"seed": seed}),
            tmp_path / f"{seed}",
        )
        assert set(RunDir.at(tmp_path / f"{seed}").dataset(1)["label"]) == set(letters)


def test_f_takes_every_class_for_as_likely_before_there_is_a_label(tmp_path):
    run(cold(tmp_path, "seed", stop={"labels": 5}), tmp_path / "run")
    first = RunDir.at(tmp_path / "run").round(0)
    assert first.read("candidates.parquet")["confidence"].to_numpy() == pytest.approx(1 / 3)
    assert read_json(first.root / "model" / "model.json")["temperature"] == 1.0


@pytest.mark.parametrize("selector", sorted(SELECTORS))
def test_every_selector_begins_without_a_label(tmp_path, selector):
    run(cold(tmp_path, "seed", "val", "test", select={"selector": selector}, stop={"rounds": 2}), tmp_path / "run")
    assert len(RunDir.at(tmp_path / "run").dataset(2)) == 10


@pytest.mark.parametrize(
    "sections",
    [
        {"train": {"learner": "mlp"}},
        {"train": {"ensemble": 3}, "select": {"uncertainty": "bald"}},
        {"train": {"learner": "mlp", "dropout": 0.3, "ensemble": 3}, "select": {"uncertainty": "bald"}},
        {"generate": {"generator": "cvae", "steps": 10, "actors": 0}},
        {"generate": {"generator": "cvae", "steps": 10, "actors": 0, "target": "dataset"}},
        {"stream": {"min_rows": 10, "shard_rows": 16, "sample_rows": 40, "workers": 0}},
        {"review": {"annotator": "model"}},
        {"measure": {"rare_classes": ["a"]}, "stop": {"plateau": 2}},
    ],
    ids=lambda sections: "-".join(f"{key}={value}" for part in sections.values() for key, value in part.items()),
)
def test_every_part_begins_without_a_label(tmp_path, sections):
    record = run(cold(tmp_path, "seed", "val", "test", **sections), tmp_path / "run")
    assert record["num_asked"] == 10 and record["num_rounds"] == 3


def test_one_class_alone_is_known(tmp_path):
    data = [row for row in rows() if row["split"] == "pool"] + blobs("seed", 2, classes="a")
    told = config(write(tmp_path / "data.parquet", data), data={"classes": list(CLASSES)})
    record = run(told, tmp_path / "run")
    assert record["rounds"][0]["num_samples"] == 2
    assert set(RunDir.at(tmp_path / "run").dataset()["label"]) == set(CLASSES)


def test_several_classes_may_hold(tmp_path):
    rng = np.random.default_rng(0)
    labels = ["|".join(sorted(set(rng.choice(["x", "y", "z"], 2)))) for _ in range(60)]
    vectors = [[float(c in label) * 4 + rng.normal() for c in "xyz"] for label in labels]
    data = pl.DataFrame({"vector": vectors, "label": labels, "split": ["pool"] * 60})
    data.write_parquet(tmp_path / "data.parquet")
    told = config(tmp_path / "data.parquet", data={"classes": ["x", "y", "z"], "label_separator": "|"})
    record = run(told, tmp_path / "run")
    assert record["num_samples"] == 10


def test_people_correct_to_any_class_of_the_list(tmp_path):
    told = cold(tmp_path, "seed", "val", "test", review={"annotator": "file"})
    folder = tmp_path / "run"
    for t in range(2):
        assert run(told, folder, resume=t > 0)["status"] == "awaiting_review"
        path = folder / "rounds" / f"{t:03d}" / "review.csv"
        with path.open(newline="") as file:
            lines = list(csv.DictReader(file))
        for i, line in enumerate(lines):
            line |= {"action": "correct", "label": CLASSES[i % 3]}
        with path.open("w", newline="") as file:
            writer = csv.DictWriter(file, lines[0])
            writer.writeheader()
            writer.writerows(lines)
    record = run(told, folder, resume=True)
    assert record["status"] == "finished" and record["num_samples"] == 10
    assert set(RunDir.at(folder).dataset()["label"]) == set(CLASSES)


@pytest.mark.parametrize("stage", ["train", "analyse", "score", "select", "grow"])
def test_a_kill_in_the_first_round_changes_nothing(tmp_path, stage):
    told = cold(tmp_path, "seed", "val", generate={"generator": "cvae", "steps": 10, "actors": 0})
    whole = run(told, tmp_path / "whole")

    def kill(run_, name, t):
        if name == stage and t == 0:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run(told, tmp_path / "killed", on_stage=kill)
    resumed = run(told, tmp_path / "killed", resume=True)
    assert resumed["dataset_fingerprint"] == whole["dataset_fingerprint"]
    assert asked(tmp_path / "killed", 0) == asked(tmp_path / "whole", 0)


def test_without_labels_and_classes_there_is_nothing_to_begin_with(tmp_path):
    with pytest.raises(UserError, match=r"no labelled sample to start from, and no list of classes.*data\.classes"):
        read(cold(tmp_path, "seed", "val", "test", data={"classes": []}))


def test_what_is_not_labelled_is_told(tmp_path):
    notes = " ".join(read(cold(tmp_path, "seed", "val")).notes)
    assert "A cold start: no sample is labelled, and 3 classes are known by name" in notes
    assert "No val sample" in notes


# --- where the data lies ---------------------------------------------------------------------------------------


def folder_of(root, place) -> None:
    """Thirty pictures as `place` names them by number and class."""
    images, labels = pictures(30)
    for i, (png, label) in enumerate(zip(images, labels, strict=True)):
        path = root / place(i, label)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(png)


LINES = ("across", "down", "strewn")


def of_folder(root, **data) -> Config:
    own = {"source": "image_folder", "path": str(root), "size": 12, "mode": "L", "classes": LINES} | data
    return Config.parse({"data": own, "generate": {"generator": "none"}, "select": {"batch": 5}, "stop": {"rounds": 2}})


@pytest.mark.parametrize(
    "place",
    [
        lambda i, label: f"{i}.png",
        lambda i, label: f"box {i % 3}/{i}.png",
        lambda i, label: f"unlabelled/{i}.png",
    ],
    ids=["loose", "in folders", "unlabelled"],
)
def test_a_folder_of_images_and_a_list_of_classes(tmp_path, place):
    folder_of(tmp_path / "images", place)
    (tmp_path / "images" / "notes.txt").write_text("no image")
    told = of_folder(tmp_path / "images").override("review.annotator=file")
    found = read(told)
    assert found.meta.num_rows == {"pool": 30} and found.meta.classes == LINES and not found.meta.has_oracle
    assert run(told, tmp_path / "images" / "run")["status"] == "awaiting_review"
    # What a run keeps among the images, those that people are shown, is none of the data.
    assert len(list((tmp_path / "images" / "run").rglob("*.png"))) >= 5
    assert read(told).meta.num_rows == {"pool": 30}


def test_empty_class_folders_are_a_list_of_classes(tmp_path):
    folder_of(tmp_path, lambda i, label: f"pool/{label}/{i}.png")
    for label in LINES:
        (tmp_path / "labelled" / label).mkdir(parents=True)
    record = run(of_folder(tmp_path, classes=()), tmp_path / "run")
    assert record["num_samples"] == 10 and record["rounds"][0]["num_samples"] == 0


def test_class_folders_are_not_taken_for_unlabelled_images(tmp_path):
    folder_of(tmp_path, lambda i, label: f"{label}/{i}.png")
    with pytest.raises(UserError, match="Put the class folders into labelled/"):
        read(of_folder(tmp_path))


def test_a_class_folder_outside_the_list_is_refused(tmp_path):
    folder_of(tmp_path, lambda i, label: f"{'labelled/' + label if i < 9 else 'unlabelled'}/{i}.png")
    with pytest.raises(UserError, match=r"a class folder is not in data.classes \(got 'strewn'\)"):
        read(of_folder(tmp_path, classes=LINES[:2]))
    assert read(of_folder(tmp_path, classes=(*LINES, "zigzag"))).meta.classes == (*LINES, "zigzag")


def test_a_table_of_texts_without_a_column_of_labels(tmp_path):
    pl.DataFrame({"text": [f"sentence number {i}" for i in range(30)]}).write_csv(tmp_path / "texts.csv")
    data = {"source": "table", "path": str(tmp_path / "texts.csv"), "text_column": "text", "classes": ["odd", "even"]}
    assert read(Config.parse({"data": data})).meta.num_rows == {"pool": 30}
    for more in ({"classes": []}, {"label_column": "kind"}):
        with pytest.raises(UserError, match="no such column"):
            read(Config.parse({"data": data | more}))


def test_vectors_without_labels_beside_them(tmp_path):
    np.save(tmp_path / "v.npy", np.random.default_rng(0).normal(size=(30, 4)))
    data = {"source": "npy", "path": str(tmp_path / "v.npy"), "classes": ["a", "b"]}
    assert read(Config.parse({"data": data})).meta.num_rows == {"pool": 30}
    with pytest.raises(UserError, match="no labels beside it"):
        read(Config.parse({"data": data | {"classes": []}}))


def test_seed_set_and_val_are_there_though_empty(tmp_path):
    told = cold(tmp_path, "seed", "val")
    with RunDir.start(tmp_path / "run", told, resume=False) as run_:
        data = prepare(told, run_)
    for name in ("seed", "val"):
        assert len(data.splits[name]) == 0 and data.splits[name].features.shape == (0, 4)
    assert not list((tmp_path / "run" / "ingest").glob("seed*")), "nothing is kept of what is not there"
