from __future__ import annotations

import polars as pl
import pytest
import yaml

from adde_ray.artifacts.schema import DATASET, DECISIONS, GAPS, frame
from adde_ray.export import hf_features
from adde_ray.export.card import MAX_GAPS, Facts, Round, describe
from adde_ray.export.card import card as render
from adde_ray.export.hf_features import SplitSize
from adde_ray.export.originals import Images

ADAPTED = [
    {"rule": "reweigh", "what": "alpha", "from": 0.6, "to": 0.55, "reason": "payoff"},
    {"rule": "reweigh", "what": "beta", "from": 0.3, "to": 0.35, "reason": "payoff"},
]


def facts(**changes) -> Facts:
    rows = [("a", "x", 0, "real", None, []), ("b", "x", 1, "real", None, ["ann", "bo"])]
    rows += [("c", "y", 2, "synthetic", "cvae", ["bo"])]
    names = ("sample_id", "label", "round", "origin", "generator", "annotators")
    train = frame([dict(zip(names, row, strict=True)) for row in rows], DATASET)
    decisions = [
        ("d0", "b", "ann", "accept", "x"),
        ("d1", "b", "bo", "correct", "x"),
        ("d2", "e", "bo", "reject", None),
    ]
    named = ("decision_id", "sample_id", "annotator", "action", "label")
    gap = {"kind": "class", "label": "y", "severity": 0.5, "status": "open", "opened_round": 0}
    metrics = {"num_samples": 1, "val": {"macro_f1": 0.25}, "diversity": {"m_div": 0.125}}
    metrics |= {"gaps": {"open": 7, "new": 6, "filled": 5}}
    known = dict(
        name="a run",
        modality="text",
        classes=("x", "y", "z"),
        subgroups=(),
        config={"review": {"annotator": "simulated", "error_rate": 0.1}, "select": {"batch": 2, "selector": "top_k"}},
        splits={"train": train, "test": frame([{"sample_id": "t", "label": "z"}], DATASET)},
        features=hf_features.features(DATASET, ("x", "y", "z")),
        rounds=[
            Round(0, metrics, {"asked": 2, "confirmed": 1, "adaptation": ADAPTED, "stop_reason": None}),
            Round(1, metrics, {"asked": 2, "confirmed": 1, "stop_reason": None}),
            Round(2, metrics, {"asked": 0, "confirmed": 0, "stop_reason": "budget of 4 labels"}),
        ],
        gaps=frame([{**gap, "gap_id": "g0"}, {**gap, "gap_id": "gone", "status": "filled"}], GAPS),
        decisions=frame([dict(zip(named, row, strict=True)) for row in decisions], DECISIONS),
    )
    return Facts(**{**known, **changes})


def card(facts: Facts) -> str:
    return render(facts, {split: SplitSize(len(rows), 10, 5) for split, rows in facts.splits.items()})


def section(text: str, title: str) -> str:
    return text.split(f"## {title}\n")[1].split("\n## ")[0]


def rows(text: str) -> list[list[str]]:
    return [[c.strip() for c in line.strip("|\n").split("|")] for line in text.splitlines() if line.startswith("| ")]


def test_header_says_what_a_hub_needs():
    head = yaml.safe_load(card(facts()).split("---\n")[1])
    assert head["license"] == "unknown"
    assert head["task_categories"] == ["text-classification"]
    assert head["size_categories"] == ["n<1K"]
    assert "synthetic" in head["tags"]
    assert head["configs"][0]["data_files"] == [
        {"split": "train", "path": "data/train-*.parquet"},
        {"split": "test", "path": "data/test-*.parquet"},
    ]
    assert head["dataset_info"]["splits"] == [
        {"name": "train", "num_bytes": 10, "num_examples": 3},
        {"name": "test", "num_bytes": 10, "num_examples": 1},
    ]
    assert (head["dataset_info"]["download_size"], head["dataset_info"]["dataset_size"]) == (10, 20)


@pytest.mark.parametrize(
    ("modality", "total", "task", "size"),
    [("image", 999, "image-classification", "n<1K"), ("vector", 1000, "tabular-classification", "1K<n<10K")],
)
def test_task_and_size(modality, total, task, size):
    sizes = {"train": SplitSize(total - 1, 0, 0), "test": SplitSize(1, 0, 0)}
    text = hf_features.card_header(name="x", modality=modality, features_json={}, sizes=sizes, synthetic=False)
    head = yaml.safe_load(text.split("---\n")[1])
    assert head["task_categories"] == [task] and head["size_categories"] == [size]
    assert "synthetic" not in head["tags"]


