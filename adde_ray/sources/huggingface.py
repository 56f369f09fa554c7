"""Dataset folders of Hugging Face's `datasets`, read without that library: what `save_to_disk` writes (Arrow
streams), and folders laid out as on the Hub (Parquet, CSV or JSON Lines files named after their split).

Names of classes come from the ClassLabel feature, which the files' schema holds, or README.md, dataset_infos.json.
Out: as `table`; the label as the class's name.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, replace
from typing import Any

import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq

from adde_ray.data_config import CsvData, HubData
from adde_ray.errors import UserError
from adde_ray.labels import NONE, SEPARATOR, foreign, in_words, join, rarest, split
from adde_ray.rundir import derive_rng, fingerprint
from adde_ray.sources.files import AnyPath, at, walk
from adde_ray.sources.parts import Part, TableFile
from adde_ray.sources.rows import WHERE, Reject, Rows, draw, identify, listing
from adde_ray.sources.table import assemble
from adde_ray.sources.table_files import LISTERS, list_parts
from adde_ray.sources.table_pool import rows_per_chunk

SYNONYMS = {"valid": "validation", "val": "validation", "dev": "validation", "eval": "validation"}

SPLIT = "_split_of_ours"

UNKNOWN = "unknown"
"""Column of the classes nobody could tell, in a multi-label dataset as `adde export` writes it."""

ROWS = 16384
"""Rows read at a time."""


def read(config: HubData, *, seed: int) -> Rows:
    """The folder's rows. Raises UserError: no such folder or split, no payload to be told, too many unusable rows."""
    root = at(config.path)
    if not root.is_dir():
        raise UserError(
            "no such folder", where=root, remedy="Give a folder that save_to_disk wrote, or one as on the Hub"
        )
    files = _files(root)
    wanted = {ours: theirs for ours, theirs in config.splits.items() if SYNONYMS.get(theirs, theirs) in files}
    for ours, theirs in config.splits.items():
        if ours not in wanted and (ours in ("pool", "seed") or "splits" in config.model_fields_set):
            raise UserError(
                f"{root} has no such split", where=f"data.splits.{ours}", value=theirs,
                remedy=f"Splits there: {listing(sorted(files)) or 'none'}",
            )  # fmt: skip
    tables, rejected = [], []
    features: dict[str, Any] = {}
    apart = "seed" in wanted and wanted["seed"] != wanted["pool"]  # then nothing is drawn from the pool
    for ours, theirs in wanted.items():
        if ours == "pool" and apart:
            continue
        for path in files[SYNONYMS.get(theirs, theirs)]:
            features = features or _features(path)
            table, aside = _whole(path, path_name(root, path))
            tables.append(table.with_columns(pl.lit(ours).alias(SPLIT)) if len(table) else table)
            rejected += aside
    features = features or _described(root)
    table = _joined(tables)
    if not len(table):
        first = f": {rejected[0]['where']} {rejected[0]['reason']}" if rejected else ""
        raise UserError(f"holds no rows that can be read{first}", where=root, remedy="Write the folder anew")
    if config.label_column not in table.columns:
        raise UserError("no such column", where="data.label_column", value=config.label_column,
                        remedy=f"Columns: {listing(c for c in table.columns if c not in (WHERE, SPLIT))}")  # fmt: skip
    multi = isinstance(table.schema[config.label_column], pl.List)
    of_label = features.get(config.label_column, {})
    names = ((of_label.get("feature") or {}) if multi else of_label).get("names") or []
    table = _with_classes(table, config.label_column, names)
    # A test set whose labels its makers keep to themselves says nothing.
    counts = dict(table.group_by(SPLIT).agg(pl.col(config.label_column).count()).iter_rows())
    silent = [s for s, count in counts.items() if s not in ("pool", "seed") and not count]
    table = table.filter(~pl.col(SPLIT).is_in(silent))
    there = table[config.label_column].drop_nulls().unique()
    found = {name for x in there if x != NONE for part in split(x) for name in part} if multi else there
    classes = config.classes or tuple(names) or tuple(sorted(found))

    as_table = _as_table(config, table, features, classes, multi)
    pool: list[TableFile] = []
    for path in files[SYNONYMS.get(wanted["pool"], wanted["pool"])] if apart else ():
        name = path_name(root, path)
        try:
            pool.append(_named(list_parts(path, name, rows_per_chunk(as_table)), config.label_column, names))
        except UserError as error:
            rejected.append({"where": name, "reason": error.what})
        except OSError as error:
            rejected.append({"where": name, "reason": f"cannot be read: {error.strerror or error}"})
    rows = assemble(_paths(table), rejected, as_table, root / "table", seed=seed, pool=pool)
    notes = [*rows.notes, *(f"No row of {config.splits[s]} has a label: it is passed over" for s in silent)]
    return replace(rows, splits=_drawn(rows, config, seed), notes=notes)


