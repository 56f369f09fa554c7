"""The command line: adde run · review · check · config · find · summary · report · export · verify · ablate · …

Exit codes: 0 done (or waiting for people), 2 the user's mistake or the machine's (a line says which), 1 ours,
130, 143 and 129 stopped by Ctrl-C, SIGTERM and SIGHUP.
Heavy imports stay inside the commands, so that `--help` is there at once.
"""

from __future__ import annotations

import contextlib
import errno
import functools
import importlib.metadata
import io
import json
import os
import platform
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, NoReturn

import typer
from rich import get_console
from rich.console import Console
from rich.text import Text
from typer.core import TyperGroup

from adde_ray.artifacts import descriptions
from adde_ray.artifacts.run_dir import RunDir
from adde_ray.config import Config, kept, plugins
from adde_ray.distributed import signals
from adde_ray.errors import UserError, escaped, first_line
from adde_ray.review import commands

if TYPE_CHECKING:
    from adde_ray.stages.ingest import Prepared


class Printable(TyperGroup):
    """What a terminal cannot show of users' names is printed as escapes."""

    def main(self, *args: Any, **kwargs: Any) -> Any:
        """Runs the command line, as typer's group does."""
        for stream in (sys.stdout, sys.stderr):
            if isinstance(stream, io.TextIOWrapper):
                stream.reconfigure(errors="backslashreplace")
        return super().main(*args, **kwargs)


app = typer.Typer(
    cls=Printable,
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode="markdown",
    pretty_exceptions_enable=False,
    help="Builds labelled datasets with few annotations, diverse on purpose.",
)
# rich's own console, so that the spinner here and progress bars elsewhere know of each other.
out, err = get_console(), Console(stderr=True)

LISTED = 20
"""Lines that are named; of more there are dots."""

ConfigFile = Annotated[Path, typer.Argument(help="The run's TOML file.", metavar="CONFIG.toml", show_default=False)]
RunFolder = Annotated[Path, typer.Argument(help="A run's folder.", metavar="RUN", show_default=False)]
Overrides = Annotated[
    list[str] | None,
    typer.Option(
        "--set", help="Override a key: section.key=value. Can be repeated.", metavar="A.B=V", show_default=False
    ),
]
Modules = Annotated[
    list[str] | None,
    typer.Option(
        "--plugin",
        help="Import a module with parts of your own, as [plugins] in the config does. Can be repeated.",
        metavar="MODULE",
        show_default=False,
    ),
]


MACHINE = {
    errno.ENOSPC: "Make room, then go on with --resume",
    errno.EDQUOT: "Make room, then go on with --resume",
    errno.EROFS: "Choose another folder",
    errno.EACCES: "Choose another folder, or mend its permissions",
    errno.EPERM: "Choose another folder, or mend its permissions",
    errno.ENAMETOOLONG: "Choose a shorter name",
    errno.EMFILE: "Raise the limit on open files, as with `ulimit -n 4096`",
    errno.ENFILE: "Close other programs",
    errno.ENOMEM: "Close other programs",
    errno.EIO: "Look at the disk",
}
"""What the machine may refuse anywhere, and the remedy."""


def _show_versions(asked: bool) -> None:
    if asked:
        _say(f"adde_ray {_version('adde_ray')}")
        _say(f"Python {platform.python_version()} · ray {_version('ray')} · torch {_version('torch')}")
        raise typer.Exit


@app.callback()
def main(
    version: Annotated[
        bool, typer.Option("--version", help="Show versions and exit.", is_eager=True, callback=_show_versions)
    ] = False,
) -> None:
    """What all commands have: `--version`."""


def _version(package: str) -> str:
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return "not installed"


def command(example: str, *, panel: str = "Look"):
    """Registers a command whose help is its docstring and an example. panel: the group it is shown in."""

    def register(function):
        about = " ".join((function.__doc__ or "").split())
        app.command(help=f"{about}\n\nExample: `{example}`", rich_help_panel=panel)(guarded(function))
        return function

    return register


