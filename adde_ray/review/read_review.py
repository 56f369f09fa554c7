"""Read what people have answered: a round's review.csv and its query → DECISIONS, and what is still open.

What is plain is read, however it is written; what is not is told, all of it at once, each with its line.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import polars as pl

from adde_ray.artifacts.schema import DECISIONS, frame
from adde_ray.errors import Mistakes, UserError
from adde_ray.labels import in_words
from adde_ray.review.actions import NOBODY, read_action
from adde_ray.review.cells import unescape
from adde_ray.review.names import Names
from adde_ray.review.sheet import Line, read_sheet
from adde_ray.review.write_review import COLUMNS, TABLE, WORKBOOK

NEEDED = ("sample_id", "action", "label")

KEPT = ("accept", "correct")
"""The actions by which a sample enters the dataset."""


@dataclass(frozen=True)
class Answers:
    """decisions: DECISIONS about the samples that are answered, in the query's order. lines: sample_id → its line in
    the table. open: the lines without an answer, in order."""

    decisions: pl.DataFrame
    lines: dict[str, int]
    open: list[int]


@dataclass(frozen=True)
class Answer:
    """What one line says of a sample. action is None where it is open."""

    line: int
    action: str | None
    label: str | None
    annotator: str
    comment: str | None

    @property
    def verdict(self) -> tuple[str | None, str | None]:
        """What decides: lines that accept a label and lines that correct to it say the same."""
        return ("keep" if self.action in KEPT else self.action), self.label

    def __str__(self) -> str:
        return " ".join([self.action or "open", *([repr(in_words(self.label))] if self.label is not None else [])])


def read_round(
    folder: Path, query: pl.DataFrame, classes: tuple[str, ...], *, t: int, multi: bool = False
) -> tuple[Path, Answers] | None:
    """`read_review` of review.csv, or of review.xlsx where that alone has answers; None without a table."""
    found = None
    for path in (folder / TABLE, folder / WORKBOOK):
        if path.exists():
            answers = read_review(path, query, classes, t=t, multi=multi)
            if found is None or len(answers.decisions):
                found = path, answers
            if len(answers.decisions):
                break
    return found


def read_review(path: Path, query: pl.DataFrame, classes: tuple[str, ...], *, t: int, multi: bool = False) -> Answers:
    """The answers to a query of round t so far.

    multi: a label is any number of classes joined by "|", "none" for none of them, "?Name" for one not known.

    Raises UserError: the table cannot be read. Raises Mistakes, which has all of them: an unknown action or label, one
    that may mean several classes, an action that the label beside it belies, lines that contradict each other or were
    sorted apart, samples that are missing or are none of the query.
    """
    asked = {row["sample_id"]: row for row in query.select("sample_id", "suggested", "rank").iter_rows(named=True)}
    known = {*classes, *(row["suggested"] for row in asked.values() if row["suggested"])}
    lines = read_sheet(path, COLUMNS, NEEDED, known)
    found, mistakes = _answers(lines, asked, _names(lines, asked, classes, multi), path)
    if mistakes:
        raise Mistakes(mistakes, where=path)
    rows = [_decision(i, found[i], t) for i in asked if found[i].action]
    still_open = sorted(answer.line for answer in found.values() if not answer.action)
    return Answers(frame(rows, DECISIONS), {i: answer.line for i, answer in found.items()}, still_open)


def _names(lines: list[Line], asked: dict[str, dict], classes: tuple[str, ...], multi: bool) -> Names:
    """The classes, and what the spreadsheet made of those it was given."""
    names = Names(classes, multi=multi)
    for line in lines:
        if row := asked.get(_sample_id(line)):
            names.saw(line.cells["suggested"], in_words(row["suggested"]) or "")
    return names


def _answers(
    lines: list[Line], asked: dict[str, dict], names: Names, path: Path
) -> tuple[dict[str, Answer], list[UserError]]:
    """What is said of each sample, and what is wrong with it."""
    found: dict[str, Answer] = {}
    mistakes: list[UserError] = []
    for line in lines:
        where = f"{path}:{line.number}"
        try:
            if (sample_id := _asked_about(line, asked, where)) is not None:
                answer = read_answer(line, asked[sample_id], names, where)
                found[sample_id] = _agreed(found.get(sample_id), answer, where)
        except UserError as error:
            mistakes.append(error)
            found.setdefault(_sample_id(line), Answer(line.number, None, None, "", None))
    if lost := sorted(asked.keys() - found.keys()):
        remedy = "Put its line back, or delete the file to get a new one"
        mistakes.append(
            UserError(f"a sample is missing ({len(lost)} in all)", where=path, value=lost[0], remedy=remedy)
        )
    return found, mistakes


# --- one line ---------------------------------------------------------------------------------------------


def _sample_id(line: Line) -> str:
    """Without case, quotes and blanks: a sample_id has digits and small letters alone."""
    return re.sub(r"[\W_]", "", line.cells["sample_id"]).lower()


def _asked_about(line: Line, asked: dict[str, dict], where: str) -> str | None:
    """The sample a line is about; None for a note."""
    sample_id, cells = _sample_id(line), line.cells
    if sample_id not in asked:
        if not (cells["action"].strip() or cells["label"].strip()):
            return None
        value = cells["sample_id"].strip()
        raise UserError("no sample of this query", where=where, value=value, remedy="Remove the line")
    if line.surplus:
        raise UserError(
            "more cells than the header has columns",
            where=where,
            value=line.surplus[0],
            remedy='Put a text with a separator into "quotes", or remove the cell',
        )
    check_rank(cells["rank"], asked[sample_id]["rank"], where)
    return sample_id


def check_rank(cell: str, was: int, where: str) -> None:
    """Raises UserError: another sample's rank stands there."""
    rank = cell.strip().removesuffix(".0").removesuffix(",0")
    if rank.isdecimal() and (rank.lstrip("0") or "0") != str(was):
        raise UserError(
            f"the columns are sorted apart: the sample's rank was {was}",
            where=where,
            value=rank,
            remedy="Undo it, and sort whole lines",
        )


