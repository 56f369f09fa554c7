"""An ablation: strategies × datasets × seeds. GRID.toml in, trials out."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Annotated

from pydantic import BeforeValidator, Field

from adde_ray.config.data import FolderName, FolderPath, Name, Section
from adde_ray.config_check import check_names
from adde_ray.errors import UserError
from adde_ray.experiments.spec import Changes, Spec, StrategyEntry, base_config, refuse_twice
from adde_ray.experiments.trial import Trial

Seeds = (
    Annotated[int, Field(ge=1, le=1000)]
    | Annotated[tuple[Annotated[int, Field(ge=0, le=2**63 - 1)], ...], Field(min_length=1, max_length=1000)]
)

MOST_TRIALS = 10_000


def _dataset(value: object) -> object:
    tree = {"config": value} if isinstance(value, str) else value
    if isinstance(tree, dict) and isinstance(tree.get("config"), str):
        tree = {"name": Path(tree["config"]).stem} | tree
    return tree


class Dataset(Section):
    """A run's TOML, and what is changed in it."""

    config: FolderPath
    """The run's TOML file, relative to the grid's."""
    name: FolderName
    """What results call it; left out: the file's name."""
    set: Changes = Field(default={})
    """What is changed: `{data.path = "tables/ham10000-{seed}.parquet"}`. `{seed}` is the trial's seed; paths are
    relative to the grid's file."""


DatasetEntry = Annotated[Dataset, BeforeValidator(_dataset)]


class Quick(Section):
    """A smaller variant of the grid, for `--quick`. It is kept in a folder of its own."""

    seeds: Seeds | None = None
    """Other seeds."""
    strategies: tuple[Name, ...] = Field(default=(), max_length=1000)
    """Only these; empty = all."""
    datasets: tuple[Name, ...] = Field(default=(), max_length=1000)
    """Only these; empty = all."""
    set: Changes = Field(default={})
    """What is changed in every trial: `{stop.labels = 20}`."""


class Grid(Spec):
    """A whole ablation. `Grid.load("grid.toml")`."""

    seeds: Seeds = 5
    """Seeds 0, 1, …, so many of them, or a list. A trial's seed is its run's, from which all its choices derive."""
    strategies: tuple[StrategyEntry, ...] = Field(min_length=1, max_length=1000)
    """Names of strategies, or `{name = "mine", over = "adde", set = {select.alpha = 0.9}}`."""
    datasets: tuple[DatasetEntry, ...] = Field(min_length=1, max_length=1000)
    """TOML files of runs, or `{config = "ham10000.toml", set = {…}}`."""
    set: Changes = Field(default={})
    """What is changed in every trial: `{stop.labels = 100}`."""
    quick: Quick = Quick()
    """What `--quick` runs instead."""

    def located(self, folder: Path) -> Grid:
        """The same with paths relative to the grid's folder made whole."""
        datasets = tuple(d.model_copy(update={"config": folder / d.config}) for d in self.datasets)
        return self.model_copy(update={"datasets": datasets})

    def made_quick(self) -> Grid:
        """The variant of `--quick`."""
        quick = self.quick
        changed = {
            "name": f"{self.name}-quick",
            "seeds": quick.seeds or self.seeds,
            "strategies": _only(quick.strategies, self.strategies, "quick.strategies"),
            "datasets": _only(quick.datasets, self.datasets, "quick.datasets"),
            "set": {**self.set, **{name: {**self.set.get(name, {}), **keys} for name, keys in quick.set.items()}},
        }
        return self.model_copy(update=changed)

    def trials(self, overrides: tuple[str, ...], folder: Path, modules: tuple[str, ...] = ()) -> list[Trial]:
        """Every trial, those on the same data side by side. Raises UserError: nothing has been started then.

        folder: the grid file's, to which paths are relative. modules: plugins besides those that configs name.
        """
        seeds = list(range(self.seeds)) if isinstance(self.seeds, int) else list(self.seeds)
        refuse_twice("seeds", seeds)
        refuse_twice("strategies", [s.name for s in self.strategies])
        refuse_twice("datasets", [d.name for d in self.datasets])
        if (count := len(seeds) * len(self.strategies) * len(self.datasets)) > MOST_TRIALS:
            raise UserError(f"more than {MOST_TRIALS} trials", where=self.name, value=count, remedy="Make it two grids")
        strategies = {s.name: s.resolve() for s in self.strategies}
        found = []
        for dataset in self.datasets:
            for seed in seeds:
                changes = {**self.set, **{n: {**self.set.get(n, {}), **keys} for n, keys in dataset.set.items()}}
                base = base_config(dataset.config, changes, overrides, folder=folder, seed=seed, modules=modules)
                for name, way in strategies.items():
                    trial = Trial.of(f"{dataset.name}-{name}-{seed}", dataset.name, name, base, way.over(base))
                    check_names(trial.config)
                    found.append(trial)
        return found

    def told(self) -> dict:
        """What experiment.json says of it, besides the trials."""
        ways = {s.name: s.resolve() for s in self.strategies}
        strategies = {name: {"about": way.about, "baseline": way.baseline} for name, way in ways.items()}
        return {"kind": "ablation", "name": self.name, "strategies": strategies}


def _only(names: Iterable[str], entries: tuple, where: str) -> tuple:
    known = {entry.name: entry for entry in entries}
    for name in names:
        if name not in known:
            remedy = f"The grid has: {', '.join(known)}"
            raise UserError("is not in the grid", where=where, value=name, remedy=remedy)
    return tuple(known[name] for name in names) or entries