def guarded(function):
    """A command whose `UserError`s, and what the machine refuses, end in a line each and exit code 2."""

    @functools.wraps(function)
    def guard(*args, **kwargs):
        try:
            with signals.watched():
                return function(*args, **kwargs)
        except UserError as error:
            _refuse(signals.reason() or error)
        except MemoryError:
            _refuse(UserError("not enough memory", remedy="Close other programs, or choose smaller settings"))
        except OSError as error:
            if error.errno not in MACHINE:
                raise
            _refuse(UserError(error.strerror or first_line(error), where=error.filename, remedy=MACHINE[error.errno]))
        except KeyboardInterrupt as error:
            # Ray too raises KeyboardInterrupt, where its raylet is gone.
            stopped = error if isinstance(error, signals.Stopped) else signals.Stopped(error=signals.reason())
            signals.tell(stopped)
            raise typer.Exit(stopped.code) from None
        except Exception:
            if error := signals.reason():
                _refuse(error)
            raise

    return guard


def _refuse(error: UserError) -> NoReturn:
    for line in error.lines:
        err.print(Text.assemble(("error: ", "red"), line), soft_wrap=True)
    raise typer.Exit(2) from None


@command("adde run jobs/configs/digits.toml --set stop.labels=50", panel="Build")
def run(
    config: ConfigFile,
    set_: Overrides = None,
    plugin: Modules = None,
    run_dir: Annotated[
        Path | None,
        typer.Option(help="Where the run is kept. Default: run.root/run.name of the config.", show_default=False),
    ] = None,
    resume: Annotated[bool, typer.Option("--resume", help="Go on where a stopped or killed run left off.")] = False,
    wait: Annotated[
        bool, typer.Option("--wait", help="Where people have to answer, wait for them, and go on when they have.")
    ] = False,
    review: Annotated[
        bool, typer.Option("--review", help="Also serve the page on which they answer, on this machine; waits, too.")
    ] = False,
    port: Annotated[int, typer.Option(min=1, max=65535, help="Of the page that --review serves.")] = 8765,
) -> None:
    """Run the loop until a stopping rule holds, or until people have to answer."""
    from adde_ray.progress import RoundTable
    from adde_ray.review import waiting

    if resume and (begun := run_dir or Config.place(config, set_ or ())):
        plugins.load(kept.modules(begun / "config.json"), near=config.parent)
    parsed = Config.load(config, set_ or (), modules=plugin or ())
    folder = run_dir or parsed.run_dir
    if review and parsed.review.annotator != "page":
        remedy = 'Set review.annotator = "page", or leave --review out'
        raise UserError(
            "nobody answers on a page here", where="review.annotator", value=parsed.review.annotator, remedy=remedy
        )
    waits = wait or review
    if resume and (folder / "config.json").exists() and _waits(parsed, folder) and not waits:
        return
    with contextlib.ExitStack() as stack:
        table = stack.enter_context(RoundTable(out))
        from adde_ray.loop import run as run_loop  # seconds of imports, under the spinner

        summary = run_loop(parsed, folder, resume=resume, watch=table.add, on_stage=table.began)
        if review and summary["status"] == "awaiting_review":
            stack.enter_context(waiting.page_beside(folder, port))
        while waits and summary["status"] == "awaiting_review":
            waiting.wait(RunDir.at(folder), table.waits)
            summary = run_loop(parsed, folder, resume=True, watch=table.add, on_stage=table.began)
    _tell_notes(descriptions.notes(RunDir.at(folder)))
    _tell(summary, folder)


@command("adde check jobs/configs/digits.toml", panel="Build")
def check(
    config: ConfigFile,
    set_: Overrides = None,
    plugin: Modules = None,
    probe: Annotated[
        bool, typer.Option("--probe", help="Also rank the encoders at hand on the labels there are, in a minute.")
    ] = False,
) -> None:
    """Validate a config and its data in seconds; trains nothing, writes nothing."""
    from adde_ray.config_check import check_data, check_names
    from adde_ray.stages.ingest import prepare

    parsed = Config.load(config, set_ or (), modules=plugin or ())
    check_names(parsed)
    prepared = prepare(parsed)
    check_data(parsed, prepared.meta)
    _tell_plan(parsed, prepared, probe=probe)


