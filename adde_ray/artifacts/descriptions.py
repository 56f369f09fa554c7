"""Which classes of a run are described, as its folder tells: descriptions-<mark>.parquet, see `stages/describe`."""

from __future__ import annotations

from typing import Any

import polars as pl

from adde_ray.artifacts.run_dir import MODEL, RoundDir, RunDir, fingerprint, read_json, read_table
from adde_ray.artifacts.schema import Meta
from adde_ray.config import Config

SHOWN = 5
"""Classes named in a sentence."""


def setting_of(config: Config) -> Any:
    """`data.describe` as plain values; none where a plugin's source does not know it."""
    return config.model_dump(mode="json")["data"].get("describe", "none")


def examples_of(run: RunDir) -> pl.DataFrame:
    """label, sample_id and image of the files that describe classes; no rows without any."""
    path = run.root / "ingest" / "examples.parquet"
    return read_table(path) if path.exists() else pl.DataFrame(schema={"label": pl.String, "sample_id": pl.String})


def file_name(setting: Any, meta: Meta, examples: pl.DataFrame) -> str:
    """That of the descriptions: where example files lie is no matter, what they hold is."""
    said = setting if isinstance(setting, str) else {n: None if isinstance(s, dict) else s for n, s in setting.items()}
    mark = fingerprint(said, meta.classes, examples.select("label", "sample_id").rows())
    return f"descriptions-{mark}.parquet"


def descriptions(run: RunDir) -> pl.DataFrame | None:
    """DESCRIPTIONS as the run has made them; None where it has made none."""
    meta_file = run.root / "ingest" / "meta.json"
    if not meta_file.exists():
        return None
    name = file_name(setting_of(run.config), Meta.from_json(read_json(meta_file)), examples_of(run))
    found = sorted((run.root / "embeddings").glob(f"*/{name}"), key=lambda path: (path.stat().st_mtime, path))
    return read_table(found[-1]) if found else None


def knows_descriptions(round_: RoundDir) -> bool:
    """Whether a round's linear head learned from descriptions, and did not turn them down. Raises Halted: no model."""
    return read_json(round_.root / MODEL).get("head", {}).get("prototypes") is not None


def notes(run: RunDir) -> list[str]:
    """What of the descriptions counts for nothing, in a sentence; nothing before the data is embedded."""
    meta_file, setting = run.root / "ingest" / "meta.json", setting_of(run.config)
    if isinstance(setting, str) or not meta_file.exists() or not any((run.root / "embeddings").glob("*/encoder.json")):
        return []
    name = file_name(setting, Meta.from_json(read_json(meta_file)), examples_of(run))
    kept = [read_table(path, "label") for path in (run.root / "embeddings").glob(f"*/{name}")]
    described = {label for table in kept for label in table["label"]}
    return unread(sorted(name for name, of in setting.items() if not isinstance(of, dict) and name not in described))


def unread(classes: list[str]) -> list[str]:
    """A sentence on classes whose words no encoder reads; none for no class."""
    if not classes:
        return []
    named = ", ".join(classes[:SHOWN]) + (", …" if len(classes) > SHOWN else "")
    what = f"the encoder reads no words, so those of {len(classes)} classes count for nothing: {named}"
    return [f"data.describe: {what}; describe them by example files, or take a model of images and texts"]
