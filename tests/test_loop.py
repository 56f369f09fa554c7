"""Whole runs on small data, in this process: degenerate data, every part of every registry, people, lineage."""

from __future__ import annotations

import csv
import itertools
import re
import sys
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from finished import SYNTHETIC, finish, queries
from PIL import Image
from small import CLASSES, blobs, config, row, rows, tree, write

from adde_ray.artifacts.run_dir import RunDir, read_table
from adde_ray.config import Config
from adde_ray.errors import UserError
from adde_ray.loop import run
from adde_ray.methods.model.learner import LEARNERS
from adde_ray.methods.policy.adaptation import RULES
from adde_ray.methods.policy.stopping import STOPPING
from adde_ray.methods.query.selectors import SELECTORS
from adde_ray.methods.query.terms import DIVERSITY, OF_MEMBERS, UNCERTAINTY

DRY = "the pool is dry"


@pytest.fixture
def data(tmp_path) -> Path:
    return write(tmp_path / "data.parquet", rows())


# --- data at the edge ---------------------------------------------------------------------------------


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
        [row([1, 2], "a", "seed"), row([1, 3], "b", "val")]
        + [row([1, 2 + i * 1e-6], "b", "pool") for i in range(1, 20)],
        {}, "label budget",
    ),
    "numbers at the end of float32": (
        [row([3e38, 0], "a", "seed"), row([-3e38, 0], "b", "val")]
        + [row([3e38, i * 1e37], "b", "pool") for i in range(1, 20)],
        {}, "label budget",
    ),
    "all junk": (only("pool", "") + [r | {"label": "junk"} for r in blobs("pool", 12)], {"stop": {"labels": 99}}, DRY),
    "an annotator who is always wrong": (rows(), {"review": {"error_rate": 1.0}}, "label budget"),
    "a batch as large as may be": (rows(pool=7), {"select": {"batch": 10**6}, "stop": {"labels": None}}, DRY),
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


def test_columns_of_the_users_that_are_called_like_ours(tmp_path):
    names = ["row", "round", "origin", "U", "score", "rank", "gap_id", "features", "sample_id", "text", "file", "count"]
    given = [r | {name: f"{name} {i % 2}" for name in names} for i, r in enumerate(rows())]
    path = write(tmp_path / "data.parquet", given)
    plain = run(config(write(tmp_path / "plain.parquet", rows())), tmp_path / "plain")
    summary = finish(tmp_path / "run", config(path))
    assert summary["dataset_fingerprint"] == plain["dataset_fingerprint"]
    finish(tmp_path / "watched", config(path, data={"subgroup_columns": ["row", "round", "origin"]}))
    pool = read_table(tmp_path / "run" / "ingest" / "pool.parquet")
    assert {"row", "source_sample_id"} <= set(pool.columns)


@pytest.mark.parametrize("split", ["val", "test"])
@pytest.mark.parametrize("learner", LEARNERS)
def test_a_held_out_row_far_from_everything_known(tmp_path, split, learner):
    far = row([3e38, -3e38, 0, 0], "a", split)
    path = write(tmp_path / "data.parquet", [*rows(), far])
    finish(tmp_path / "run", config(path, train={"learner": learner, "lr": 1e3}))


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
    ("select", "shortlist", 1),  # smaller than the batch
]


@pytest.mark.parametrize(("section", "key", "value"), PARTS, ids=str)
def test_every_part_does_two_rounds(tmp_path, data, section, key, value):
    members = {"train": {"steps": 20, "ensemble": 3}} if isinstance(value, str) and value in OF_MEMBERS else {}
    summary = finish(tmp_path / "run", config(data, **{section: {key: value}} | members))
    asked = queries(tmp_path / "run")
    assert summary["num_labels"] == 10 and [len(q) for q in asked] == [5, 5]
    for query in asked:
        assert query["rank"].to_list() == [1, 2, 3, 4, 5]
        assert query.select("U", "Div", "Q", "score").to_numpy().min() >= 0
        assert query.select("U", "Div", "Q", "score").to_numpy().max() <= 1


