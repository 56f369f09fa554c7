"""Runs trials side by side in Ray Tune: prepared data and trials in, a result.json for each and failures out.

Every worker process runs one trial after another. The data of trials lies in Ray's object store, once on each machine;
a worker unpacks it when its first trial on it begins, and keeps it for the next.
"""

from __future__ import annotations

import logging
import os
import shutil
import traceback
from collections import OrderedDict
from collections.abc import Callable, Generator, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import ray
from ray import tune
from ray.exceptions import RayTaskError
from ray.tune import CheckpointConfig, FailureConfig, RunConfig, TuneConfig, Tuner
from ray.tune.schedulers import FIFOScheduler, TrialScheduler

from adde_ray.artifacts.run_dir import RoundDir, RunDir
from adde_ray.artifacts.schema import Meta
from adde_ray.config_check import check_data
from adde_ray.dataset import Data
from adde_ray.errors import UserError
from adde_ray.experiments.halving import Halving
from adde_ray.experiments.trial import Shared, Trial, flat, prepare_data, run_trial

if TYPE_CHECKING:
    from ray import ObjectRef
    from ray.tune.experiment import Trial as TuneTrial
    from ray.tune.search import Searcher

MAX_DEATHS = 2
"""A trial whose worker died (out of memory, a machine gone) goes on in another one so many times."""

HELD = 2
"""Datasets a worker keeps unpacked: the last ones it worked on. Trials on the same come one after another."""

QUIET = {
    "TUNE_DISABLE_AUTO_CALLBACK_LOGGERS": "1",  # three more logs of every trial, which nobody reads
    "TUNE_DISABLE_SIGINT_HANDLER": "1",  # Ctrl-C ends the command, as it ends any other
    "RAY_AIR_NEW_OUTPUT": "0",  # the newer one speaks of every trial even when told not to
    "RAY_CHDIR_TO_TRIAL_DIR": "0",
}


@dataclass(frozen=True)
class Progress:
    """What is told of a trial, by its name, while it runs."""

    began: Callable[[str], None]
    round_done: Callable[[str, dict], None]
    ended: Callable[[str, str | None], None]  # why it failed; None: it did not


def prepare_all(trials: list[Trial], folder: Path) -> Iterator[tuple[str, ObjectRef]]:
    """The data of each trial, as it is ready, by its name; several at a time. Raises UserError."""
    first = {trial.data: trial for trial in trials}
    task = ray.remote(num_cpus=1, num_returns=2, max_retries=MAX_DEATHS)(_prepared)
    running = {}
    for name, trial in first.items():
        meta, data = cast("tuple[ObjectRef[Meta], ObjectRef[Data]]", task.remote(trial, folder))  # num_returns=2
        running[meta] = name, data
    try:
        while running:
            [done], _ = ray.wait(list(running), num_returns=1)
            name, data = running.pop(done)
            _check(ray.get(done), [trial for trial in trials if trial.data == name])
            yield name, data
    except RayTaskError as error:
        raise error.cause from error
    finally:
        for meta in running:
            ray.cancel(meta)


def run_all(
    trials: list[Trial] | Searcher,
    data: dict[str, ObjectRef],
    folder: Path,
    progress: Progress,
    *,
    concurrency: int | None,
    metric: str | None = None,
    sign: int = 1,
    halving: Halving | None = None,
    num_trials: int = 1,
) -> dict[str, str]:
    """Run them all. Returns trial → why it failed, in a line; one that fails leaves the others alone.

    trials: all of them, each run once, or a searcher that proposes `num_trials`. metric: told to `halving` after each
    round, times sign, which says who is stopped.
    """
    os.environ.update({key: os.environ.get(key, value) for key, value in QUIET.items()})
    logging.getLogger("ray.tune").setLevel(logging.CRITICAL)
    searching = not isinstance(trials, list)
    gpus = 0 if searching else max(int(t.config.train.gpu or t.config.generate.gpu) for t in trials)
    planned = {} if searching else {trial.name: ray.put(trial) for trial in trials}
    shared = {"trials": planned, "data": data, "folder": folder, "metric": metric}
    work = tune.with_resources(tune.with_parameters(_Worker, **shared), {"cpu": 1, "gpu": gpus})
    watcher = _Watcher(progress)
    tuner = Tuner(
        work,
        param_space={} if searching else {"trial": tune.grid_search(list(planned))},
        tune_config=TuneConfig(
            search_alg=trials if searching else None,
            num_samples=num_trials,
            scheduler=_Scheduler(halving, sign) if halving else None,
            reuse_actors=True,
            max_concurrent_trials=concurrency,
            trial_name_creator=_name,
            trial_dirname_creator=_name,
        ),
        run_config=RunConfig(
            name="tune",
            storage_path=str(folder),
            verbose=0,
            callbacks=[watcher],
            failure_config=FailureConfig(max_failures=MAX_DEATHS),
            checkpoint_config=CheckpointConfig(checkpoint_at_end=False),
        ),
    )
    shutil.rmtree(folder / "tune", ignore_errors=True)
    try:
        tuner.fit()
    finally:
        shutil.rmtree(folder / "tune", ignore_errors=True)
    return watcher.failures


def _name(trial: TuneTrial) -> str:
    return trial.config["trial"]


