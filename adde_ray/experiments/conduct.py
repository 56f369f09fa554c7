"""Conducts experiments from their file to their table: many runs side by side.

`ablate("grid.toml")` runs strategies × datasets × seeds, `sweep("space.toml")` one dataset under many settings. Both
prepare each dataset once, run every trial in a folder of its own below trials/, and write results.parquet: a row for
each round of each trial. Killed at any moment, both go on with `resume`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import TYPE_CHECKING

import polars as pl
from rich.console import Console

from adde_ray.distributed.session import ensure_ray
from adde_ray.errors import UserError
from adde_ray.experiments.folder import ExperimentDir
from adde_ray.experiments.grid import Grid
from adde_ray.experiments.halving import Halving
from adde_ray.experiments.live import TrialTable
from adde_ray.experiments.space import Sweep
from adde_ray.experiments.trial import Trial, write_result

if TYPE_CHECKING:
    from ray import ObjectRef

    from adde_ray.experiments.tuning import Progress


def ablate(
    path: str | Path,
    *,
    folder: str | Path | None = None,
    overrides: Iterable[str] = (),
    modules: Iterable[str] = (),
    quick: bool = False,
    concurrency: int | None = None,
    resume: bool = False,
    console: Console | None = None,
) -> dict:
    """Run a grid. Returns folder, trials, failures (trial → reason), means (strategy → final macro-F1) and verdict
    (who is ahead at the end, in a line or a few).

    folder: default root/name of the file. overrides: `a.b=value`, in every trial's config. modules:
    plugins besides those that configs name. quick: the file's smaller
    variant. concurrency: trials at a time. Raises UserError for anything the user can mend, before the first trial.
    """
    path = Path(path).resolve()
    grid = Grid.load(path)
    grid = grid.made_quick() if quick else grid
    where = ExperimentDir(folder or grid.root / grid.name)
    modules = tuple(modules) or where.modules(resume=resume)
    trials = grid.trials(tuple(overrides), path.parent, modules)
    with where.start(grid.told(), trials, modules=modules, resume=resume):
        left = [trial for trial in trials if where.result(trial.name) is None]

        def run(data: dict[str, ObjectRef], progress: Progress) -> dict[str, str]:
            from adde_ray.experiments.tuning import run_all

            return run_all(left, data, where.root, progress, concurrency=concurrency or grid.concurrency)

        failures = _run(where, left, len(trials) - len(left), len(trials), run, console or Console())
        table = where.write_results([trial.name for trial in trials])
    means = _means(table)
    told = {"means": means, "verdict": _verdict(where.root, means)}
    return {"folder": where.root, "trials": len(trials), "failures": failures, **told}


def sweep(
    path: str | Path,
    *,
    folder: str | Path | None = None,
    overrides: Iterable[str] = (),
    modules: Iterable[str] = (),
    concurrency: int | None = None,
    resume: bool = False,
    console: Console | None = None,
) -> dict:
    """Run a sweep. Returns folder, trials, failures, stopped (how many early) and best (trial, value,
    metric, config).

    The arguments are those of `ablate`.
    """
    path = Path(path).resolve()
    plan = Sweep.load(path)
    where = ExperimentDir(folder or plan.root / plan.name)
    modules = tuple(modules) or where.modules(resume=resume)
    bases = plan.base(tuple(overrides), path.parent, modules)
    if plan.search == "optuna":
        from adde_ray.experiments import proposals

        proposals.require()
    trials = plan.trials(bases)
    total = len(trials) or plan.to_draw
    halving = Halving(plan.rungs(bases[1]), keep=plan.keep)
    with where.start(plan.told(), trials, modules=modules, resume=resume):
        before = [where.result(f"{number:04d}") for number in range(total)]
        _tell_before(halving, before, plan)
        # No trials where each is proposed from others' results.
        left = [trial for trial, result in zip(trials, before, strict=False) if result is None]
        searched: list[Trial] = []

        def run(data: dict[str, ObjectRef], progress: Progress) -> dict[str, str]:
            import ray

            from adde_ray.experiments.tuning import run_all

            at_a_time = concurrency or plan.concurrency
            options = {"concurrency": at_a_time, "metric": plan.metric, "sign": plan.sign, "halving": halving}
            if plan.search != "optuna":
                return run_all(left, data, where.root, progress, **options)
            at_a_time = at_a_time or max(int(ray.cluster_resources().get("CPU", 1)), 1)
            searcher = proposals.Proposals(
                plan, lambda number, drawn: plan.trial(number, drawn, bases), halving.mean, where, concurrency=at_a_time
            )
            failures = run_all(searcher, data, where.root, progress, num_trials=total, **options)
            searched.extend(searcher.trials)
            return failures

        needed = left if plan.search != "optuna" else [plan.trial(0, {}, bases)]
        finished_before = sum(result is not None for result in before)
        failures = _run(where, needed, finished_before, total, run, console or Console())
        for trial in trials or searched:
            rounds = halving.stopped(int(trial.name))
            done = where.result(trial.name)
            if rounds is not None and trial.name not in failures and (done is None or done["status"] == "finished"):
                write_result(trial, where.root, stopped_after=rounds)
        names = [f"{number:04d}" for number in range(total)]
        where.write_results(names)
    results = [found for name in names if (found := where.result(name)) is not None]
    finished = [result for result in results if result["status"] == "finished"]
    stopped = len(results) - len(finished)
    best = _best(finished, halving, plan)
    return {"folder": where.root, "trials": total, "failures": failures, "stopped": stopped, "best": best}


def _tell_before(halving: Halving, results: list[dict | None], plan: Sweep) -> None:
    """What the trials that are done have to say to those that are not."""
    for number, result in enumerate(results):
        if result is not None:
            for figures in result["rounds"]:
                halving.tell(number, figures["round"], plan.sign * figures[plan.metric])
            halving.end(number)


def _best(finished: list[dict], halving: Halving, plan: Sweep) -> dict | None:
    """The best of these results; of equals the first."""
    if not finished:
        return None
    best = max(finished, key=lambda result: halving.mean(int(result["trial"])))
    value = plan.sign * halving.mean(int(best["trial"]))
    return {"trial": best["trial"], "value": value, "metric": plan.metric, "config": best["config"]}


def _means(table: pl.DataFrame) -> dict[str, float]:
    """Strategy → final macro-F1 on test, or where there is none on ood or val, averaged over datasets and seeds; the
    best first."""
    figures = [f"{split}.macro_f1" for split in ("test", "ood", "val") if f"{split}.macro_f1" in table.columns]
    if not figures:
        return {}
    final = table.sort("round").group_by("trial", maintain_order=True).last()
    by_strategy = final.with_columns(figure=pl.coalesce(figures)).group_by("strategy")
    return dict(
        by_strategy.agg(pl.col("figure").mean()).sort("figure", "strategy", descending=[True, False]).iter_rows()
    )


def _verdict(folder: Path, means: dict[str, float]) -> list[str]:
    """What `adde compare` says of the end."""
    from adde_ray.experiments.compare import ending

    if len(means) < 2:
        return [f"the only strategy: {name}, final macro-F1 {figure:.3f}" for name, figure in means.items()]
    try:
        return ending(folder)
    except UserError as error:
        return [f"nobody is ahead: {error}"]


def _run(
    where: ExperimentDir,
    left: list[Trial],
    done: int,
    total: int,
    run: Callable[[dict[str, ObjectRef], Progress], dict[str, str]],
    console: Console,
) -> dict[str, str]:
    """Prepare the data of the trials left, and run them. Returns trial → why it failed."""
    failures: dict[str, str] = {}
    if left:
        with console.status("starting Ray") as status:
            ensure_ray()
            from adde_ray.experiments.tuning import Progress, prepare_all

            count = len({trial.data for trial in left})
            data = {}
            status.update(f"preparing data: 0 of {count}")
            for name, reference in prepare_all(left, where.root):
                data[name] = reference
                status.update(f"preparing data: {len(data)} of {count}")
        with TrialTable(console, total, done) as table:
            failures = run(data, Progress(table.began, table.round_done, table.ended))
    where.write_failures(failures)
    return failures
