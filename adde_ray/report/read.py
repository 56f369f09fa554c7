"""Reads a run's artifacts into one `RunRecord`, whatever state the run is in.

A run may be finished, wait for people (its last round has a query and no manifest) or have been killed; a
round counts as soon as it has metrics.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import polars as pl

from adde_ray.artifacts import features as features_file
from adde_ray.artifacts.descriptions import descriptions
from adde_ray.artifacts.digests import unsealed
from adde_ray.artifacts.queries import ASKED
from adde_ray.artifacts.run_dir import MANIFEST, MODEL, RunDir, read_json, read_table
from adde_ray.artifacts.schema import Meta
from adde_ray.errors import UserError
from adde_ray.report.rehearsal import Rehearsal, rehearsal
from adde_ray.report.summary import stage_seconds, summarise


@dataclass(frozen=True)
class Round:
    """One round: what it measured, and its tables where it has them."""

    t: int
    metrics: dict
    manifest: dict | None  # None while the round is not over
    loss: dict | None = None  # by which f was trained: see methods.losses.Loss
    head: dict | None = None  # settings of a linear head: see methods.model.head_choice.Choice
    gaps: pl.DataFrame | None = None
    query: pl.DataFrame | None = None
    decisions: pl.DataFrame | None = None
    synthetic: pl.DataFrame | None = None
    wishes: pl.DataFrame | None = None  # WISHED: what somebody asked for


@dataclass(frozen=True)
class RunRecord:
    """All the report tells, as read from the run's folder."""

    root: Path
    summary: dict  # summary.summarise: status, stop_reason, num_labels, dataset_fingerprint, …
    config: dict
    provenance: dict
    meta: Meta
    rounds: list[Round]
    dataset: pl.DataFrame
    seconds: dict[int, dict[str, float]]  # round -> stage -> seconds
    random: list[dict] = field(default_factory=list)  # metrics of baselines/random, one per round
    rehearsal: Rehearsal | None = None  # how the two compare at the end
    descriptions: pl.DataFrame | None = None  # DESCRIPTIONS

    @property
    def last(self) -> Round:
        """The newest round."""
        return self.rounds[-1]

    def curve(self, split: str, metric: str) -> list[float | None]:
        """One value per round; None where it was not measured."""
        return [r.metrics.get(split, {}).get(metric) for r in self.rounds]

    def random_curve(self, split: str, metric: str) -> list[float | None]:
        """The same of the random selection beside the run; empty without one."""
        return [m.get(split, {}).get(metric) for m in self.random]

    @property
    def by_people(self) -> bool:
        """Whether people answer, or are simulated: a model that answers for itself is neither."""
        return self.config.get("review", {}).get("annotator") != "model"

    @property
    def headline(self) -> str:
        """The split quality is reported on: test where there is one, else val."""
        return "test" if any(x is not None for x in self.curve("test", "macro_f1")) else "val"


def read_run_record(run: RunDir) -> RunRecord:
    """Read `run`. Raises UserError when no round has been analysed yet."""
    rounds = read_rounds(run)
    if not rounds:
        raise UserError("no round is done yet, there is nothing to report", where=run.root, remedy="Continue the run")
    return RunRecord(
        root=run.root,
        summary=summarise(run),
        config=read_json(run.root / "config.json"),
        provenance=unsealed(_json_or(run.root / "provenance.json", {})),
        meta=Meta.from_json(read_json(run.root / "ingest" / "meta.json")),
        rounds=rounds,
        dataset=run.dataset(),
        seconds=stage_seconds(run),
        random=[r.metrics for r in read_rounds(RunDir(run.root / "baselines" / "random"), tables=False)],
        rehearsal=rehearsal(run),
        descriptions=descriptions(run),
    )


def read_rounds(run: RunDir, *, tables: bool = True) -> list[Round]:
    """Every round that has metrics, in order, committed or not."""
    found = sorted(int(p.parent.name) for p in (run.root / "rounds").glob("[0-9][0-9][0-9]*/metrics.json"))
    rounds = []
    for t in found:
        folder = run.round(t)
        manifest = _json_or(folder.root / MANIFEST, None)
        names = ("gaps", "query", "decisions", "synthetic", "wishes") if tables else ()
        parts = {name: folder.read(f"{name}.parquet") for name in names}
        model = _json_or(folder.root / MODEL, {})
        rounds.append(Round(t, folder.metrics, manifest, model.get("loss"), model.get("head"), **parts))
    return rounds


