"""Configs whose parts do not fit together are refused in one line, before any work."""

import pytest
from small import config

from adde_ray.config import schema_json
from adde_ray.config_check import check_names, known_names, named_schema
from adde_ray.errors import UserError

BALD = {"select": {"uncertainty": "bald"}}


@pytest.mark.parametrize(
    ("sections", "message"),
    [
        (BALD, r"select\.uncertainty: needs an ensemble \(got 'bald'\).*train\.ensemble"),
        ({"train": {"ensemble": 3}}, r"train\.ensemble: would be ignored by select\.uncertainty = 'margin'"),
        ({"train": {"dropout": 0.2}}, r"train\.dropout: would be ignored by the learner linear"),
        ({"train": {"mode": "lora"}}, r"train\.mode: the encoder auto cannot be trained so .*transformer"),
        (
            {"train": {"mode": "lora"}, "encoder": {"name": "convnet"}},
            r"train\.mode: the encoder convnet cannot be trained so \(got 'lora'\)",
        ),
        ({"encoder": {"name": "convnet"}}, r"encoder\.name: is random until it is trained.*train\.mode = \"full\""),
        (
            {"train": {"mode": "full"}, "encoder": {"name": "transformer", "model": "m", "dims": 8}},
            r"encoder\.dims: features that are reduced cannot be trained \(got 8\)",
        ),
    ],
    ids=str,
)
def test_parts_that_do_not_fit(tmp_path, sections, message):
    with pytest.raises(UserError, match=message) as error:
        check_names(config(tmp_path / "x.parquet", **sections))
    assert "\n" not in str(error.value)


def test_parts_that_do(tmp_path):
    check_names(config(tmp_path / "x.parquet", train={"ensemble": 3, "learner": "mlp", "dropout": 0.1}, **BALD))


@pytest.mark.parametrize("key", known_names())
def test_the_schema_lists_the_names_that_a_key_may_hold(tmp_path, key):
    section, name = key.split(".")
    schema = named_schema()
    field = schema["$defs"][schema["properties"][section]["$ref"].rpartition("/")[2]]["properties"][name]
    default, title, told = field["default"], field["title"], field["description"]
    [field] = [part for part in field.get("anyOf", [field]) if part.get("type") != "null"]
    kind = field.get("type")
    one = {"array": "items", "object": "propertyNames"}.get(kind)
    names = (field[one] if one else field)["enum"]
    wrong = {"array": ["wrong"], "object": {"wrong": 1.0}}.get(kind, "wrong")
    with pytest.raises(UserError) as error:
        check_names(config(tmp_path / "x.parquet", **{section: {name: wrong}}))
    assert str(error.value).endswith(f"Choose one of: {', '.join(names)}.")
    plain = schema_json()["$defs"][schema["properties"][section]["$ref"].rpartition("/")[2]]["properties"][name]
    assert told == plain["description"] and title == plain["title"]
    assert all(given in names for given in ([default] if kind == "string" else default or ()))


def test_the_description_of_an_encoder_names_every_one():
    names = known_names()["encoder.name"]
    assert all(name in named_schema()["$defs"]["Encoder"]["properties"]["name"]["description"] for name in names)
