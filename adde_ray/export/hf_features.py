"""What Hugging Face reads of an exported dataset, written without the `datasets` package.

A schema and the class names -> the JSON form of its features (the `huggingface` metadata of a Parquet file), the
YAML form, and the header of a dataset card. With them `datasets.load_dataset` decodes images and names classes.
"""

from __future__ import annotations

import json
from dataclasses import dataclass

import pyarrow as pa
import yaml

IMAGE_TYPE = pa.struct([("bytes", pa.binary()), ("path", pa.string())])
"""How the `Image` feature is stored."""

TASKS = {"image": "image-classification", "text": "text-classification", "vector": "tabular-classification"}
MULTI_TASKS = {"image": "multi-label-image-classification", "text": "multi-label-classification"}
"""The narrower names Hugging Face has for a multi-label task."""

SIZES = ((1_000, "n<1K"), (10_000, "1K<n<10K"), (100_000, "10K<n<100K"), (1_000_000, "100K<n<1M"))


def features(schema: pa.Schema, classes: tuple[str, ...]) -> dict[str, dict | list]:
    """Column -> feature, JSON form. `label` is a ClassLabel; `image`, stored as IMAGE_TYPE, is an Image.

    Where `label` holds lists, of a multi-label task, it is a list of ClassLabels, and so is `unknown`.
    """
    found: dict[str, dict | list] = {field.name: _feature(field.type) for field in schema}
    class_label = {"names": list(classes), "_type": "ClassLabel"}
    if "label" in found and pa.types.is_list(schema.field("label").type):
        found["label"] = found["unknown"] = {"feature": class_label, "_type": "List"}
    elif "label" in found:
        found["label"] = class_label
    if "image" in found and schema.field("image").type == IMAGE_TYPE:  # else a user's column of that name
        found |= image_feature()
    return found


def image_feature(*, decode: bool = True) -> dict[str, dict]:
    """The column `image`. Without `decode` readers are given bytes and name, not a picture."""
    return {"image": {"_type": "Image"} if decode else {"decode": False, "_type": "Image"}}


def with_metadata(schema: pa.Schema, features_json: dict) -> pa.Schema:
    """`schema` with the metadata `datasets` looks for in a Parquet file."""
    return schema.with_metadata({"huggingface": json.dumps({"info": {"features": features_json}})})


def features_yaml(features_json: dict) -> list[dict]:
    """The same features as a dataset card's YAML header lists them."""
    return [{"name": name, **_yaml(feature)} for name, feature in features_json.items()]


@dataclass(frozen=True)
class SplitSize:
    """Rows of a split, its bytes in memory as Arrow, and the bytes of its Parquet file."""

    rows: int
    memory: int
    disk: int


def card_header(
    *,
    name: str,
    modality: str,
    features_json: dict,
    sizes: dict[str, SplitSize],
    synthetic: bool,
    multi: bool = False,
) -> str:
    """The YAML block, between `---` lines, that a dataset card opens with."""
    rows = sum(size.rows for size in sizes.values())
    files = [{"split": split, "path": f"data/{split}-*.parquet"} for split in sizes]
    # A reader that misses num_bytes ignores num_examples too, and then checks nothing.
    splits = [{"name": split, "num_bytes": s.memory, "num_examples": s.rows} for split, s in sizes.items()]
    tree = {
        "pretty_name": name,
        "license": "unknown",
        "task_categories": [TASKS[modality]],
        **({"task_ids": [MULTI_TASKS[modality]]} if multi and modality in MULTI_TASKS else {}),
        "size_categories": [next((words for limit, words in SIZES if rows < limit), "1M<n<10M")],
        "tags": ["active-learning", "adde", *(["synthetic"] if synthetic else [])],
        "configs": [{"config_name": "default", "data_files": files}],
        "dataset_info": {
            "features": features_yaml(features_json),
            "splits": splits,
            "download_size": sum(size.disk for size in sizes.values()),
            "dataset_size": sum(size.memory for size in sizes.values()),
        },
    }
    return f"---\n{yaml.safe_dump(tree, sort_keys=False, allow_unicode=True, width=10**6)}---\n"


def plain_type(type_: pa.DataType) -> pa.DataType:
    """The type a column is exported as: large and fixed-size variants become the common ones, at any depth."""
    if pa.types.is_large_string(type_) or pa.types.is_string_view(type_):
        return pa.string()
    if pa.types.is_large_binary(type_) or pa.types.is_binary_view(type_):
        return pa.binary()
    if pa.types.is_dictionary(type_):
        return plain_type(type_.value_type)
    if _is_list(type_):
        return pa.list_(plain_type(type_.value_type))
    if pa.types.is_struct(type_):
        return pa.struct([(field.name, plain_type(field.type)) for field in type_])
    return type_


def _is_list(type_: pa.DataType) -> bool:
    return pa.types.is_list(type_) or pa.types.is_large_list(type_) or pa.types.is_fixed_size_list(type_)


def _feature(type_: pa.DataType) -> dict:
    if pa.types.is_list(type_):
        return {"feature": _feature(type_.value_type), "_type": "List"}
    if pa.types.is_struct(type_):
        return {field.name: _feature(field.type) for field in type_}
    return {"dtype": _dtype(type_), "_type": "Value"}


def _dtype(type_: pa.DataType) -> str:
    # Arrow's own names, but for the few that `datasets` calls otherwise.
    names = {"halffloat": "float16", "float": "float32", "double": "float64"}
    names |= {"date32[day]": "date32", "date64[ms]": "date64"}
    return names.get(str(type_), str(type_))


def _yaml(feature: dict) -> dict:
    kind = feature.get("_type")
    if kind == "Value":
        return {"dtype": feature["dtype"]}
    if kind == "Image":
        return {"dtype": {"image": {"decode": False}} if "decode" in feature else "image"}
    if kind == "ClassLabel":
        return {"dtype": {"class_label": {"names": {str(row): name for row, name in enumerate(feature["names"])}}}}
    if kind == "List":
        inner = _yaml(feature["feature"])
        only = next(iter(inner)) if len(inner) == 1 else None
        return {"list": inner[only] if only in ("dtype", "struct") else inner}
    return {"struct": features_yaml(feature)}