@pytest.mark.parametrize(
    ("section", "key", "values"),
    [
        ("train", "learner", list(LEARNERS)),
        ("select", "uncertainty", list(UNCERTAINTY)),
        ("select", "diversity", [{name: 1.0} for name in DIVERSITY]),
        ("select", "selector", list(SELECTORS)),
    ],
    ids=str,
)
def test_names_are_not_only_accepted(tmp_path, data, section, key, values):
    """Another part gives other scores or asks about other samples."""
    seen = set()
    for number, value in enumerate(values):
        members = {"train": {"steps": 20, "ensemble": 3}} if isinstance(value, str) and value in OF_MEMBERS else {}
        parts = {"select": {"batch": 10}, "stop": {"labels": 10}}
        parts[section] = parts.get(section, {}) | {key: value}
        run(config(data, **parts | members), tmp_path / str(number))
        first = RunDir(tmp_path / str(number)).round(0)
        seen.add((first.read("candidates.parquet").write_ndjson(), tuple(first.read("query.parquet")["sample_id"])))
    assert len(seen) == len(values)


def test_gaps_keep_their_names_though_the_embedding_moves(tmp_path, data):
    finish(tmp_path / "run", config(data, train={"learner": "mlp"}, clustering={"num_cells": 12}))
    gaps = [r.read("gaps.parquet") for r in RunDir(tmp_path / "run").rounds()]
    assert all(g["gap_id"].n_unique() == len(g) for g in gaps)
    for before, after in itertools.pairwise(gaps):
        assert set(before["gap_id"]) <= set(after["gap_id"]), "a gap is never forgotten"
        places = [
            dict(g.filter(kind="density", status="open").select("gap_id", "centroid").iter_rows())
            for g in (before, after)
        ]
        still_open = places[0].keys() & places[1].keys()
        assert still_open and all(places[0][name] != places[1][name] for name in still_open)


def test_rehearsal_and_regressions(tmp_path, data):
    """What fell is told by round; the seed set's share of each step changes what is learned from round 1 on."""
    runs, models = {}, {}
    for share in (0.0, 0.8):
        finish(tmp_path / str(share), config(data, train={"rehearsal": share, "steps": 20}))
        rounds = RunDir(tmp_path / str(share)).rounds()
        runs[share] = [r.metrics for r in rounds]
        models[share] = [(r.root / "model" / "model.safetensors").read_bytes() for r in rounds]
    assert models[0.0][0] == models[0.8][0] and models[0.0][1] != models[0.8][1]
    for metrics in runs.values():
        assert metrics[0]["regressions"] == {}
        for before, now in itertools.pairwise(metrics):
            fell = {c for c, r in now["val"]["recall"].items() if r < before["val"]["recall"][c]}
            assert now["regressions"].keys() == fell


def test_what_adapts_is_recorded_and_takes_effect(tmp_path, data):
    adapt = {"rules": ["reweigh"], "window": 1, "tolerance": 0.0, "rate": 0.5}
    settings = config(data, adapt=adapt, stop={"labels": 40})
    summary = finish(tmp_path / "run", settings)
    manifests = [r.manifest for r in RunDir(tmp_path / "run").rounds()]
    assert "reweigh" in {change["rule"] for m in manifests for change in m["adaptation"]}
    policy = {"alpha": settings.select.alpha, "beta": settings.select.beta, "gamma": settings.select.gamma}
    for manifest in manifests:
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
    lines = [f"{TEXTS[i % 3]} number {i},{LABELS[i % 3] if i < 30 else ''}\n" for i in range(60)]
    asked = []
    for name in ("as they are", "reversed"):
        (tmp_path / f"{name}.csv").write_text("text,label\n" + "".join(lines))
        run(texts(tmp_path / f"{name}.csv"), tmp_path / name)
        asked.append(RunDir(tmp_path / name).round(0).read("query.parquet"))
        lines.reverse()
    assert asked[0].equals(asked[1])


# --- who may see the hidden labels --------------------------------------------------------------------


def test_only_the_simulated_annotator_reads_the_hidden_labels(tmp_path, data, monkeypatch):
    reads = []

    def spied(read):
        def spy(path, *args, **kwargs):
            reads.append((Path(path).name, sys._getframe(1).f_code.co_qualname))
            return read(path, *args, **kwargs)

        return spy

    for module in [m for name, m in sys.modules.items() if name.startswith("adde_ray") and hasattr(m, "read_table")]:
        monkeypatch.setattr(module, "read_table", spied(read_table))
    monkeypatch.setattr(pl, "scan_parquet", spied(pl.scan_parquet))
    finish(tmp_path / "run", config(data))
    assert {who for name, who in reads if name == "oracle.parquet"} == {"Simulated._truth"}
    assert "pool.parquet" in {name for name, _ in reads}
    assert read_table(tmp_path / "run" / "ingest" / "pool.parquet")["label"].null_count() == 60


