"""The report: made from runs in every state, safe with any text, and alive in a browser."""

from __future__ import annotations

import io
import shutil
import subprocess
import sys
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from pages import Page, assert_sound, wait_for
from PIL import Image

from adde_ray.artifacts.features import write_features
from adde_ray.artifacts.images import encode_images
from adde_ray.artifacts.run_dir import RunDir, derive_rng, write_json, write_table
from adde_ray.artifacts.schema import DATASET, DECISIONS, GAPS, QUERY, SYNTHETIC, Meta, frame, sample_id, with_payload
from adde_ray.config import Config
from adde_ray.errors import UserError
from adde_ray.report import fairness, figures, gallery, latent, render, tables, write_report
from adde_ray.report.read import outcomes, read_run_record
from adde_ray.web import pictures

NASTY = "</script><script>window.hacked=1</script><img src=x onerror='window.hacked=1'> & \u2028 \"q\""


# --- a small run, as the loop leaves it ------------------------------------------------------------------


@dataclass(frozen=True)
class Fake:
    """What kind of run to write. `waiting`: people have not answered the last round."""

    modality: str = "image"
    rounds: int = 4
    pool: int = 60
    classes: int = 4
    batch: int = 5
    made: int = 6
    test: bool = True
    ood: bool = True
    random: bool = True
    synthetic: bool = True
    waiting: bool = False
    nasty: bool = False
    measured: bool = True


def fake_run(root: Path, fake: Fake) -> RunDir:
    """Write a run with made-up numbers that agree with each other."""
    rng = derive_rng(1, "fake")
    classes = tuple(NASTY if fake.nasty and i == 1 else f"class {i}" for i in range(fake.classes))
    payloads, features, truth = samples(rng, fake, fake.pool + 2 * fake.classes, classes)
    ids = [sample_id(p if fake.modality != "vector" else np.array(p)) for p in payloads]
    column = {i: p for i, p in zip(ids, payloads, strict=True)}
    seed, pool = sorted(ids[: 2 * fake.classes]), sorted(ids[2 * fake.classes :])
    label = dict(zip(ids, truth, strict=True))
    feature = dict(zip(ids, features, strict=True))
    root.mkdir(parents=True, exist_ok=True)

    config = Config.parse({"data": {"source": "digits"}, "run": {"name": root.name}, "review": {"annotator": "file"}})
    write_json(root / "config.json", config.model_dump(mode="json"))
    write_json(root / "provenance.json", {"argv": ["adde", "run"], "versions": {"ray": "2.60.0"}})
    meta = Meta(fake.modality, tuple(sorted(classes)), ("site",), {"pool": len(pool), "seed": len(seed)})
    write_json(root / "ingest" / "meta.json", asdict(meta))
    for name, rows in (("seed", seed), ("pool", pool)):
        labels = [label[i] for i in rows] if name == "seed" else [None] * len(rows)
        table = {"sample_id": rows, "label": labels, fake.modality: [column[i] for i in rows]}
        write_table(root / "ingest" / f"{name}.parquet", pl.DataFrame(table, schema_overrides={"label": pl.String}))
        found = np.stack([feature[i] for i in rows]).astype(np.float32)
        write_features(root / "embeddings" / "0123abcd" / f"{name}.parquet", pl.Series(rows), found)

    run = RunDir.at(root)
    held = {
        "sample_id": seed,
        "label": [label[i] for i in seed],
        "round": [0] * len(seed),
        "origin": ["real"] * len(seed),
    }
    schema = with_payload(DATASET, fake.modality)
    write_table(run.dataset_part(0), frame(held | {fake.modality: [column[i] for i in seed]}, schema))
    asked: list[str] = []
    for t in range(fake.rounds):
        last = t == fake.rounds - 1
        asked += fake_round(run, t, rng, fake, meta, pool, asked, label, feature, column, last=last)
        for i, stage in enumerate(("train", "analyse", "acquire", "select", "review")):
            run.event(event="end", round=t, stage=stage, seconds=0.1 * (i + 1))
    if fake.random:
        fake_baseline(root / "baselines" / "random", fake, meta, config)
    return run