def _prepared(trial: Trial, folder: Path) -> tuple[Meta, Data]:
    """A Ray task."""
    _one_thread()
    data = prepare_data(trial, folder)
    return data.meta, data


def _check(meta: Meta, trials: list[Trial]) -> None:
    for trial in trials:
        check_data(trial.config, meta)


# --- in a worker ------------------------------------------------------------------------------------------

_held: OrderedDict[ObjectRef, Shared] = OrderedDict()


class _Worker(tune.Trainable):
    """Tune's trainable: a step is a round. What goes wrong in a trial is reported, so that the worker lives on.

    A class, since Tune's functions run in a session of its own, inside which Ray Train refuses to work.
    """

    def setup(
        self,
        config: dict[str, Any],
        *,
        trials: dict[str, ObjectRef],
        data: dict[str, ObjectRef],
        folder: Path,
        metric: str | None,
    ) -> None:
        _one_thread()
        self._trials, self._data, self._folder, self._metric = trials, data, folder, metric
        self._rounds: Generator[RoundDir, None, None] | None = None

    def step(self) -> dict[str, Any]:
        try:
            if self._rounds is None:
                trial = self.config.get("proposed") or ray.get(self._trials[self.config["trial"]])
                self._rounds = run_trial(trial, self._folder, _shared(self._data[trial.data], trial, self._folder))
            done = next(self._rounds, None)
            return {"done": True} if done is None else _told(done.metrics, self._metric)
        except Exception as error:
            write_failure(self._folder, self.config["trial"], traceback.format_exc())
            return {"failure": one_line(error), "done": True}

    def reset_config(self, new_config: dict[str, Any]) -> bool:
        """On to the next trial."""
        self.cleanup()
        return True

    def cleanup(self) -> None:
        if self._rounds is not None:
            self._rounds.close()
        self._rounds = None


def _told(metrics: dict, metric: str | None) -> dict[str, Any]:
    told = {name: metrics[name] for name in ("round", "num_labels")}
    told |= {split: metrics[split]["macro_f1"] for split in ("val", "test") if metrics[split]}
    return told | ({} if metric is None else {"value": _figure(metrics, metric)})


def _shared(data: ObjectRef, trial: Trial, folder: Path) -> Shared:
    if data not in _held:
        _held[data] = Shared(ray.get(data), RunDir.at(folder / "data" / trial.data))
        while len(_held) > HELD:
            _held.popitem(last=False)
    _held.move_to_end(data)
    return _held[data]


def _figure(metrics: dict, name: str) -> float:
    figures = flat(metrics)
    if name not in figures:
        near = [known for known in figures if known.split(".")[0] == name.split(".")[0]] or list(figures)
        raise UserError("no such figure", where="metric", value=name, remedy=f"There are: {', '.join(near)}")
    return figures[name]


def _one_thread() -> None:
    """Trials share the machine, one to a CPU."""
    import torch

    torch.set_num_threads(1)


def write_failure(folder: Path, trial: str, text: str) -> None:
    """Keep a traceback as failures/<trial>.txt of the experiment's folder."""
    path = folder / "failures" / f"{trial}.txt"
    path.parent.mkdir(exist_ok=True)
    path.write_text(text)


def one_line(error: BaseException) -> str:
    """What went wrong, for a list of failures."""
    said = " ".join(str(error).split())
    return said if isinstance(error, UserError) else f"{type(error).__name__}: {said}"


# --- in the driver ----------------------------------------------------------------------------------------


class _Scheduler(FIFOScheduler):
    """Stops whom `Halving` stops. Trials are named by their numbers."""

    def __init__(self, halving: Halving, sign: int):
        super().__init__()
        self._halving, self._sign = halving, sign

    def on_trial_result(self, tune_controller: Any, trial: Any, result: dict) -> str:
        number = int(_name(trial))
        if "value" in result:
            self._halving.tell(number, result["round"], self._sign * result["value"])
        return TrialScheduler.CONTINUE if self._halving.stopped(number) is None else TrialScheduler.STOP

    def on_trial_complete(self, tune_controller: Any, trial: Any, result: dict) -> None:
        self._halving.end(int(_name(trial)))

    def on_trial_error(self, tune_controller: Any, trial: Any) -> None:
        self._halving.end(int(_name(trial)))


class _Watcher(tune.Callback):
    def __init__(self, progress: Progress):
        self._progress = progress
        self.failures: dict[str, str] = {}

    def __getstate__(self) -> dict:
        """Nothing: Tune pickles it for a resume of its own, which is not made use of."""
        return {}

    def on_trial_start(self, iteration: int, trials: list, trial: Any, **info: Any) -> None:
        self._progress.began(_name(trial))

    def on_trial_result(self, iteration: int, trials: list, trial: Any, result: dict, **info: Any) -> None:
        if "failure" in result:
            self.failures[_name(trial)] = result["failure"]
        elif "round" in result:
            self._progress.round_done(_name(trial), result)

    def on_trial_complete(self, iteration: int, trials: list, trial: Any, **info: Any) -> None:
        self._progress.ended(_name(trial), self.failures.get(_name(trial)))

    def on_trial_error(self, iteration: int, trials: list, trial: Any, **info: Any) -> None:
        reason = f"its worker died {MAX_DEATHS + 1} times; most often memory ran out"
        self.failures[_name(trial)] = reason
        self._progress.ended(_name(trial), reason)
