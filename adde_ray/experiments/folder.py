"""An experiment on disk.

<root>/experiment.json        what was asked for, and every trial's identity
<root>/data/<dataset>-<seed>/ ingest and embeddings, prepared once for the trials that share them
<root>/trials/<trial>/        a run's folder each, and in it result.json: finished
<root>/failures.json          why trials failed, in a line each; their tracebacks in failures/
<root>/results.parquet        a row for each round of each trial, written last
"""

from __future__ import annotations

import contextlib
import json
import shutil
from collections.abc import Iterator
from pathlib import Path

import polars as pl

from adde_ray.artifacts import damage, digests
from adde_ray.artifacts.digests import LEDGER
from adde_ray.artifacts.run_dir import (
    REMEDY,
    halted_by_disk,
    kept_once_begun,
    locked,
    read_json,
    write_json,
    write_table,
)
from adde_ray.artifacts.schema import RESULT_KEYS
from adde_ray.config import kept as kept_config
from adde_ray.errors import Halted, UserError
from adde_ray.experiments.trial import RESULT, Trial

EXPERIMENT, RESULTS, FAILURES = "experiment.json", "results.parquet", "failures.json"


class ExperimentDir:
    """An experiment's folder, at an absolute path."""

    def __init__(self, root: str | Path):
        self.root = Path(root).resolve()

    @contextlib.contextmanager
    def start(self, told: dict, trials: list[Trial], *, modules: tuple[str, ...] = (), resume: bool) -> Iterator[None]:
        """Create or resume it and hold its lock. On a resume there may be more trials than before, but none another.

        modules: plugins that the command named.
        Raises UserError when the folder is in use, holds an experiment and `resume` is false, or holds another one.
        What a UserError ends before the first trial leaves no folder behind.
        """
        told = json.loads(json.dumps(told)) | {"trials": {t.name: _told(t) for t in trials}}
        told |= {"plugins": list(modules)} if modules else {}
        with locked(self.root):
            path = self.root / EXPERIMENT
            if path.exists():
                if not resume:
                    remedy = "Go on with --resume, or choose another: --folder, or another name"
                    raise UserError("holds an experiment already", where=self.root, remedy=remedy)
                if not damage.is_whole(path):
                    raise Halted("was changed after it was made", where=path, remedy=REMEDY)
                kept = read_json(path)
                self._check_same(kept, told, trials)
                for trial in trials:
                    if (root := self.root / "trials" / trial.name).exists() and (root / RESULT).exists():
                        damage.refuse(root)
                told["trials"] = kept["trials"] | told["trials"]
            elif any(not p.name.startswith(".") and p.name != LEDGER for p in self.root.iterdir()):
                remedy = "Choose another folder"
                raise UserError("is not empty and holds no experiment", where=self.root, remedy=remedy)
            else:
                with halted_by_disk(self.root):
                    digests.begin(self.root)
            if not path.exists() or read_json(path) != told:
                write_json(path, told)
            with kept_once_begun(self.root, "trials"):
                yield

    def modules(self, *, resume: bool) -> tuple[str, ...]:
        """The plugins that the command named which began it; none where it is not resumed."""
        path = self.root / EXPERIMENT
        return tuple(read_json(path).get("plugins", ())) if resume and path.exists() else ()

    def result(self, name: str) -> dict | None:
        """A trial's result.json; None while it is not finished."""
        path = self.root / "trials" / name / RESULT
        return read_json(path) if path.exists() else None

    def write_failures(self, failures: dict[str, str]) -> None:
        """Trial → why it failed. Nothing is left where none did."""
        if failures:
            write_json(self.root / FAILURES, [{"trial": name, "reason": why} for name, why in failures.items()])
        else:
            if (self.root / FAILURES).exists():
                (self.root / FAILURES).unlink()
                digests.forget(self.root / FAILURES)
            shutil.rmtree(self.root / "failures", ignore_errors=True)

    def write_results(self, names: list[str]) -> pl.DataFrame:
        """The rows of all trials that have a result, in this order, as results.parquet."""
        table = results_table([found for name in names if (found := self.result(name)) is not None])
        write_table(self.root / RESULTS, table)
        return table

    def _check_same(self, kept: dict, told: dict, trials: list[Trial]) -> None:
        remedy = "Resume with what it was started with, or choose another folder"
        # More strategies are more trials, and no other ones.
        before, now = ({k: v for k, v in t.items() if k not in ("trials", "strategies")} for t in (kept, told))
        if before != now:
            raise UserError(f"was another experiment: {_first_difference(before, now)}", where=self.root, remedy=remedy)
        for trial in trials:
            path = self.root / "trials" / trial.name / "config.json"
            begun = kept_config.parse(read_json(path), where=path) if path.exists() else None
            if begun is not None and (changed := kept_config.difference(begun, trial.config)):
                what = f"trial {trial.name} was another: {changed}"
                raise UserError(what, where=self.root, remedy=remedy)


def _first_difference(kept: dict, given: dict, at: str = "") -> str:
    """The first key, dotted, that differs between two trees that do, and both its values."""
    for key in sorted(kept.keys() | given.keys()):
        old, new, name = kept.get(key), given.get(key), f"{at}{key}"
        if isinstance(old, dict) and isinstance(new, dict) and old != new:
            return _first_difference(old, new, f"{name}.")
        if old != new:
            return f"{name} was {old!r} and is now {new!r}"
    return "they differ"


def results_table(results: list[dict]) -> pl.DataFrame:
    """A row for each round of each result; a figure that a trial lacks is null."""
    rows = [
        {
            **{key: result[key] for key in ("trial", "dataset", "strategy", "seed")},
            **{f"config.{key}": _cell(value) for key, value in result["config"].items()},
            **figures,
        }
        for result in results
        for figures in result["rounds"]
    ]
    columns = sorted({name for row in rows for name in row} - RESULT_KEYS.keys())
    columns.sort(key=lambda name: not name.startswith("config."))
    series = [pl.Series(name, [row.get(name) for row in rows], dtype) for name, dtype in RESULT_KEYS.items()]
    for name in columns:
        values = [row.get(name) for row in rows]
        texts = any(isinstance(value, str) for value in values)
        values = [str(v) if texts and v is not None else v for v in values]
        series.append(pl.Series(name, values, pl.String if texts else pl.Float64, strict=False))
    return pl.DataFrame(series)


def _cell(value: object) -> object:
    """A drawn value as a cell: numbers as they are, the rest as JSON."""
    if isinstance(value, str) or (isinstance(value, (int, float)) and not isinstance(value, bool)):
        return value
    return json.dumps(value)


def _told(trial: Trial) -> dict:
    return {"dataset": trial.dataset, "strategy": trial.strategy, "seed": trial.seed, "data": trial.data}
