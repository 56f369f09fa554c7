"""Whole runs on small data, in this process: degenerate data, every part of every registry, people, lineage."""

from __future__ import annotations

import csv
import json
import re
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from small import CLASSES, blobs, config, rows, write

from adde_ray.errors import UserError
from adde_ray.loop import run
from adde_ray.methods.adaptation import RULES
from adde_ray.methods.learner import LEARNERS
from adde_ray.methods.selection import DIVERSITY, SELECTORS, UNCERTAINTY
from adde_ray.methods.stopping import STOPPING
from adde_ray.rundir import RunDir, read_table

DRY = "the pool is dry"
SYNTHETIC = {  # many synthetic samples, of whatever quality: what is tested is what becomes of them
    "generate": {"generator": "cvae", "steps": 20, "per_round": 16, "max_share": 0.4},
    "quality_control": {"min_confidence": 0, "min_agreement": 0, "near_copy": 0},
    "gaps": {"tolerance": 1.0},
    "select": {"batch": 5, "selector": "random"},
}


@pytest.fixture
def data(tmp_path) -> Path:
    return write(tmp_path / "data.parquet", rows())


def finish(folder: Path, settings, **options) -> dict:
    """Run to the end. Whatever the data: a reason, no NaN in any artifact, and every sample once."""
    summary = run(settings, folder, **options)
    assert summary["status"] == "finished" and summary["stop_reason"]
    json.dumps(summary, allow_nan=False)
    for path in folder.rglob("*.parquet"):
        table = read_table(path)
        numbers = table.select(pl.selectors.float()).fill_null(0)
        assert np.isfinite(numbers.to_numpy()).all(), path
    ids = RunDir(folder).dataset()["sample_id"]
    assert ids.n_unique() == len(ids) == summary["num_samples"]
    return summary


def queries(folder: Path) -> list[pl.DataFrame]:
    return [q for r in RunDir(folder).rounds() if (q := r.read("query.parquet")) is not None and len(q)]


# --- data at the edge ---------------------------------------------------------------------------------


def row(vector, label: str | None, split: str) -> dict:
    return {"vector": [float(x) for x in vector], "label": label, "split": split}


def only(split: str, label: str) -> list[dict]:
    """The usual rows, but one class in `split`."""
    return [r for r in rows() if r["split"] != split or r["label"] == label]


EDGES = {  # name: (rows, config sections, the reason it ends for)
    "a batch larger than the pool": (rows(pool=7), {"select": {"batch": 100}, "stop": {"labels": 500}}, DRY),
    "a budget larger than the pool": (rows(pool=7), {"stop": {"labels": 500}}, DRY),
    "a pool of one": (rows(pool=1), {}, DRY),
    "no limit but the rounds": (rows(), {"stop": {"labels": None, "rounds": 2}}, "round limit"),
    "nothing to buy": (rows(), {"stop": {"labels": 0}}, r"label budget spent \(0 of 0\)"),
    "one seed sample of each class": (rows()[3:], {}, "label budget"),
    "one seed sample": (rows()[5:], {}, "label budget"),
    "one class in the seed set": (only("seed", "a"), {}, "label budget"),
    "one class in val": (only("val", "b"), {}, "label budget"),
    "classes nobody has seen": (rows(), {"data": {"classes": list("abcdef")}}, "label budget"),
    "fewer rows than dimensions": (rows(pool=3, dims=200), {}, DRY),
    "one dimension": (rows(dims=1), {}, "label budget"),
    "one cluster": (
        [r for r in rows(classes="ab") if r["split"] != "pool"] + blobs("pool", 40, classes="a"), {}, "label budget"
    ),
    "no cluster at all": (rows(), {"clustering": {"min_cluster_size": 10**6}}, "label budget"),
    "one cell": (rows(), {"clustering": {"num_cells": 1, "dims": 1}}, "label budget"),
    "more cells than rows": (rows(pool=5), {"clustering": {"num_cells": 1000, "dims": 1000}}, DRY),
    "no kind of gap": (rows(), {"gaps": {"kinds": []}}, "label budget"),
    "identical rows": (
        [row([1, 2], "a", "seed"), row([1, 3], "b", "val"), *[row([1, 2.5], "a", "pool")] * 20],
        {"data": {"max_rejected": 1.0}}, DRY,
    ),
    "rows that differ in the last bit": (
        [row([1, 2], "a", "seed"), row([1, 3], "b", "val")] + [row([1, 2 + i * 1e-6], "b", "pool") for i in range(1, 20)],
        {}, "label budget",
    ),
    "numbers at the end of float32": (
        [row([3e38, 0], "a", "seed"), row([-3e38, 0], "b", "val")] + [row([3e38, i * 1e37], "b", "pool") for i in range(1, 20)],
        {}, "label budget",
    ),
    "all junk": (only("pool", "") + [r | {"label": "junk"} for r in blobs("pool", 12)], {"stop": {"labels": 99}}, DRY),
    "an annotator who is always wrong": (rows(), {"review": {"error_rate": 1.0}}, "label budget"),
    "more wanted than shortlisted": (rows(), {"select": {"batch": 5, "shortlist": 1}}, r"\(10 of 10\)"),
    "a batch beyond all bounds": (rows(pool=7), {"select": {"batch": 10**30}, "stop": {"labels": None}}, DRY),
    "weights that are 0": (rows(), {"select": {"batch": 5, "diversity": {"novelty": 0}, "alpha": 0}}, "label budget"),
    "one principal component": (rows(), {"encoder": {"dims": 1}}, "label budget"),
    "training batches of one": (rows(), {"train": {"steps": 20, "batch_size": 1}}, "label budget"),
}  # fmt: skip


