"""Modules with parts of one's own: where they are found, what is told of those that fail, what a run keeps of them."""

from __future__ import annotations

import importlib
import json
import re
import sys
from pathlib import Path

import pytest
from small import rows, tree, write
from typer.testing import CliRunner

from adde_ray.cli import app
from adde_ray.config import Config, plugins
from adde_ray.config.registry import Registry
from adde_ray.errors import UserError
from adde_ray.methods.query.selectors import SELECTORS
from adde_ray.plugins import register_selector

SELECTOR = """
from adde_ray.plugins import register_selector

@register_selector("{name}")
def mine(candidates, size, *, redundancy, rng):
    return candidates.score.argsort(kind="stable")[::-1][:size].copy()
"""


def adde(*words: object) -> tuple[int, str]:
    """Exit code and everything that was printed."""
    done = CliRunner().invoke(app, [str(word) for word in words])
    if done.exception and not isinstance(done.exception, SystemExit):
        raise done.exception
    return done.exit_code, done.output


def toml(folder: Path, *, modules: str | None = None, selector: str = "mine") -> Path:
    """A run on small vectors, as a file in `folder`."""
    folder.mkdir(exist_ok=True)
    data = write(folder / "rows.parquet", rows())
    sections = tree(data, select={"batch": 5, "selector": selector}, run={"name": "r", "root": str(folder / "runs")})
    lines = [] if modules is None else [f"[plugins]\nmodules = {modules}"]
    for name, keys in sections.items():
        lines += [f"[{name}]", *(f"{key} = {json.dumps(value)}" for key, value in keys.items())]
    path = folder / "run.toml"
    path.write_text("\n".join(lines))
    return path


class TestRegistry:
    def test_a_name_that_is_taken_is_refused_but_for_the_same_part(self, place):
        def parts():
            return lambda candidates, size, *, redundancy, rng: None

        one = parts()
        for _ in range(2):
            assert register_selector("own")(one) is one
        for name in ("own", "top_k"):
            with pytest.raises(UserError, match="there is a part of kind selector of that name") as error:
                register_selector(name)(parts())
            assert len(error.value.lines) == 1

    def test_a_module_that_is_imported_again_takes_its_own_place(self, place):
        (place / "own_again.py").write_text(SELECTOR.format(name="mine"))
        plugins.load(["own_again"])
        before = SELECTORS["mine"]
        importlib.reload(sys.modules["own_again"])
        assert SELECTORS["mine"] is sys.modules["own_again"].mine is not before

    @pytest.mark.parametrize("name", ["auto", "", "x" * 300, 3])
    def test_what_is_no_name(self, name):
        registry = Registry("part", {}, where="a.b", also=("auto",))
        with pytest.raises(UserError):
            registry.register(name)(object())

    def test_names_beside_the_parts(self):
        registry = Registry("part", {"one": 1}, where="a.b", also=("auto",))
        registry.check("auto")
        assert registry.get("auto") is None and dict(registry) == {"one": 1}
        with pytest.raises(UserError, match=r"a\.b: unknown name \(got 'on'\)\. Did you mean 'one'\? .*: auto, one"):
            registry.check("on")


class TestFinding:
    def test_beside_the_config(self, place):
        path = toml(place / "elsewhere", modules='["own_beside"]')
        (path.parent / "own_beside.py").write_text(SELECTOR.format(name="mine"))
        assert Config.load(path).plugins.modules == ("own_beside",) and "mine" in SELECTORS
        assert plugins.loaded() == ("own_beside",)

    def test_in_the_folder_we_are_in_and_by_the_command_line(self, place):
        path = toml(place / "elsewhere")
        (place / "own_here.py").write_text(SELECTOR.format(name="mine"))
        code, said = adde("check", path)
        assert code == 2 and re.search(r"select\.selector: unknown name \(got 'mine'\)", said)
        code, said = adde("check", path, "--plugin", "own_here")
        assert code == 0, said
        code, said = adde("check", path, "--plugin", "own_here", "--set", "select.selector=mime")
        assert code == 2 and "Did you mean 'mine'? Choose one of: badge, batch_greedy," in said.replace("\n", " ")

    def test_nothing_hides_what_is_installed(self, place):
        (place / "json.py").write_text("raise RuntimeError")
        plugins.load(["json"])
        assert sys.modules["json"] is json

    def test_a_module_is_imported_once(self, place):
        (place / "own_once.py").write_text(SELECTOR.format(name="once") + "\nopen('log', 'a').write('x')\n")
        for _ in range(2):
            plugins.load(["own_once"])
        assert (place / "log").read_text() == "x"


