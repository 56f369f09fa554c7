"""Write what people are asked: rounds/NNN/review.csv, to be filled in, and how to in review.txt.

QUERY rows + payload → review.csv (and review/<sample_id>.jpg, .png, … for images, .txt for long texts). The plainest
way for people to answer; it needs a spreadsheet and nothing else. `read_review` is the way back.
"""

from __future__ import annotations

from pathlib import Path

import polars as pl

from adde_ray.artifacts.run_dir import atomic
from adde_ray.labels import NONE, SEPARATOR, UNKNOWN, in_words
from adde_ray.review import actions
from adde_ray.review.cells import csv_text

TABLE, HOW_TO, FOLDER = "review.csv", "review.txt", "review"
"""What lies in a round's folder: the table to fill in, how to, and the files that people look at."""

WORKBOOK = "review.xlsx"
"""What people may save the table as."""

TITLE = f"How to answer {TABLE}"

COLUMNS = (
    "sample_id",
    "rank",
    "sample",
    "file",
    "view",
    "suggested",
    "confidence",
    "origin",
    "gap_id",
    "action",
    "label",
    "annotator",
    "comment",
)

OPTIONAL = ("file", "view")
"""Columns there only where they are known: an image's original, and what is shown of it."""

MAP = "map.json"
"""In that folder: where samples lie, for the page."""

CELL = 32_767
"""The most characters a spreadsheet's cell holds."""


def write_review(
    folder: Path, query: pl.DataFrame, modality: str, classes: tuple[str, ...] = (), *, multi: bool = False
) -> Path:
    """Write review.csv, and beside it what fits no cell, unless it is there. Returns its path.

    query: QUERY columns and the payload column; of images what people are to look at, PNGs unless `extension` says
    otherwise. `file`, where each came from, and `view`, what is shown of it, are written when they are there.
    review.txt, written too, says how to answer. multi: any number of the classes may hold.
    """
    path = folder / TABLE
    with atomic(folder / HOW_TO, recorded=False) as temporary:
        temporary.write_text(instructions(classes, multi, "view" in query.columns), encoding="utf-8")
    if path.exists():
        return path
    columns, rows = [c for c in COLUMNS if c not in OPTIONAL or c in query.columns], []
    for row in query.sort("rank").iter_rows(named=True):
        shown = {"sample": _cell(folder, row, row[modality]), "confidence": round(row["confidence"], 3)}
        rows.append({**{c: row.get(c) for c in columns}, **shown, "suggested": in_words(row["suggested"])})
    with atomic(path, recorded=False) as temporary:
        temporary.write_text(csv_text(columns, rows), encoding="utf-8", newline="")
    return path


def is_ours(how_to: Path) -> bool:
    """Whether review.txt still says how to answer: some programs save a table under that name."""
    return how_to.read_bytes().startswith(TITLE.encode())


def instructions(classes: tuple[str, ...], multi: bool, views: bool) -> str:
    """What review.txt says."""
    several = (
        f"       Several classes may hold: join them by {SEPARATOR}, as in A{SEPARATOR}B. Where none holds write\n"
        f"       {NONE}: an empty cell is no answer. {UNKNOWN}A says that you cannot tell whether A holds.\n"
    )
    rows = "".join(
        f"  {name:9}{row.means}{f'; {row.label} stands under label' * bool(row.label)}\n"
        for name, row in actions.TABLE.items()
    )
    return (
        f"{TITLE}: fill in two columns of each line, save it as CSV, resume the run.\n\n"
        f"action\n{rows}"
        "What is rejected or flagged stays out of the dataset and is not asked about again.\n\n"
        f"label  A label without an action is short for accept or correct.\n{several * multi}\n"
        f"{views * _VIEWS}"
        "A text that begins with = + - or @ has a ' before it, so that no spreadsheet takes it for a formula.\n"
        "The ' is no part of it: labels are read with it or without.\n\n"
        "Classes:\n" + "".join(f"  {' '.join(name.split())}\n" for name in classes)
    )


_VIEWS = (
    "view   What the picture is. original: the file named under file, unchanged. picture of the original: made from\n"
    "       that file, too large or of a format or depth few programs show. as the model sees it: a small copy, for\n"
    "       the original cannot be shown; the reason stands there.\n\n"
)


def _cell(folder: Path, row: dict, payload: bytes | str | list) -> str:
    """What the table shows of a sample: its text, or the name of the file that holds it."""
    if not isinstance(payload, bytes) and len(str(payload)) < CELL:  # it may get a mark: see `cells`
        return str(payload)
    extension = row.get("extension") or "png" if isinstance(payload, bytes) else "txt"
    path = folder / FOLDER / f"{row['sample_id']}.{extension}"
    with atomic(path, recorded=False) as temporary:
        temporary.write_bytes(payload if isinstance(payload, bytes) else str(payload).encode())
    return f"{FOLDER}/{path.name}"
