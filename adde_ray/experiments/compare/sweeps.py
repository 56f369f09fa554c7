"""What a sweep says of its settings: one row a trial → how the objective depends on each key, and the best trials.

The objective is what a sweep may be steered by: the mean over the curve on val. Trials that were stopped early are
judged by the same stretch of the curve as the others, or not at all.
"""

from __future__ import annotations

from dataclasses import asdict

import numpy as np
import polars as pl

from adde_ray.experiments.compare.align import check_wanted, metric_of
from adde_ray.experiments.compare.read import SETTING, Experiment
from adde_ray.methods.stats.curves import area, on_grid
from adde_ray.methods.stats.sensitivity import MIN_CONFIGS, sensitivity


def sweep_figures(experiment: Experiment, wanted: str | None) -> dict:
    """By dataset: `objective`, the `labels` it is judged over, `trials`, `left_out`, `best`, `sensitivity` or None."""
    check_wanted(experiment.table, wanted)
    parts = experiment.table.partition_by("dataset", maintain_order=True)
    return {"name": experiment.name, "datasets": {p["dataset"][0]: _of_dataset(p, wanted) for p in parts}}


def _of_dataset(table: pl.DataFrame, wanted: str | None) -> dict:
    reported = metric_of(table, wanted)
    objective = f"val.{reported.partition('.')[2]}" if reported else None
    objective = objective if objective in table.columns else reported
    if objective is None:
        return {"objective": None, "trials": [], "left_out": table["trial"].n_unique(), "sensitivity": None}
    rows = table.drop_nulls(objective)
    ends = rows.group_by("trial").agg(pl.col("num_asked").max())["num_asked"].to_numpy()
    # The longest stretch that at least half of the trials have in full.
    budget = int(np.sort(ends)[::-1][(len(ends) - 1) // 2])
    first = int(rows["num_asked"].to_numpy().min())
    grid = rows.filter(pl.col("num_asked") <= budget)["num_asked"].unique().sort().to_numpy()
    keys = [name for name in table.columns if name.startswith(SETTING)]
    trials = []
    for trial in rows.partition_by("trial", maintain_order=True):
        if trial["num_asked"].to_numpy().max() < budget:
            continue
        values = {m: _mean_over(trial, m, grid) for m in {objective, reported} if trial[m].null_count() < len(trial)}
        settings = {key.removeprefix(SETTING): trial[key][0] for key in keys}
        trials.append({"trial": trial["trial"][0], "seed": trial["seed"][0], "settings": settings, "values": values})
    trials.sort(key=lambda t: (-t["values"][objective], t["trial"]))
    settings = _varied(trials)
    found = sensitivity(settings, [t["values"][objective] for t in trials], seed=0) if settings else None
    return {
        "objective": objective,
        "reported": reported,
        "labels": [first, budget],
        "trials": trials,
        "left_out": table["trial"].n_unique() - len(trials),
        "keys": list(settings),
        "sensitivity": asdict(found) if found else None,
        "needed": MIN_CONFIGS,
    }


def _mean_over(trial: pl.DataFrame, figure: str, grid: np.ndarray) -> float:
    known = trial.drop_nulls(figure)
    return area(grid, on_grid(known["num_asked"].to_numpy(), known[figure].to_numpy(), grid))


def _varied(trials: list[dict]) -> dict[str, list]:
    """Keys that every trial has and that differ. What is no number, switch or name counts as its text."""
    found = {}
    for key in trials[0]["settings"] if trials else ():
        values = [t["settings"][key] for t in trials]
        values = [v if isinstance(v, (bool, int, float, str)) or v is None else str(v) for v in values]
        if None not in values and len(set(values)) > 1:
            found[key] = values
    return found
