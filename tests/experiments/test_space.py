"""Sweeps: what is drawn, and what is refused before anything runs."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest

from adde_ray.errors import UserError
from adde_ray.experiments.folder import ExperimentDir
from adde_ray.experiments.space import Dimension, Sweep

DIGITS = {"config": str(Path(__file__).parents[2] / "jobs" / "configs" / "digits.toml")}
SPACE = {"select.alpha": {"uniform": [0.1, 1]}, "gaps.min_labelled": {"randint": [1, 3]}}


def sweep(folder: Path = Path("/nowhere"), **keys) -> Sweep:
    tree = {"name": "s", "num_trials": 6, "space": SPACE} | DIGITS | keys
    return Sweep.parse({k: v for k, v in tree.items() if v is not None}, where=folder / "space.toml")


def drawn(plan: Sweep) -> list[dict]:
    return [trial.drawn for trial in plan.trials(plan.base((), Path()))]


def test_draws_depend_on_the_seed_and_the_number_alone():
    six, nine = drawn(sweep()), drawn(sweep(num_trials=9))
    assert nine[:6] == six and len({d["select.alpha"] for d in nine}) == 9
    assert drawn(sweep(seed=1)) != six
    narrowed = drawn(sweep(space={"select.alpha": SPACE["select.alpha"]}))
    assert len(narrowed) == 6


@pytest.mark.parametrize(
    ("given", "low", "high"),
    [({"uniform": [-1, 2]}, -1, 2), ({"loguniform": [0.01, 10]}, 0.01, 10), ({"randint": [3, 5]}, 3, 5)],
)
def test_values_lie_within(given, low, high):
    rng = np.random.default_rng(0)
    values = [Dimension(**given).draw(rng) for _ in range(300)]
    assert low <= min(values) < low + 0.2 * (high - low) and high >= max(values) > high - 0.2 * (high - low)
    assert all(isinstance(v, int) for v in values) == ("randint" in given)
    if "loguniform" in given:
        assert 0.2 < np.mean(np.array(values) < 0.3) < 0.8, "half of the factors lie below the geometric middle"


def test_trials_are_the_run_with_what_was_drawn():
    plan = sweep(strategy="random", set={"stop": {"labels": 30}})
    for trial in plan.trials(plan.base(("train.steps=7",), Path())):
        config = trial.config
        assert config.select.alpha == trial.drawn["select.alpha"]
        assert config.gaps.min_labelled == trial.drawn["gaps.min_labelled"]
        assert (config.stop.labels, config.train.steps, config.select.selector) == (30, 7, "random")
        assert (trial.data, trial.dataset, trial.seed) == ("digits-0", "digits", 0)


def test_a_grid_search_is_every_combination():
    space = {"select.alpha": {"choice": [0.2, 0.8]}, "adapt.rules": {"choice": [[], ["reweigh"], ["tighten"]]}}
    found = drawn(sweep(space=space, search="grid", num_trials=None))
    assert len(found) == 6 and len({str(d) for d in found}) == 6


def test_what_changes_the_data_is_prepared_apart():
    plan = sweep(space={"encoder.dims": {"choice": [4, 8]}}, search="grid", num_trials=None)
    names = [trial.data for trial in plan.trials(plan.base((), Path()))]
    assert len(set(names)) == 2 and all(re.fullmatch(r"digits-0-[0-9a-f]{8}", name) for name in names)


@pytest.mark.parametrize(
    ("keys", "message"),
    [
        ({"metric": "test.macro_f1"}, "never chosen by test or ood"),
        ({"metric": "ood.accuracy"}, "never chosen by test or ood"),
        ({"num_trials": None}, "num_trials: say how many"),
        ({"search": "grid"}, "a grid search needs a choice for select.alpha"),
        ({"search": "grid", "space": {"select.alpha": {"choice": [1]}}}, "runs all combinations"),
        ({"search": "best"}, "'random', 'grid' or 'optuna'"),
        ({"space": {}}, "space: .*at least 1"),
        ({"space": {"select.alpha": {}}}, "exactly one of uniform"),
        ({"space": {"select.alpha": {"uniform": [0, 1], "randint": [0, 1]}}}, "exactly one of uniform"),
        ({"space": {"select.alpha": {"uniform": [1, 0]}}}, "lowest value first"),
        ({"space": {"train.lr": {"loguniform": [0, 1]}}}, "values above 0"),
        ({"space": {"run.seed": {"randint": [0, 5]}}}, "run.seed is not to be swept"),
        ({"trials": 3}, "trials: unknown key .*num_trials"),
        ({"space": {"select.alpa": {"uniform": [0, 1]}}}, "select.alpa: unknown key .*alpha, beta"),
        ({"space": {"select.alpha.x": {"uniform": [0, 1]}}}, "alpha is not a section"),
        ({"space": {"select.alpha": {"uniform": [-2, -1]}}}, "trial 0000: select.alpha: .*greater than or equal to 0"),
        ({"space": {"select.selector": {"choice": ["best"]}}}, "select.selector: unknown name .*batch_greedy"),
        ({"strategy": "best"}, "strategy: unknown name .*random"),
        ({"config": "nowhere.toml"}, "nowhere.toml: No such file"),
        ({"set": {"selct": {"alpha": 1}}}, "no such section"),
        ({"set": {"review": {"annotator": "file"}}}, "trials need answers at once"),
        ({"search": "optuna", "space": {"encoder.dims": {"randint": [2, 9]}}}, "prepared before the first trial"),
    ],
)
def test_mistakes_are_one_clear_line(keys, message, tmp_path):
    with pytest.raises(UserError, match=message) as error:
        drawn(sweep(tmp_path, **keys))
    assert "\n" not in str(error.value)


class TestOptuna:
    """Proposals stand on what came out, and on nothing else."""

    @pytest.fixture(autouse=True)
    def installed(self):
        pytest.importorskip("optuna")
        from adde_ray.experiments import proposals

        proposals.require()

    def proposed(self, folder: Path, order: np.random.Generator | None = None, until: int = 14) -> list[dict]:
        """What is proposed when trials end in some order, three at a time. The best alpha is .3."""
        from adde_ray.experiments.proposals import Proposals

        space = {**SPACE, "adapt.rules": {"choice": [[], ["reweigh"]]}}
        plan = sweep(search="optuna", num_trials=until, space=space)
        bases = plan.base((), Path())

        def objective(number: int) -> float:
            return -abs(searcher.trials[number].drawn["select.alpha"] - 0.3)

        searcher = Proposals(
            plan, lambda n, values: plan.trial(n, values, bases), objective, ExperimentDir(folder), concurrency=3
        )
        at_work, number = [], 0
        while True:
            suggested = searcher.suggest(name := f"t{number}")
            if suggested == searcher.FINISHED:
                break
            if suggested is not None:
                at_work.append(name)
                number += 1
            if suggested is None or len(at_work) == 3:
                place = 0 if order is None else int(order.integers(len(at_work)))
                searcher.on_trial_complete(at_work.pop(place), {"value": 0.0})
        return [trial.drawn for trial in searcher.trials]

    def test_the_order_trials_end_in_changes_nothing(self, tmp_path):
        expected = self.proposed(tmp_path / "a")
        assert self.proposed(tmp_path / "b", np.random.default_rng(0)) == expected
        assert all(isinstance(d["adapt.rules"], (list, tuple)) for d in expected)

    def test_it_learns(self, tmp_path):
        found = [abs(d["select.alpha"] - 0.3) for d in self.proposed(tmp_path, until=30)]
        assert np.median(found[-15:]) < 0.6 * np.median(found[:15])

    def test_what_was_proposed_before_a_kill_is_not_proposed_anew(self, tmp_path):
        first = self.proposed(tmp_path, until=7)
        assert self.proposed(tmp_path, until=14) == self.proposed(tmp_path / "other", until=14)
        assert self.proposed(tmp_path, until=7) == first
