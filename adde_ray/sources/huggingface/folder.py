"""What a dataset folder of Hugging Face's `datasets` holds: the files of each split, and what its columns are.

Features are those of the library's own JSON form. They stand in the schema of Parquet and Arrow files, else in
README.md or dataset_infos.json.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from fnmatch import fnmatchcase
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from adde_ray.config.documents import parse_json
from adde_ray.errors import UserError
from adde_ray.labels import canonical
from adde_ray.sources.rows import listing
from adde_ray.sources.storage.files import AnyPath, open_file, read_bytes
from adde_ray.sources.storage.walking import Walk
from adde_ray.sources.tables.files import LISTERS

SYNONYMS = {"valid": "validation", "val": "validation", "dev": "validation", "eval": "validation"}
"""Names of splits that mean the same."""

DESCRIPTION_BYTES = 1 << 24
"""A longer description is passed over."""


def files_by_split(root: AnyPath, walk: Walk) -> dict[str, list[AnyPath]]:
    """The folder's splits and their files. Raises UserError when it holds several configurations."""
    names = sorted(name for name in walk.below(root) if f".{name.rpartition('.')[2].lower()}" in LISTERS)
    names = _listed(root, names) or names
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


def _listed(root: AnyPath, names: Iterable[str]) -> list[str]:
    """Those of the files that README.md says are the data of the folder's one configuration; none where it does not."""
    try:
        [configuration] = _header(root)["configs"]
        patterns = _patterns(configuration["data_files"], set())
    except (OSError, ValueError, AttributeError, TypeError, KeyError, RecursionError):
        return []  # written by people: what does not help is passed over
    return [name for name in names if any(fnmatchcase(name, pattern) for pattern in patterns)]


def _patterns(data_files: Any, seen: set[int]) -> list[str]:
    """Those of a configuration's `data_files`, whichever of its forms it has. seen: what YAML's aliases repeat."""
    if isinstance(data_files, str):
        return [data_files.removeprefix("./")]
    if id(data_files) in seen:
        return []
    seen.add(id(data_files))
    if isinstance(data_files, dict):
        data_files = [data_files["path"]] if "path" in data_files else data_files.values()
    return [path for some in data_files for path in _patterns(some, seen)]


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
    """Whether it is an Image feature, in the JSON form."""
    return isinstance(feature, dict) and feature.get("_type") == "Image"


def _in_schema(path: AnyPath) -> dict[str, Any]:
    """The features that a file's schema holds; none where it holds none."""
    try:
        with open_file(path) as file:
            if path.suffix.lower() in (".parquet", ".pq"):
                schema = pq.read_schema(file)
            else:
                schema = pa.ipc.open_stream(file).schema
        kept = parse_json((schema.metadata or {}).get(b"huggingface", b"{}"), where=path)
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
    path = folder / "dataset_infos.json"
    infos = parse_json(read_bytes(path, DESCRIPTION_BYTES), where=path)
    return next(iter(infos.values()))["features"]


def _header(folder: AnyPath) -> dict[str, Any]:
    """The YAML header of README.md."""
    import yaml

    text = read_bytes(folder / "README.md", DESCRIPTION_BYTES).decode()
    try:
        header = re.match(r"---\r?\n(.*?)\n---", text, re.S)
        return yaml.safe_load(header[1]) if header else {}
    except yaml.YAMLError as error:
        raise ValueError(str(error)) from None


def _from_readme(folder: AnyPath) -> dict[str, Any]:
    info = _header(folder)["dataset_info"]
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