def samples(rng, fake: Fake, n: int, classes: tuple[str, ...]) -> tuple[list, np.ndarray, list[str]]:
    rows = rng.choice(fake.classes, size=n, p=(p := 0.7 ** np.arange(fake.classes)) / p.sum())
    rows[: 2 * fake.classes] = np.repeat(np.arange(fake.classes), 2)
    centres = rng.normal(size=(fake.classes, 12)) * 3
    features = (centres[rows] + rng.normal(size=(n, 12))).astype(np.float32)
    if fake.modality == "image":
        payloads = encode_images(
            np.clip(rng.random((n, 1, 8, 8)) * 0.6 + rows[:, None, None, None] * 0.1, 0, 1)
        ).to_list()
    elif fake.modality == "text":
        words = ["tide", "harbour", "engine", "rudder", "sail", "<b>deck</b>", "mast & boom"]
        payloads = [" ".join(rng.choice(words, size=9)) + f" {i}" for i in range(n)]
    else:
        payloads = [row.tolist() for row in features]
    if fake.nasty and fake.modality == "text":
        payloads[:3] = [NASTY, NASTY * 2, NASTY * 3]
    return payloads, features, [classes[row] for row in rows]


def fake_round(run, t, rng, fake, meta, pool, asked, label, feature, column, *, last) -> list[str]:
    """Write round t and return who was asked in it."""
    folder = run.round(t).root
    held = run.dataset()
    quality = {s: measures(0.5 + 0.4 * t / max(1, fake.rounds), meta) for s in ("val", "test", "ood")}
    gaps = [
        {
            "gap_id": f"g{g:03d}",
            "kind": ("density", "small_cluster", "class", "subgroup")[g % 4],
            "label": meta.classes[g % len(meta.classes)],
            "subgroup": "site=" + ("<i>hand</i>" if fake.nasty else "hand"),
            "severity": max(0.0, 1 - 0.15 * g - 0.2 * t),
            "num_labelled": t,
            "num_pool": 9,
            "status": "filled" if t > g else "open",
            "opened_round": 0,
            "filled_round": g + 1 if t > g else None,
            "num_synthesised": t,
            "num_asked": 2 * t,
            "num_confirmed": t,
            "in_words": f"near “{meta.classes[0]}”; terms: rudder" if g == 3 else "",
        }
        for g in range(5)
    ]
    write_table(folder / "gaps.parquet", frame(gaps, GAPS))
    metrics = {
        "round": t,
        "num_asked": len(asked),
        "num_labels": len(asked),
        "num_samples": len(held),
        "num_synthetic": int((held["origin"] == "synthetic").sum()),
        "per_class": {c: int((held["label"] == c).sum()) for c in meta.classes},
        "val": quality["val"],
        "test": quality["test"] if fake.test else {},
        "ood": quality["ood"] if fake.ood else {},
        "diversity": {"m_div": 0.3 + 0.1 * t, "coverage": 0.2 + 0.1 * t, "vendi": 3.0 + t},
        "gaps": {"open": 5 - t, "filled": 1, "new": 0},
    }
    if fake.measured:
        metrics |= fairness_measures(0.5 + 0.1 * t, fake)
    write_json(folder / "metrics.json", metrics)
    weights = {"alpha": 0.6 - 0.05 * t, "beta": 0.3 + 0.05 * t, "gamma": 0.1}
    if last and not fake.waiting:
        commit(run, t, weights, stop_reason="the budget of labels is spent")
        return []

    made = synthesise(rng, fake, meta, t, feature) if fake.synthetic else []
    if fake.synthetic:
        write_table(folder / "synthetic.parquet", frame(made, with_payload(SYNTHETIC, fake.modality)))
    left = [i for i in pool if i not in asked][: fake.batch - 1 if made else fake.batch]
    rows = [{"sample_id": i, "origin": "real", "gap_id": "g001", "suggested": meta.classes[0]} for i in left]
    for row in [m for m in made if m["status"] == "kept"][:1]:
        lineage = {k: row[k] for k in ("sample_id", "gap_id", "generator")}
        rows.append({**lineage, "origin": "synthetic", "suggested": row["intended"]})
        column[row["sample_id"]] = row[fake.modality]
        label[row["sample_id"]] = row["intended"]
    scores = {"confidence": 0.6, "U": 0.8, "Div": 0.5, "Q": 1.0, "score": 0.73}
    query = frame([{**row, **scores, "rank": i + 1} for i, row in enumerate(rows)], QUERY)
    write_table(folder / "query.parquet", query)
    if last:
        return [row["sample_id"] for row in rows]

    decisions, part = [], []
    for i, row in enumerate(rows):
        truth = label[row["sample_id"]]
        action = "reject" if i == 0 else "accept" if truth == row["suggested"] else "correct"
        comment = NASTY if fake.nasty else "blurred"
        decisions.append(
            {"decision_id": f"{t}-{i}", "sample_id": row["sample_id"], "round": t, "annotator": "ann", "action": action}
            | {"label": None if action == "reject" else truth, "comment": comment if action == "reject" else None}
        )
        if action != "reject":
            part.append({**row, **scores, "label": truth, "round": t + 1, fake.modality: column[row["sample_id"]]})
    write_table(folder / "decisions.parquet", frame(decisions, DECISIONS))
    write_table(run.dataset_part(t + 1), frame(part, with_payload(DATASET, fake.modality)))
    reason = NASTY if fake.nasty else "M_div +0.001 while macro-F1 +0.050 over 3 rounds"
    change = {
        "rule": "reweigh",
        "what": "alpha",
        "from": weights["alpha"],
        "to": weights["alpha"] - 0.05,
        "reason": reason,
    }
    commit(
        run,
        t,
        weights,
        adaptation=[{**change, "reason": reason}] if t % 2 else [],
        asked=len(rows),
        confirmed=len(part),
    )
    return [row["sample_id"] for row in rows]


