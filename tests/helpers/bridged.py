"""What people are asked, without a run, and a small run that waits for answers."""

from __future__ import annotations

import io
import json
from pathlib import Path

import numpy as np
from fake_run import make_run
from PIL import Image

from adde_ray.artifacts.run_dir import RunDir, read_json, read_table, write_json
from adde_ray.labels import join
from adde_ray.review.bridges.base import Given, Question, Questions
from adde_ray.review.write_review import write_review

CLASSES = {
    False: ("01", "<b>&amp;", "=cmd", "a, b", 'café "quoted"'),
    True: ("<b>", "=cmd", "a, b", "café"),
}
"""Names that some format or other would break, of a single-label task and of a multi-label one."""


def picture(seed: int, side: int = 8) -> bytes:
    """A PNG of noise."""
    pixels = np.random.default_rng(seed).integers(0, 255, (side, side), dtype=np.uint8)
    data = io.BytesIO()
    Image.fromarray(pixels).save(data, "PNG")
    return data.getvalue()


def questions(modality: str = "image", *, multi: bool = False, count: int = 8, **about) -> Questions:
    """A query of so many samples, each class suggested in turn."""
    classes = about.pop("classes", CLASSES[multi])
    asked = []
    for i in range(count):
        payload = {"image": picture(i), "text": f'=text {i}, <b>"é"</b>\nlines', "vector": [0.5, float(i)]}[modality]
        name = classes[i % len(classes)]
        suggested = join([name, classes[0]] if i % 3 else []) if multi else name
        asked.append(Question(f"{i:032x}", i + 1, payload, "png", suggested, 0.25, "real"))
    fields = {"title": "tick & tock", "run": "0123456789abcdef", "round": 3, "earlier": {"f" * 32: classes[0]}}
    return Questions(modality=modality, classes=classes, multi=multi, asked=tuple(asked), **(fields | about))


def waiting_run(folder: Path, modality: str = "text", rounds: int = 2) -> RunDir:
    """A run whose last round is answered by file and waits: four samples, of earlier rounds four each."""
    run = make_run(folder, modality=modality, rounds=rounds, finished=False)
    round_ = run.round(rounds - 1)
    for name in ("manifest.json", "decisions.parquet"):
        (round_.root / name).unlink()
    run.dataset_part(rounds).unlink()
    config = read_json(folder / "config.json")
    write_json(folder / "config.json", config | {"review": config["review"] | {"annotator": "file"}})
    meta = read_json(folder / "ingest/meta.json")
    query = read_table(round_.root / "query.parquet")
    shown = query if modality in query.columns else query.join(_payloads(run, modality), on="sample_id", how="left")
    write_review(round_.root, shown, modality, tuple(meta["classes"]))
    return run


def _payloads(run: RunDir, modality: str):
    return read_table(run.root / "ingest/pool.parquet", "sample_id", modality)


def said(given: list[Given]) -> dict[str, tuple]:
    """sample_id -> action and labels."""
    return {one.sample_id: (one.action, one.labels) for one in given}


def written(path: Path, value: object) -> Path:
    """A JSON file."""
    path.write_text(json.dumps(value))
    return path
