"""Writes a small run folder that looks as if the loop had made it, so that what reads runs can be tested without one.

`make_run(path, modality=…)` for images (scikit-learn's digits), texts (with subgroups, user columns and hostile class
names) or vectors. Nothing is trained: figures are made up, tables agree with each other and with schema.py.
"""

from __future__ import annotations

import io
import json
from pathlib import Path

import numpy as np
import polars as pl
from PIL import Image
from sklearn.datasets import load_digits

from adde_ray.artifacts.queries import keep_asked
from adde_ray.artifacts.run_dir import RunDir, read_table, write_json, write_table
from adde_ray.artifacts.schema import (
    CANDIDATES,
    DATASET,
    DECISIONS,
    GAPS,
    QUERY,
    SYNTHETIC,
    Meta,
    Split,
    frame,
    sample_id,
    with_payload,
)
from adde_ray.config import Config

HOSTILE = ("a|b", "<b>bold</b>", "`code` *x*", "line\nbreak", "---", "yes")
"""Class names of the text run: each would break Markdown or YAML that does not escape it."""

SIZES = {"seed": 6, "pool": 40, "val": 12, "test": 10, "ood": 5}
BATCH = 4
START = 1_760_000_000  # 2025-10-09


def make_run(
    path: Path,
    *,
    modality: str = "image",
    rounds: int = 2,
    finished: bool = True,
    splits: tuple[str, ...] = ("seed", "pool", "val", "test", "ood"),
    events: bool = True,
    seed: int = 0,
) -> RunDir:
    """A run of `rounds` rounds that bought labels. `rounds=0, finished=False`: only D_0, no round committed."""
    rng = np.random.default_rng(seed)
    tables, meta = _ingest(modality, splits, rng)
    run = RunDir(path)
    write_json(path / "config.json", _config(modality, path.name).model_dump(mode="json"))
    write_json(path / "ingest/meta.json", json.loads(json.dumps(vars(meta))))
    truth = tables["pool"].select("sample_id", "label")
    for name, table in tables.items():
        stored = table.with_columns(label=pl.lit(None, pl.String)) if name == "pool" else table
        write_table(path / f"ingest/{name}.parquet", stored)
    write_table(path / "ingest/oracle.parquet", truth)

    known = {"round": [0] * len(tables["seed"]), "origin": ["real"] * len(tables["seed"])}
    part = tables["seed"].select("sample_id", "label", modality).to_dict(as_series=False)
    empty = [[] for _ in tables["seed"]["sample_id"]]
    part = frame({**part, **known, "decision_ids": empty, "annotators": empty}, with_payload(DATASET, modality))
    write_table(run.dataset_part(0), part)

    last = rounds if finished else rounds - 1
    for t in range(last + 1):
        ends = finished and t == rounds
        asked = confirmed = 0
        if not ends:
            asked, confirmed = _round(run, t, tables["pool"], meta, rng)
        _measured(run, t, meta, confirmed)
        for stage in ("train", "analyse") if events else ():
            _event(path, t, stage)
        run.round(t).commit(
            {
                "round": t,
                "weights": {"alpha": 0.6, "beta": 0.3, "gamma": 0.1},
                "policy": {"alpha": 0.55},
                "adaptation": []
                if ends
                else [{"rule": "reweigh", "what": "alpha", "from": 0.6, "to": 0.55, "reason": "U | Div paid"}],
                "asked": asked,
                "confirmed": confirmed,
                "stop_reason": "the budget of labels is spent" if ends else None,
            }
        )
    return run


def _config(modality: str, name: str) -> Config:
    data = {"source": "digits"}
    if modality != "image":
        data = {"source": "csv", "path": "tickets.parquet", f"{modality}_column": "body", "subgroup_columns": ["site"]}
    return Config.parse({"run": {"name": name}, "data": data, "select": {"batch": BATCH}})