def synthesise(rng, fake: Fake, meta: Meta, t: int, feature: dict) -> list[dict]:
    payloads, features, intended = samples(rng, fake, 2 * fake.classes + fake.made, meta.classes)
    rows = []
    for i in range(2 * fake.classes, len(payloads)):
        payload = payloads[i] + f" made {t}" if fake.modality == "text" else payloads[i]
        found = sample_id(np.array(payload) if fake.modality == "vector" else payload)
        rejected = i % 3 == 0
        rows.append(
            {"sample_id": found, "gap_id": "g000", "generator": "cvae", "intended": intended[i], "confidence": 0.7}
            | {"agreement": 0.66, "nn_ratio": 0.9, "status": "rejected" if rejected else "kept"}
            | {"reason": "near copy" if rejected else None, "features": features[i].tolist(), fake.modality: payload}
        )
    return sorted(rows, key=lambda r: r["sample_id"])


def measures(level: float, meta: Meta) -> dict:
    recall = {c: round(level - 0.05 * i, 3) for i, c in enumerate(meta.classes)}
    found = {"macro_f1": level, "accuracy": level + 0.02, "worst_class_recall": level - 0.2}
    curve = {"confidence": [0.3, 0.9], "accuracy": [0.2, 0.8], "rows": [6, 30]}
    return found | {"ece": 0.1, "nll": 0.5, "recall": recall, "reliability": curve}


def fairness_measures(level: float, fake: Fake) -> dict:
    site = NASTY if fake.nasty else "hand"
    accuracy = {site: level, "foot": level - 0.3}
    record = {"accuracy": accuracy, "rows": {site: 30, "foot": 10}, "left_out": 2, "worst_group": "foot"}
    alone = {"accuracy": {"0": level}, "rows": {"0": 40}, "left_out": 2}
    groups = {"site": record, "adde:regions": alone}
    differences = {"gap": 0.2, "equalised_odds": 0.3, "demographic_parity": 0.1}
    empty = [{"of": {"label": "class 0", "site": site}, "share": 0.02}]
    return {
        "groups": {split: groups for split in ("val", "test", "ood")},
        "fairness": {split: {"site": differences, "adde:regions": {}} for split in ("val", "test", "ood")},
        "amplification": {"mean_imbalance": 0.5 - level, "mean_gaps": level - 0.5, "overall": 0.0},
        "corruptions": {"noise": {"macro_f1": 0.4, "accuracy": 0.5, "drop": level - 0.4}},
        "drops": {"ood": {"macro_f1": 0.1, "accuracy": 0.1}} if fake.ood else {},
        "forgetting": {"mean": 0.02, "best": {}},
        "grid": {"num": 12, "covered": level, "largest_empty": empty},
    }


def commit(run, t, weights, *, adaptation=(), asked=0, confirmed=0, stop_reason=None) -> None:
    manifest = {"round": t, "weights": weights, "policy": {}, "adaptation": list(adaptation), "asked": asked}
    run.round(t).commit(manifest | {"confirmed": confirmed, "stop_reason": stop_reason})


def fake_baseline(root: Path, fake: Fake, meta: Meta, config: Config) -> None:
    write_json(root / "config.json", config.model_dump(mode="json"))
    for t in range(fake.rounds):
        level = measures(0.5 + 0.25 * t / max(1, fake.rounds), meta)
        metrics = {
            "round": t,
            "num_asked": fake.batch * t,
            "num_labels": fake.batch * t,
            "val": level,
            "test": level if fake.test else {},
            "ood": {},
        }
        write_json(root / "rounds" / f"{t:03d}" / "metrics.json", metrics | {"diversity": {"m_div": 0.3 + 0.05 * t}})


# --- the page in every state -----------------------------------------------------------------------------

