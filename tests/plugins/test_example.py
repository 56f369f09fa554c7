"""The example of a plugin works: its own tests, and its parts in runs and experiments."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from registries import REGISTRIES
from test_plugins import adde

from adde_ray.artifacts.run_dir import RunDir, read_table
from adde_ray.config import plugins
from adde_ray.report.summary import summarise

EXAMPLE = Path(__file__).parents[2] / "examples" / "plugin"
QUICK = ("--set", "train.steps=20", "--set", "stop.labels=10", "--set", "data.rows=40")
OWN = {"rings", "spaced", "typicality", "blend"}


@pytest.fixture
def example(place):
    """A copy of it beside the folder we are in."""
    return shutil.copytree(EXAMPLE, place.parent / "plugin")


def forget(registries) -> None:
    """As in a process that has not imported them."""
    for registry in registries:
        for name in OWN:
            registry.parts.pop(name, None)
    plugins._loaded.clear()
    for name in [name for name in sys.modules if name.startswith("my_lab")]:
        del sys.modules[name]


def test_its_own_tests_pass(example):
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "."]
    done = subprocess.run(command, cwd=example, capture_output=True, text=True)
    assert done.returncode == 0 and "4 passed" in done.stdout, done.stdout + done.stderr


@pytest.mark.parametrize("key", ["select.selector", "generate.generator"])
def test_a_wrong_name_is_told_with_the_right_ones(example, key):
    code, said = adde("check", example / "rings.toml", "--set", f"{key}=blended")
    own = "spaced" if key == "select.selector" else "blend"
    assert code == 2 and f"{key}: unknown name (got 'blended')." in said and own in said


def test_a_wrong_key_of_its_source_is_told_with_the_right_ones(example):
    code, said = adde("check", example / "rings.toml", "--set", "data.ring=3")
    assert code == 2 and "data.ring: unknown key (got 3). Did you mean 'rings'? Known keys here: source" in said
    code, said = adde("check", example / "rings.toml", "--set", "data.rings=1")
    assert code == 2 and "data.rings: should be greater than or equal to 2 (got 1)" in said
    code, said = adde("check", example / "rings.toml", "--set", "data.source=ring")
    assert code == 2 and "Did you mean 'rings'?" in said and "'npy', 'rings'" in said.replace("\n", " ")


def test_a_run_of_its_parts_can_be_looked_at_where_they_are_gone(example):
    code, said = adde("run", example / "rings.toml", "--run-dir", "run", "--set", "generate.actors=0", *QUICK)
    assert code == 0, said
    kept = json.loads(Path("run/config.json").read_text())
    assert kept["data"] == {"source": "rings", "rings": 4, "rows": 40, "noise": 0.15}
    record = summarise(RunDir.at("run"))
    assert record["num_labels"] == 10 and RunDir.at("run").round(0).read("synthetic.parquet").height > 0
    forget(REGISTRIES)
    read = RunDir.at("run").config
    assert read.data.source == "rings" and read.model_dump(mode="json") == kept
    assert summarise(RunDir.at("run")) == record
    for words in (("report", "run"), ("export", "run", "--out", "out"), ("verify", "run")):
        assert adde(*words)[0] == 0
    assert plugins.loaded() == () and not any(name.startswith("my_lab") for name in sys.modules)


@pytest.mark.slow
def test_its_parts_are_in_the_trials_of_experiments(example, ray_cluster):
    """On a Ray that was there before, and from another folder than the module's."""
    for name, whole, few in (("grid", "seeds = 2", "seeds = 1"), ("sweep", "num_trials = 4", "num_trials = 2")):
        path = example / f"{name}.toml"
        assert whole in path.read_text()
        path.write_text(path.read_text().replace(whole, few).replace('"random", ', ""))
    one = ("--concurrency", "1")  # one worker is started instead of four
    code, said = adde("ablate", example / "grid.toml", "--folder", "grid", *one, *QUICK)
    assert code == 0, said
    table = read_table(Path("grid/results.parquet"))
    assert set(table["strategy"]) == {"adde", "top_k"} and table["num_asked"].max() == 10
    code, said = adde("sweep", example / "sweep.toml", "--folder", "sweep", *one, *QUICK)
    assert code == 0 and "best: trial" in said, said
    assert set(read_table(Path("sweep/results.parquet"))["config.select.selector"]) <= {"spaced", "batch_greedy"}
    assert not Path("sweep/failures.json").exists()
