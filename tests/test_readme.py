"""What README.md and docs/architecture.md say is there: configs load, commands parse, paths exist, code runs."""

from __future__ import annotations

import ast
import re
import shlex
import tomllib
from pathlib import Path

import numpy as np
import pytest
import typer

import adde_ray
from adde_ray.cli import app
from adde_ray.config import Config
from adde_ray.config_check import check_names
from adde_ray.experiments.grid import Grid
from adde_ray.experiments.space import Sweep
from adde_ray.methods.query import terms
from adde_ray.methods.synthesis import generators
from adde_ray.review import actions

ROOT = Path(__file__).parents[1]
README, ARCHITECTURE = (ROOT / "README.md").read_text(), (ROOT / "docs" / "architecture.md").read_text()
DOCUMENTS = {
    name: (ROOT / name).read_text()
    for name in ("README.md", "CHANGELOG.md", *(f"docs/{path.name}" for path in (ROOT / "docs").glob("*.md")))
}
COMMANDS = typer.main.get_command(app).commands


def blocks(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```$", README, re.M | re.S)


def section(title: str) -> str:
    return re.search(rf"^#+ {title}\n(.*?)(?=^## |\Z)", README, re.M | re.S)[1]


def command_lines() -> list[str]:
    return [line for block in blocks("sh") for line in block.splitlines() if line.strip()]


def adde_calls() -> list[list[str]]:
    """The arguments after `adde` of every command shown, Ray jobs included."""
    calls = []
    for line in command_lines():
        words = shlex.split(line, comments=True)
        if words[0] == "adde":
            calls.append(words[1:])
        elif job := next((word for word in words if re.fullmatch(r"jobs/\w+\.py", word)), None):
            calls.append([Path(job).stem, *words[words.index(job) + 1 :]])
    return calls


@pytest.fixture
def beside(tmp_path, monkeypatch) -> Path:
    """A folder with the README's TOML files under the names in their first line, and the repository's jobs/."""
    for text in blocks("toml"):
        if name := re.match(r"# (\S+\.toml)\n", text):
            (tmp_path / name[1]).write_text(text)
    (tmp_path / "jobs").symlink_to(ROOT / "jobs")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def experiments() -> dict[str, str]:
    """File name → text of the experiments shown."""
    return {
        name: text for name in ("grid.toml", "space.toml") for text in blocks("toml") if text.startswith(f"# {name}")
    }


def test_experiments_load(beside):
    grid, space = Grid.load("grid.toml"), Sweep.load("space.toml")
    assert len(experiments()) == 2 and len(grid.trials((), beside)) == 5 * 6 * 2
    assert len(space.trials(space.base((), beside))) == 32


@pytest.mark.parametrize(
    "text",
    [text for text in blocks("toml") if text not in experiments().values()],
    ids=lambda text: text.partition("\n")[0],
)
def test_configs_load(text, tmp_path):
    whole = text if "[data]" in text else f'{text}\n[data]\nsource = "digits"\n'
    (tmp_path / "c.toml").write_text(whole)
    check_names(Config.load(tmp_path / "c.toml"))


@pytest.mark.parametrize("name", ["images", "texts"])
def test_the_config_shown_says_what_the_shipped_one_does(name):
    shown = next(tomllib.loads(text) for text in blocks("toml") if text.startswith(f"# {name}.toml"))
    shipped = tomllib.loads((ROOT / "jobs" / "configs" / f"{name}.toml").read_text())
    assert shown == {part: {k: v for k, v in keys.items() if k in shown[part]} for part, keys in shipped.items()}


@pytest.mark.parametrize("words", adde_calls(), ids=" ".join)
def test_commands_are_accepted(words, beside):
    name, *arguments = words
    parsed = COMMANDS[name].make_context(name, list(arguments)).params
    if "config" in parsed:
        config = Config.load(parsed["config"], parsed["set_"] or ())
        if config.select.diversity.keys() <= terms.DIVERSITY.keys():  # else it is the part the README adds
            check_names(config)


def test_actions_are_told_in_the_words_of_review_txt():
    told = {
        f"| `{action}` | {row.label} | {row.means} |".replace("|  |", "| |") for action, row in actions.TABLE.items()
    }
    assert told <= set(README.splitlines())


def test_every_command_is_in_the_table():
    assert set(re.findall(r"^\| `adde (\w+)", section("Commands"), re.M)) == set(COMMANDS)


def test_options_in_the_table_exist():
    for name, text in re.findall(r"^\| `adde (\w+)(.*)$", section("Commands"), re.M):
        known = {option for parameter in COMMANDS[name].params for option in parameter.opts}
        assert set(re.findall(r"`?(--[\w-]+)", text)) <= known, name


def test_settings_in_the_table_exist():
    tree = Config.parse({"data": {"source": "csv", "path": "x.csv", "text_column": "x"}}).model_dump()
    shown = re.findall(r"`(\w+)\.(\w+)`", "".join(re.findall(r"^\| (`\w+\.\w+`[^|]*)\|", section("Commands"), re.M)))
    assert len(shown) > 10 and not [f"{part}.{key}" for part, key in shown if key not in tree[part]]


def test_make_targets_and_scripts_exist():
    targets = set(re.findall(r"^(\w+):", (ROOT / "Makefile").read_text(), re.M))
    for line in command_lines():
        words = shlex.split(line, comments=True)
        assert words[0] in ("make", "adde", "python", "ray", "export"), line
        assert words[0] != "make" or words[1] in targets
        assert words[0] != "python" or (ROOT / words[1]).is_file()


@pytest.mark.parametrize("name", DOCUMENTS)
def test_links_lead_somewhere(name):
    links = [link for link in re.findall(r"\]\(([^)#]+)\)", DOCUMENTS[name]) if "://" not in link]
    folder = (ROOT / name).parent
    assert not [link for link in links if not link.endswith(".png") and not (folder / link).exists()]


def test_every_module_says_what_it_is():
    heads = {p: ast.get_docstring(ast.parse(p.read_text())) for p in (ROOT / "adde_ray").rglob("*.py")}
    assert not [p for p, head in heads.items() if not head and p.stat().st_size]


def test_paths_in_the_architecture_exist():
    named = re.findall(r"`((?:\w+/)+\w+\.(?:py|yaml|toml)|\w+\.py)`", ARCHITECTURE)
    roots = (ROOT, ROOT / "adde_ray", ROOT / "adde_ray" / "methods")
    assert len(named) > 20 and not [path for path in named if not any((root / path).exists() for root in roots)]


def test_python_in_three_lines():
    text = next(block for block in blocks("python") if "from adde_ray import" in block)
    compile(text, "README.md", "exec")
    names = re.search(r"from adde_ray import (.*)", text)[1].split(", ")
    assert set(names) <= set(adde_ray.__all__)
    path, override = re.search(r'Config\.load\("(.*?)", \["(.*?)"\]\)', text).groups()
    Config.load(ROOT / path, [override])


def test_the_term_of_the_readme():
    text = next(block for block in blocks("python") if "def typicality" in block)
    scope = dict(vars(terms))
    exec(text, scope)
    assert scope["DIVERSITY"].keys() == terms.DIVERSITY.keys() | {"typicality"}
    typicality, rng = scope["typicality"], np.random.default_rng(0)
    for n in (0, 1, 40):
        x = rng.normal(size=(n, 3))
        div = typicality(terms.CandidateBatch(np.ones((n, 2)) / 2, x, x, np.ones(2), None, 1.0))
        assert div.shape == (n,) and np.isfinite(div).all() and ((div >= 0) & (div <= 1)).all()
    assert div.max() > 0.5 > div.min()


def test_the_generator_of_the_readme():
    own, listed = (next(b for b in blocks("python") if word in b) for word in ("class Blend", "def _blend"))
    scope = {}
    exec(own, scope)
    names = dict(vars(generators))
    exec(listed, names)
    assert names["MAKES"].keys() == names["GENERATORS"].keys() == generators.GENERATORS.keys() | {"blend"}
    rng = np.random.default_rng(0)
    for shape in ((5,), (1, 8, 8)):
        data = generators.FitData(
            rng.random((12, *shape), dtype=np.float32),
            rng.dirichlet(np.ones(3), 12).astype(np.float32),
            rng.normal(size=(12, 4)).astype(np.float32),
        )
        generator = scope["Blend"](None)
        weights = generator.fit(data, seed=0)

        def draw(seed, generator=generator, weights=weights):
            return generator.sample(weights, np.array([0, 2]), np.zeros((2, 4)), temperature=0.8, seed=seed)

        made = draw(1)
        assert made.shape == (2, *shape) and made.dtype == np.float32
        assert made.min() >= data.arrays.min() and made.max() <= data.arrays.max()
        assert np.array_equal(made, draw(1)) and not np.array_equal(made, draw(2))


def test_the_changelog_names_this_version():
    version = re.search(r'^version = "(.*)"$', (ROOT / "pyproject.toml").read_text(), re.M)[1]
    assert re.search(rf"^## \[{re.escape(version)}\]", DOCUMENTS["CHANGELOG.md"], re.M)