def test_hidden_labels_change_nothing_before_they_are_bought(tmp_path):
    """The first query is the same whether the pool's labels are known, scrambled or absent; so is the second when
    people answer the same."""
    second = []
    for name, hide in {
        "known": lambda c: c,
        "scrambled": lambda c: CLASSES[CLASSES.index(c) - 1],
        "absent": None,
    }.items():
        given = [r | {"label": hide(r["label"]) if hide else None} if r["split"] == "pool" else r for r in rows()]
        settings = config(write(tmp_path / f"{name}.parquet", given), review={"annotator": "file"})
        for t in range(2):
            assert run(settings, tmp_path / name, resume=t > 0)["status"] == "awaiting_review"
            fill(tmp_path / name, t, lambda row: {"action": "correct", "label": "abc"[int(row["sample_id"], 16) % 3]})
        second.append([(tmp_path / name / "rounds" / f"00{t}" / "review.csv").read_text() for t in range(2)])
    assert second[0] == second[1] == second[2]


# --- people -------------------------------------------------------------------------------------------

TEXTS, LABELS = ("a pot of tea", "a fast red car", "the deep blue sea"), ("drink", "machine", "place")


def texts(path: Path, **sections: dict):
    source = {"source": "csv", "path": str(path), "text_column": "text"}
    return Config.parse({**tree(path, review={"annotator": "file"}, **sections), "data": source})


def fill(folder: Path, t: int, answer) -> list[dict]:
    """Answer round t's review.csv; `answer` maps a row to the columns to fill in. Returns its rows."""
    path = folder / "rounds" / f"{t:03d}" / "review.csv"
    with path.open(newline="") as file:
        asked = list(csv.DictReader(file))
    with path.open("w", newline="") as file:
        writer = csv.DictWriter(file, asked[0].keys())
        writer.writeheader()
        writer.writerows(row | answer(row) for row in asked)
    return asked


def test_people_answer_by_file_until_the_budget_is_spent(tmp_path):
    path, folder = tmp_path / "t.csv", tmp_path / "run"
    lines = [f"{TEXTS[i % 3]} number {i},{LABELS[i % 3] if i < 30 else ''}\n" for i in range(60)]
    path.write_text("text,label\n" + "".join(lines))
    settings = texts(path)
    truth = {text: label for text, label in zip(TEXTS, LABELS, strict=True)}

    def name(row: dict) -> dict:
        label = truth[row["sample"].partition(" number")[0]]
        return {"action": "accept"} if label == row["suggested"] else {"label": label, "annotator": "ann"}

    waiting = run(settings, folder)
    assert (waiting["status"], waiting["stop_reason"], waiting["num_labels"]) == ("awaiting_review", None, 0)
    before = (folder / "rounds" / "000" / "query.parquet").read_bytes()
    fill(folder, 0, lambda row: name(row) if row["rank"] < "3" else {})
    assert run(settings, folder, resume=True)["status"] == "awaiting_review", "not all have been answered"
    assert (folder / "rounds" / "000" / "query.parquet").read_bytes() == before
    fill(folder, 0, lambda row: {} if row["action"] or row["label"] else name(row))
    waiting = run(settings, folder, resume=True)
    assert (waiting["status"], waiting["num_rounds"], waiting["num_labels"]) == ("awaiting_review", 1, 5)
    asked = fill(folder, 1, lambda row: {"action": "reject" if row["rank"] == "1" else "flag"})
    assert len(asked) == 5
    finished = run(settings, folder, resume=True)
    assert finished["status"] == "finished" and finished["num_labels"] == 10
    bought = RunDir(folder).dataset().filter(pl.col("round") > 0)
    assert len(bought) == 5, "what was rejected or flagged is paid for and left out"
    assert all(
        truth[text.partition(" number")[0]] == label for text, label in bought.select("text", "label").iter_rows()
    )


def test_answers_count_though_the_time_is_up(tmp_path, data):
    folder = tmp_path / "run"
    settings = config(data, review={"annotator": "file"}, stop={"seconds": 1000.0})
    assert run(settings, folder)["status"] == "awaiting_review"
    fill(folder, 0, lambda row: {"action": "accept"})
    RunDir(folder).event(event="end", round=0, stage="train", seconds=2000.0)
    summary = finish(folder, settings, resume=True)
    assert "time budget" in summary["stop_reason"]
    assert (summary["num_rounds"], summary["num_labels"], summary["num_samples"]) == (2, 5, 11)


