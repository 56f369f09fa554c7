"""A place to bring plugins to, and everything as it was afterwards."""

from __future__ import annotations

import sys

import pytest
from registries import REGISTRIES

from adde_ray.config import plugins
from adde_ray.methods.query import selectors, terms
from adde_ray.methods.synthesis import generators
from adde_ray.sources import ORIGINALS

BESIDE = [
    generators.MAKES, ORIGINALS, terms.OF_MEMBERS, selectors.WHATEVER_SCORE, selectors.FROM_ALL, selectors.BY_LENGTH,
    plugins._loaded, plugins._folders,
]  # fmt: skip


@pytest.fixture
def place(tmp_path, monkeypatch):
    """An empty folder that we are in. What is imported and registered is gone after the test."""
    kept = [(held, held.copy()) for held in (*(registry.parts for registry in REGISTRIES), *BESIDE)]
    modules, path = set(sys.modules), list(sys.path)
    folder = tmp_path / "place"
    folder.mkdir()
    monkeypatch.chdir(folder)
    yield folder
    for held, before in kept:
        held.clear()
        held.update(before)
    for name in set(sys.modules) - modules:
        if name.startswith(("my_lab", "own_")):
            del sys.modules[name]
    sys.path[:] = path