def read_answer(line: Line, asked: dict, names: Names, where: str) -> Answer:
    """What a line says of the sample `asked` (its suggested label). Raises UserError: no answer, or two of them."""
    cells, suggested = line.cells, asked["suggested"]
    action, label = _action(cells["action"], names, where), _label(cells["label"], names, where)
    if label is None and action in (None, "accept"):
        _check_suggested(cells["suggested"], suggested, names, where)
    if action is None and label is not None:
        action = "accept" if label == suggested else "correct"
    if action == "accept" and label not in (None, suggested):
        raise UserError(
            f"accept means the suggested class, {in_words(suggested)!r}, but another label stands beside it",
            where=where,
            value=in_words(label),
            remedy="Write correct, or clear the label",
        )
    if action == "correct" and label is None:
        raise UserError(
            "unknown label: correct needs the right one beside it",
            where=where,
            remedy="Write it under label; where the suggested one is right, the action is accept",
        )
    if action in ("reject", "flag") and label is not None:
        raise UserError(
            f"{action} leaves the sample out, but a label stands beside it",
            where=where,
            value=in_words(label),
            remedy="Write correct, or clear the label",
        )
    annotator, comment = (unescape(cells[name]).strip() for name in ("annotator", "comment"))
    return Answer(line.number, action, suggested if action == "accept" else label, annotator or NOBODY, comment or None)


def _action(cell: str, names: Names, where: str) -> str | None:
    try:
        return read_action(cell, where=where)
    except UserError:
        if _is(names.label, cell):
            remedy = "It is a label: write it under label"
            raise UserError("unknown action", where=where, value=cell.strip(), remedy=remedy) from None
        raise


def _label(cell: str, names: Names, where: str) -> str | None:
    try:
        return None if names.is_empty(cell) else names.label(cell, where=where)
    except UserError:
        if _is(read_action, cell):
            remedy = "It is an action: write it under action"
            raise UserError("unknown label", where=where, value=cell.strip(), remedy=remedy) from None
        raise


def _is(read: Callable[[str], object], cell: str) -> bool:
    """Whether a cell can be read so."""
    try:
        read(cell)
    except UserError:
        return False
    return True


def _check_suggested(cell: str, suggested: str | None, names: Names, where: str) -> None:
    """Raises UserError: people have written another class over the suggested one."""
    try:
        label = suggested if names.is_empty(cell) else names.label(cell)
    except UserError:  # rewritten by the spreadsheet, beyond what can be told
        return
    if label != suggested:
        raise UserError(
            f"the suggested label was {in_words(suggested)!r}",
            where=where,
            value=cell.strip(),
            remedy="Write the right one under label",
        )


# --- all lines --------------------------------------------------------------------------------------------


def _agreed(before: Answer | None, now: Answer, where: str) -> Answer:
    """What two lines about one sample say. Raises UserError: they contradict each other."""
    if before is None or before.action is None:
        return now
    if now.action is None or now.verdict == before.verdict:
        return before
    raise UserError(
        f"contradicts line {before.line} about the same sample, which says {before}",
        where=where,
        value=str(now),
        remedy="Keep one of them",
    )


def _decision(sample_id: str, answer: Answer, t: int) -> dict:
    return {
        "decision_id": f"{t:03d}-{answer.annotator}-{sample_id[:12]}",
        "sample_id": sample_id,
        "round": t,
        "annotator": answer.annotator,
        "action": answer.action,
        "label": answer.label,
        "comment": answer.comment,
    }