def test_a_wrong_answer_is_told_and_costs_nothing(tmp_path, data):
    settings, folder = config(data, review={"annotator": "file"}), tmp_path / "run"
    run(settings, folder)
    fill(folder, 0, lambda row: {"label": "zebra"})
    with pytest.raises(UserError, match=r"review.csv:2: unknown label \(got 'zebra'\)"):
        run(settings, folder, resume=True)
    fill(folder, 0, lambda row: {"label": "a"})
    assert run(settings, folder, resume=True)["num_labels"] == 5


# --- synthetic samples --------------------------------------------------------------------------------


def test_a_run_goes_on_when_every_synthetic_sample_is_rejected(tmp_path, data, ray_cluster):
    sections = SYNTHETIC | {"quality_control": {"min_confidence": 1.0, "near_copy": 1000.0}}
    summary = finish(tmp_path / "run", config(data, **sections))
    made = RunDir(tmp_path / "run").round(0).read("synthetic.parquet")
    assert len(made) and set(made["status"]) == {"rejected"} and made["reason"].null_count() == 0
    assert (summary["num_labels"], summary["num_synthetic"]) == (10, 0)


def test_lineage_and_the_share_of_synthetic_samples_hold_over_a_run(tmp_path, ray_cluster):
    given = [r | {"label": "junk"} if i % 5 == 0 and r["split"] == "pool" else r for i, r in enumerate(rows(pool=23))]
    settings = config(write(tmp_path / "data.parquet", given), **SYNTHETIC, stop={"labels": 60})
    summary = finish(tmp_path / "run", settings)
    run_ = RunDir(tmp_path / "run")
    asked, dataset = pl.concat(queries(tmp_path / "run")), run_.dataset()

    assert summary["num_synthetic"] > 0 and summary["stop_reason"].endswith(DRY)
    spent = 0
    for query in queries(tmp_path / "run"):
        synthetic = (query["origin"] == "synthetic").sum()
        assert synthetic <= 0.4 * len(query), "also when the pool runs dry and the query is short"
        spent += synthetic
    assert spent <= 0.4 * len(asked)
    assert asked["sample_id"].n_unique() == len(asked) == summary["num_labels"], "nobody is asked twice"

    decisions = pl.concat([d for r in run_.rounds() if (d := r.read("decisions.parquet")) is not None])
    rejected = decisions.filter(pl.col("label").is_null())
    assert len(rejected) and not set(rejected["sample_id"]) & set(dataset["sample_id"])
    grown = dataset.filter(pl.col("round") > 0)
    assert len(grown) == len(decisions) - len(rejected)
    told = {d["decision_id"]: d for d in decisions.to_dicts()}
    everything = {i for t in run_.rounds() if (c := t.read("candidates.parquet")) is not None for i in c["sample_id"]}
    seen = set(dataset.filter(pl.col("round") == 0)["sample_id"]) | everything
    for sample in grown.to_dicts():
        [decision] = [told[i] for i in sample["decision_ids"]]
        assert decision["sample_id"] == sample["sample_id"] and decision["label"] == sample["label"]
        assert decision["round"] == sample["round"] - 1 and sample["annotators"] == [decision["annotator"]]
        assert sample["origin"] in ("real", "synthetic") and None not in (sample["U"], sample["Div"], sample["Q"])
        if sample["origin"] == "synthetic":
            assert sample["generator"] == "cvae" and sample["gap_id"] and set(sample["parents"]) <= seen
        else:
            assert sample["generator"] is None and sample["parents"] is None


def test_people_see_synthetic_images(tmp_path, ray_cluster):
    digits = {"data": {"source": "digits"}, "train": {"steps": 20}, "review": {"annotator": "file"}}
    settings = Config.parse(
        digits
        | {"encoder": {"name": "pixels"}}
        | SYNTHETIC
        | {"select": {"batch": 10, "selector": "random"}, "stop": {"labels": 10}}
    ).override("generate.per_round=200")
    folder = tmp_path / "run"
    assert run(settings, folder)["status"] == "awaiting_review"
    asked = fill(folder, 0, lambda row: {"action": "accept"})
    assert {line["origin"] for line in asked} == {"real", "synthetic"}
    for line in asked:
        assert Image.open(folder / "rounds" / "000" / line["sample"]).size == (8, 8)
    assert finish(folder, settings, resume=True)["num_synthetic"] > 0