STATES = {
    "finished": Fake(),
    "waiting": Fake(waiting=True),
    "waiting, round 0": Fake(rounds=1, waiting=True, random=False),
    "round 0 only": Fake(rounds=1, synthetic=False, random=False),
    "texts": Fake(modality="text"),
    "vectors": Fake(modality="vector", waiting=True),
    "val only": Fake(test=False, ood=False),
    "nothing beside": Fake(test=False, ood=False, random=False, synthetic=False, measured=False),
    "many classes": Fake(classes=45, rounds=2),
    "nasty": Fake(modality="text", nasty=True),
}


@pytest.fixture(autouse=True)
def no_umap(monkeypatch, request):
    """UMAP takes seconds to load: only the test that asks for `real_umap` pays for that."""
    if "real_umap" not in request.fixturenames:
        monkeypatch.setattr(latent, "MIN_UMAP", 10**9)


@pytest.fixture(params=STATES, ids=str)
def run(request, tmp_path) -> RunDir:
    return fake_run(tmp_path / "run", STATES[request.param])


def test_page_is_whole_in_every_state(run):
    import plotly.graph_objects as go

    path = write_report(run)
    assert path == run.root / "report.html"
    page = Page(path.read_text(encoding="utf-8"))
    # Offline: nothing is linked, and the policy forbids loading and running anything else.
    assert not [a for tag, a in page.tags if tag == "link" or a.get("src") or a.get("href", "#")[0] != "#"]
    assert [tag for tag, _ in page.tags].count("script") == 4
    policy = next(a["content"] for tag, a in page.tags if a.get("http-equiv") == "Content-Security-Policy")
    assert policy.startswith("default-src 'none'") and policy.count("'sha256-") == 3
    # Every place for a chart has one, every chart has a place, and plotly knows every property.
    places = {i.removeprefix("chart-") for i in page.ids if i.startswith("chart-")}
    assert places == set(page.data["charts"])
    for chart in page.data["charts"].values():
        go.Figure(chart["data"], chart["layout"])
    assert "None" not in page.text and "nan" not in page.text.split()
    # Every picture a tile asks for is there.
    wanted = {a["data-id"] for tag, a in page.tags if tag == "img"}
    assert all(page.data["samples"][i]["src"].startswith("data:image/") for i in wanted)


def test_no_text_of_the_user_becomes_markup(tmp_path):
    run = fake_run(tmp_path / "run", Fake(modality="text", nasty=True))
    run.root.rename(tmp_path / "<u>run")
    page = Page(write_report(RunDir.at(tmp_path / "<u>run"), tmp_path / "page.html").read_text(encoding="utf-8"))
    assert not [
        tag for tag, a in page.tags if tag in ("img", "b", "i", "u", "script") and ("onerror" in a or "src" in a)
    ]
    assert not [tag for tag, _ in page.tags if tag in ("i", "u")]
    assert "<img src=x onerror='window.hacked=1'>" in page.text
    # Plotly reads tags in its labels, so there they are escaped once more.
    recall = page.data["charts"]["recall"]["layout"]["yaxis"]["ticktext"]
    assert any(label.startswith("&lt;/script&gt;") for label in recall)


def test_a_run_without_rounds_is_the_users_mistake(tmp_path):
    run = fake_run(tmp_path / "run", Fake())
    shutil.rmtree(run.root / "rounds")
    with pytest.raises(UserError, match="no round is done yet"):
        write_report(run)


def test_out_is_honoured_and_the_page_is_reproducible(tmp_path):
    run = fake_run(tmp_path / "run", Fake())
    a, b = write_report(run, tmp_path / "new" / "a.html"), write_report(run, tmp_path / "b.html")
    assert a.read_bytes() == b.read_bytes()
    assert not (run.root / "report.html").exists()


def test_importing_the_report_is_cheap():
    heavy = "{'ray', 'torch', 'umap', 'plotly', 'sklearn', 'jinja2'}"
    code = f"import sys, adde_ray.report; print(sorted({heavy} & set(sys.modules)))"
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout.strip() == "[]"


# --- what it says ----------------------------------------------------------------------------------------


def test_sentence_and_figures_agree_with_the_run(tmp_path):
    record = read_run_record(fake_run(tmp_path / "run", Fake()))
    sentence = tables.sentence(record)
    assert "60 images" in sentence and "15 labels bought in 3 rounds" in sentence
    assert sentence.endswith("Stopped: the budget of labels is spent.")
    values = {f["name"]: f["value"] for f in tables.key_figures(record)}
    assert values["labels bought"] == "15"
    assert values["macro-F1, test"] == f"{0.5 + 0.4 * 3 / 4:.3f}"
    assert values["gaps filled"] == "3"
    waiting = tables.sentence(read_run_record(fake_run(tmp_path / "waiting", Fake(waiting=True))))
    assert waiting.endswith("Round 3 waits for people to answer.")


