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

from adde_ray.rundir import RunDir

if TYPE_CHECKING:
    from rich.progress import Progress

QUIET_SECONDS = 2.0
"""A progress bar shows only after this long, and only in a terminal."""

COLUMNS = (
    ("", 8), ("round", 5), ("labels", 6), ("samples", 7), ("synth", 5), ("F1 val", 6), ("F1 test", 7), ("M_div", 6),
    ("gaps", 5), ("α/β/γ", 14),
)  # fmt: skip


class RoundTable:
    """Prints a line as each round ends; works in a terminal and in a job's log alike."""

    def __init__(self, console: Console):
        self._console = console
        self._status = console.status("starting")
        self._named: str | None = None

    def __enter__(self) -> RoundTable:
        self._status.start()
        return self

    def __exit__(self, *error: object) -> None:
        self._status.stop()

    def add(self, run: RunDir, metrics: dict, manifest: dict) -> None:
        """The `watch` of `loop.run`."""
        name = "random" if run.root.parent.name == "baselines" else "ADDE"
        if name != self._named:
            self._line([title for title, _ in COLUMNS], style="bold")
        self._line(
            cells(name if name != self._named else "", metrics, manifest["weights"], metrics["val"], metrics["test"])
        )
        self._named = name
        if manifest["stop_reason"]:
            self._console.print(f"{'':8} {manifest['stop_reason']}", style="dim", highlight=False, soft_wrap=True)
        self._status.update(f"{name}: round {metrics['round'] + 1}")

    def _line(self, texts: list[str], style: str = "") -> None:
        line = " ".join(f"{text:>{width}}" for text, (_, width) in zip(texts, COLUMNS, strict=True))
        self._console.print(line, style=style, highlight=False, soft_wrap=True)


def summary_table(record: dict) -> Table:
    """`summary.summarise` as a table."""
    table = Table(title=Text(f"{record['run']}: {record['status']}"), box=SIMPLE_HEAD, padding=(0, 1, 0, 0))
    for title, _ in COLUMNS[1:]:
        table.add_column(title, justify="right", no_wrap=True)
    for r in record["rounds"]:
        table.add_row(*cells("", r, r["weights"], r["quality"], r["test"])[1:])
    return table


def cells(name: str, record: dict, weights: dict, val: dict, test: dict) -> list[str]:
    """One round's texts, in the order of COLUMNS."""
    return [
        name,
        str(record["round"]),
        str(record["num_labels"]),
        str(record["num_samples"]),
        str(record["num_synthetic"]),
        f"{val['macro_f1']:.3f}",
        f"{test['macro_f1']:.3f}" if test else "–",
        f"{record['diversity']['m_div']:.3f}",
        str(record["gaps"]["open"]),
        "/".join(f"{weights[w]:.2f}" for w in ("alpha", "beta", "gamma")),
    ]


def damage_table(rows: Iterable[tuple[str, str, str]]) -> Table:
    """What `adde verify` found: file, what is wrong with it, what can be or was done."""
    table = Table(box=SIMPLE_HEAD)
    for column in ("file", "what is wrong", "made again?"):
        table.add_column(column, overflow="fold")
    for row in rows:
        table.add_row(*map(Text, row))
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
