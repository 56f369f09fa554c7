"""Config: every shipped TOML loads, every mistake is one clear line, no field is silently unused."""

import re
import tomllib
import typing
from pathlib import Path

import pytest
from pydantic import BaseModel

from adde_ray import config as config_module
from adde_ray.config import Config
from adde_ray.config import data as data_config
from adde_ray.errors import UserError
from adde_ray.experiments.grid import Grid
from adde_ray.experiments.space import Sweep

ROOT = Path(__file__).parents[2]
DIGITS = {"data": {"source": "digits"}}


@pytest.mark.parametrize("path", sorted((ROOT / "jobs" / "configs").glob("*.toml")), ids=lambda p: p.stem)
def test_every_shipped_config_loads(path):
    tree = tomllib.loads(path.read_text())
    if "strategies" in tree:
        grid = Grid.load(path)
        assert grid.trials((), path.parent) and grid.made_quick().trials((), path.parent)
    elif "space" in tree:
        plan = Sweep.load(path)
        assert len(plan.trials(plan.base((), path.parent))) == plan.num_trials
    else:
        assert Config.load(path).run.name


@pytest.mark.parametrize(
    ("tree", "message"),
    [
        ({}, "data: field required"),
        ({"data": {"source": "digit"}}, "'digits', 'image_folder', 'csv'"),
        (DIGITS | {"selct": {}}, "selct: unknown key .* Known keys here: run, data"),
        (DIGITS | {"select": {"alpa": 1}}, "select.alpa: unknown key .* Known keys here: alpha, beta"),
        (DIGITS | {"select": {"alpha": -1}}, r"select.alpha: should be greater than or equal to 0 \(got -1\)"),
        (DIGITS | {"select": {"batch": "ten"}}, r"select.batch: .*integer.*\(got 'ten'\)"),
        (DIGITS | {"diversity": {"class_target": {"3": -0.1}}}, "class_target.3: .*greater than or equal to 0"),
        (DIGITS | {"diversity": {"class_target": {"3": float("nan")}}}, "diversity.class_target.3: "),
        (DIGITS | {"select": {"diversity": {"novelty": float("inf")}}}, "select.diversity.novelty: .*finite"),
        (DIGITS | {"gaps": {"kinds": ["holes"]}}, "gaps.kinds.*'density', 'small_cluster', 'class' or 'subgroup'"),
        (DIGITS | {"review": {"error_rate": 1.5}}, "review.error_rate: should be less than or equal to 1"),
        ({"data": {"source": "csv", "path": "x.csv"}}, "exactly one of text_column, vector_column and image_col"),
        ({"data": {"source": "digits", "ratio": 3}}, "data.ratio: unknown key .*longtail_ratio"),
        (
            {"data": {"source": "tiles", "path": "x", "band": 1}},
            "Known keys here: source, path, bands, .*test_fraction, max_rejected",
        ),
        (DIGITS | {"run": {"name": "../up"}}, "run.name"),
        (DIGITS | {"train": {"workers": 1, "min_workers": 2}}, "min_workers must not be above workers"),
    ],
)
def test_mistakes_are_one_clear_line(tree, message):
    with pytest.raises(UserError, match=message) as error:
        Config.parse(tree, where="x.toml")
    assert "\n" not in str(error.value) and str(error.value).startswith("x.toml: ")


def test_overrides_are_typed_and_paths_are_relative_to_the_file(tmp_path):
    path = tmp_path / "c.toml"
    path.write_text('[data]\nsource = "csv"\npath = "rows.csv"\ntext_column = "t"\n')
    parsed = Config.load(path, ["select.alpha=0.25", "run.name=abc", "adapt.rules=[]", "stop.labels=7"])
    assert (parsed.select.alpha, parsed.run.name, parsed.adapt.rules, parsed.stop.labels) == (0.25, "abc", (), 7)
    assert parsed.data.path == tmp_path / "rows.csv"


