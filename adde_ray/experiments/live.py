"""What a person sees of an experiment: a line as each trial ends; in a terminal also those at work, and time left."""

from __future__ import annotations

import time

from rich.box import SIMPLE_HEAD
from rich.console import Console, Group
from rich.live import Live
from rich.markup import escape
from rich.table import Table
from rich.text import Text

SHOWN = 16
"""Trials at work that are shown at most."""


class TrialTable:
    """total: trials of the experiment; done: those that were finished before."""

    def __init__(self, console: Console, total: int, done: int = 0):
        self._console, self._total, self._before = console, total, done
        self._ended, self._failed, self._began = 0, 0, time.monotonic()
        self._at_work: dict[str, dict | None] = {}
        self._width = 24
        self._live = Live(get_renderable=self._picture, console=console, transient=True, refresh_per_second=2)

    def __enter__(self) -> TrialTable:
        if self._before:
            self.say(f"{self._before} of {self._total} trials are finished already")
        if self._console.is_terminal:
            self._live.start()
        return self

    def __exit__(self, *error: object) -> None:
        self._live.stop()

    def say(self, line: str, style: str = "") -> None:
        """A line above the table."""
        self._console.print(Text(line, style=style), soft_wrap=True)

    def began(self, trial: str) -> None:
        """A trial is at work."""
        self._at_work[trial] = None

    def round_done(self, trial: str, told: dict) -> None:
        """told: round, num_labels, and macro-F1 as val, and test where there is one."""
        self._at_work[trial] = told

    def ended(self, trial: str, failure: str | None) -> None:
        """A trial has ended. failure: why it failed, if it did."""
        told = self._at_work.pop(trial, None)
        self._ended += 1
        self._failed += failure is not None
        count = f"{self._before + self._ended:>{len(str(self._total))}}/{self._total}"
        if failure is not None:
            self.say(f"{count} {trial:<{self._width}} failed: {failure}", style="red")
        else:
            self.say(f"{count} {trial:<{self._width}} {_where(told)}  {self.pace()}")

    def pace(self) -> str:
        """Rate and time left."""
        minutes = (time.monotonic() - self._began) / 60
        if not self._ended:
            return ""
        rate = self._ended / minutes
        left = (self._total - self._before - self._ended) / rate
        return f"{rate:.1f} trials/min, {_duration(left)} left"

    def _picture(self) -> Group:
        table = Table(box=SIMPLE_HEAD, padding=(0, 1, 0, 0))
        for title in ("trial", "round", "labels", "F1 val", "F1 test"):
            table.add_column(title, justify="left" if title == "trial" else "right", no_wrap=True)
        at_work = list(self._at_work.items())
        for name, told in at_work[:SHOWN]:
            table.add_row(escape(name), *(_cells(told) if told else ()))
        failed = f", {self._failed} failed" if self._failed else ""
        more = f", {len(at_work) - SHOWN} more at work" if len(at_work) > SHOWN else ""
        done = f"{self._before + self._ended} of {self._total} trials{failed}{more}  {self.pace()}"
        return Group(table, Text(done))


def _cells(told: dict) -> tuple[str, ...]:
    figures = (f"{told[split]:.3f}" if split in told else "–" for split in ("val", "test"))
    return str(told["round"]), str(told["num_labels"]), *figures


def _where(told: dict | None) -> str:
    if told is None:
        return "no round"
    figures = [f"{split} {told[split]:.3f}" for split in ("val", "test") if split in told]
    return f"{told['num_labels']:>5} labels, F1 {', '.join(figures) or '–'}"


def _duration(minutes: float) -> str:
    return f"{minutes:.0f} min" if minutes < 90 else f"{minutes / 60:.1f} h"
