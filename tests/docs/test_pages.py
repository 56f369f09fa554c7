"""What README.md and docs/ say is there: configs load, commands parse, paths and settings exist, code runs."""

from __future__ import annotations

import ast
import re
import shlex
import tomllib
from pathlib import Path

import pytest
import typer
from documents import (
    DOCUMENTS,
    PAGES,
    ROOT,
    adde_calls,
    all_blocks,
    command_lines,
    files_of,
    kind_of,
    lay_out,
    section,
)
from markdown.extensions.toc import slugify

import adde_ray
from adde_ray import strategies
from adde_ray.cli import app
from adde_ray.config import Config
from adde_ray.config.data import SECTIONS
from adde_ray.config_check import check_names
from adde_ray.experiments.grid import Grid
from adde_ray.experiments.space import Sweep
from adde_ray.methods.encoders import ENCODERS
from adde_ray.methods.query import selectors, terms
from adde_ray.review import actions

COMMANDS = typer.main.get_command(app).commands
OPTIONS = {
    name: {o for one in (command, *getattr(command, "commands", {}).values()) for p in one.params for o in p.opts}
    for name, command in COMMANDS.items()
}
"""Of a group, those of all its commands."""

COMMANDS_PAGE, REVIEW_PAGE = "docs/commands.md", "docs/review.md"

README_LINES = 180
"""What is more belongs on a page."""


def shown(kind: str) -> list[tuple[str, str]]:
    """(page, TOML block) of a kind."""
    return [(page, text) for page, text in all_blocks("toml") if kind_of(text) == kind]


def first_line(value: str) -> str:
    return value.partition("\n")[0]


@pytest.fixture
def beside(tmp_path, monkeypatch, page) -> Path:
    """A folder with the TOML files that the page shows."""
    lay_out(tmp_path, page)
    monkeypatch.chdir(tmp_path)
    return tmp_path


# --- files shown ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("page", "text"), shown("config"), ids=first_line)
def test_configs_load(page, text, tmp_path):
    whole = text if "[data]" in text else f'{text}\n[data]\nsource = "digits"\n'
    (tmp_path / "c.toml").write_text(whole)
    check_names(Config.load(tmp_path / "c.toml"))


@pytest.mark.parametrize(("page", "text"), shown("grid"), ids=first_line)
def test_grids_load(page, text, beside):
    (beside / "it.toml").write_text(text)
    tree = tomllib.loads(text)
    expected = tree["seeds"] * len(tree["strategies"]) * len(tree["datasets"])
    assert len(Grid.load("it.toml").trials((), beside)) == expected > 0


@pytest.mark.parametrize(("page", "text"), shown("sweep"), ids=first_line)
def test_sweeps_load(page, text, beside):
    (beside / "it.toml").write_text(text)
    space = Sweep.load("it.toml")
    assert len(space.trials(space.base((), beside))) == tomllib.loads(text)["num_trials"]


def test_every_kind_of_file_is_shown():
    assert all(shown(kind) for kind in ("config", "grid", "sweep"))


@pytest.mark.parametrize("name", ["images", "texts"])
def test_the_config_shown_says_what_the_shipped_one_does(name):
    found = [tomllib.loads(files_of(page)[f"{name}.toml"]) for page in PAGES if f"{name}.toml" in files_of(page)]
    shipped = tomllib.loads((ROOT / "jobs" / "configs" / f"{name}.toml").read_text())
    assert found
    for tree in found:
        assert tree == {part: {k: v for k, v in keys.items() if k in tree[part]} for part, keys in shipped.items()}


# --- commands ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("page", "words"),
    [(page, words) for page, text in DOCUMENTS.items() for words in adde_calls(text)],
    ids=lambda value: value if isinstance(value, str) else " ".join(value),
)
def test_commands_are_accepted(page, words, beside):
    name, *arguments = words
    parsed = COMMANDS[name].make_context(name, list(arguments)).params
    if "config" in parsed:
        config = Config.load(parsed["config"], parsed["set_"] or ())
        if config.select.diversity.keys() <= terms.DIVERSITY.keys():  # else it is the part that the page adds
            check_names(config)


def test_make_targets_and_scripts_exist():
    targets = set(re.findall(r"^(\w+):", (ROOT / "Makefile").read_text(), re.M))
    lines = [(page, line) for page, text in DOCUMENTS.items() for line in command_lines(text)]
    assert len(lines) > 20
    for page, line in lines:
        words = shlex.split(line, comments=True)
        assert words[0] in ("make", "adde", "python", "ray", "export"), (page, line)
        assert words[0] != "make" or words[1] in targets, (page, line)
        assert words[0] != "python" or (ROOT / words[1]).is_file(), (page, line)


