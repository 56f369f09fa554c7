"""What every benchmark shares: arguments, the closing table and the last line's JSON object."""

from __future__ import annotations

import argparse
import json
import os
import platform
from datetime import date

from rich.console import Console
from rich.table import Table

console = Console()


def arguments(description: str) -> argparse.ArgumentParser:
    """A parser with --quick."""
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("--quick", action="store_true", help="the same on a smaller input, under 2 minutes")
    return parser


def show(title: str, columns: list[str], rows: list[list[object]]) -> None:
    """One table on the terminal; floats get three digits."""
    table = Table(title=title)
    for column in columns:
        table.add_column(column, justify="right")
    for row in rows:
        table.add_row(*(f"{cell:.3f}" if isinstance(cell, float) else str(cell) for cell in row))
    console.print(table)


def finish(name: str, figures: dict[str, float | None], targets: dict[str, str]) -> None:
    """Print hardware and, as the last line, {"name", "figures", "targets", "met"}.

    targets: figure -> "<= 0.5" or ">= 5". Figures may be numpy's.
    """
    console.print(
        f"{date.today()} · {os.cpu_count()} cores · Python {platform.python_version()} · {platform.machine()}"
    )
    print(
        json.dumps(
            {
                "name": name,
                "figures": figures,
                "targets": targets,
                "met": {k: _met(figures[k], t) for k, t in targets.items()},
            },
            default=float,
        )
    )


def _met(value: float | None, target: str) -> bool:
    sign, bound = target.split()
    return value is not None and bool(value <= float(bound) if sign == "<=" else value >= float(bound))