def _ingest(modality: str, splits: tuple[str, ...], rng: np.random.Generator) -> tuple[dict[str, pl.DataFrame], Meta]:
    digits = load_digits()
    total = sum(SIZES.values())
    labels = [str(x) for x in digits.target[:total]]
    user: dict[str, list] = {}
    if modality == "image":
        payloads = [_png(image) for image in digits.images[:total]]
    elif modality == "vector":
        payloads = [(row / 16).astype("<f4") for row in digits.data[:total]]
    else:
        labels = [HOSTILE[i % len(HOSTILE)] for i in range(total)]
        payloads = [f"ticket {i}: {label}" for i, label in enumerate(labels)]
        user = {
            "site": ["north", "south | east", None][:3] * (total // 3) + ["north"] * (total % 3),
            "origin": [f"form {i}" for i in range(total)],  # called like a column of ours
            "score/10 %": [None if i % 5 == 0 else i / 10 for i in range(total)],
            "tags": [["x"] * (i % 3) for i in range(total)],
        }
    ids = [sample_id(p) for p in payloads]
    stored = [p.tolist() for p in payloads] if modality == "vector" else payloads
    type_ = {"image": pl.Binary, "text": pl.String, "vector": pl.List(pl.Float32)}[modality]
    everything = pl.DataFrame({"sample_id": ids, "label": labels, modality: pl.Series(stored, dtype=type_), **user})
    tables, start = {}, 0
    for name, size in SIZES.items():
        if name in splits:
            tables[name] = everything[start : start + size].sort("sample_id")
        start += size
    meta = Meta(
        modality=modality,
        classes=tuple(sorted(set(labels))),
        subgroups=("site",) if "site" in user else (),
        num_rows={name: len(table) for name, table in tables.items()},
        num_rejected=3,
        has_oracle=True,
    )
    return tables, meta


def add_columns(run: RunDir, splits: dict[str, dict[str, pl.Expr]]) -> None:
    """User columns as if the split's source had had them."""
    for split, columns in splits.items():
        paths = run.root.glob("rounds/*/asked.parquet") if split == "pool" else []
        for path in [run.root / f"ingest/{split}.parquet", *paths]:
            write_table(path, read_table(path).with_columns(**columns))


def _round(run: RunDir, t: int, pool: pl.DataFrame, meta: Meta, rng: np.random.Generator) -> tuple[int, int]:
    """Query, decisions, synthetic samples and the next part of the dataset. Returns (asked, confirmed)."""
    folder, modality = run.round(t), meta.modality
    taken = set(run.dataset()["sample_id"])
    fresh = pool.filter(~pl.col("sample_id").is_in(list(taken))).head(BATCH)
    scores = {"confidence": 0.5, "Div": 0.25, "Q": 1.0, "score": 0.5, "origin": "real"}
    rows = [
        {**scores, "U": 0.5 + i / 10, "gap_id": None if i else "g1", "suggested": row["label"]}
        | {"sample_id": row["sample_id"], modality: row[modality]}
        for i, row in enumerate(fresh.iter_rows(named=True))
    ]
    if modality != "text":
        rows.append(_synthetic(folder, t, fresh.row(0, named=True), meta, rng))
    rows = [{**row, "rank": rank} for rank, row in enumerate(rows)]
    write_table(folder.root / "candidates.parquet", frame(rows, CANDIDATES))
    write_table(folder.root / "query.parquet", frame(rows, with_payload(QUERY, modality)))
    stored = fresh.sort("sample_id").with_columns(label=pl.lit(None, pl.String))
    keep_asked(Split(stored, np.zeros((len(stored), 2), np.float32)), folder)

    decisions = []
    for i, row in enumerate(rows):
        # The first is refused, the second corrected, the rest accepted.
        action = ("reject", "correct")[i] if i < 2 else "accept"
        label = {"reject": None, "correct": meta.classes[t % len(meta.classes)]}.get(action, row["suggested"])
        decisions.append(
            {
                "decision_id": f"d{t}-{i}", "sample_id": row["sample_id"], "round": t,
                "annotator": "ann|a" if i % 2 else "bo", "action": action, "label": label,
                "comment": "blurred" if action == "reject" else None,
            }
        )  # fmt: skip
    write_table(folder.root / "decisions.parquet", frame(decisions, DECISIONS))
    part = [
        {**row, "label": d["label"], "round": t + 1, "decision_ids": [d["decision_id"]], "annotators": [d["annotator"]]}
        for row, d in zip(rows, decisions, strict=True)
        if d["label"] is not None
    ]
    part.sort(key=lambda row: row["sample_id"])
    write_table(run.dataset_part(t + 1), frame(part, with_payload(DATASET, modality)))
    return len(rows), len(part)


def _synthetic(folder, t: int, parent: dict, meta: Meta, rng: np.random.Generator) -> dict:
    values = rng.random(64).astype("<f4")
    payload = _png(values.reshape(8, 8) * 16) if meta.modality == "image" else values
    stored = payload if meta.modality == "image" else payload.tolist()
    made = {
        "sample_id": sample_id(payload), "gap_id": "g1", "generator": "cvae", "parents": [parent["sample_id"]],
        meta.modality: stored,
    }  # fmt: skip
    kept = {**made, "intended": parent["label"], "confidence": 0.6, "agreement": 1.0, "nn_ratio": 1.2, "status": "kept"}
    write_table(folder.root / "synthetic.parquet", frame([kept], with_payload(SYNTHETIC, meta.modality)))
    scores = {"confidence": 0.6, "U": 0.4, "Div": 0.9, "Q": 0.8, "score": 0.6}
    return {**made, **scores, "origin": "synthetic", "suggested": parent["label"]}


def _measured(run: RunDir, t: int, meta: Meta, confirmed: int) -> None:
    gap = {"centroid": [0.0, 1.0], "radius": 1.0, "density": 0.1, "anchors": [], "opened_round": 0}
    counts = {"num_labelled": 1, "num_pool": 9, "num_synthesised": t, "num_asked": t, "num_confirmed": 0}
    gaps = [
        {
            **gap,
            **counts,
            "gap_id": "g1",
            "kind": "class",
            "label": meta.classes[0],
            "severity": 0.75,
            "status": "open",
        },
        {**gap, **counts, "gap_id": "g2", "kind": "density", "severity": 0.9, "status": "open" if t == 0 else "filled"}
        | ({"filled_round": 1} if t else {}),
    ]
    if meta.subgroups:
        about = {"kind": "subgroup", "subgroup": "site=south | east", "severity": 1.0, "status": "open"}
        gaps.append({**gap, **counts, "gap_id": "g3", **about})
    write_table(run.round(t).root / "gaps.parquet", frame(gaps, GAPS))
    dataset = run.dataset(t)
    per_class = dict(dataset.group_by("label").len().iter_rows())
    recall = {name: 0.5 for name in meta.classes}
    quality = {"macro_f1": 0.5 + t / 10, "accuracy": 0.6, "worst_class_recall": 0.1, "ece": 0.05, "nll": 1.0}
    write_json(
        run.round(t).root / "metrics.json",
        {
            "round": t,
            "num_asked": t * (BATCH + (meta.modality != "text")),
            "num_labels": t * (BATCH + (meta.modality != "text")),
            "num_samples": len(dataset),
            "num_synthetic": int((dataset["origin"] == "synthetic").sum()),
            "per_class": {name: per_class.get(name, 0) for name in meta.classes},
            "val": {**quality, "recall": recall},
            "test": {**quality, "recall": recall},
            "ood": {},
            "diversity": {"m_div": 0.25 + t / 100},
            "gaps": {"open": len(gaps) - (t > 0), "filled": int(t == 1), "new": len(gaps) if t == 0 else 0},
        },
    )


def _event(path: Path, t: int, stage: str) -> None:
    with (path / "events.jsonl").open("a") as file:
        for kind in ("start", "end"):
            event = {"time": START + 3600 * t, "event": kind, "round": t, "stage": stage, "seconds": 1.0}
            file.write(json.dumps(event) + "\n")


def _png(image: np.ndarray) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray((image * 15.9375).astype(np.uint8)).save(buffer, "PNG")
    return buffer.getvalue()
