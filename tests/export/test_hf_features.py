"""Held against the `datasets` package itself: it must read both forms as it would have written them."""

from __future__ import annotations

import pyarrow as pa
import pytest

from adde_ray.export import hf_features

TYPES = [
    pa.null(),
    pa.bool_(),
    pa.int8(),
    pa.uint64(),
    pa.float16(),
    pa.float32(),
    pa.float64(),
    pa.string(),
    pa.binary(),
    pa.date32(),
    pa.date64(),
    pa.time64("us"),
    pa.timestamp("us"),
    pa.timestamp("ms", tz="UTC"),
    pa.duration("us"),
    pa.decimal128(10, 2),
    pa.list_(pa.string()),
    pa.list_(pa.list_(pa.float32())),
    pa.struct([("a", pa.int64()), ("b", pa.list_(pa.string()))]),
    pa.list_(pa.struct([("a", pa.int64())])),
]


@pytest.fixture(scope="module")
def datasets():
    return pytest.importorskip("datasets")


@pytest.mark.parametrize("type_", TYPES, ids=str)
def test_every_type_reads_back_as_itself(datasets, type_):
    schema = pa.schema([("x", type_)])
    ours = hf_features.features(schema, ())
    theirs = datasets.Features.from_dict(ours)
    assert theirs.arrow_schema.field("x").type == type_
    assert theirs == datasets.Features.from_arrow_schema(schema)
    assert hf_features.features_yaml(ours) == theirs._to_yaml_list()
    assert datasets.Features._from_yaml_list(hf_features.features_yaml(ours)) == theirs


def test_image_and_class_label(datasets):
    schema = pa.schema([("image", hf_features.IMAGE_TYPE), ("label", pa.int64())])
    ours = hf_features.features(schema, ("no", "1", "a: b"))
    theirs = datasets.Features(image=datasets.Image(), label=datasets.ClassLabel(names=["no", "1", "a: b"]))
    assert datasets.Features.from_dict(ours) == theirs
    assert datasets.Features.from_arrow_schema(hf_features.with_metadata(schema, ours)) == theirs
    assert hf_features.features_yaml(ours) == theirs._to_yaml_list()


def test_plain_type_reaches_every_depth():
    given = pa.large_list(pa.struct([("a", pa.large_string()), ("b", pa.list_(pa.float32(), 3))]))
    assert hf_features.plain_type(given) == pa.list_(pa.struct([("a", pa.string()), ("b", pa.list_(pa.float32()))]))
    assert hf_features.plain_type(pa.dictionary(pa.int32(), pa.large_string())) == pa.string()
    assert hf_features.plain_type(pa.timestamp("us")) == pa.timestamp("us")