@pytest.mark.parametrize("page", DOCUMENTS)
def test_commands_named_in_a_sentence_exist(page):
    targets = set(re.findall(r"^(\w+):", (ROOT / "Makefile").read_text(), re.M))
    text = DOCUMENTS[page]
    assert set(re.findall(r"`make (\w+)", text)) <= targets
    assert set(re.findall(r"`adde ([a-z]\w*)", text)) <= set(COMMANDS)


@pytest.mark.parametrize("page", DOCUMENTS)
def test_options_named_in_a_sentence_exist(page):
    """Of one of our commands, where an option stands alone in backticks."""
    known = set.union({"--help"}, *OPTIONS.values())
    assert set(re.findall(r"`(--[a-z][\w-]*)", DOCUMENTS[page])) <= known


def test_every_command_is_in_the_table():
    assert set(re.findall(r"^\| `adde (\w+)", DOCUMENTS[COMMANDS_PAGE], re.M)) == set(COMMANDS)


def test_the_table_of_commands_has_their_options_and_no_other():
    rows = dict(re.findall(r"^\| `adde (\w+)(.*)$", DOCUMENTS[COMMANDS_PAGE], re.M))
    for name, text in rows.items():
        options = {o for o in OPTIONS[name] if o.startswith("--")}
        assert set(re.findall(r"--[\w-]+", text)) == options - TOLD_ELSEWHERE, name


TOLD_ELSEWHERE = {"--plugin"}
"""Options for who writes parts of their own, on the page about these."""


# --- tables -----------------------------------------------------------------------------------------------


def settings(page: str) -> set[tuple[str, str]]:
    """(section, key) of every setting that a page names in backticks."""
    found = re.findall(r"`(?:--set )?([a-z_]+)\.([a-z_]+)(?:\.\w+)*(?: ?=[^`]*)?`", DOCUMENTS[page])
    return {(part, key) for part, key in found if part in Config.model_fields and key not in NO_SETTINGS}


NO_SETTINGS = {"csv", "xlsx", "json", "jsonl", "parquet", "toml", "txt", "py", "md", "html", "npy", "m_div"}
"""Endings of files, and a figure of metrics.json."""


@pytest.mark.parametrize("page", DOCUMENTS)
def test_settings_named_exist(page):
    tree = Config.parse({"data": {"source": "digits"}}).model_dump()
    tree["data"] = {key for source in SECTIONS.values() for key in source.model_fields}
    assert not [f"{part}.{key}" for part, key in settings(page) if key not in tree[part]]


def test_settings_are_named():
    assert len(settings(COMMANDS_PAGE)) > 40


def spelled(default: object) -> object:
    """A default as a cell of a table has it."""
    if isinstance(default, list) and len(default) == 1:
        default = default[0]
    if default in (None, [], {}):
        return "none"
    if isinstance(default, bool):
        return str(default).lower()
    return f"{default:.15g}" if isinstance(default, int | float) else default


WORDS = {"uniform", "never", "mirror"}
"""For defaults that say little by themselves: no target, 0 rounds, left out."""


def test_defaults_in_the_tables_are_those_of_the_config():
    """Where a cell has one value for each key, and no sentence."""
    tree = Config.parse({"data": {"source": "csv", "path": "x.csv", "text_column": "x"}}).model_dump(mode="json")
    tables = DOCUMENTS[COMMANDS_PAGE] + DOCUMENTS["docs/cluster.md"]
    wrong, right = [], 0
    for keys, cell in re.findall(r"^\| (`\w+\.\w+`(?:, `\w+\.\w+`)*) \| ([^|]+) \|", tables, re.M):
        names, values = re.findall(r"`(\w+)\.(\w+)`", keys), [value.strip(" `") for value in cell.split(",")]
        values = values * len(names) if len(values) == 1 else values
        for (part, key), value in zip(names, values, strict=True):
            if " " not in value and value not in WORDS:
                right += value == spelled(tree[part][key])
                wrong += [f"{part}.{key}: {value}"] * (value != spelled(tree[part][key]))
    assert not wrong and right > 30


def test_actions_are_told_in_the_words_of_review_txt():
    told = {
        f"| `{action}` | {row.label} | {row.means} |".replace("|  |", "| |") for action, row in actions.TABLE.items()
    }
    assert told <= set(DOCUMENTS[REVIEW_PAGE].splitlines())


def rows(title: str, page: str) -> set[str]:
    """What stands in backticks in the first cells of the tables under a heading."""
    cells = re.findall(r"^\| (`[^|]*) \|", section(title, page), re.M)
    return {name for cell in cells for name in re.findall(r"`([^`]+)`", cell)}


