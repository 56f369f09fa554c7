"""Trials of one dataset side by side: rows by (trial, round) → curves (seeds, labels) of every strategy.

What is compared is equal: the same seeds, the same labels. A strategy that stopped earlier keeps its last value, since
that is what one has of it for the whole budget; seeds that not all strategies have are left out, and both is said.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import polars as pl

from adde_ray.artifacts.schema import RESULT_KEYS
from adde_ray.errors import UserError
from adde_ray.experiments.compare.read import SETTING
from adde_ray.methods.stats.curves import on_grid

SPLITS = ("test", "ood", "val")
"""Where a figure is looked for: val steers the run, so it comes last."""
FIGURE = "macro_f1"
LESS_IS_BETTER = ("ece", "nll", "fairness", "amplification", "drift", "mmd2", "regressions")


@dataclass(frozen=True)
class Dataset:
    """One dataset's compared trials. labels: (L,) numbers bought; curves: (S, L) by strategy, best mean first."""

    name: str
    metric: str
    seeds: tuple[int, ...]
    labels: np.ndarray
    curves: dict[str, np.ndarray]
    table: pl.DataFrame

    @property
    def split(self) -> str:
        """The split the metric is of."""
        return self.metric.partition(".")[0]

    def at_end(self, figure: pl.Expr) -> dict[str, np.ndarray]:
        """(S,) by strategy, in the order of `seeds`: the last value of each trial; only strategies that have all."""
        last = self.table.with_columns(figure=figure).drop_nulls("figure").group_by("strategy", "seed").last()
        found = {}
        for strategy in self.curves:
            values = dict(last.filter(pl.col("strategy") == strategy).select("seed", "figure").iter_rows())
            if len(values) == len(self.seeds):
                found[strategy] = np.array([values[seed] for seed in self.seeds], dtype=float)
        return found

    def by_round(self, strategy: str, figure: str) -> list[np.ndarray]:
        """The figure round by round, one array a seed."""
        rows = self.table.filter(pl.col("strategy") == strategy).drop_nulls(figure)
        return [part[figure].to_numpy() for part in rows.partition_by("seed", maintain_order=True)]


def align(table: pl.DataFrame, wanted: str | None) -> tuple[list[Dataset], list[str]]:
    """The datasets that can be compared, and what had to be left out, in words. `wanted`: a figure's name.

    Raises UserError when nothing can be compared: one strategy only, no common seed, no such figure.
    """
    check_wanted(table, wanted)
    if table["strategy"].n_unique() < 2:
        raise UserError("there is one strategy only, nothing to compare it with", value=table["strategy"][0])
    datasets, notes = [], []
    table = table.sort("dataset", "strategy", "seed", "round")  # seeds of a strategy may come from several experiments
    for part in table.partition_by("dataset", maintain_order=True):
        name = part["dataset"][0]
        metric = metric_of(part, wanted)
        if metric is None:
            notes.append(f"{name} is left out: it has no {wanted or FIGURE} for every trial.")
        elif part["strategy"].n_unique() < 2:
            notes.append(f"{name} is left out: there is one strategy only, {part['strategy'][0]}.")
        else:
            datasets.append(_align(name, part, metric, notes))
    if not datasets:
        raise UserError("no dataset has two strategies to compare", value=" ".join(notes))
    everyone = {s for d in datasets for s in d.curves}
    for d in datasets:
        if gone := sorted(everyone - set(d.curves)):
            notes.append(f"{d.name} has no results of {', '.join(gone)}.")
    return datasets, notes


def check_wanted(table: pl.DataFrame, wanted: str | None) -> None:
    """UserError for a figure that is in no dataset, or that is better when smaller."""
    if wanted is None:
        return
    if set(wanted.split(".")) & set(LESS_IS_BETTER):
        raise UserError("curves and ranks need a figure that is better when larger", where="metric", value=wanted)
    if not any(name in table.columns and table[name].dtype.is_numeric() for name in _candidates(wanted)):
        known = [n for n in table.columns if n not in RESULT_KEYS and n.partition(".")[0] in (*SPLITS, "diversity")]
        short = [n for n in known if ".recall." not in n and not set(n.split(".")) & set(LESS_IS_BETTER)]
        raise UserError("no such figure", where="metric", value=wanted, remedy=f"There are: {', '.join(short)}")


def metric_of(part: pl.DataFrame, wanted: str | None) -> str | None:
    """The column to compare by: the first candidate that every trial has a value of."""
    for name in _candidates(wanted or FIGURE):
        if name in part.columns and part.group_by("trial").agg(pl.col(name).count())[name].to_numpy().min() > 0:
            return name
    return None


def _candidates(wanted: str) -> list[str]:
    return [wanted] if "." in wanted else [f"{split}.{wanted}" for split in SPLITS]


def _align(name: str, part: pl.DataFrame, metric: str, notes: list[str]) -> Dataset:
    seeds = {s: set(rows["seed"]) for (s,), rows in part.group_by("strategy")}
    common = sorted(set.intersection(*seeds.values()))
    if not common:
        told = "; ".join(f"{s}: {', '.join(map(str, sorted(has)))}" for s, has in sorted(seeds.items()))
        raise UserError("the strategies have no seed in common", where=name, value=told)
    if left := sorted(set.union(*seeds.values()) - set(common)):
        lacking = sorted(s for s, has in seeds.items() if not has >= set(left))
        shown = ", ".join(map(str, left))
        notes.append(
            f"{name} is compared on the seeds {', '.join(map(str, common))}: {', '.join(lacking)} lacks {shown}."
        )
    part = part.filter(pl.col("seed").is_in(common)).select(
        name for name in part.columns if not name.startswith(SETTING) and part[name].null_count() < len(part)
    )
    rows = part.drop_nulls(metric)
    labels = rows["num_asked"].unique().sort().to_numpy()
    budget, curves = int(labels[-1]), {}
    for (strategy,), own in rows.group_by("strategy", maintain_order=True):
        trials = own.partition_by("seed", maintain_order=True)
        curves[strategy] = np.stack([on_grid(t["num_asked"].to_numpy(), t[metric].to_numpy(), labels) for t in trials])
        ended = own.group_by("seed").agg(pl.col("num_asked").max())["num_asked"].to_numpy().mean()
        if ended < budget:
            notes.append(f"{strategy} on {name} ended with {ended:.0f} of {budget} labels; its last value is kept.")
    for strategy in sorted(curves):
        own = rows.filter(strategy=strategy)
        if own["num_labels"].to_numpy().max() < own["num_asked"].to_numpy().max():
            notes.append(
                f"{strategy} on {name} labels for itself: it is drawn over what it asked about, which cost none."
            )
    order = sorted(curves, key=lambda s: (-curves[s].mean(), s))
    return Dataset(name, metric, tuple(common), labels, {s: curves[s] for s in order}, part)
