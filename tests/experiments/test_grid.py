"""Ablations: which trials a grid stands for, and what is refused before anything runs."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from pydantic import BaseModel

from adde_ray.config import Config
from adde_ray.errors import UserError
from adde_ray.experiments import grid as grid_module
from adde_ray.experiments import space as space_module
from adde_ray.experiments import spec as spec_module
from adde_ray.experiments.grid import Grid
from adde_ray.experiments.trial import Trial

ROOT = Path(__file__).parents[2]
DIGITS = str(ROOT / "jobs" / "configs" / "digits.toml")


def grid(folder: Path = Path("/nowhere"), **keys) -> Grid:
    tree = {"name": "g", "seeds": 2, "strategies": ["adde", "random"], "datasets": [DIGITS]} | keys
    return Grid.parse(tree, where=folder / "grid.toml")


def trials(plan: Grid, *overrides: str, folder: Path = Path("/nowhere")) -> list[Trial]:
    return plan.trials(overrides, folder)


def test_every_combination_with_those_on_the_same_data_side_by_side():
    found = trials(grid(datasets=[DIGITS, {"config": DIGITS, "name": "other", "set": {"data": {"longtail_ratio": 9}}}]))
    assert [t.name for t in found] == [
        f"{dataset}-{strategy}-{seed}" for dataset in ("digits", "other") for seed in (0, 1)
        for strategy in ("adde", "random")
    ]  # fmt: skip
    assert [t.data for t in found] == [f"{t.dataset}-{t.seed}" for t in found]
    assert {t.config.data.longtail_ratio for t in found if t.dataset == "other"} == {9}
    assert {t.config.run.seed for t in found} == {0, 1}


def test_trials_stay_in_their_process_and_bring_no_baseline():
    more = ["train.workers=2", "train.min_workers=1", "generate.actors=3", "stream.workers=4", "compare.random=true"]
    for trial in trials(grid(), *more):
        config = trial.config
        assert config.train.workers == config.train.min_workers == config.generate.actors == config.stream.workers == 0
        assert not config.compare.random


def test_own_strategies_changes_and_overrides():
    own = {"name": "mine", "over": "margin", "about": "so", "set": {"select": {"redundancy": 2.0}}}
    plan = grid(strategies=["margin", own], set={"stop": {"labels": 30}}, seeds=[5])
    margin, mine = trials(plan, "stop.rounds=3")
    assert (mine.config.select.selector, mine.config.select.redundancy) == ("top_k", 2.0)
    assert margin.config.select.redundancy != 2.0 and mine.name == "digits-mine-5"
    assert mine.config.stop.labels == 30 and mine.config.stop.rounds == 3
    told = plan.told()["strategies"]
    assert told["mine"] == {"about": "so", "baseline": True} and told["margin"]["about"]


def test_a_table_for_each_seed_beside_the_grid(tmp_path):
    config = '[data]\nsource = "csv"\npath = "none.csv"\ntext_column = "t"\n'
    (tmp_path / "texts.toml").write_text(config)
    entry = {"config": "texts.toml", "set": {"data": {"path": "tables/t-{seed}.parquet"}}}
    found = trials(grid(tmp_path, datasets=[entry], seeds=[0, 4], strategies=["random"]), folder=tmp_path)
    assert [t.config.data.path for t in found] == [tmp_path / "tables" / f"t-{seed}.parquet" for seed in (0, 4)]
    [given, _] = trials(grid(tmp_path, datasets=[entry], strategies=["random"]), "data.path=t.csv", folder=tmp_path)
    assert given.config.data.path == Path.cwd() / "t.csv", "what is given by --set is relative to where one is"


def test_a_strategy_that_changes_the_data_has_its_own():
    own = {"name": "small", "set": {"encoder": {"dims": 8}}}
    plain, small = trials(grid(strategies=["adde", own], seeds=1))
    assert plain.data == "digits-0" and re.fullmatch("digits-0-[0-9a-f]{8}", small.data)


@pytest.mark.parametrize(("column", "shared"), [("image_column", False), ("text_column", True)])
def test_an_encoder_that_is_trained_has_its_own_data_of_images_as_they_are_kept(column, shared):
    base = Config.parse({"data": {"source": "table", "path": "/nowhere/t.parquet", column: "x"}})
    tuned = base.override("train.mode=full")
    head, full = (Trial.of("n", "d", "adde", base, config) for config in (base, tuned))
    assert head.data == "d-0" and (full.data == "d-0") == shared
    assert Trial.of("n", "d", "adde", tuned, tuned).data == "d-0"
    assert full.config.encoder.originals  # it says nothing of what is kept


def test_quick():
    quick = {"seeds": 1, "strategies": ["random"], "set": {"stop": {"labels": 7}}}
    plan = grid(quick=quick, set={"stop": {"labels": 70, "rounds": 9}})
    [trial] = trials(plan.made_quick())
    assert plan.made_quick().name == "g-quick" and trial.strategy == "random"
    assert (trial.config.stop.labels, trial.config.stop.rounds) == (7, 9)
    assert len(trials(plan)) == 4


@pytest.mark.parametrize(
    ("keys", "message"),
    [
        ({"strategies": []}, "strategies: .*at least 1"),
        ({"strategies": ["adde", "best"]}, "strategy: unknown name .*'best'.*adde.*random"),
        ({"strategies": ["adde", "adde"]}, "strategies: is there twice"),
        ({"strategies": [{"name": "random", "set": {"select": {"alpha": 1}}}]}, "another strategy's name"),
        ({"strategies": [{"name": "mine", "sets": {}}]}, "strategies.0.sets: unknown key"),
        ({"strategies": [{"name": "mine", "set": {"select": {"alpa": 1}}}]}, "select.alpa: unknown key .*alpha"),
        ({"strategies": [{"name": "mine", "set": {"select": {"selector": "x"}}}]}, "selector: unknown name"),
        ({"strategies": [{"name": "a/b"}]}, "strategies.0.name: "),
        ({"datasets": []}, "datasets: .*at least 1"),
        ({"datasets": ["nowhere.toml"]}, "nowhere.toml: No such file"),
        ({"datasets": [DIGITS, DIGITS]}, "datasets: is there twice"),
        ({"datasets": [{"config": DIGITS, "set": {"review": {"annotator": "file"}}}]}, "need answers at once"),
        ({"seeds": 0}, "seeds"),
        ({"seeds": [1, 1]}, "seeds: is there twice"),
        ({"concurrency": 0}, "concurrency: .*greater than or equal to 1"),
        ({"strategy": ["adde"]}, "strategy: unknown key .*strategies"),
        ({"name": "../up"}, "name: "),
        ({"set": {"stop": {"labels": -1}}}, "stop.labels: .*greater than or equal to 0"),
    ],
)
def test_mistakes_are_one_clear_line(keys, message, tmp_path):
    with pytest.raises(UserError, match=message) as error:
        trials(grid(tmp_path, **keys), folder=tmp_path)
    assert "\n" not in str(error.value)


def test_a_quick_variant_of_what_is_not_there():
    with pytest.raises(UserError, match=r"quick.strategies: is not in the grid .*adde, random"):
        grid(quick={"strategies": ["badge"]}).made_quick()


def keys() -> list[tuple[str, str, str]]:
    modules = (grid_module, space_module, spec_module)
    own = {v for m in modules for v in vars(m).values() if getattr(v, "__module__", None) == m.__name__}
    found = [s for s in own if isinstance(s, type) and issubclass(s, BaseModel)]
    return sorted((s.__name__, name, field.description or "") for s in found for name, field in s.model_fields.items())


@pytest.mark.parametrize(("section", "name", "about"), keys())
def test_every_key_is_explained_and_read(section, name, about):
    code = "\n".join(p.read_text() for p in (ROOT / "adde_ray" / "experiments").glob("*.py"))
    assert about, f"{section}.{name} says nothing"
    assert re.search(rf"\.{name}\b", code), f"{section}.{name} is read nowhere"
