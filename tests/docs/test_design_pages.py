"""What the pages for engineers say is in the code: rooms in their order, tables of names, keys and their defaults."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import test_imports

from adde_ray.artifacts.m_div import IN_M_DIV
from adde_ray.config import Config
from adde_ray.methods.policy.adaptation import RULES
from adde_ray.methods.policy.stopping import STOPPING
from adde_ray.methods.query.selectors import SELECTORS, WHATEVER_SCORE
from adde_ray.methods.query.terms import UNCERTAINTY
from adde_ray.methods.space.gaps import FINDERS

ROOT = Path(__file__).parents[2]
ARCHITECTURE, METHOD = ((ROOT / "docs" / f"{name}.md").read_text() for name in ("architecture", "method"))


def section(title: str, text: str) -> str:
    return re.search(rf"^## {title}\n(.*?)(?=^## |\Z)", text, re.M | re.S)[1]


def first_cells(text: str) -> set[str]:
    return set(re.findall(r"^\| `(\w+)`", text, re.M))


def test_the_layers_are_those_that_imports_are_held_to():
    block = re.search(r"```text\n(.*?)```", section("Layers", ARCHITECTURE), re.S)[1]
    told = [set(re.findall(r"(\w+)(?:\.py|/)", line[:44])) for line in block.splitlines()][::-1]
    told = [part for part in told if part - {"plugins", "testing"}]
    assert told == [part for part in test_imports.LAYERS if part - {"plugins", "testing"}]


def test_every_room_is_told_of():
    rooms = {path.parent.name for path in (ROOT / "adde_ray").glob("*/__init__.py")}
    assert rooms <= set(re.findall(r"\*\*`(\w+)/`\*\*", section("Rooms", ARCHITECTURE)))


@pytest.mark.parametrize(
    ("path", "names"),
    re.findall(r"^\| [^|]+ \| `([\w/]+\.py)`([^|;]*)", section("Where would I add …", ARCHITECTURE), re.M),
)
def test_tables_of_names_are_where_the_page_says(path, names):
    text = (ROOT / "adde_ray" / path).read_text()
    assert all(re.search(rf"^{name}\b", text, re.M) for name in re.findall(r"`([A-Z_]+)`", names))


def test_the_six_files_are_there():
    files = re.findall(r"^\d\. `([\w/.]+)`", section("Dive into the code", ARCHITECTURE), re.M)
    assert len(files) == 6 and all((ROOT / "adde_ray" / path).exists() for path in files)


def test_the_method_tells_of_all_that_can_be_named():
    assert first_cells(section("Selectors", METHOD)) == set(SELECTORS)
    assert first_cells(section("The score", METHOD)) == set(UNCERTAINTY)
    assert first_cells(section("Adaptation rules", METHOD)) == set(RULES)
    assert first_cells(section("Gaps", METHOD)) == set(FINDERS)
    rules = re.findall(r"^\| `(\w+)`", section("Stopping rules", METHOD), re.M)
    assert rules == list(STOPPING)
    assert all(name in section("Measurements", METHOD) for name in IN_M_DIV)
    assert set(re.findall(r"^\| `(\w+)` \*", section("Selectors", METHOD), re.M)) == WHATEVER_SCORE


def words_of(value: object) -> list[str]:
    """A default as the page writes it: keys, names and numbers."""
    if isinstance(value, dict):
        return [word for pair in value.items() for word in map(str, pair)]
    return [str(one).lower() for one in (value if isinstance(value, list) else [value])]


def test_defaults_in_brackets_are_those_of_the_config():
    tree = Config.parse({"data": {"source": "digits"}}).model_dump(mode="json")
    found = re.findall(r"\b([a-z_]+)\.([a-z_]+)`? \[([^\]]+)\]", METHOD)
    assert len(found) > 30
    for part, key, told in found:
        words = [re.sub(r"^\.", "0.", word) for word in told.replace(",", " ").split()]
        assert words == [re.sub(r"\.0$", "", word) for word in words_of(tree[part][key])], (part, key)