@pytest.mark.parametrize("bad", ["alpha", "=1", "select=1"])
def test_bad_overrides(tmp_path, bad):
    (tmp_path / "c.toml").write_text('[data]\nsource = "digits"\n')
    with pytest.raises(UserError):
        Config.load(tmp_path / "c.toml", [bad])


def test_missing_file_and_bad_toml(tmp_path):
    with pytest.raises(UserError, match=r"nowhere.toml: No such file"):
        Config.load(tmp_path / "nowhere.toml")
    (tmp_path / "bad.toml").write_text("[data\n")
    with pytest.raises(UserError, match="not valid TOML"):
        Config.load(tmp_path / "bad.toml")


def test_a_config_survives_its_json():
    parsed = Config.parse(DIGITS).override("stop.labels=20")
    assert Config.parse(parsed.model_dump(mode="json")) == parsed


def sections() -> list[type[BaseModel]]:
    found = {**vars(config_module), **vars(data_config)}.values()
    return [c for c in found if isinstance(c, type) and issubclass(c, data_config.Section)]


def fields() -> list[tuple[str, str]]:
    return [
        (section.__name__, name)
        for section in sections()
        if section not in (Config, data_config.Section)
        for name in section.model_fields
    ]


def test_every_field_says_what_it_does():
    undocumented = [
        f"{s.__name__}.{name}"
        for s in sections()
        if s is not Config
        for name, field in s.model_fields.items()
        if not field.description and typing.get_origin(field.annotation) is not typing.Literal
    ]
    assert not undocumented


@pytest.mark.parametrize(("section", "name"), fields(), ids=lambda x: str(x))
def test_no_field_is_silently_unused(section, name):
    if name == "source":
        return  # the discriminator: looked up as data.source
    code = "\n".join(
        p.read_text() for p in (ROOT / "adde_ray").rglob("*.py") if p.stem not in ("config", "data_config", "check")
    )
    assert re.search(rf"\.{name}\b", code), f"{section}.{name} is read nowhere"


# --- bounds -------------------------------------------------------------------------------------------


def unbounded(schema: dict, at: str = "") -> list[str]:
    """Places of a JSON schema that would take a number, text, list or table of any size."""
    found = []
    if schema.get("type") in ("integer", "number"):
        for kinds in (("minimum", "exclusiveMinimum"), ("maximum", "exclusiveMaximum")):
            if not any(kind in schema for kind in kinds):
                found.append(f"{at} has no {kinds[0]}")
    if schema.get("type") == "string" and not schema.keys() & {"maxLength", "enum", "const"}:
        found.append(f"{at} has no maxLength")
    if schema.get("type") == "array" and "maxItems" not in schema:
        found.append(f"{at} has no maxItems")
    if schema.get("type") == "object" and "properties" not in schema:
        keys = schema.get("propertyNames", {})
        if not keys.keys() & {"maxLength", "enum"}:
            found.append(f"{at} has keys of any length")
        if "maxProperties" not in schema:
            found.append(f"{at} has no maxProperties")
    for key, inner in schema.items():
        parts = inner if isinstance(inner, list) else [inner]
        if key not in ("default", "propertyNames"):
            found += [fault for part in parts if isinstance(part, dict) for fault in unbounded(part, f"{at}.{key}")]
    return found


@pytest.mark.parametrize("model", [Config, Grid, Sweep], ids=lambda model: model.__name__)
def test_every_number_text_and_list_has_bounds(model):
    assert not unbounded(model.model_json_schema(), model.__name__)


def test_gold_must_not_be_told_from_the_rest():
    tree = {"data": {"source": "digits"}, "review": {"gold": 0.1, "hidden_guesses": 0}}
    with pytest.raises(UserError, match="gold has no suggestion to uncover"):
        Config.parse(tree)
    Config.parse(tree | {"review": {"gold": 0.1, "hidden_guesses": 0, "guesses": False}})