@dataclass(frozen=True)
class HubPart:
    """Some rows of the pool, with names of classes."""

    part: Part
    label_column: str
    names: tuple[str, ...]

    @property
    def path(self) -> AnyPath:
        return self.part.path

    @property
    def name(self) -> str:
        return self.part.name

    @property
    def num_rows(self) -> int:
        return self.part.num_rows

    def read(self) -> tuple[pl.DataFrame, list[Reject]]:
        table, rejected = self.part.read()
        return _paths(_with_classes(table, self.label_column, list(self.names))), rejected


def _named(file: TableFile, label_column: str, names: list[str]) -> TableFile:
    head = _with_classes(file.head, label_column, names)
    parts = tuple(HubPart(part, label_column, tuple(names)) for part in file.parts)
    return TableFile(file.path, file.name, parts, head)


def path_name(root: AnyPath, path: AnyPath) -> str:
    return str(path).removeprefix(str(root)).lstrip("/")


# --- files ------------------------------------------------------------------------------------------------


def _files(root: AnyPath) -> dict[str, list[AnyPath]]:
    """The folder's splits and their files. Raises UserError when it holds several configurations."""
    names = sorted(name for name in walk(root) if f".{name.rpartition('.')[2].lower()}" in LISTERS)
    saved = [name for name in names if name.endswith(".arrow") and not name.rpartition("/")[2].startswith("cache-")]
    found: dict[str, dict[str, list[str]]] = {}
    for name in saved or names:
        folder, _, file = name.rpartition("/")
        stem = file.rpartition(".")[0]
        if saved:
            split, group = folder or "train", ""
        elif re.fullmatch(r"(part-|shard-)?\d+.*", stem):  # default/train/0000.parquet
            group, _, split = folder.rpartition("/")
        else:
            group, split = folder, re.sub(r"[-_.]\d+(-of-\d+)?(-\w+)?$", "", stem)
        found.setdefault(group, {}).setdefault(SYNONYMS.get(split, split), []).append(name)
    if len(found) > 1:
        raise UserError(
            "holds several configurations", where=root, value=listing(sorted(found)), remedy="Give the folder of one"
        )
    return {split: [root / name for name in files] for group in found.values() for split, files in group.items()}


def _whole(path: AnyPath, name: str) -> tuple[pl.DataFrame, list[Reject]]:
    """All that can be read of a file."""
    tables, rejected, rows = [], [], 1
    try:
        for part in list_parts(path, name, ROWS).parts:
            rows = part.num_rows
            table, aside = part.read()
            tables.append(table)
            rejected += aside
    except UserError as error:
        rejected.append({"where": name, "reason": error.what, "rows": rows})
    except OSError as error:
        rejected.append({"where": name, "reason": f"cannot be read: {error.strerror or error}", "rows": rows})
    return _joined(tables), rejected


def _joined(tables: list[pl.DataFrame]) -> pl.DataFrame:
    tables = [table for table in tables if len(table)]
    return pl.concat(tables, how="diagonal_relaxed") if tables else pl.DataFrame()


