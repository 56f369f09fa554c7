"""Imports go one way, and the light layers load neither ray nor torch."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parents[1] / "adde_ray"
LAYERS = [
    {"errors", "labels"},
    {"config", "strategies"},
    {"artifacts"},
    {"progress"},
    {"methods", "sources"},
    {"review"},
    {"distributed"},
    {"pool"},
    {"dataset"},
    {"annotators"},
    {"stages"},
    {"web"},
    {"config_check", "report", "export", "search"},
    {"loop"},
    {"verify", "experiments"},
    {"cli"},
    {"plugins"},
    {"testing"},
]
LEVEL = {name: level for level, names in enumerate(LAYERS) for name in names}


def modules() -> list[Path]:
    return sorted(p for p in PACKAGE.rglob("*.py") if p.parent != PACKAGE or p.stem != "__init__")


def imported(path: Path) -> set[str]:
    """Dotted names below adde_ray that a file imports, wherever in it."""
    names = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            names |= {f"{node.module}.{alias.name}" for alias in node.names}
    return {name.removeprefix("adde_ray.") for name in names if name.startswith("adde_ray.")}


def part_of(path: Path) -> str:
    relative = path.relative_to(PACKAGE)
    return relative.parts[0].removesuffix(".py")


@pytest.mark.parametrize("path", modules(), ids=lambda p: str(p.relative_to(PACKAGE)))
def test_layers(path):
    assert part_of(path) in LEVEL, "a new part of the house needs its place in LAYERS"
    for name in imported(path):
        target = name.split(".")[0]
        if target in LEVEL and target != part_of(path):
            assert LEVEL[target] <= LEVEL[part_of(path)], f"{path.name} imports {name}"


@pytest.mark.parametrize("path", sorted((PACKAGE / "stages").glob("*.py")), ids=lambda p: p.stem)
def test_stages_never_import_each_other(path):
    """But for what they share: what a run works with, and what a round measures and hands on."""
    shared = tuple(
        f"stages.{name}" for name in ("batch", "gap_words", "metrics", "round_state", "run_context", "spaces")
    )
    assert not {name for name in imported(path) if name.startswith("stages") and not name.startswith(shared)}


@pytest.mark.parametrize("path", sorted((PACKAGE / "review").rglob("*.py")), ids=lambda p: p.stem)
def test_review_imports_only_what_lies_below_it(path):
    """Of the methods only what decisions add up to; what people see must not reach hidden labels."""
    below = set().union(*LAYERS[:3]) | {"review"}
    assert all(n.split(".")[0] in below or n.startswith("methods.crowd") for n in imported(path))


@pytest.mark.parametrize("path", sorted((PACKAGE / "methods").rglob("*.py")), ids=lambda p: p.stem)
def test_methods_are_pure(path):
    tree = ast.parse(path.read_text())
    for node in ast.walk(tree):
        names = [a.name for a in node.names] if isinstance(node, ast.Import) else []
        names += [node.module or ""] if isinstance(node, ast.ImportFrom) else []
        assert not any(name.split(".")[0] == "ray" for name in names), f"{path.name}:{node.lineno} imports ray"


def test_light_imports_load_neither_ray_nor_torch():
    code = (
        "import sys, adde_ray, adde_ray.config, adde_ray.artifacts.run_dir, adde_ray.stages.resuming, adde_ray.cli;"
        "print([m for m in ('ray', 'torch', 'sklearn', 'plotly', 'mlcroissant') if m in sys.modules])"
    )
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True).stdout.strip() == "[]"


def test_methods_do_not_load_ray():
    code = (
        "import sys, pkgutil, importlib, adde_ray.methods as m, adde_ray.sources as s;"
        "names = [i.name for p in (m, s) for i in pkgutil.walk_packages(p.__path__, p.__name__ + '.')];"
        "[importlib.import_module(name) for name in names];"
        "print('ray' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.stdout.strip() == "False", done.stderr