@pytest.mark.parametrize("name", EDGES)
def test_whatever_the_data_a_run_ends_with_a_reason(tmp_path, name):
    given, sections, reason = EDGES[name]
    summary = finish(tmp_path / "run", config(write(tmp_path / "data.parquet", given), **sections))
    assert re.search(reason, summary["stop_reason"])
    assert all(0 <= r["diversity"]["m_div"] <= 1 and 0 <= r["quality"]["macro_f1"] <= 1 for r in summary["rounds"])


def test_junk_is_paid_for_and_left_out(tmp_path):
    given, sections, _ = EDGES["all junk"]
    summary = finish(tmp_path / "run", config(write(tmp_path / "data.parquet", given), **sections))
    assert (summary["num_labels"], summary["num_samples"]) == (12, 6)


def test_an_annotator_who_is_always_wrong_is_believed(tmp_path, data):
    finish(tmp_path / "run", config(data, review={"error_rate": 1.0}))
    truth = dict(read_table(tmp_path / "run" / "ingest" / "oracle.parquet").iter_rows())
    bought = RunDir(tmp_path / "run").dataset().filter(pl.col("round") > 0)
    assert len(bought) == 10 and all(truth[i] != label for i, label in bought.select("sample_id", "label").iter_rows())


def test_training_that_diverges_is_the_configs_fault(tmp_path):
    path = write(tmp_path / "data.parquet", rows(dims=2))
    train = {"learner": "mlp", "lr": 1e3, "steps": 200, "weight_decay": 1e8}
    with pytest.raises(UserError, match="train.lr: training diverges"):
        run(config(path, train=train), tmp_path / "run")


# --- every rule, every part ---------------------------------------------------------------------------

STOPS = {
    "target": ({"target": 0.01}, "target reached"),
    "labels": ({"labels": 7}, r"label budget spent \(7 of 7\)"),
    "rounds": ({"labels": None, "rounds": 2}, r"round limit reached \(2 of 2\)"),
    "time": ({"seconds": 1e-9}, "time budget spent"),
    "plateau": ({"labels": None, "plateau": 1, "tolerance": 1.0}, "plateau over 1 rounds"),
}


@pytest.mark.parametrize("name", STOPPING)
def test_every_stopping_rule_ends_a_run(tmp_path, data, name):
    stop, reason = STOPS[name]
    summary = finish(tmp_path / "run", config(data, stop=stop))
    assert re.search(reason, summary["stop_reason"])
    last = RunDir(tmp_path / "run").rounds()[-1]
    assert not any((last.root / f"{name}.parquet").exists() for name in ("candidates", "query", "decisions"))
    assert summary["rounds"][-1]["quality"] and summary["rounds"][-1]["test"]


PARTS = [
    *(("train", "learner", name) for name in LEARNERS),
    *(("select", "uncertainty", name) for name in UNCERTAINTY),
    *(("select", "diversity", {name: 1.0}) for name in DIVERSITY),
    *(("select", "selector", name) for name in SELECTORS),
    *(("adapt", "rules", [name]) for name in RULES),
]


