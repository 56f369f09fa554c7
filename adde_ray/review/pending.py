"""What people have answered of the queries of a run: the one it waits for, and those it took answers of before.

On the page (`review.annotator = "page"`) the store knows; else the round's table does.

Needs the run's folder alone, and nothing heavy: a mistake in the answers is told before torch is imported.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import polars as pl

from adde_ray.artifacts.run_dir import RoundDir, RunDir, read_json
from adde_ray.artifacts.schema import Meta
from adde_ray.errors import UserError
from adde_ray.review.actions import describe
from adde_ray.review.read_review import Answers, read_round
from adde_ray.review.write_review import HOW_TO, TABLE, WORKBOOK, is_ours

SUFFIXES = (".csv", ".tsv", ".xlsx", ".xlsm", ".xlsb", ".xls", ".ods", ".fods", ".numbers", ".gsheet", ".txt")
"""What tables are called by."""

NAMED = 5
"""Changed answers of a round that are named; more are counted."""


@dataclass(frozen=True)
class Pending:
    """The query a run waits for: its round, the name of the table that people fill in (None: they answer on the page),
    how many samples it asks about, DECISIONS about those that are answered, how many are open still, and the lines of
    the table they stand in."""

    round: RoundDir
    table: str | None
    asked: int
    decisions: pl.DataFrame
    open: int
    lines: list[int]


def pending(run: RunDir) -> Pending | None:
    """What people have answered so far; None where the run waits for nobody.

    Raises UserError: table or store cannot be read. Raises Mistakes: see `read_review`.
    """
    return _found(run, take=False)


def _found(run: RunDir, *, take: bool) -> Pending | None:
    round_ = run.round(len(run.rounds()))
    query = round_.read("query.parquet")
    if query is None or (round_.root / "decisions.parquet").exists():
        return None
    if run.config.review.annotator == "page":
        return _on_page(round_, len(query), take=take)
    if found := _read(run, round_, query):
        path, answers = found
        if take and not answers.open:
            round_.once("decisions.parquet", lambda: answers.decisions)
        return Pending(round_, path.name, len(query), answers.decisions, len(answers.open), answers.open)
    if beside := _beside(round_, TABLE):
        remedy = f"Save {beside[0]} as CSV UTF-8, as {TABLE}; or move it away to get a new table"
        raise UserError(f"no such file, but {beside[0]} beside it", where=round_.root / TABLE, remedy=remedy)
    return None


def _on_page(round_: RoundDir, asked: int, *, take: bool) -> Pending | None:
    from adde_ray.review import room  # its store needs an extra

    with room.room(round_.run) as store:
        if not room.is_published(round_, store):
            return None
        found = (room.take if take else room.opinions)(round_, store)
    return Pending(round_, None, asked, found.decisions, found.open, [])


def take_answers(run: RunDir) -> Pending | None:
    """`pending`; where nothing is open, the answers are the round's decisions from now on."""
    return _found(run, take=True)


def changed_answers(run: RunDir) -> list[str]:
    """What people changed in the tables of answers that were taken already: a sentence for each round."""
    notes = []
    for folder in sorted({path.parent for name in (TABLE, WORKBOOK) for path in run.root.glob(f"rounds/*/{name}")}):
        if not folder.name.isdecimal():  # a copy that somebody made
            continue
        round_ = run.round(int(folder.name))
        query, taken = round_.read("query.parquet"), round_.read("decisions.parquet")
        if query is not None and taken is not None and (change := _change(run, round_, query, taken)):
            notes.append(
                f"{change}; what was taken of round {round_.t} stays: "
                "put the table back, or begin another run with the answers as they should be"
            )
    return notes


def strays(round_: RoundDir, read: str = TABLE) -> list[str]:
    """Tables beside the one that is read, where people may have saved their answers: a sentence for each."""
    return [f"{round_.root / name} is not read: save it as CSV UTF-8, as {TABLE}" for name in _beside(round_, read)]


def _beside(round_: RoundDir, read: str) -> list[str]:
    names = sorted(path.name for path in round_.root.glob("[!.~]*") if path.suffix.lower() in SUFFIXES)
    ours = {read, TABLE}
    return [name for name in names if name not in ours and not (name == HOW_TO and is_ours(round_.root / name))]


def _change(run: RunDir, round_: RoundDir, query: pl.DataFrame, taken: pl.DataFrame) -> str | None:
    """How a table differs from what was taken of it; None where it says the same."""
    try:
        found = _read(run, round_, query)
    except UserError as error:
        return f"{round_.root / TABLE}: cannot be read any more as it was when its answers were taken ({error.what})"
    if found is None:
        return None
    path, now = found
    told = {row["sample_id"]: row for row in now.decisions.iter_rows(named=True)}
    changed = [
        f"line {now.lines[row['sample_id']]} was {describe(row)} and is {describe(told.get(row['sample_id']))}"
        for row in taken.iter_rows(named=True)
        if row != told.get(row["sample_id"])
    ]
    if not changed:
        return None
    more = f", and {len(changed) - NAMED} more" if len(changed) > NAMED else ""
    return f"{path}: answers were changed after they were taken: {', '.join(changed[:NAMED])}{more}"


def _read(run: RunDir, round_: RoundDir, query: pl.DataFrame) -> tuple[Path, Answers] | None:
    meta = Meta.from_json(read_json(run.root / "ingest" / "meta.json"))
    return read_round(round_.root, query, meta.classes, t=round_.t, multi=meta.multi)