# --- features ---------------------------------------------------------------------------------------------


def _features(path: AnyPath) -> dict[str, Any]:
    """Column -> its feature, as the file's schema tells; empty where it does not."""
    try:
        with path.open("rb") as file:
            schema = pq.read_schema(file) if path.suffix == ".parquet" else pa.ipc.open_stream(file).schema
        kept = json.loads((schema.metadata or {}).get(b"huggingface", b"{}"))
        return kept.get("info", {}).get("features") or {}
    except (OSError, pa.ArrowException, ValueError):
        return {}


def _described(root: AnyPath) -> dict[str, Any]:
    """The same from the folder's description, its own or that of the folder above."""
    for folder in (root, root.parent):
        for read in (_from_readme, _from_infos):
            try:
                if features := read(folder):
                    return features
            except (OSError, ValueError, AttributeError, TypeError, KeyError, IndexError):
                continue  # written by people: what does not help is passed over
    return {}


def _from_infos(folder: AnyPath) -> dict[str, Any]:
    infos = json.loads((folder / "dataset_infos.json").read_bytes())
    return next(iter(infos.values()))["features"]


def _from_readme(folder: AnyPath) -> dict[str, Any]:
    import yaml

    text = (folder / "README.md").read_bytes().decode()
    try:
        head = yaml.safe_load(re.match(r"---\n(.*?)\n---", text, re.S)[1])
    except yaml.YAMLError as error:
        raise ValueError(str(error)) from None
    info = head["dataset_info"]
    features = {}
    for feature in (info[0] if isinstance(info, list) else info)["features"]:
        kind = feature.get("dtype")
        names = kind.get("class_label", {}).get("names") if isinstance(kind, dict) else None
        if names:
            names = [names[key] for key in sorted(names, key=int)] if isinstance(names, dict) else names
            features[feature["name"]] = {"_type": "ClassLabel", "names": [str(n) for n in names]}
        elif kind == "image":
            features[feature["name"]] = {"_type": "Image"}
    return features


def _with_classes(table: pl.DataFrame, label_column: str, names: list[str]) -> pl.DataFrame:
    """With labels as text, where there are any."""
    if label_column not in table.columns:
        return table
    if isinstance(table.schema[label_column], pl.List):
        return _of_several(table, label_column, names)
    return table.with_columns(_labels(table[label_column], names))


def _labels(column: pl.Series, names: list[str]) -> pl.Series:
    """Names of classes; null where there is none."""
    if not column.dtype.is_integer():
        return column
    if names:
        return column.replace_strict(dict(enumerate(names)), default=None, return_dtype=pl.String).alias(column.name)
    return column.set(column < 0, None).cast(pl.String)


def _of_several(table: pl.DataFrame, label_column: str, names: list[str]) -> pl.DataFrame:
    """Lists of classes as the one string a label is everywhere else; see `labels`."""

    def named(column: str) -> list[list[str] | None]:
        if not isinstance(table.schema.get(column), pl.List):
            return [[]] * len(table)
        values = table[column].to_list()
        return [None if row is None else [_name(value, names) for value in row] for row in values]

    pairs = zip(named(label_column), named(UNKNOWN), strict=True)
    labels = [None if holds is None else in_words(join(holds, unknown or ())) for holds, unknown in pairs]
    kept = table.drop(UNKNOWN) if isinstance(table.schema.get(UNKNOWN), pl.List) else table
    return kept.with_columns(pl.Series(label_column, labels, dtype=pl.String))


def _name(value: int | str, names: list[str]) -> str:
    return names[value] if isinstance(value, int) and 0 <= value < len(names) else str(value)