@command("adde config > adde.schema.json", panel="Build")
def config() -> None:
    """Print the JSON schema of the config: every key, its type, default and meaning."""
    from adde_ray.config_check import named_schema

    out.print_json(json.dumps(named_schema()))


@command('adde find runs/tickets "card was swallowed" --ask 5', panel="Build")
def find(
    run: RunFolder,
    words: Annotated[
        str | None, typer.Argument(help="What to look for.", metavar="[WORDS]", show_default=False)
    ] = None,
    like: Annotated[
        str | None,
        typer.Option(help="An example: a file, or a sample of the run.", metavar="FILE|SAMPLE_ID", show_default=False),
    ] = None,
    gap: Annotated[
        str | None, typer.Option(help="A gap of the run, by its gap_id.", metavar="GAP_ID", show_default=False)
    ] = None,
    number: Annotated[int, typer.Option(min=1, max=1000, help="Samples on the sheet.")] = 30,
    ask: Annotated[int, typer.Option(min=0, max=1000, help="So many of them come first in the next query.")] = 0,
    out_: Annotated[
        Path | None, typer.Option("--out", help="The sheet. Default: in the run's folder find.", show_default=False)
    ] = None,
    plugin: Modules = None,
) -> None:
    """Find the pool's samples nearest to words, an example or a gap: a sheet of pictures, and into the next query."""
    from adde_ray.progress import found_table

    if plugin:
        plugins.load(plugin)
    with out.status("looking"):
        from adde_ray.search import find as find_in

        found = find_in(RunDir.at(run), words, like=like, gap=gap, number=number, ask=ask, out=out_)
    out.print(found_table(found.table, found.measure, LISTED))
    for note in found.notes:
        _say(note)
    _say(f"sheet: {found.page}")


@command("adde summary runs/digits --json")
def summary(run: RunFolder, json_: Annotated[bool, typer.Option("--json", help="As one JSON object.")] = False) -> None:
    """Show a run: status, labels bought, quality and diversity by round."""
    from adde_ray.progress import summary_table
    from adde_ray.report.summary import summarise
    from adde_ray.review import actions

    record = summarise(RunDir.at(run))
    if json_:
        print(json.dumps(record, indent=1))
    else:
        out.print(summary_table(record))
        if record["selection"]:
            _say(record["selection"])
        if answers := record["answers"]:
            _say(f"answers so far: {sum(answers.values())} ({actions.tally(answers)})")
        _tell_notes(record["notes"])
        _tell(record, run)


@command("adde report runs/digits")
def report(
    run: RunFolder,
    out_: Annotated[
        Path | None, typer.Option("--out", help="Default: report.html in the run.", show_default=False)
    ] = None,
) -> None:
    """Write the run's report: one HTML file that works offline."""
    from adde_ray.report import write_report
    from adde_ray.review.pending import changed_answers

    with out.status("drawing the report"):
        path = write_report(RunDir.at(run), out_)
    _tell_notes(changed_answers(RunDir.at(run)))
    _say(f"report: {path}")


@command("adde export runs/digits --out digits-dataset")
def export(
    run: RunFolder,
    out_: Annotated[Path, typer.Option("--out", help="A folder that does not exist yet.")],
    size: Annotated[
        Literal["original", "model"],
        typer.Option(help="Images as you gave them, byte for byte, or as the model saw them."),
    ] = "original",
) -> None:
    """Write the dataset as Parquet that Hugging Face `datasets` loads by folder, with a card and Croissant metadata."""
    from adde_ray.export import export as export_run

    with out.status("exporting"):
        path = export_run(RunDir.at(run), out_, size=size, tell=_say)
    _say(f"dataset: {path}")


