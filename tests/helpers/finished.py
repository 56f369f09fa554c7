"""Runs to their end, and what they leave."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import polars as pl

from adde_ray.artifacts.run_dir import RunDir, read_table
from adde_ray.loop import run

SYNTHETIC = {  # many synthetic samples, of whatever quality: what is tested is what becomes of them
    "generate": {"generator": "cvae", "steps": 20, "per_round": 16, "max_share": 0.4, "search": False},
    "quality_control": {"min_confidence": 0, "min_agreement": 0, "near_copy": 0},
    "gaps": {"tolerance": 1.0},
    "select": {"batch": 5, "selector": "random"},
}


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


def artifacts(folder) -> dict[str, bytes]:
    return {
        str(p.relative_to(folder)): p.read_bytes()
        for p in sorted(folder.rglob("*"))
        if p.is_file() and p.name not in ("events.jsonl", "provenance.json", ".lock")
    }
