"""What benchmarks that run a whole grid share: its tables cut, its trials run, their comparison read."""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import protocols
from common import arguments, console

from adde_ray.experiments.compare import compare
from adde_ray.experiments.conduct import ablate
from adde_ray.experiments.grid import Grid

TABLES = protocols.CONFIGS.parents[1] / "experiments" / "tables"
"""Not below jobs/, which is uploaded with every job."""


def grid_arguments(description: str) -> argparse.ArgumentParser:
    """A parser with --quick and --folder."""
    parser = arguments(description)
    parser.add_argument("--folder", type=Path, help="where the experiment is kept; default: as the grid says")
    return parser


def compared(path: Path, *, quick: bool, folder: Path | None) -> tuple[dict[str, dict], Path]:
    """Run the grid, going on where an earlier run stopped, and compare.

    Returns compare.json's datasets and the page's path. Without $ADDE_DATA_DIR the grid's quick variant runs.
    """
    if protocols.data_dir() is None and not quick:
        console.print("ADDE_DATA_DIR is not set: the digits alone, as with --quick")
        quick = True
    grid = Grid.load(path)
    if not quick:
        protocols.build_all(range(grid.seeds), TABLES)
    # Grids on the same data find each other's embeddings.
    overrides = [f"run.cache={(folder.parent if folder else grid.root) / 'embeddings'}"]
    done = ablate(path, folder=folder, overrides=overrides, quick=quick, resume=True, console=console)
    for trial, reason in done["failures"].items():
        console.print(f"failed: {trial}: {reason}")
    page = compare([done["folder"]])
    return json.loads(page.with_suffix(".json").read_text())["ablation"]["datasets"], page
