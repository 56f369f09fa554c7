"""Export a run's dataset: a run folder in, a folder that `datasets` and Croissant readers open out.

data/train-*.parquet: D_T with label, lineage and the payload; data/validation-, test-, ood-*.parquet where
the run has them, lineage null. All with the same columns: DATASET, payload, subgroup and untouched user columns,
which ingest/ gives by sample_id. README.md is the dataset card, croissant.json the Croissant 1.0 metadata.
In a multi-label task `label` is a list of the classes that hold, and `unknown` one of those not known. Images are
the originals where these still are, under their files' names; else, without a name, what the model saw. labels.csv has
every sample's label by name.
The same run gives the same bytes: nothing here looks at the clock.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from tempfile import TemporaryFile
from typing import Literal

import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq

from adde_ray import labels as codec
from adde_ray.artifacts.queries import asked_rows
from adde_ray.artifacts.run_dir import RunDir, read_json, read_table
from adde_ray.artifacts.schema import DATASET, DECISIONS, PAYLOAD_TYPES, Meta, frame
from adde_ray.config import Config
from adde_ray.errors import UserError
from adde_ray.export import hf_features
from adde_ray.export.card import Facts, Round, card, describe, describe_images
from adde_ray.export.croissant import File, croissant
from adde_ray.export.labels_csv import write_labels
from adde_ray.export.originals import Images

SPLIT_NAMES = {"val": "validation", "test": "test", "ood": "ood"}
"""ingest/ split -> its name in the export."""

UNKNOWN = "unknown"
"""Column beside `label` in a multi-label task: the classes of which it is not known whether they hold."""

ROWS_PER_GROUP = 1000
"""Parquet row groups this small keep a reader's memory low when rows are images, …"""

BYTES_PER_GROUP = 1 << 26
"""… and these when they are photographs."""

Size = Literal["original", "model"]


def export(run: RunDir, out: Path, *, size: Size = "original", tell: Callable[[str], None] | None = None) -> Path:
    """Write the dataset of `run` to the folder `out`, whole or not at all. Returns `out`.

    size: images as the user has them, or as the model saw them. tell: is told how many originals there were, in one
    sentence. Raises UserError: `out` is there and not empty, it cannot be written, or the run has no dataset yet.
    """
    out = Path(out)
    if out.exists() and not out.is_dir():
        raise UserError("is a file", where=out, remedy="Choose a folder")
    if out.exists() and any(out.iterdir()):
        raise UserError("is not empty", where=out, remedy="Choose another folder, or remove this one")
    if not run.dataset_part(0).exists():
        raise UserError("holds no dataset yet", where=run.root, remedy="Let the run get past its seed set")
    content = _gather(run)
    try:
        return _into_place(out, lambda folder: _fill(folder, content, size, tell))
    except OSError as error:
        raise UserError(
            f"cannot be written: {error.strerror or error}", where=out, remedy="Choose a folder you may write to"
        ) from None


@dataclass(frozen=True)
class Content:
    """All that an export writes."""

    meta: Meta
    config: Config
    splits: dict[str, pl.DataFrame]  # exported split -> rows with the payload, `label` as class names
    schema: pa.Schema  # of every file
    facts: Facts
    created: datetime | None


def _gather(run: RunDir) -> Content:
    meta = Meta.from_json(read_json(_ingest(run) / "meta.json"))
    splits, renamed = _splits(run, meta)
    schema = _schema(splits["train"], meta)
    times = [event["time"] for event in run.events() if "time" in event]
    facts = _facts(run, meta, splits, hf_features.features(schema, meta.classes), renamed)
    return Content(meta, run.config, splits, schema, facts, created=_moment(min(times)) if times else None)


def _fill(folder: Path, content: Content, size: Size, tell: Callable[[str], None] | None) -> None:
    if content.meta.modality != "image":
        return _write(content, folder, None)
    with TemporaryFile(dir=folder) as file:
        if size == "original":
            images = Images.gather(content.config, content.splits, file)
        else:
            images = Images.as_the_model_saw(content.config, content.splits)
        features = content.facts.features | hf_features.image_feature(decode=images.all_open)
        facts = replace(content.facts, images=images, features=features)
        _write(replace(content, facts=facts), folder, images)
    if tell and images.wanted:
        tell(images.told())