def read_features(root: Path, splits: tuple[str, ...] = ("pool", "pool-sample", "seed")) -> pl.DataFrame:
    """sample_id, split, features of the rows the frozen encoder has seen; of a pool that is streamed, its sample."""
    # A run embeds once, so there is one fingerprint; if ever there are more, the newest is the one in use.
    folders = sorted((root / "embeddings").glob("*/"), key=lambda p: (p.stat().st_mtime, p.name))
    schema = {"sample_id": pl.String, "split": pl.String, "features": pl.List(pl.Float32)}
    found = []
    for split in splits if folders else ():
        path = folders[-1] / f"{split}.parquet"
        if path.exists():
            ids, features = features_file.read_features(path)
            name = pl.lit("pool" if split == "pool-sample" else split).alias("split")
            table = pl.DataFrame({"sample_id": ids, "features": np.asarray(features, dtype=np.float32)})
            found.append(table.select("sample_id", name, pl.col("features").cast(pl.List(pl.Float32))))
    return pl.concat(found) if found else pl.DataFrame(schema=schema)


def read_payloads(record: RunRecord, ids: set[str]) -> dict[str, bytes | str | list[float]]:
    """The payloads of `ids`: of what people were asked about, the seed set, the dataset, the synthetic rows and the
    examples of classes, and of the pool in memory."""
    column, found = record.meta.modality, {}
    paths = [record.root / "ingest" / f"{split}.parquet" for split in ("pool", "pool-sample", "seed", "examples")]
    paths += [record.root / "rounds" / f"{r.t:03d}" / ASKED for r in record.rounds]
    tables = [read_table(p, "sample_id", column) for p in paths if p.exists()]
    tables += [record.dataset, *(r.synthetic for r in record.rounds if r.synthetic is not None)]
    for table in tables:
        if column in table.columns:
            wanted = table.select("sample_id", column).filter(pl.col("sample_id").is_in(list(ids)))
            found.update(zip(wanted["sample_id"].to_list(), wanted[column].to_list(), strict=True))
    return found


def final_labels(record: RunRecord) -> dict[str, str]:
    """sample_id -> label of everything in the dataset."""
    return dict(zip(record.dataset["sample_id"].to_list(), record.dataset["label"].to_list(), strict=True))


def gap_names(record: RunRecord) -> dict[str, str]:
    """gap_id -> what the gap is about, in words."""
    names = {}
    for r in record.rounds:
        for row in [] if r.gaps is None else r.gaps.iter_rows(named=True):
            names[row["gap_id"]] = gap_name(row)
    return names


def gap_name(row: dict) -> str:
    """A gap in words: its kind, and the class or subgroup it is about."""
    kind = row["kind"].replace("_", " ")
    if row["kind"] == "subgroup" and row["subgroup"]:
        return f"subgroup {row['subgroup']}"
    if row["label"] is None:
        return kind
    return f"class {row['label']}" if row["kind"] == "class" else f"{kind} (class {row['label']})"


def outcomes(r: Round, labels: dict[str, str]) -> dict[str, dict]:
    """sample_id -> what people made of it, for each sample asked in round `r`.

    `state`: accepted, corrected, rejected, flagged, undecided (no agreement) or waiting; `label`: the class it
    entered the dataset with, else None; `comments`: what annotators wrote.
    """
    acts: dict[str, list[dict]] = {}
    for act in [] if r.decisions is None else r.decisions.iter_rows(named=True):
        acts.setdefault(act["sample_id"], []).append(act)
    return {i: _outcome(acts.get(i, []), labels.get(i)) for i in ([] if r.query is None else r.query["sample_id"])}


def lent(record: RunRecord) -> set[str]:
    """Synthetic samples that found a real one which was asked about in their place."""
    queries = [r.query["lit_by"] for r in record.rounds if r.query is not None and "lit_by" in r.query.columns]
    return {i for lit_by in queries for i in lit_by.drop_nulls()}


def _outcome(acts: list[dict], label: str | None) -> dict:
    if not acts:
        return {"state": "waiting", "label": None, "comments": []}
    action = Counter(act["action"] for act in acts).most_common(1)[0][0]
    if label is not None:
        state = "corrected" if action == "correct" else "accepted"
    else:
        state = {"reject": "rejected", "flag": "flagged"}.get(action, "undecided")
    return {"state": state, "label": label, "comments": [act["comment"] for act in acts if act["comment"]]}


def _json_or(path: Path, default):
    return read_json(path) if path.exists() else default