def test_the_mark_is_where_random_is_reached(tmp_path):
    record = read_run_record(fake_run(tmp_path / "run", Fake()))
    # Random ends at 0.5 + 0.25 · 3/4 = 0.6875 with 15 labels; this run passes that in round 2, with 10.
    assert figures.reaches_random(record) == {"level": 0.6875, "random_labels": 15, "labels": 10, "value": 0.7}
    assert any(trace["x"] == [10] for trace in figures.first_picture(record)["data"])
    for metrics in record.random:
        metrics["test"]["macro_f1"] = 0.99
    assert figures.reaches_random(record)["labels"] is None
    assert not any(trace["mode"] == "markers" for trace in figures.first_picture(record)["data"])


def test_fairness_shows_the_worst_group_and_what_grew(tmp_path):
    record = read_run_record(fake_run(tmp_path / "run", Fake()))
    charts = dict(fairness.charts(record))
    bars = charts["Accuracy by site, test"]["data"][0]
    assert bars["y"] == pytest.approx([0.5, 0.8]) and bars["marker"]["color"] == ["#D55E00", "#0072B2"]
    assert "Accuracy by region, test" not in charts  # one region alone has nothing beside it
    assert charts["Equalised odds difference, test"]["data"][0]["y"] == [0.3] * 4
    drops = {trace["name"]: trace["y"] for trace in charts["Drop of macro-F1 from val"]["data"]}
    assert drops == {"ood": [0.1] * 4, "noise": pytest.approx([0.1, 0.2, 0.3, 0.4])}
    assert charts["Reliability: share right by confidence, test"]["data"][1]["x"] == [0.3, 0.9]
    grown = {trace["name"]: trace["y"] for trace in fairness.amplification(record)["data"]}
    assert grown.keys() == {"overall", "imbalance", "gaps"} and grown["gaps"] == pytest.approx([0, 0.1, 0.2, 0.3])
    page = render(record)
    assert (
        "holds 80% of the 12 combinations" in page and "(50% in round 0)" in page and "class class 0, site hand" in page
    )


def test_without_such_measures_there_is_no_such_section(tmp_path):
    record = read_run_record(fake_run(tmp_path / "run", Fake(measured=False)))
    assert [title for title, _ in fairness.charts(record)] == ["Reliability: share right by confidence, test"]
    for r in record.rounds:
        del r.metrics["test"]["reliability"]
    assert fairness.charts(record) == [] and 'id="fairness"' not in render(record)


@pytest.mark.parametrize("modality", ["image", "text", "vector"])
def test_what_was_set_aside_is_told_and_shown(tmp_path, modality):
    run = fake_run(tmp_path / "r", Fake(modality=modality, nasty=True))
    assert 'id="gates"' not in render(read_run_record(run))  # a run from before there were gates
    told = {
        "rows": {"pool": {"read": 50, "kept": 48}},
        "rejected": [
            {"gate": "leakage", "split": "pool", "rows": 2, "where": "a.csv:7", "reason": NASTY},
            {"gate": "read", "split": None, "rows": 1, "where": NASTY, "reason": "is empty"},
        ],
        "leakage": {"exact": 1, "near": 1, "action": "drop"},
        "settings": {"near_copies": True},
    }
    write_json(run.root / "ingest" / "gates.json", told)
    payload = pl.read_parquet(run.root / "ingest" / "pool.parquet")[modality][:2]
    pair = {"gate": "leakage", "split": "pool", "where": NASTY, "other_split": "val", "other_where": "b.csv:3"}
    table = pl.DataFrame([pair | {"similarity": 0.95}]).with_columns(
        payload[:1].alias(modality), payload[1:].alias(f"other_{modality}")
    )
    write_table(run.root / "ingest" / "near_copies.parquet", table)
    page = render(read_run_record(run))
    assert "1 exact and 1 near copies of held-out samples were in pool and seed set; they were taken out." in page
    assert "<td>copy of what is held out</td><td>pool</td>" in page and "4.0%" in page and "b.csv:3" in page
    assert NASTY not in page and page.count('class="near"') == 1


def test_gap_table_puts_what_is_open_and_severe_first(tmp_path):
    rows = tables.gap_rows(read_run_record(fake_run(tmp_path / "run", Fake())))
    assert [r["id"] for r in rows[:2]] == ["g003", "g004"] and {r["status"] for r in rows[2:]} == {"filled"}
    assert rows[0]["name"] == "subgroup site=hand" and rows[0]["tried"] == (3, 6, 3)
    filled = next(r for r in rows if r["id"] == "g000")
    assert filled["filled"] == 1 and len(filled["spark"]["points"].split()) == 2  # rounds 0 and 1, then no more


