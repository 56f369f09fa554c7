"""A sweep: one dataset, many settings. SPACE.toml in, trials out."""

from __future__ import annotations

import itertools
import math
from pathlib import Path
from typing import Annotated, Any, Literal

import numpy as np
from pydantic import Field, model_validator

from adde_ray.artifacts.run_dir import derive_rng
from adde_ray.config import Config, copy_key
from adde_ray.config.data import FolderPath, Label, Name, Section
from adde_ray.config_check import check_names
from adde_ray.errors import UserError
from adde_ray.experiments.halving import rungs
from adde_ray.experiments.spec import Changes, Spec, StrategyEntry, base_config
from adde_ray.experiments.trial import OF_DATA, Trial

DIGITS = 4
"""Drawn numbers keep so many, so that they can be copied by hand."""

SEEN_BY_NOBODY = ("test", "ood")
"""Splits that settings are never chosen by: their figures would mean nothing any more."""


Number = Annotated[float, Field(ge=-1e300, le=1e300)]
Whole = Annotated[int, Field(ge=-(2**53), le=2**53)]

MOST_TRIALS = 10_000


class Dimension(Section):
    """The values one key may take: exactly one of these."""

    uniform: tuple[Number, Number] | None = None
    """Lowest and highest."""
    loguniform: tuple[Number, Number] | None = None
    """Lowest and highest, both above 0; every factor is as likely."""
    randint: tuple[Whole, Whole] | None = None
    """Lowest and highest whole number, both included."""
    choice: tuple[Any, ...] | None = Field(default=None, min_length=1, max_length=1000)
    """Any values."""

    @model_validator(mode="after")
    def _one(self):
        given = self.model_dump(exclude_none=True)
        if len(given) != 1:
            raise ValueError("needs exactly one of uniform, loguniform, randint and choice")
        [(kind, value)] = given.items()
        if kind != "choice" and not value[0] < value[1]:
            raise ValueError(f"{kind} needs its lowest value first, then its highest")
        if kind == "loguniform" and value[0] <= 0:
            raise ValueError("loguniform needs values above 0")
        return self

    def draw(self, rng: np.random.Generator) -> Any:
        """A value at random."""
        if self.choice is not None:
            return self.choice[int(rng.integers(len(self.choice)))]
        if self.randint is not None:
            return int(rng.integers(self.randint[0], self.randint[1] + 1))
        if self.loguniform is not None:
            low, high = map(math.log, self.loguniform)
            return _rounded(math.exp(rng.uniform(low, high)))
        assert self.uniform is not None, "exactly one is given"
        return _rounded(rng.uniform(*self.uniform))

    def ends(self) -> tuple[Any, ...]:
        """The values at its ends, or all of a choice."""
        given = (self.choice, self.randint, self.loguniform, self.uniform)
        return next(values for values in given if values is not None)