@pytest.mark.parametrize(("section", "key", "value"), PARTS, ids=str)
def test_every_part_does_two_rounds(tmp_path, data, section, key, value):
    summary = finish(tmp_path / "run", config(data, **{section: {key: value}}))
    asked = queries(tmp_path / "run")
    assert summary["num_labels"] == 10 and [len(q) for q in asked] == [5, 5]
    for query in asked:
        assert query["rank"].to_list() == [1, 2, 3, 4, 5]
        assert query.select("U", "Div", "Q", "score").to_numpy().min() >= 0
        assert query.select("U", "Div", "Q", "score").to_numpy().max() <= 1


def test_parts_differ(tmp_path, data):
    """Names are not only accepted: another part asks about other samples."""
    kinds = {
        "plain": {},
        "top_k": {"selector": "top_k"},
        "random": {"selector": "random"},
        "uncertain": {"alpha": 1, "beta": 0, "gamma": 0},
        "novel": {"alpha": 0, "beta": 1, "gamma": 0, "diversity": {"novelty": 1}},
    }
    first = {}
    for name, select in kinds.items():
        run(config(data, select=select, stop={"labels": 5}), tmp_path / name)
        first[name] = frozenset(queries(tmp_path / name)[0]["sample_id"])
    assert len(set(first.values())) == len(kinds)


def test_gaps_keep_their_names_though_the_embedding_moves(tmp_path, data):
    finish(tmp_path / "run", config(data, train={"learner": "mlp"}, clustering={"num_cells": 12}))
    gaps = [r.read("gaps.parquet") for r in RunDir(tmp_path / "run").rounds()]
    regions = [set(g.filter(pl.col("kind") == "density")["gap_id"]) for g in gaps]
    assert regions[0] & regions[1] & regions[2] and regions[0] <= regions[1] <= regions[2]
    before, after = (dict(g.select("gap_id", "centroid").iter_rows()) for g in gaps[:2])
    assert any(before[name] != after[name] for name in regions[0])
    assert all(g["gap_id"].n_unique() == len(g) for g in gaps)


def test_what_adapts_is_recorded_and_takes_effect(tmp_path, data):
    settings = config(data, adapt={"window": 1, "tolerance": 0.0, "rate": 0.5}, stop={"labels": 40})
    summary = finish(tmp_path / "run", settings)
    manifests = [r.manifest for r in RunDir(tmp_path / "run").rounds()]
    changes = [(t, change) for t, m in enumerate(manifests) for change in m["adaptation"]]
    assert {change["rule"] for _, change in changes} >= {"reweigh"}
    policy = {"alpha": settings.select.alpha, "beta": settings.select.beta, "gamma": settings.select.gamma}
    for t, manifest in enumerate(manifests):
        assert {name: manifest["weights"][name] for name in policy} == policy
        for change in manifest["adaptation"]:
            assert change["reason"] and change["from"] != change["to"] == manifest["policy"][change["what"]]
        policy = {name: manifest["policy"][name] for name in policy}
    assert [r["adaptation"] for r in summary["rounds"]] == [m["adaptation"] for m in manifests]


# --- the same again -----------------------------------------------------------------------------------


def test_equal_seeds_give_equal_datasets_in_whatever_order_rows_come(tmp_path, data):
    shuffled = rows()
    np.random.default_rng(5).shuffle(shuffled)
    again = write(tmp_path / "shuffled.parquet", shuffled)
    marks = {
        name: run(config(path, run={"seed": seed}), tmp_path / name)["dataset_fingerprint"]
        for name, path, seed in (("one", data, 0), ("two", data, 0), ("shuffled", again, 0), ("other", data, 1))
    }
    assert marks["one"] == marks["two"] == marks["shuffled"]
    assert run(config(data, select={"selector": "random"}), tmp_path / "x")["dataset_fingerprint"] != marks["one"]


def test_equal_seeds_draw_equal_splits_in_whatever_order_lines_come(tmp_path):
    lines = [f"{word} {noun} number {i},{'noun' if i % 3 else ''}\n".replace("noun", noun) for i in range(60)
             for word, noun in [("red green blue".split()[i % 3], "tea car sea".split()[i % 3 - 1])]]  # fmt: skip
    marks, folder = set(), tmp_path
    for name, order in (("a", range(60)), ("b", reversed(range(60)))):
        (folder / f"{name}.csv").write_text("text,label\n" + "".join(lines[i] for i in order))
        settings = config(folder / f"{name}.csv", data={"text_column": "text"}, review={"annotator": "file"})
    assert marks is not None


# --- who may see the hidden labels --------------------------------------------------------------------
