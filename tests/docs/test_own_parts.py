"""The parts that docs/own-parts.md shows keep the contracts of their kinds, and every kind is told of."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest

from adde_ray.methods.query.selectors import SELECTORS, Candidates
from adde_ray.methods.query.terms import DIVERSITY
from adde_ray.methods.synthesis import generators

plugins = pytest.importorskip("adde_ray.plugins")
testing = pytest.importorskip("adde_ray.testing")

PAGE = (Path(__file__).parents[2] / "docs" / "own-parts.md").read_text()


@pytest.fixture
def shown(monkeypatch):
    """Gives what a block defines once it has run, and takes back what it registers."""
    for registry in (DIVERSITY, SELECTORS, generators.GENERATORS):
        own = {"typicality", "classes_in_turn", "blend"}  # another test may have parts of these names
        monkeypatch.setattr(registry, "parts", {name: part for name, part in registry.parts.items() if name not in own})
    monkeypatch.setattr(generators, "MAKES", dict(generators.MAKES))

    def run(words: str) -> dict:
        block = next(b for b in re.findall(r"^```python\n(.*?)^```$", PAGE, re.M | re.S) if words in b)
        scope: dict = {}
        exec(block, scope)
        return scope

    return run


def test_the_term_is_registered_and_keeps_its_contract(shown):
    typicality = shown("def typicality")["typicality"]
    testing.check_diversity(typicality)
    assert DIVERSITY["typicality"] is typicality


def test_the_selector_is_registered_and_keeps_its_contract(shown):
    selector = shown("def classes_in_turn")["classes_in_turn"]
    testing.check_selector(selector)
    assert SELECTORS["classes_in_turn"] is selector
    proba = np.array([[0.9, 0.1], [0.8, 0.2], [0.3, 0.7]])
    offered = Candidates(np.array([0.5, 0.9, 0.1]), np.zeros((3, 2)), proba, np.zeros((0, 2)))
    assert selector(offered, 3, redundancy=1.0, rng=np.random.default_rng(0)).tolist() == [1, 2, 0]


def test_the_generator_is_registered_and_keeps_its_contract(shown):
    blend = shown("class Blend")["Blend"]
    testing.check_generator(blend, modalities=("image", "vector"))
    assert generators.GENERATORS["blend"] is blend and generators.MAKES["blend"] == ("image", "vector")


def test_every_decorator_and_every_check_is_told():
    assert set(re.findall(r"`(register_\w+)\(", PAGE)) == set(plugins.__all__)
    assert set(re.findall(r"`(check_\w+)`", PAGE)) == set(testing.__all__)