class Sweep(Spec):
    """A whole sweep. `Sweep.load("space.toml")`."""

    config: FolderPath
    """The run's TOML file, relative to this one."""
    strategy: StrategyEntry = Field(default="adde", validate_default=True)
    """The strategy whose settings are swept."""
    set: Changes = Field(default={})
    """What is changed in every trial: `{stop.labels = 100}`."""
    space: dict[Name, Dimension] = Field(min_length=1, max_length=100)
    """Dotted key → its values: `"select.alpha" = {uniform = [0, 1]}`."""
    num_trials: int | None = Field(default=None, ge=1, le=MOST_TRIALS)
    """How many; left out in a grid search, which runs all there are."""
    seed: int = Field(default=0, ge=0, le=2**63 - 1)
    """What is drawn derives from this; every trial's run has the seed of its TOML file."""
    metric: Label = "val.macro_f1"
    """What is optimised: its mean over the rounds. Figures on test and ood are refused."""
    mode: Literal["max", "min"] = "max"
    """Whether more of it is better, or less."""
    search: Literal["random", "grid", "optuna"] = "random"
    """random: drawn from the seed. grid: every combination of choices. optuna: proposed from what came out before."""
    scheduler: Literal["asha", "none"] = "asha"
    """asha: trials whose curve so far is worse than others' are stopped early."""
    first_rung: int = Field(default=3, ge=1, le=100_000)
    """asha: rounds after which a trial is first compared with those before it."""
    keep: float = Field(default=3.0, ge=1.1, le=1000)
    """asha: at a rung one in so many goes on; the next rung is so many times as far."""

    @model_validator(mode="after")
    def _checked(self):
        if self.metric.split(".")[0] in SEEN_BY_NOBODY:
            raise ValueError("metric: settings are never chosen by test or ood; optimise a figure on val")
        if self.search == "grid":
            if drawn := [key for key, dimension in self.space.items() if dimension.choice is None]:
                raise ValueError(f"a grid search needs a choice for {drawn[0]}")
            if math.prod(len(dimension.ends()) for dimension in self.space.values()) > MOST_TRIALS:
                raise ValueError(f"space: a grid search of more than {MOST_TRIALS} trials")
            if self.num_trials is not None:
                raise ValueError("num_trials: a grid search runs all combinations; leave it out")
        elif self.num_trials is None:
            raise ValueError("num_trials: say how many trials to run")
        if own := [key for key in self.space if key.split(".")[0] == "run"]:
            raise ValueError(f"{own[0]} is not to be swept: it says where a run is kept, and its seed")
        return self

    def located(self, folder: Path) -> Sweep:
        """The same with paths relative to the sweep's folder made whole."""
        return self.model_copy(update={"config": folder / self.config})

    @property
    def sign(self) -> int:
        """1 or -1: objective times this is better when higher."""
        return 1 if self.mode == "max" else -1

    @property
    def to_draw(self) -> int:
        """Trials to draw or propose: `num_trials`, which only a grid search leaves out."""
        assert self.num_trials is not None, "a grid search draws nothing"
        return self.num_trials

    def base(self, overrides: tuple[str, ...], folder: Path, modules: tuple[str, ...] = ()) -> tuple[Config, Config]:
        """The run's config without and with the strategy. Raises UserError."""
        base = base_config(self.config, self.set, overrides, folder=folder, seed=None, modules=modules)
        return base, self.strategy.resolve().over(base)

    def trial(self, number: int, drawn: dict[str, Any], bases: tuple[Config, Config]) -> Trial:
        """A trial with these settings. Raises UserError."""
        base, config = bases
        tree, whole = config.told(), config.model_dump(mode="json")
        for key, value in drawn.items():
            _set(whole, key, value)
            copy_key(key, whole, tree)
        name, dataset = f"{number:04d}", self.config.stem
        trial = Trial.of(name, dataset, name, base, Config.parse(tree, where=f"space, trial {name}"), drawn=drawn)
        check_names(trial.config)
        return trial

    def trials(self, bases: tuple[Config, Config]) -> list[Trial]:
        """Every trial; none where each is proposed from others' results. Raises UserError: nothing has been started."""
        if self.search == "optuna":
            self._check_proposals(bases)
            return []
        return [self.trial(number, drawn, bases) for number, drawn in enumerate(self._drawn())]

    def rungs(self, config: Config) -> list[int]:
        """Rounds after which trials are compared."""
        return rungs(self.first_rung, self.keep, config.stop.rounds) if self.scheduler == "asha" else []

    def told(self) -> dict:
        """What experiment.json says of it, besides the trials."""
        told = self.model_dump(mode="json", exclude={"root", "concurrency", "num_trials", "config", "set"})
        return {"kind": "sweep", **told, "strategy": self.strategy.name}

    def _drawn(self) -> list[dict[str, Any]]:
        if self.search == "grid":
            combinations = itertools.product(*(dimension.ends() for dimension in self.space.values()))
            return [dict(zip(self.space, values, strict=True)) for values in combinations]
        found = []
        for number in range(self.to_draw):
            rng = derive_rng(self.seed, "sweep", number)
            found.append({key: dimension.draw(rng) for key, dimension in sorted(self.space.items())})
        return found

    def _check_proposals(self, bases: tuple[Config, Config]) -> None:
        """What may be proposed is a config: at least each dimension's ends are."""
        for key, dimension in self.space.items():
            if key.split(".")[0] in OF_DATA:
                raise UserError(
                    "data is prepared before the first trial",
                    where=f"space.{key}",
                    value="optuna",
                    remedy='Set search = "random" or "grid", or leave this key out',
                )
            for value in dimension.ends():
                self.trial(0, {key: value}, bases)


def _set(tree: dict, key: str, value: Any) -> None:
    *parents, leaf = key.split(".")
    for name in parents:
        tree = tree.setdefault(name, {})
        if not isinstance(tree, dict):
            raise UserError(f"{name} is not a section", where="space", value=key)
    tree[leaf] = value


def _rounded(value: float) -> float:
    return float(f"{value:.{DIGITS}g}")