@pytest.mark.parametrize("nasty", [False, True])
def test_gaps_are_told_in_words_where_there_are_some(tmp_path, nasty):
    run = fake_run(tmp_path / "run", Fake(nasty=nasty))
    page = Page(render(read_run_record(run)))
    said = read_run_record(run).last.gaps.filter(gap_id="g003")["in_words"][0]
    assert [a for tag, a in page.tags if a.get("class") == "dim words"] == [{"class": "dim words"}]
    assert said in page.text and ("<script>" in said) == nasty
    for r in range(4):  # as an earlier version kept them
        path = run.round(r).root / "gaps.parquet"
        write_table(path, pl.read_parquet(path).drop("in_words"))
    assert "dim words" not in render(read_run_record(run))


def test_classes_that_fell_are_told_the_largest_fall_first(tmp_path):
    run = fake_run(tmp_path / "run", Fake(nasty=True))
    assert "Classes that fell" not in render(read_run_record(run))
    for t, falls in {1: {"class 0": {"from": 0.9, "to": 0.8}}, 2: {NASTY: {"from": 0.9, "to": 0.1}}}.items():
        write_json(run.round(t).root / "metrics.json", {**run.round(t).metrics, "regressions": falls})
    record = read_run_record(run)
    found = tables.regression_rows(record)
    assert [(f["t"], f["label"], f["to"]) for f in found] == [(2, NASTY, 0.1), (1, "class 0", 0.8)]
    assert found[1]["last"] == record.last.metrics["val"]["recall"]["class 0"]
    page = render(record)
    assert "Classes that fell" in page and NASTY not in page


def test_the_losses_that_val_chose_are_told_where_there_was_a_choice(tmp_path):
    run = fake_run(tmp_path / "run", Fake())
    for t, balance in enumerate((1.0, 0.5, 1.0)):
        write_json(run.round(t).root / "model" / "model.json", {"loss": {"balance": balance, "robustness": 0.0}})
    assert "as val chose it" not in render(read_run_record(run))
    settings = {"data": {"source": "digits"}, "train": {"balance": [1, 0.5]}, "review": {"annotator": "file"}}
    write_json(run.root / "config.json", Config.parse(settings).model_dump(mode="json"))
    told = "as val chose it: balance 1, robustness 0 in 2 rounds; balance 0.5, robustness 0 in 1 round."
    assert told in render(read_run_record(run))


@pytest.mark.parametrize(
    ("head", "told"),
    [
        ({}, "penalty 1 / rows, features flattened by 0.5."),
        ({"per_row": True, "decay": 0.01}, "penalty 0.01, features"),
        ({"described": True, "prototypes": None}, "speak against it"),
        ({"described": True, "prototypes": 0.0}, "are rows of their own."),
        ({"described": True, "prototypes": 10.0}, "drawn towards them by 10."),
    ],
)
def test_the_settings_of_the_last_head_are_told(tmp_path, head, told):
    run = fake_run(tmp_path / "run", Fake())
    assert "The head, as" not in render(read_run_record(run))
    known = {"decay": 1.0, "flatten": 0.5, "per_row": False, "prototypes": None, "described": False}
    write_json(run.round(1).root / "model" / "model.json", {"head": known | {"flatten": 1.0}})
    write_json(run.round(2).root / "model" / "model.json", {"head": known | head})
    assert told in render(read_run_record(run))


def test_weights_of_a_waiting_round_are_those_decided_before(tmp_path):
    run = fake_run(tmp_path / "run", Fake(waiting=True))
    manifest = run.round(2).manifest
    run.round(2).commit(manifest | {"policy": {"alpha": 0.123, "beta": 0.2, "gamma": 0.1}})
    alpha = figures.weights(read_run_record(run))["data"][0]
    assert alpha["x"] == [0, 1, 2, 3] and alpha["y"][-1] == 0.123
    first = read_run_record(fake_run(tmp_path / "first", Fake(rounds=1, waiting=True)))
    assert figures.weights(first)["data"][0]["y"] == [first.config["select"]["alpha"]]


def test_outcomes(tmp_path):
    record = read_run_record(fake_run(tmp_path / "run", Fake()))
    r = record.rounds[0]
    ids = r.query["sample_id"].to_list()
    acts = ["accept", "correct", "reject", "flag"]
    decisions = [{"sample_id": i, "action": act, "comment": None} for i, act in zip(ids, acts, strict=False)]
    decided = type(r)(0, r.metrics, r.manifest, query=r.query, decisions=frame(decisions, DECISIONS))
    found = outcomes(decided, {ids[0]: "a", ids[1]: "b"})
    assert [found[i]["state"] for i in ids] == ["accepted", "corrected", "rejected", "flagged", "waiting"]
    assert outcomes(decided, {})[ids[0]]["state"] == "undecided"  # accepted by one, yet not in the dataset