@command("adde verify runs/digits --repair")
def verify(
    run: Annotated[Path, typer.Argument(help="The folder of a run, or of an experiment.", show_default=False)],
    repair: Annotated[
        bool, typer.Option("--repair", help="Make again, to the same bytes, what can be made again.")
    ] = False,
    plugin: Modules = None,
) -> None:
    """List all damage in a run or an experiment: what is missing, cut short, changed, or of another run."""
    from adde_ray.progress import damage_table
    from adde_ray.verify import verify as verify_run

    if plugin:  # those that the folder names are not imported: it may be a stranger's
        plugins.load(plugin)
    with out.status("looking"):
        found = verify_run(run, repair=repair)
    if not found.recorded:
        _say("an earlier version began this: it holds no digests, so what was changed cannot be told")
        _say("all that can be looked at was: rounds and dataset are complete, and every file can be read")
    if found.findings:
        out.print(damage_table(finding[:3] for finding in found.findings))
    left = sum(not finding.mended for finding in found.findings)
    if left:
        _say(f"{left} of {len(found.findings)} files are damaged still")
        raise typer.Exit(2)
    _say("whole again" if found.findings else "whole")


ExperimentFolder = Annotated[
    Path | None,
    typer.Option(help="Where the experiment is kept. Default: root/name of the file.", show_default=False),
]
Concurrency = Annotated[
    int | None,
    typer.Option(min=1, help="Trials at a time. Default: one for each CPU of the Ray cluster.", show_default=False),
]
ResumeExperiment = Annotated[
    bool, typer.Option("--resume", help="Run the trials that are not finished, and go on with those begun.")
]


@command("adde ablate jobs/configs/ablation-digits.toml", panel="Experiment")
def ablate(
    grid: Annotated[Path, typer.Argument(help="The grid's TOML file.", metavar="GRID.toml", show_default=False)],
    set_: Overrides = None,
    plugin: Modules = None,
    folder: ExperimentFolder = None,
    quick: Annotated[bool, typer.Option("--quick", help="The file's smaller variant, in a folder of its own.")] = False,
    concurrency: Concurrency = None,
    resume: ResumeExperiment = False,
) -> None:
    """Run strategies × datasets × seeds side by side, and keep every figure of every round in one table."""
    with out.status("reading"):
        from adde_ray.experiments.conduct import ablate as run_grid

    record = run_grid(
        grid,
        folder=folder,
        overrides=set_ or (),
        modules=plugin or (),
        quick=quick,
        concurrency=concurrency,
        resume=resume,
        console=out,
    )
    _tell_failures(record)
    for line in record["verdict"]:
        _say(line)
    _say(f"next: adde compare {record['folder']}")


@command("adde sweep jobs/configs/sweep-digits.toml --resume", panel="Experiment")
def sweep(
    space: Annotated[Path, typer.Argument(help="The sweep's TOML file.", metavar="SPACE.toml", show_default=False)],
    set_: Overrides = None,
    plugin: Modules = None,
    folder: ExperimentFolder = None,
    concurrency: Concurrency = None,
    resume: ResumeExperiment = False,
) -> None:
    """Search for better settings on one dataset: trials side by side, bad ones stopped early."""
    with out.status("reading"):
        from adde_ray.experiments.conduct import sweep as run_sweep

    record = run_sweep(
        space,
        folder=folder,
        overrides=set_ or (),
        modules=plugin or (),
        concurrency=concurrency,
        resume=resume,
        console=out,
    )
    _tell_failures(record)
    if record["stopped"]:
        _say(f"{record['stopped']} of {record['trials']} trials were stopped early")
    if best := record["best"]:
        _say(f"best: trial {best['trial']}, mean {best['metric']} {best['value']:.4f}, with")
        for key, value in best["config"].items():
            _say(f"  {key} = {json.dumps(value)}")
    _say(f"next: adde compare {record['folder']}")


