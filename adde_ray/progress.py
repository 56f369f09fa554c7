"""What a person sees of a run in the terminal: one line a round, a spinner in between, a bar for long work."""

from __future__ import annotations

import time
from collections.abc import Iterable
from typing import TYPE_CHECKING

from rich import get_console
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table
from rich.text import Text

from adde_ray.artifacts.encoder_choice import choice_of
from adde_ray.artifacts.run_dir import RunDir
from adde_ray.errors import escaped
from adde_ray.labels import in_words

if TYPE_CHECKING:
    import polars as pl
    from rich.progress import Progress

QUIET_SECONDS = 2.0
"""A progress bar shows only after this long, and only in a terminal."""

LONG_SECONDS = 60.0
"""Where nothing can be shown live, a stage that took longer than this is told once it is over."""

COLUMNS = (
    ("", 8), ("round", 5), ("labels", 6), ("samples", 7), ("synth", 5), ("F1 val", 6), ("F1 test", 7), ("M_div", 6),
    ("gaps", 5),
)  # fmt: skip
OURS, RANDOM, WIDTH = "ADDE", "random", 7
"""A run and the one beside it; beside each stands, so many characters wide, the other's macro-F1 with as many labels:
on test, or val where there is none."""

WEIGHTS, MOVED = "α/β/γ", 0.05
"""A weight that has moved so far since it was last told is told again."""


class RoundTable:
    """Prints a line as each round ends; works in a terminal and in a job's log alike."""

    def __init__(self, console: Console):
        self._console = console
        self._at_work = AtWork("loading")
        self._status = console.status(self._at_work)
        self._named: str | None = None
        self._weights: dict[str, float] = {}
        self._beside: dict[int, str] = {}

    def __enter__(self) -> RoundTable:
        self._status.start()
        return self

    def __exit__(self, *error: object) -> None:
        self._status.stop()

    def began(self, run: RunDir, stage: str, t: int | None) -> None:
        """The `on_stage` of `loop.run`."""
        took = self._at_work.seconds
        if took > LONG_SECONDS and not self._console.is_terminal:
            self._note(f"{self._at_work.stage}: {took:.0f} s")
        self._at_work.begin(stage if t is None else f"{_name(run)}, round {t}: {stage}")
        if stage == "train" and t == 0 and (choice := choice_of(run.root)):
            self._note(choice.line)

    def waits(self, line: str) -> None:
        """People are waited for; how far they are."""
        self._at_work.begin(line)
        if not self._console.is_terminal:
            self._note(line)

    def add(self, run: RunDir, metrics: dict, manifest: dict) -> None:
        """The `watch` of `loop.run`."""
        name = _name(run)
        texts = cells(name if name != self._named else "", metrics, metrics["val"], metrics["test"])
        if name != self._named:
            self._named, self._weights = name, manifest["weights"]
            self._beside = _figures(RunDir(run.root.parents[1])) if name == RANDOM else {}
            self._line([title for title, _ in COLUMNS] + [OURS] * bool(self._beside), style="bold")
        self._line(texts + [self._beside.get(metrics["num_asked"], "–")] * bool(self._beside))
        if any(abs(weight - self._weights[term]) >= MOVED for term, weight in manifest["weights"].items()):
            self._weights = manifest["weights"]
            self._note(f"{WEIGHTS} now {weights_text(self._weights)}")
        if manifest["stop_reason"]:
            self._note(manifest["stop_reason"])

    def _line(self, texts: list[str], style: str = "") -> None:
        widths = [*(width for _, width in COLUMNS), WIDTH]
        line = " ".join(f"{text:>{width}}" for text, width in zip(texts, widths, strict=False))
        self._console.print(line, style=style, highlight=False, soft_wrap=True)

    def _note(self, text: str) -> None:
        self._console.print(f"{'':8} {text}", style="dim", highlight=False, soft_wrap=True, markup=False)


class AtWork:
    """What is being done and for how long, as a text that is drawn anew while it is shown."""

    def __init__(self, stage: str):
        self.begin(stage)

    def begin(self, stage: str) -> None:
        """From now on this is being done."""
        self.stage, self._began = stage, time.monotonic()

    @property
    def seconds(self) -> float:
        """Since it began."""
        return time.monotonic() - self._began

    def __rich__(self) -> Text:
        return Text(f"{self.stage} {self.seconds:.0f} s" if self.seconds >= 1 else self.stage)