def _write(content: Content, folder: Path, images: Images | None) -> None:
    schema, facts = hf_features.with_metadata(content.schema, content.facts.features), content.facts
    files, sizes = {}, {}
    for split, rows in content.splits.items():
        path = folder / f"data/{split}-00000-of-00001.parquet"
        memory = _write_parquet(path, rows, schema, content.meta, images)
        files[split] = _digest(path, folder)
        sizes[split] = hf_features.SplitSize(len(rows), memory, files[split].size)
    labels = folder / "labels.csv"
    write_labels(labels, content.splits)
    (folder / "README.md").write_text(card(facts, sizes), encoding="utf-8")
    tree = croissant(
        name=facts.name,
        description=describe(facts),
        files=files,
        schema=schema,
        classes=facts.classes,
        labels=_digest(labels, folder),
        images=describe_images(facts),
        pictures=images is None or images.all_open,
        created=content.created,
        modified=facts.finished,
    )
    text = json.dumps(tree, indent=2, sort_keys=True, ensure_ascii=False)
    (folder / "croissant.json").write_text(text + "\n", encoding="utf-8")


def _digest(path: Path, folder: Path) -> File:
    with path.open("rb") as file:
        sha256 = hashlib.file_digest(file, "sha256").hexdigest()
    return File(path.relative_to(folder).as_posix(), sha256, path.stat().st_size)


def _into_place(out: Path, fill: Callable[[Path], None]) -> Path:
    """Have `fill` make a sibling folder, and rename it to `out` when all of it is on disk."""
    temporary = out.parent / f".{out.name}.tmp"
    shutil.rmtree(temporary, ignore_errors=True)  # what a killed export left
    temporary.mkdir(parents=True)
    try:
        fill(temporary)
        for path in (p for p in temporary.rglob("*") if p.is_file()):
            with path.open("rb") as file:
                os.fsync(file.fileno())
        os.replace(temporary, out)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
    return out


# --- tables --------------------------------------------------------------------------------------------


def _splits(run: RunDir, meta: Meta) -> tuple[dict[str, pl.DataFrame], dict[str, str]]:
    """Exported split -> rows, all with the same columns and types; and user columns that had to be renamed."""
    folder = _ingest(run)
    ingested = {s: read_table(p) for s in ("seed", *SPLIT_NAMES) if (p := folder / f"{s}.parquet").exists()}
    if asked := asked_rows(run, len(run.rounds())):
        ingested["asked"] = pl.concat([part.table for part in asked], how="diagonal_relaxed")
    ours = [*DATASET.names, meta.modality]
    names_of_ours = [*ours, UNKNOWN] if meta.multi else ours
    names = dict.fromkeys(
        c for table in ingested.values() for c in table.columns if c not in ("sample_id", "label", meta.modality)
    )
    ordered = [*(c for c in meta.subgroups if c in names), *(c for c in names if c not in meta.subgroups)]
    new_names = _without_clashes(ordered, names_of_ours)
    tables = {s: t.rename({c: new_names[c] for c in t.columns if c in new_names}) for s, t in ingested.items()}
    types = {c: _common_type([t.schema[c] for t in tables.values() if c in t.columns]) for c in new_names.values()}
    user = {s: t.select("sample_id", *_typed(t, types)) for s, t in tables.items()}

    real = pl.concat([user[s] for s in ("seed", "asked") if s in user]).unique("sample_id", keep="first")
    train = run.dataset().select(ours).sort(["round", "sample_id"])
    splits = {"train": train.join(real, on="sample_id", how="left", maintain_order="left")}
    for split, name in SPLIT_NAMES.items():
        if split in tables and len(tables[split]):
            known = tables[split].select("sample_id", "label", meta.modality)
            rows = frame(known.select("sample_id", "label"), DATASET).with_columns(known[meta.modality])
            rows = rows.join(user[split], on="sample_id", how="left", maintain_order="left")
            splits[name] = rows.select(splits["train"].columns).sort("sample_id")
    return splits, {old: new for old, new in new_names.items() if old != new}


def _ingest(run: RunDir) -> Path:
    """The run's ingested data. A run in baselines/ shares that of the run it is held against."""
    own = run.root / "ingest"
    return own if own.exists() else run.root.resolve().parents[1] / "ingest"


def _without_clashes(names: list[str], taken: list[str]) -> dict[str, str]:
    """User column -> the name it is exported under: its own, unless a column of ours has it."""
    used, found = {*taken, *names}, {}
    for name in names:
        new = name
        while new in taken or (new != name and new in used):
            new = f"source_{new}"
        used.add(new)
        found[name] = new
    return found


def _common_type(types: list[pl.DataType]) -> pl.DataType:
    """A type that holds a column of every split; text when there is no other."""
    try:
        common = pl.concat([pl.DataFrame(schema={"x": t}) for t in types], how="vertical_relaxed").schema["x"]
    except pl.exceptions.PolarsError:
        return pl.String()
    return pl.String() if common in (pl.Null, pl.Categorical, pl.Enum) else common


def _typed(table: pl.DataFrame, types: dict[str, pl.DataType]) -> list[pl.Expr]:
    return [(pl.col(c) if c in table.columns else pl.lit(None)).cast(t).alias(c) for c, t in types.items()]