@command("adde compare experiments/headline", panel="Experiment")
def compare(
    results: Annotated[
        list[Path],
        typer.Argument(help="Folders of `adde ablate` and `adde sweep`, or tables of results.", metavar="RESULTS…"),
    ],
    out_: Annotated[
        Path | None, typer.Option("--out", help="A folder. Default: that of the first results.", show_default=False)
    ] = None,
    metric: Annotated[
        str | None,
        typer.Option(
            help="What curves show, as test.accuracy. Default: macro_f1 on test, ood or val.", show_default=False
        ),
    ] = None,
    reference: Annotated[
        str | None, typer.Option(help="Whom the others are held against. Default: random.", show_default=False)
    ] = None,
    subject: Annotated[
        str | None, typer.Option(help="The strategy on trial. Default: adde.", show_default=False)
    ] = None,
) -> None:
    """Compare strategies and look into sweeps: one page that works offline, the same as Markdown, all figures as
    JSON."""
    from adde_ray.experiments.compare import compare as compare_results

    with out.status("comparing"):
        path = compare_results(results, out_, metric=metric, reference=reference, subject=subject)
    _say(f"comparison: {path}, with compare.md and compare.json beside it")


IN_A_JOB = "RAY_JOB_CONFIG_JSON_ENV_VAR"
"""Set by Ray where a command runs as a submitted job: whoever reads its log is in another folder."""


def _tell_failures(record: dict) -> None:
    if record["failures"]:
        _say(f"{len(record['failures'])} of {record['trials']} trials failed; repeat with --resume to try them again:")
        for name, reason in record["failures"].items():
            _say(f"  {name}: {reason}")
        _say(f"tracebacks in {record['folder'] / 'failures'}")


def _waits(config: Config, folder: Path) -> bool:
    """Take the answers people have given, and say so; whether some are still open. Seconds before the loop is there."""
    from adde_ray.report.summary import summarise
    from adde_ray.review import actions
    from adde_ray.stages.resuming import resume

    with RunDir.start(folder, config, resume=True) as run_:
        resumed = resume(run_, config)
        record = summarise(run_) if resumed.waits else None
    _tell_notes(resumed.changed)
    if record:
        _tell_notes([note for note in record["notes"] if note not in resumed.changed])
        _tell(record, folder)
    elif (found := resumed.awaited) and not found.open:
        decisions = found.decisions
        _say(f"took {len(decisions)} answers of round {found.round.t}: {actions.tally(actions.count(decisions))}")
    return record is not None


def _tell(record: dict, folder: Path) -> None:
    """What was left out, where things stand, and what to do next."""
    folder = folder.absolute() if IN_A_JOB in os.environ else folder
    if record["images"]:
        _say(_images_text(record["images"]))
    if record["set_aside"]:
        counts = ", ".join(f"{rows} {gate}" for gate, rows in record["set_aside"].items())
        _say(f"set aside before the start: {counts}; reasons in {folder / 'ingest' / 'rejected.parquet'}")
    if record["selection"] and "baselines" not in record:  # else it is told as a rehearsal
        _say(record["selection"])
    if record["status"] == "finished":
        _say(
            f"finished: {record['stop_reason']}; {record['num_samples']} samples, {record['num_labels']} labels bought"
        )
        _say(f"dataset fingerprint {record['dataset_fingerprint']} in {folder}")
        _tell_rehearsal(record, folder)
        _say(f"next: adde report {folder} · adde export {folder} --out DATASET")
    elif record["status"] == "awaiting_review":
        _tell_awaited(record["review"], folder)
    else:
        _say(f"not finished: {record['num_rounds']} rounds done; repeat `adde run` with --resume")


def _images_text(images: dict) -> str:
    """What of real images was encoded."""
    kept = sum(images["lacking"].values())
    text = f"images: {images['larger']:,} encoded from their originals at up to {images['side']} pixels a side"
    if images["small"]:
        text += f"; {images['small']:,} as they are kept, for their originals have no more pixels"
    whys = ", ".join(f"{why} ({count:,})" for why, count in images["lacking"].items())
    return f"{text}; {kept:,} as they are kept, for the original {whys}" if kept else text


