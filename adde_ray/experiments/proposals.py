"""Settings proposed from what came out before, by Optuna's tree-structured Parzen estimator (Bergstra et al. 2011).

Trial n learns from the trials up to n - concurrency, and waits for them: so what is proposed does not depend on who
was faster, and a sweep that was killed goes on as it would have.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ray.tune.search import Searcher

from adde_ray.artifacts.run_dir import derive_seed, read_json, write_json
from adde_ray.errors import needed
from adde_ray.experiments.folder import ExperimentDir
from adde_ray.experiments.space import Dimension, Sweep
from adde_ray.experiments.trial import Trial

if TYPE_CHECKING:
    from collections.abc import Callable

    from optuna.distributions import BaseDistribution

PROPOSALS = "proposals.json"


def require() -> None:
    """Raises UserError where Optuna is not installed."""
    needed("optuna", extra="optuna", where="search", value="optuna")
    import optuna

    optuna.logging.set_verbosity(optuna.logging.ERROR)


class Proposals(Searcher):
    """make: number and settings → trial. objective: what came of a trial that has ended, higher is better.

    What has been proposed is kept in proposals.json, and never proposed anew.
    """

    def __init__(
        self,
        sweep: Sweep,
        make: Callable[[int, dict[str, Any]], Trial],
        objective: Callable[[int], float],
        folder: ExperimentDir,
        *,
        concurrency: int,
    ):
        super().__init__()
        self._sweep, self._make, self._objective, self._folder = sweep, make, objective, folder
        self._lag = concurrency
        self._path = folder.root / PROPOSALS
        self._drawn: list[dict[str, Any]] = read_json(self._path)["proposals"] if self._path.exists() else []
        self._numbers: dict[str, int] = {}  # Tune's name → ours, of those at work
        self._ended: set[int] = set()
        self._failed: set[int] = set()
        self.trials: list[Trial] = []

    def suggest(self, trial_id: str) -> dict | str | None:
        """The next trial as Tune's config; None while one it learns from is at work, `FINISHED` after the last."""
        while len(self.trials) < self._sweep.to_draw:
            number = len(self.trials)
            if any(n not in self._ended for n in range(number - self._lag + 1)):
                return None  # asked again when something has ended
            if number == len(self._drawn):
                self._drawn.append(self._propose(number))
                write_json(self._path, {"proposals": self._drawn})
            trial = self._make(number, self._drawn[number])
            self.trials.append(trial)
            if self._folder.result(trial.name) is None:
                self._numbers[trial_id] = number
                return {"trial": trial.name, "proposed": trial}
            self._ended.add(number)
        return self.FINISHED

    def on_trial_complete(self, trial_id: str, result: dict | None = None, error: bool = False) -> None:
        """A trial has ended, well or not: those that wait for it may be proposed."""
        if trial_id in self._numbers:
            number = self._numbers.pop(trial_id)
            self._ended.add(number)
            if error or "failure" in (result or {}):
                self._failed.add(number)

    def save(self, checkpoint_path: str) -> None:
        """Nothing: the experiment's folder has all there is to know."""

    def restore(self, checkpoint_path: str) -> None:
        """Raises NotImplementedError: an experiment resumes from its own folder."""
        raise NotImplementedError("an experiment resumes from its own folder")

    def _propose(self, number: int) -> dict[str, Any]:
        """From the trials up to `number` - concurrency, by a sampler seeded for this trial."""
        import optuna

        space = {key: _distribution(dimension) for key, dimension in sorted(self._sweep.space.items())}
        sampler = optuna.samplers.TPESampler(seed=derive_seed(self._sweep.seed, "proposal", number))
        study = optuna.create_study(direction="maximize", sampler=sampler)
        for before in range(number - self._lag + 1):
            if before not in self._failed:
                params = {key: self._index(key, self._drawn[before][key]) for key in space}
                value = self._objective(before)
                study.add_trial(optuna.trial.create_trial(params=params, distributions=space, value=value))
        asked = study.ask(space)
        return {key: self._value(key, asked.params[key]) for key in space}

    def _index(self, key: str, value: Any) -> Any:
        choice = self._sweep.space[key].choice
        return value if choice is None else choice.index(value)

    def _value(self, key: str, value: Any) -> Any:
        choice = self._sweep.space[key].choice
        return value if choice is None else choice[value]


def _distribution(dimension: Dimension) -> BaseDistribution:
    from optuna import distributions

    if dimension.choice is not None:  # by their places: lists and tables are no choices Optuna knows
        return distributions.CategoricalDistribution(tuple(range(len(dimension.choice))))
    if dimension.randint is not None:
        return distributions.IntDistribution(*dimension.randint)
    if dimension.loguniform is not None:
        return distributions.FloatDistribution(*dimension.loguniform, log=True)
    assert dimension.uniform is not None, "exactly one is given"
    return distributions.FloatDistribution(*dimension.uniform)
