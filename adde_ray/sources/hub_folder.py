"""What a dataset folder of Hugging Face's `datasets` holds: the files of each split, and what its columns are.

Features are those of the library's own JSON form. They stand in the schema of Parquet and Arrow files, else in
README.md or dataset_infos.json.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from adde_ray.errors import UserError
from adde_ray.labels import canonical
from adde_ray.sources.files import AnyPath, walk
from adde_ray.sources.rows import listing
from adde_ray.sources.table_files import LISTERS

SYNONYMS = {"valid": "validation", "val": "validation", "dev": "validation", "eval": "validation"}
"""Names of splits that mean the same."""


def files_by_split(root: AnyPath, passed: list[str] | None = None) -> dict[str, list[AnyPath]]:
    """The folder's splits and their files. Raises UserError when it holds several configurations. passed: as `walk`."""
    names = sorted(name for name in walk(root, passed=passed) if f".{name.rpartition('.')[2].lower()}" in LISTERS)
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


def features_of(root: AnyPath, files: Iterable[AnyPath]) -> dict[str, Any]:
    """Column -> its feature, as the first file tells that tells any, else as the folder's description does."""
    return next((features for path in files if (features := _in_schema(path))), None) or _described(root)


def class_names(feature: Any) -> tuple[str, ...]:
    """Names of a ClassLabel feature's classes, or of a list of such; none of any other."""
    while isinstance(feature, list) or (isinstance(feature, dict) and feature.get("feature")):
        feature = (feature[0] if feature else None) if isinstance(feature, list) else feature["feature"]
    names = (feature.get("names") or ()) if isinstance(feature, dict) else ()
    return tuple(canonical(name) or str(name) for name in names)


def is_image(feature: Any) -> bool:
    return isinstance(feature, dict) and feature.get("_type") == "Image"


def _in_schema(path: AnyPath) -> dict[str, Any]:
    """The features that a file's schema holds; none where it holds none."""
    try:
        with path.open("rb") as file:
            if path.suffix.lower() in (".parquet", ".pq"):
                schema = pq.read_schema(file)
            else:
                schema = pa.ipc.open_stream(file).schema
        kept = json.loads((schema.metadata or {}).get(b"huggingface", b"{}"))
        return kept.get("info", {}).get("features") or {}
    except (OSError, pa.ArrowException, ValueError, AttributeError):
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
        head = yaml.safe_load(re.match(r"---\r?\n(.*?)\n---", text, re.S)[1])
    except yaml.YAMLError as error:
        raise ValueError(str(error)) from None
    info = head["dataset_info"]
    features = {}
    for feature in (info[0] if isinstance(info, list) else info)["features"]:
        kind = feature.get("dtype") or feature.get("list") or feature.get("sequence")
        names = kind.get("class_label", {}).get("names") if isinstance(kind, dict) else None
        if names:
            names = [names[key] for key in sorted(names, key=int)] if isinstance(names, dict) else names
            features[feature["name"]] = {"_type": "ClassLabel", "names": [str(n) for n in names]}
        elif kind == "image":
            features[feature["name"]] = {"_type": "Image"}
    return features