class TestInstalled:
    @pytest.fixture
    def install(self, place, monkeypatch):
        """Have an entry point for a module in the place."""

        def install(**entries: str) -> None:
            folder = place / "lab-1.0.dist-info"
            folder.mkdir()
            (folder / "METADATA").write_text("Metadata-Version: 2.1\nName: lab\nVersion: 1.0\n")
            lines = [f"{name} = {module}" for name, module in entries.items()]
            (folder / "entry_points.txt").write_text("\n".join([f"[{plugins.GROUP}]", *lines]))
            monkeypatch.syspath_prepend(str(place))
            monkeypatch.setattr(plugins, "_installed", False)

        return install

    def test_entry_points_are_always_loaded(self, place, install):
        (place / "own_installed.py").write_text(SELECTOR.format(name="mine"))
        install(mine="own_installed")
        assert adde("check", toml(place / "x"))[0] == 0
        assert plugins.loaded() == ()

    def test_one_that_fails_is_told_and_the_others_are_there(self, place, install, caplog):
        (place / "own_installed.py").write_text(SELECTOR.format(name="mine"))
        (place / "own_broken.py").write_text("1 / 0")
        install(broken="own_broken", mine="own_installed", gone="own_gone")
        Config.load(toml(place / "x"))
        assert "mine" in SELECTORS
        broken, gone = (record.getMessage() for record in caplog.records)
        assert "the installed plugin broken is left out" in broken and "ZeroDivisionError: division by zero" in broken
        assert "the installed plugin gone is left out" in gone and "there is no module own_gone" in gone


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("\n1 / 0\n", r"the module cannot be imported: ZeroDivisionError: division by zero in \S*own_bad\.py, line 2"),
        ("x = 1\ndef f(:\n", r"SyntaxError: invalid syntax .*in \S*own_bad\.py, line 2"),
        ("import own_nowhere", r"ModuleNotFoundError: No module named 'own_nowhere' in \S*own_bad\.py, line 1"),
        ("\nraise SystemExit('no\\nmore')", r"SystemExit: no in \S*own_bad\.py, line 2"),
        (SELECTOR.format(name="top_k"), r"there is a part of kind selector of that name .*own_bad\.py, line 4"),
        (None, r"there is no module own_bad \(got 'own_bad'\)\. Install it, or put it beside the config"),
    ],
)
def test_a_module_that_fails_is_one_line(place, text, message):
    if text is not None:
        (place / "own_bad.py").write_text(text)
    code, said = adde("run", toml(place / "x", modules='["own_bad"]'))
    assert code == 2 and said.startswith("error: plugins.modules: ") and said.count("\n") == 1
    assert re.search(message, said), said
    assert not (place / "x" / "runs").exists()


@pytest.mark.parametrize("modules", ['"own_x"', '["own x"]', '["../x"]', "[3]"])
def test_what_is_no_list_of_modules(place, modules):
    with pytest.raises(UserError, match=r"plugins\.modules"):
        Config.load(toml(place / "x", modules=modules))


class TestRuns:
    @pytest.fixture
    def begun(self, place):
        """A run of two rounds by a selector of its own, whose second has still to be done, and its file."""
        path = toml(place / "x")
        (path.parent / "own_run.py").write_text(SELECTOR.format(name="mine"))
        code, said = adde("run", path, "--plugin", "own_run", "--set", "stop.rounds=1")
        assert code == 0, said
        return path

    def forget(self):
        plugins._loaded.clear()
        SELECTORS.parts.pop("mine", None)
        sys.modules.pop("own_run", None)

    def test_the_modules_are_kept_and_a_resume_loads_them(self, begun):
        folder = begun.parent / "runs" / "r"
        assert json.loads((folder / "config.json").read_text())["plugins"] == {"modules": ["own_run"]}
        self.forget()
        code, said = adde("run", begun, "--resume", "--set", "stop.rounds=1")
        assert code == 0 and "finished" in said, said
        assert plugins.loaded() == ("own_run",)

    def test_a_resume_with_other_modules_is_told(self, begun):
        (begun.parent / "own_other.py").write_text("")
        code, said = adde("run", begun, "--resume", "--plugin", "own_other", "--set", "stop.rounds=1")
        assert code == 2 and "plugins.modules was ['own_run'] and is now ['own_other']" in said.replace("\n", " ")

    def test_viewers_need_no_plugin_and_import_none(self, begun):
        (begun.parent / "own_run.py").write_text("open('imported', 'w').write('x')")
        self.forget()
        folder = begun.parent / "runs" / "r"
        for words in (("summary", folder), ("report", folder), ("export", folder, "--out", "out"), ("verify", folder)):
            code, said = adde(*words)
            assert code == 0, said
        assert not Path("imported").exists() and plugins.loaded() == ()