def test_counts_of_classes_origins_generators_and_annotators():
    text = card(facts())
    assert rows(section(text, "Classes"))[2:] == [
        ["x", "2", "0", "66.7 %", "0"],
        ["y", "1", "0", "33.3 %", "1"],
        ["z", "0", "1", "0.0 %", "0"],
    ]
    origins = rows(section(text, "Where the samples come from"))
    assert ["real", "2", "66.7 %"] in origins and ["cvae", "1", "33.3 %"] in origins
    annotation = section(text, "Annotation")
    assert ["rejected", "1"] in rows(annotation)
    # bo rejected one, corrected one and, without a decision on record here, stands in the lineage of two samples
    assert ["bo", "2", "2", "66.7 %"] in rows(annotation) and ["ann", "1", "1", "33.3 %"] in rows(annotation)
    assert "Classes without a training sample: z." in section(text, "Limits")


def test_classes_over_rounds_are_cumulative():
    table = rows(section(card(facts()), "Class representation over rounds"))
    assert table[0] == ["Class", "D_0", "D_1", "D_2"]
    assert table[2:] == [["x", "1", "2", "2"], ["y", "0", "0", "1"], ["z", "0", "0", "0"], ["(all)", "1", "2", "3"]]


def test_many_rounds_are_thinned_out_but_keep_first_and_last():
    long = [Round(t, {}, {"stop_reason": None}) for t in range(51)]
    table = rows(section(card(facts(rounds=long)), "Class representation over rounds"))
    assert len(table[0]) == 9 and table[0][1] == "D_0" and table[0][-1] == "D_50"


def test_each_round_in_a_row():
    table = rows(section(card(facts()), "What each round changed"))
    told = "alpha 0.600 → 0.550, beta 0.300 → 0.350 (reweigh: payoff)"
    assert table[2] == ["0", "1", "0.250", "0.125", "7", "6", "5", "2", "1", "0", told]
    assert table[3][-2:] == ["1", ""]  # round 1 confirmed the synthetic sample of D_2


def test_open_gaps_only_and_no_more_than_fit():
    table = rows(section(card(facts()), "Known gaps"))
    assert [row[0] for row in table[2:]] == ["g0"]
    gap = {"kind": "density", "status": "open", "in_words": "near “a”; terms: rudder"}
    many = [{**gap, "gap_id": f"g{i:03d}", "severity": i / 100} for i in range(MAX_GAPS + 5)]
    text = section(card(facts(gaps=frame(many, GAPS))), "Known gaps")
    assert [row[0] for row in rows(text)[2:4]] == ["g054", "g053"]
    assert table[0][-1] == "What sets it apart" and table[2][-1] == ""
    assert rows(text)[2][-1] == "near “a”; terms: rudder"
    assert len(rows(text)) == MAX_GAPS + 2 and "5 less severe gaps are not listed" in text
    assert "No gap is open" in card(facts(gaps=frame([], GAPS)))


def test_says_how_far_the_run_is():
    rounds = facts().rounds
    assert "It stopped after round 2: budget of 4 labels." in card(facts())
    assert "not finished" not in card(facts())
    assert "**The run is not finished.** This is the dataset after round 1" in card(facts(rounds=rounds[:2]))


def test_says_who_answered():
    assert "**No person answers in this run.**" in card(facts()) and "error rate of 0.1" in card(facts())
    people = card(facts(config={"review": {"annotator": "file"}, "select": {}}))
    assert "No person" not in people and "People answer" in people


def test_only_the_seed_set():
    seed = {"train": facts().train.filter(pl.col("round") == 0)}
    text = card(facts(splits=seed, rounds=[], gaps=None, decisions=frame([], DECISIONS)))
    assert "No round is over yet: this is the seed set." in text
    assert "Known gaps" not in text and "What each round changed" not in text and "over rounds" not in text
    assert "No decision has been taken yet." in text
    assert describe(facts(splits=seed, rounds=[])).startswith("1 labelled texts in 3 classes: the seed set of")


def test_subgroups_with_unknown_values():
    train = facts().train.with_columns(site=pl.Series(["n|s", None, None]))
    text = card(facts(splits={"train": train}, subgroups=("site",)))
    assert "| (unknown) | 2 | 66.7 % |\n| n\\|s | 1 | 33.3 % |" in section(text, "Subgroups")
    assert "site is unknown for 2 training samples" in section(text, "Limits")


def test_what_the_images_are():
    lacking = {f"s{i:02}": "is gone" for i in range(25)} | {"b": "has changed since"}
    where = {i: f"pool/{i}.jpg" for i in lacking}
    at = {"a": (0, 9, "a.jpg"), "t": (9, 9, "t.jpg")}
    told = card(facts(modality="image", images=Images((32, 32), True, lacking, where, all_open=False, _at=at)))
    text = section(told, "Images")
    assert "byte for byte" in text and "32 × 32 pixels" in text and "formats that Pillow does not read" in text
    assert rows(text)[0] == ["Split", "Originals", "Synthetic", "Original not there"]
    assert rows(text)[2:4] == [["train", "1", "1", "1"], ["test", "1", "0", "0"]]
    assert ["pool/b.jpg", "has changed since"] in rows(text) and "6 more are not listed." in text
    text = section(card(facts(modality="image", images=Images((8, 6)))), "Images")
    assert text.strip() == "Every image is as the model saw it, 8 × 6 pixels."
    assert "## Images" not in card(facts())
