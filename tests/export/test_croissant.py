"""Held against mlcroissant's own reader: no errors, and records come back as they were written."""

from __future__ import annotations

import datetime as dt
import hashlib
import io
import json

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image

from adde_ray.export.croissant import File, croissant
from adde_ray.export.hf_features import IMAGE_TYPE

PNG = io.BytesIO()
Image.new("L", (4, 3), 7).save(PNG, "PNG")

SCHEMA = pa.schema(
    [
        ("sample_id", pa.string()),
        ("label", pa.int64()),
        ("image", IMAGE_TYPE),
        ("vector", pa.list_(pa.float32())),
        ("parents", pa.list_(pa.string())),
        ("round", pa.int64()),
        ("odd name/%é", pa.bool_()),
        ("when", pa.timestamp("us")),
        ("day", pa.date32()),
        ("at", pa.time64("us")),
        ("price", pa.decimal128(6, 2)),
        ("took", pa.duration("us")),
        ("nested", pa.list_(pa.list_(pa.int64()))),
    ]
)
ROWS = [
    {
        "sample_id": "a",
        "label": 1,
        "image": {"bytes": PNG.getvalue(), "path": None},
        "vector": [0.5, 1.0],
        "parents": ["p", "q"],
        "round": 3,
        "odd name/%é": True,
        "when": dt.datetime(2024, 2, 3, 4, 5, 6),
        "day": dt.date(2024, 2, 3),
        "at": dt.time(4, 5, 6),
        "price": None,
    },
    {"sample_id": "b", "label": None, "image": {"bytes": PNG.getvalue(), "path": None}},
]


@pytest.fixture
def written(tmp_path):
    path = tmp_path / "data/train.parquet"
    path.parent.mkdir()
    pq.write_table(pa.Table.from_pylist(ROWS, schema=SCHEMA), path)
    file = File("data/train.parquet", hashlib.sha256(path.read_bytes()).hexdigest(), path.stat().st_size)
    tree = croissant(
        name="a run: 1",
        description="What it is.",
        files={"train": file},
        schema=SCHEMA,
        classes=("no|x", "yes\nno"),
        created=dt.datetime(2026, 1, 2, 3, 4, 5),
    )
    (tmp_path / "croissant.json").write_text(json.dumps(tree))
    return tmp_path / "croissant.json", tree


def test_records_come_back(written):
    mlc = pytest.importorskip("mlcroissant")
    path, _ = written
    dataset = mlc.Dataset(jsonld=str(path))
    assert not dataset.metadata.ctx.issues.errors
    first, second = dataset.records("train")
    assert first["train/sample_id"] == b"a"
    assert first["train/label"] == 1
    assert first["train/image"].size == (4, 3)
    assert first["train/vector"] == [0.5, 1.0]
    assert first["train/parents"] == [b"p", b"q"]
    assert first["train/round"] == 3
    assert first["train/odd%20name%2F%25%C3%A9"] is True
    assert first["train/when"].isoformat() == "2024-02-03T04:05:06"
    assert first["train/at"] == dt.time(4, 5, 6)
    assert second["train/label"] is None and second["train/parents"] is None
    # Croissant 1.0 has no type for these.
    assert not {"train/took", "train/nested"} & first.keys()
    assert [(r["classes/label"], r["classes/name"]) for r in dataset.records("classes")] == [
        (0, "no|x"),
        (1, "yes\nno"),
    ]


def test_what_it_says_about_the_dataset(written):
    path, tree = written
    assert tree["conformsTo"] == "http://mlcommons.org/croissant/1.0"
    assert tree["name"] == "a run: 1"
    assert tree["license"]["name"] == "unknown"
    assert tree["dateCreated"].startswith("2026-01-02")
    assert "dateModified" not in tree and "datePublished" not in tree
    (file,) = tree["distribution"]
    parquet = path.parent / file["contentUrl"]
    assert file["sha256"] == hashlib.sha256(parquet.read_bytes()).hexdigest()
    assert file["contentSize"] == f"{parquet.stat().st_size} B"


def test_nothing_random_in_it(written):
    _, tree = written
    # mlcroissant gives nodes without an id a random one; none of those may stay.
    assert "_:" not in json.dumps(tree)