# --- galleries and pictures ------------------------------------------------------------------------------


def test_galleries_are_bounded_and_say_so(tmp_path, monkeypatch):
    monkeypatch.setattr(gallery, "MAX_TILES", 7)
    run = fake_run(tmp_path / "run", Fake())
    record = read_run_record(run)
    for sections in (gallery.selected(record), gallery.generated(record)):
        assert len(gallery.tile_ids(sections)) == 7
        assert sum(s["total"] for s in sections) > 7
    assert "shown" in Page(render(record)).text


def test_generated_shows_every_fate_with_its_reason(tmp_path):
    sections = gallery.generated(read_run_record(fake_run(tmp_path / "run", Fake())))
    names = {g["name"] for s in sections for g in s["groups"]}
    assert names == {"confirmed by people", "passed, not asked about", "rejected by quality control"}
    assert sections[0]["reasons"] == [("near copy", 2)]


def test_what_found_a_real_sample_that_was_asked_about_says_so(tmp_path):
    run = fake_run(tmp_path / "run", Fake())
    names = [g["name"] for s in gallery.generated(read_run_record(run)) for g in s["groups"]]
    instead = "a real one was asked about instead"
    first = run.round(0)
    kept, asked = first.read("synthetic.parquet").filter(status="kept"), first.read("query.parquet")
    finder = kept.filter(~pl.col("sample_id").is_in(asked["sample_id"].to_list()))["sample_id"][0]
    write_table(first.root / "query.parquet", asked.with_columns(lit_by=pl.lit(finder)))
    record = read_run_record(run)
    groups = {g["name"]: g["tiles"] for g in gallery.generated(record)[0]["groups"]}
    assert instead not in names and [tile["id"] for tile in groups[instead]] == [finder]
    assert {t["name"] for t in figures.fate_of_synthetics(record, {})["data"]} >= {instead}


@pytest.mark.parametrize(
    ("reason", "said"),
    [
        ("confidence 0.12 < 0.30; agreement 0.33 < 0.50", "low confidence and low agreement"),
        ("copy of a real sample: nearest-neighbour ratio 0.10 < 0.25", "copy of a real sample"),
        ("none of the classes", "none of the classes"),
        ("0.3", "0.3"),
    ],
)
def test_reasons_are_counted_without_their_numbers(reason, said):
    assert gallery._reason(reason) == said


def test_shares_use_all_there_is():
    assert gallery._shares([3, 100, 100], 50) == [3, 23, 24]
    assert gallery._shares([], 50) == [] and gallery._shares([2, 0], 50) == [2, 0]


def test_thumbnails_are_small_and_bad_pictures_are_passed_over():
    file = io.BytesIO()
    noise = derive_rng(0).integers(0, 255, (300, 500, 3), dtype=np.uint8)
    Image.fromarray(noise).save(file, "TIFF")
    src = pictures.thumbnail(file.getvalue())
    assert src.startswith("data:image/webp;base64,") and len(src) < 20_000
    tiny = encode_images(np.zeros((1, 1, 8, 8)))[0]
    assert pictures.thumbnail(tiny).startswith("data:image/png;base64,")
    assert pictures.thumbnail(b"<svg onload=alert(1)>") is None
    assert "text" in pictures.show(b"not a picture", "image")


def test_pictures_stop_at_the_budget():
    shown, left_out = pictures.show_all("abc", {"a": "x" * 300, "b": "y" * 300, "c": "z"}, "text", 400)
    assert (list(shown), left_out) == (["a", "b"], 1)


# --- the map ---------------------------------------------------------------------------------------------


def test_map_agrees_with_the_dataset(tmp_path):
    record = read_run_record(fake_run(tmp_path / "run", Fake()))
    points = latent.latent_map(record)
    row = {i: k for k, i in enumerate(points["ids"])}
    assert len(points["x"]) == len(points["y"]) == len(row) == 60 + 8 + 3 * 6
    for i, label, t in record.dataset.select("sample_id", "label", "round").iter_rows():
        assert points["entered"][row[i]] == t and points["classes"][points["label"][row[i]]] == label
    assert sum(t >= 0 for t in points["entered"]) == len(record.dataset)
    assert sum(points["synthetic"]) == 18
    for r, found in zip(record.rounds[:3], points["rounds"], strict=False):
        assert {points["ids"][k] for k in found["query"]} == set(r.query["sample_id"])
        assert len(found["kept"]) + len(found["dropped"]) == 6 and not set(found["kept"]) & set(found["dropped"])
    assert points["rounds"][3]["query"] == []