def _payload(table: pl.DataFrame, features: dict[str, Any], config: HubData) -> dict[str, str]:
    """The one column that can be a payload. Raises UserError when there is none, or more than one."""
    told = {
        "text_column": config.text_column,
        "image_column": config.image_column,
        "vector_column": config.vector_column,
    }
    if told := {key: name for key, name in told.items() if name}:
        return told
    aside = {config.label_column, SPLIT, WHERE, *config.subgroup_columns}
    kinds = {name: kind for name, kind in table.schema.items() if name not in aside}
    images = [n for n, kind in kinds.items() if features.get(n, {}).get("_type") == "Image" or _is_image(kind)]
    vectors = [n for n, kind in kinds.items() if isinstance(kind, (pl.List, pl.Array)) and kind.inner.is_float()]
    texts = [n for n, kind in kinds.items() if kind == pl.String and n not in images]
    texts = ["text"] if "text" in texts else texts
    for key, found in (("image_column", images), ("vector_column", vectors), ("text_column", texts)):
        if len(found) == 1:
            return {key: found[0]}
        if found:
            break
    raise UserError(
        "cannot be told", where="data.text_column, image_column or vector_column",
        remedy=f"Name one of the columns: {listing(kinds)}",
    )  # fmt: skip


def _is_image(kind: pl.DataType) -> bool:
    return isinstance(kind, pl.Struct) and {"bytes", "path"} == {field.name for field in kind.fields}


def _paths(table: pl.DataFrame) -> pl.DataFrame:
    """Image features that hold no bytes, only paths, as paths."""
    only = [
        name
        for name, kind in table.schema.items()
        if _is_image(kind) and table[name].struct.field("bytes").null_count() == len(table)
    ]
    return table.with_columns(pl.col(name).struct.field("path").alias(name) for name in only)


def _as_table(
    config: HubData, table: pl.DataFrame, features: dict[str, Any], classes: tuple[str, ...], multi: bool
) -> CsvData:
    """The same as a table's section."""
    return CsvData(
        source="table", path=config.path, split_column=SPLIT, label_column=config.label_column, classes=classes,
        subgroup_columns=config.subgroup_columns, size=config.size, mode=config.mode,
        max_rejected=config.max_rejected, label_separator=SEPARATOR if multi else None,
        **_payload(table, features, config),
    )  # fmt: skip


# --- splits -----------------------------------------------------------------------------------------------


def _drawn(rows: Rows, config: HubData, seed: int) -> dict[str, pl.DataFrame]:
    """With seed set and val drawn from the labelled rows of the pool's split, where no split serves as them."""
    splits = dict(rows.splits)
    source = "seed" if "seed" in splits else "pool"
    if source not in splits or ("seed" in splits and "val" in splits):
        return splits
    labels, multi = splits[source]["label"], rows.task == "multi"
    fits = [label is not None and not foreign(label, rows.classes, multi=multi) for label in labels]
    # What is drawn by: of several classes the rarest stands for all.
    drawn_by = (
        pl.Series("_class", rarest([x or "" for x in labels]), dtype=pl.String) if multi else labels.alias("_class")
    )
    of_source = splits[source].with_columns(identify(splits[source][rows.modality]), drawn_by)
    known, rest = of_source.filter(fits), splits[source].filter(~pl.Series(fits, dtype=pl.Boolean))
    if "val" not in splits:
        drawn = draw(known["sample_id"], known["_class"], {"val": config.val_fraction}, derive_rng(seed, "huggingface"))
        splits["val"] = known.filter(drawn == "val").drop("sample_id", "_class")
        known = known.filter(drawn != "val")
    if source == "pool" and config.seed_per_class is not None:
        order = [fingerprint(seed, "seed set", i) for i in known["sample_id"]]
        known = known.with_columns(pl.Series("_order", order, dtype=pl.String)).sort("_order", "sample_id")
        first = pl.int_range(pl.len()).over("_class") < config.seed_per_class
        known, others = known.filter(first), known.filter(~first)
        rest = pl.concat([rest, others.drop("_order", "sample_id", "_class")])
        known = known.drop("_order")
    splits["seed"] = known.drop("sample_id", "_class")
    if source == "pool":
        splits["pool"] = rest
    return {name: table for name, table in splits.items() if len(table)}