def summary_table(record: dict) -> Table:
    """`summary.summarise` as a table: its rounds, one that is under way last, with random selection's figure beside."""
    random = record.get("baselines", {}).get("random", {"rounds": []})["rounds"]
    beside = {r["num_asked"]: _figure(r["quality"], r["test"]) for r in random}
    rounds = [*record["rounds"], *([record["under_way"]] if record.get("under_way") else [])]
    weights = [weights_text(r["weights"]) for r in rounds]
    table = Table(title=Text(f"{record['run']}: {record['status']}"), box=SIMPLE_HEAD, padding=(0, 1, 0, 0))
    titles = [title for title, _ in COLUMNS[1:]]
    titles += [RANDOM] * bool(beside) + [WEIGHTS] * (len(set(weights)) > 1)
    for title in titles:
        table.add_column(title, justify="right", no_wrap=True)
    for r, text in zip(rounds, weights, strict=True):
        row = cells("", r, r["quality"], r["test"])[1:]
        row += [beside.get(r["num_asked"], "–")] * bool(beside) + [text]
        table.add_row(*row[: len(titles)], style="dim" if r is record.get("under_way") else None)
    return table


def cells(name: str, record: dict, val: dict, test: dict) -> list[str]:
    """One round's texts, in the order of COLUMNS."""
    return [
        name,
        str(record["round"]),
        str(record["num_labels"]),
        str(record["num_samples"]),
        str(record["num_synthetic"]),
        f"{val['macro_f1']:.3f}" if val else "–",
        f"{test['macro_f1']:.3f}" if test else "–",
        f"{record['diversity']['m_div']:.3f}",
        str(record["gaps"]["open"]),
    ]


def weights_text(weights: dict) -> str:
    """α, β and γ."""
    return "/".join(f"{weights[w]:.2f}" for w in ("alpha", "beta", "gamma"))


def _figure(val: dict, test: dict) -> str:
    return f"{(test or val)['macro_f1']:.3f}" if test or val else "–"


def _figures(run: RunDir) -> dict[int, str]:
    """Samples asked about -> the run's macro-F1 then."""
    return {m["num_asked"]: _figure(m["val"], m["test"]) for m in (round_.metrics for round_ in run.rounds())}


def _name(run: RunDir) -> str:
    return RANDOM if run.root.parent.name == "baselines" else OURS


def damage_table(rows: Iterable[tuple[str, str, str]]) -> Table:
    """What `adde verify` found: file, what is wrong with it, what can be or was done."""
    table = Table(box=SIMPLE_HEAD)
    for column in ("file", "what is wrong", "made again?"):
        table.add_column(column, overflow="fold")
    for row in rows:
        table.add_row(*map(Text, row))
    return table


def found_table(found: pl.DataFrame, measure: str, at_most: int) -> Table:
    """The first of what `adde find` found. found: see `search.Found`."""
    table = Table(box=SIMPLE_HEAD)
    for column in ("", measure, "suggested", "p", "sample_id"):
        table.add_column(column, justify="right" if column in ("", measure, "p") else "left", overflow="fold")
    for rank, row in enumerate(found.head(at_most).iter_rows(named=True), start=1):
        sure = "–" if row["confidence"] is None else f"{row['confidence']:.2f}"
        suggested = Text(escaped(in_words(row["suggested"]) or "–"))
        table.add_row(str(rank), f"{row[measure]:.3f}", suggested, sure, row["sample_id"])
    if len(found) > at_most:
        table.add_row("…")
    return table


class Bar:
    """Rows done of a total, with rate and time left, for work that turns out to be long."""

    def __init__(self, title: str, total: int):
        self._title, self._total, self._done, self._began = title, total, 0, time.monotonic()
        self._progress: Progress | None = None

    def __enter__(self) -> Bar:
        return self

    def __exit__(self, *error: object) -> None:
        if self._progress is not None:
            self._progress.stop()

    def advance(self, rows: int) -> None:
        """So many more rows are done; the bar shows once the work has taken `QUIET_SECONDS`."""
        self._done += rows
        if self._progress is None and time.monotonic() - self._began > QUIET_SECONDS and get_console().is_terminal:
            self._start()
        if self._progress is not None:
            elapsed = time.monotonic() - self._began
            self._progress.update(self._task, completed=self._done, rate=f"{self._done / elapsed:,.0f} rows/s")

    def _start(self) -> None:
        from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

        columns = BarColumn(), MofNCompleteColumn(), TextColumn("{task.fields[rate]}"), TimeRemainingColumn()
        self._progress = Progress(TextColumn("{task.description}"), *columns, transient=True)
        self._task = self._progress.add_task(self._title, total=self._total, rate="")
        self._progress.start()