def test_a_large_map_is_a_sample_with_all_that_was_asked(tmp_path, monkeypatch):
    monkeypatch.setattr(latent, "MAX_POINTS", 40)
    record = read_run_record(fake_run(tmp_path / "run", Fake()))
    points = latent.latent_map(record)
    musts = set(record.dataset["sample_id"]) | {i for r in record.rounds[:3] for i in r.query["sample_id"]}
    assert musts <= set(points["ids"]) and len(points["ids"]) == 40 and points["total"] == 86


def test_more_classes_than_colours_leave_the_commonest_coloured(tmp_path):
    points = latent.latent_map(read_run_record(fake_run(tmp_path / "run", Fake(classes=12))))
    assert points["colours"].count(latent.OTHER) == 2 and len(set(points["colours"])) == 11


@pytest.mark.parametrize("shape", [(0, 5), (1, 5), (3, 1), (9, 4), (30, 1), (30, 40)])
@pytest.mark.parametrize("flat", [False, True])
def test_projection_of_anything_is_finite(shape, flat):
    features = np.ones(shape) if flat else derive_rng(0).normal(size=shape)
    points, method = latent.project(features.astype(np.float32), 0)
    assert points.shape == (shape[0], 2) and np.isfinite(points).all() and method == "PCA"


@pytest.fixture
def real_umap() -> None:
    pass


def test_umap_keeps_groups_apart_and_repeats_itself(real_umap):
    rng = derive_rng(0)
    features = np.concatenate([rng.normal(size=(40, 50)), rng.normal(size=(40, 50)) + 8]).astype(np.float32)
    points, method = latent.project(features, 7)
    assert method == "UMAP" and np.array_equal(points, latent.project(features, 7)[0])
    groups = np.repeat([0, 1], 40)
    distance = np.linalg.norm(points[:, None] - points[None], axis=2) + 1e9 * np.eye(80)
    assert (groups[distance.argmin(axis=1)] == groups).all()
    assert latent.project(np.tile(features[:15], (4, 1)), 7)[1] == "UMAP"  # every row four times over


# --- in a browser ----------------------------------------------------------------------------------------


POINT = """(() => {
  const plane = document.getElementById("plane"), box = plane.getBoundingClientRect();
  const { xaxis, yaxis } = plane._fullLayout;
  const trace = plane.data.find((t) => t.name === "asked, accepted");
  return [box.left + xaxis._offset + xaxis.d2p(trace.x[0]), box.top + yaxis._offset + yaxis.d2p(trace.y[0])];
})()"""


@pytest.mark.parametrize("fake", [Fake(), Fake(modality="text", nasty=True)], ids=["images", "nasty texts"])
def test_the_page_lives(browser, tmp_path, fake):
    run = fake_run(tmp_path / "run", fake)
    browser.get(write_report(run).as_uri())
    wait_for(browser, "document.querySelectorAll('.js-plotly-plot').length > 8")
    # The slider moves the map …
    assert wait_for(browser, "document.getElementById('told').textContent").startswith("Round 3: ")
    browser.execute_script("document.getElementById('map').scrollIntoView({ behavior: 'instant' })")
    browser.execute_script(
        "const s = document.getElementById('slider'); s.value = 1; s.dispatchEvent(new Event('input'))"
    )
    wait_for(browser, "document.getElementById('told').textContent.startsWith('Round 1: ')")
    count = "document.getElementById('plane').data.filter((t) => {}).reduce((n, t) => n + t.x.length, 0)"
    assert browser.execute_script("return " + count.format("t.legendgroup.startsWith('asked')")) == 5
    assert browser.execute_script("return " + count.format("t.showlegend === false")) == len(run.dataset(1))
    # … pointing at a sample shows it …
    x, y = wait_for(browser, POINT)
    browser.execute_cdp_cmd("Input.dispatchMouseEvent", {"type": "mouseMoved", "x": x, "y": y})
    told = wait_for(browser, "!document.getElementById('tip').hidden && document.getElementById('tip').innerText")
    assert "asked in round 1" in told
    if fake.modality == "image":
        assert wait_for(browser, "document.querySelector('#tip img').naturalWidth") == 8
        assert wait_for(browser, "[...document.querySelectorAll('.tile img')].every((i) => i.naturalWidth === 8)")
    # … no text has become script, nothing is wider than a narrow window, and the console is clean.
    assert_sound(browser)