def _tell_awaited(review: dict, folder: Path) -> None:
    """How far people are with what they are asked, and what to do next."""
    asked, open_ = review["asked"], review.get("open")
    if open_ == 0:
        _say(f"all {asked} answers of round {review['round']} are there: repeat `adde run` with --resume to take them")
        return
    if open_ is None:
        _say(review["mistakes"])
    elif open_ == asked:
        _say(f"round {review['round']} asks about {asked} samples; none is answered yet")
    elif review["table"] is None:
        _say(f"{asked - open_} of {asked} samples of round {review['round']} are decided")
    else:
        lines = ", ".join(map(str, review["lines"][:LISTED])) + (" …" if open_ > LISTED else "")
        _say(f"took nothing yet: {open_} of {asked} still open: line{'s' * (open_ > 1)} {lines}")
    if review["table"] is None:
        _say(f"waiting for people: `adde review {folder}` serves the page; then repeat the command with --resume,")
        _say("or give --wait, and it goes on by itself")
        return
    path = folder / "rounds" / f"{review['round']:03d}" / review["table"]
    _say(f"waiting for people: fill in the columns action and label of {path},")
    _say("then repeat the command with --resume")


def _tell_notes(notes: list[str]) -> None:
    for note in notes:
        _say(f"note: {note}")


def _tell_rehearsal(record: dict, folder: Path) -> None:
    if "random" not in record.get("baselines", {}):
        return
    from adde_ray.report.rehearsal import rehearsal

    found = rehearsal(RunDir.at(folder))
    for line in found.lines if found else ():
        _say(line)


def _tell_plan(config: Config, prepared: Prepared, *, probe: bool) -> None:
    from adde_ray.report import outlook

    meta = prepared.meta
    rows = ", ".join(f"{split} {count}" for split, count in meta.num_rows.items())
    _say(f"{meta.modality} data, rows: {rows}")
    task = ", of which several may hold at once" if meta.multi else ""
    _say(f"{len(meta.classes)} classes{task}: {', '.join(meta.classes[:20])}{' …' if len(meta.classes) > 20 else ''}")
    with out.status("looking at encoders"):
        compared = outlook.probe(config, prepared) if probe else None
        choice = outlook.chosen(config, prepared)
    if choice:
        config = config.model_copy(update={"encoder": choice.over(config.encoder)})
    for line in outlook.told(config, prepared, choice):
        _say(line)
    for line in outlook.ranking(compared) if compared else ():
        _say(line)
    if meta.subgroups:
        _say(f"subgroups: {', '.join(meta.subgroups)}")
    told = prepared.report(config)
    for found in told["rejected"]:
        rows = f"{found['rows']} {found['split'] or ''} rows".replace("  ", " ")
        _say(f"{rows} would be set aside by the gate {found['gate']}; for example {found['where']}: {found['reason']}")
    leaks = told["leakage"]
    if leaks["action"] == "allow" and leaks["exact"] + leaks["near"]:
        _say(f"leakage: {leaks['exact']} exact and {leaks['near']} near copies of what is held out are kept")
    for note in prepared.notes:
        _say(f"note: {note}")
    for warning in outlook.warned(config, prepared):
        _say(f"warning: {warning}")
    pool, batch, budget = meta.num_rows.get("pool", 0), config.select.batch, config.stop.labels
    labels = min(x for x in (budget, config.stop.rounds * batch) if x is not None)
    what = "labels to be bought from" if config.review.by_people else "samples for the model to label of"
    plan = f"up to {-(-labels // batch)} rounds of {batch}, {labels} {what} a pool of {pool}"
    _say(f"{plan}; annotator: {config.review.annotator}")
    if (config.run_dir / "config.json").exists():
        _say(f"note: {config.run_dir} holds a run already")
    _say("ok")


def _say(line: str) -> None:
    """As it is: names and paths are the user's, whatever brackets and colons they hold."""
    out.print(escaped(line), soft_wrap=True, highlight=False, markup=False, emoji=False)


app.add_typer(
    commands.group(guarded, _say),
    name="review",
    help="Serve the page on which people answer: `adde review RUN`. Below, who may come to it.\n\n"
    "Example: `adde review runs/tickets`",
    rich_help_panel="Build",
)


if __name__ == "__main__":
    app()