def test_every_strategy_encoder_and_source_is_told():
    assert rows("The strategies", "docs/experiments.md") == set(strategies.STRATEGIES)
    assert rows("Encoders", "docs/encoders.md") - {"encoder.name"} == {*ENCODERS, "auto"}
    assert rows("Your data", "docs/your-data.md") - {"data.source"} == set(SECTIONS)


def test_the_glossary_has_one_word_for_one_thing():
    rows = re.findall(r"^\| ([^|]+) \| ([^|]+) \| ([^|]*) \|$", DOCUMENTS["docs/glossary.md"], re.M)
    words = [word for cell, _, _ in rows if cell not in ("word", "---") for word in cell.split(", ")]
    assert len(words) > 80 and len(words) == len(set(words))
    assert not [cell for cell, meaning, avoid in rows if not meaning.strip() or cell in avoid.split(", ")]


def test_selectors_that_see_a_random_shortlist_are_told():
    told = re.search(r"selector that must see every candidate \((.*?)\)", DOCUMENTS["docs/large-pools.md"])[1]
    assert set(re.findall(r"`(\w+)`", told)) == set(selectors.FROM_ALL)


# --- links and paths --------------------------------------------------------------------------------------


def anchors(path: Path) -> set[str]:
    """Of the headings outside blocks of code."""
    text = re.sub(r"^```.*?^```$", "", path.read_text(), flags=re.M | re.S)
    return {slugify(re.sub(r"[`*]", "", title), "-") for title in re.findall(r"^#+ (.*)$", text, re.M)}


@pytest.mark.parametrize("page", DOCUMENTS)
def test_links_lead_somewhere(page):
    for link, anchor in re.findall(r"\]\(([^)#\s]*)(?:#([^)\s]+))?\)", DOCUMENTS[page]):
        if "://" not in link:
            target = (ROOT / page).parent / link if link else ROOT / page
            assert target.exists(), link
            assert not anchor or anchor in anchors(target), f"{link}#{anchor}"


FILES = r"(?:[\w.-]+/)+[\w-]+\.(?:py|yaml|toml|html)"
FOLDERS = r"(?:adde_ray|tests|jobs|docs|benchmarks|examples)/[\w/]*"
PATHS = rf"`({FILES}|{FOLDERS}|[a-z]\w+\.py)`"
"""Of code and configs."""

YOURS = {"my_lab/parts.py", "parts.py", "blend.py"}
"""What a reader writes."""


def paths(page: str) -> list[str]:
    return [path for path in re.findall(PATHS, DOCUMENTS[page]) if path not in YOURS]


@pytest.mark.parametrize("page", DOCUMENTS)
def test_paths_named_exist(page):
    """Whole, or relative to the package or its rooms."""
    roots = (ROOT, ROOT / "adde_ray", ROOT / "adde_ray" / "methods")
    assert not [path for path in paths(page) if not any((root / path).exists() for root in roots)]


def test_paths_are_named():
    assert len(paths("docs/architecture.md")) > 20


def test_the_readme_says_where_to_add_what():
    added = section("Where would I add …", "README.md").strip().splitlines()
    assert len([line for line in added if line.startswith("- ")]) == 4
    names = re.findall(r"`([A-Z_]+)`", "".join(added))
    code = "".join(path.read_text() for path in (ROOT / "adde_ray").rglob("__init__.py"))
    assert names and all(re.search(rf"^{name}\b.* = ", code, re.M) for name in names)


def test_the_readme_is_short():
    assert len(DOCUMENTS["README.md"].splitlines()) <= README_LINES


def test_every_module_says_what_it_is():
    heads = {p: ast.get_docstring(ast.parse(p.read_text())) for p in (ROOT / "adde_ray").rglob("*.py")}
    assert not [p for p, head in heads.items() if not head and p.stat().st_size]


def test_the_changelog_names_this_version():
    version = re.search(r'^version = "(.*)"$', (ROOT / "pyproject.toml").read_text(), re.M)[1]
    assert re.search(rf"^## \[{re.escape(version)}\]", DOCUMENTS["CHANGELOG.md"], re.M)


# --- code -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("page", "code"), all_blocks("python"), ids=first_line)
def test_code_compiles_and_imports_what_is_public(page, code):
    compile(code, page, "exec")
    for names in re.findall(r"^from adde_ray import (.*)", code, re.M):
        assert set(names.split(", ")) <= set(adde_ray.__all__)
    for path, override in re.findall(r'Config\.load\("(.*?)", \["(.*?)"', code):
        Config.load(ROOT / path, [override])