def _schema(train: pl.DataFrame, meta: Meta) -> pa.Schema:
    """Arrow schema of every exported file."""
    special = {"label": pa.list_(pa.int64()) if meta.multi else pa.int64()}
    if meta.modality == "image":
        special["image"] = hf_features.IMAGE_TYPE
    known = {**{f.name: f.type for f in DATASET}, meta.modality: PAYLOAD_TYPES[meta.modality], **special}
    arrow = train.head(0).to_arrow(compat_level=pl.CompatLevel.oldest()).schema
    schema = pa.schema([(f.name, known.get(f.name) or hf_features.plain_type(f.type)) for f in arrow])
    if not meta.multi:
        return schema
    return schema.insert(schema.get_field_index("label") + 1, pa.field(UNKNOWN, special["label"]))


def _write_parquet(path: Path, rows: pl.DataFrame, schema: pa.Schema, meta: Meta, images: Images | None) -> int:
    """Write the file; returns the bytes it takes in memory."""
    path.parent.mkdir(exist_ok=True)
    coded = _coded(rows, meta)
    memory = 0
    with pq.ParquetWriter(path, schema, compression="zstd") as writer:
        for part in _groups(coded, images):
            if images is not None:
                part = part.with_columns(_with_originals(part, images))
            table = part.select(schema.names).to_arrow(compat_level=pl.CompatLevel.oldest()).cast(schema)
            memory += table.nbytes
            writer.write_table(table)
    return memory


def _groups(rows: pl.DataFrame, images: Images | None) -> Iterator[pl.DataFrame]:
    """The rows in pieces of `ROWS_PER_GROUP` at most, and of about `BYTES_PER_GROUP` of originals."""
    start, num_bytes = 0, 0
    for row, sample_id in enumerate(rows["sample_id"]):
        if row - start == ROWS_PER_GROUP or num_bytes >= BYTES_PER_GROUP:
            yield rows[start:row]
            start, num_bytes = row, 0
        num_bytes += images.num_bytes(sample_id) if images is not None else 0
    yield rows[start:]


def _with_originals(rows: pl.DataFrame, images: Images) -> pl.Series:
    """Their images as `Image` features are stored: originals with the names of their files, others without a name."""
    cells = []
    for sample_id, seen in rows.select("sample_id", "image").iter_rows():
        original = images.read(sample_id)
        cells.append({"bytes": original.data, "path": original.name} if original else {"bytes": seen, "path": None})
    return pl.Series("image", cells, dtype=pl.Struct({"bytes": pl.Binary, "path": pl.String}))


def _coded(rows: pl.DataFrame, meta: Meta) -> pl.DataFrame:
    """Labels as rows of the class list; in a multi-label task as lists of them, and those not known beside."""
    row = {name: i for i, name in enumerate(meta.classes)}
    if not meta.multi:
        return rows.with_columns(pl.col("label").replace_strict(row, return_dtype=pl.Int64))
    coded = [[[row[name] for name in part] for part in codec.split(label)] for label in rows["label"]]
    columns = {"label": [holds for holds, _ in coded], UNKNOWN: [unknown for _, unknown in coded]}
    return rows.with_columns(pl.Series(name, values, dtype=pl.List(pl.Int64)) for name, values in columns.items())


# --- facts ---------------------------------------------------------------------------------------------


def _facts(run: RunDir, meta: Meta, splits: dict[str, pl.DataFrame], features: dict, renamed: dict[str, str]) -> Facts:
    """What the card tells, from the run's artifacts alone."""
    rounds = run.rounds()
    decided = [table for r in rounds if (table := r.read("decisions.parquet")) is not None]
    ends = [e["time"] for e in run.events() if e.get("event") == "end" and e.get("round", -1) < len(rounds)]
    config = read_json(run.root / "config.json")
    return Facts(
        name=config["run"]["name"],
        modality=meta.modality,
        classes=meta.classes,
        multi=meta.multi,
        subgroups=tuple(renamed.get(c, c) for c in meta.subgroups if renamed.get(c, c) in splits["train"].columns),
        config=config,
        splits={split: rows.drop(meta.modality) for split, rows in splits.items()},
        features=features,
        rounds=[Round(r.t, r.metrics, r.manifest) for r in rounds],
        gaps=rounds[-1].read("gaps.parquet") if rounds else None,
        decisions=pl.concat(decided) if decided else frame([], DECISIONS),
        fingerprint=run.dataset_fingerprint(),
        num_rejected=meta.num_rejected,
        renamed=renamed,
        finished=_moment(max(ends)) if ends and rounds else None,
    )


def _moment(seconds: float) -> datetime:
    return datetime.fromtimestamp(int(seconds), UTC)
