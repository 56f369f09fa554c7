"""Review by file: rounds/NNN/review.csv goes out, people fill in `action` and `label`, the run picks it up.

QUERY rows + payload → review.csv (and review/<sample_id>.png for images, .txt for long texts) → DECISIONS. The
plainest way for people to answer; it needs a spreadsheet and nothing else.
"""

from __future__ import annotations

import csv
import io
from pathlib import Path

import polars as pl

from adde_ray.errors import UserError
from adde_ray.labels import NONE, SEPARATOR, UNKNOWN, foreign, in_words, join, split
from adde_ray.rundir import atomic
from adde_ray.schema import ACTIONS, DECISIONS, frame

COLUMNS = (
    "sample_id",
    "rank",
    "sample",
    "file",
    "suggested",
    "confidence",
    "origin",
    "gap_id",
    "action",
    "label",
    "annotator",
    "comment",
)

CELL = 32_767
"""The most characters a spreadsheet's cell holds."""


def put_out(
    folder: Path, query: pl.DataFrame, modality: str, classes: tuple[str, ...] = (), *, multi: bool = False
) -> Path:
    """Write review.csv, and beside it what fits no cell, unless it is there. Returns its path.

    query: QUERY columns and the payload column; `file`, where each image came from, is shown when it is there.
    review.txt, written too, says how to answer. multi: any number of the classes may hold.
    """
    path = folder / "review.csv"
    with atomic(folder / "review.txt", recorded=False) as temporary:
        temporary.write_text(_instructions(classes, multi), encoding="utf-8")
    if path.exists():
        return path
    columns, rows = [c for c in COLUMNS if c != "file" or c in query.columns], []
    for row in query.sort("rank").iter_rows(named=True):
        shown = {"sample": _cell(folder, row["sample_id"], row[modality]), "confidence": round(row["confidence"], 3)}
        rows.append({**{c: row.get(c) for c in columns}, **shown, "suggested": in_words(row["suggested"])})
    text = io.StringIO()
    writer = csv.DictWriter(text, columns)
    writer.writeheader()
    writer.writerows(rows)
    with atomic(path, recorded=False) as temporary:
        temporary.write_text(text.getvalue(), encoding="utf-8", newline="")
    return path


def take_in(
    path: Path, query: pl.DataFrame, classes: tuple[str, ...], *, t: int, multi: bool = False
) -> pl.DataFrame | None:
    """DECISIONS from a filled-in review.csv; None while a row has no action yet.

    multi: a label is any number of classes joined by "|", "none" for none of them, "?Name" for one not known.

    Raises UserError: not UTF-8, a column is missing, an unknown action or label, accept beside another label, a row
    that is no sample of the query.
    """
    asked = dict(query.select("sample_id", "suggested").iter_rows())
    decisions, seen = {}, set()
    # Spreadsheets save with a byte-order mark, and with semicolons where the comma is the decimal sign.
    try:
        text = path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError:
        raise UserError("is not UTF-8", where=path, remedy="Save it as CSV UTF-8") from None
    delimiter = ";" if text.partition("\n")[0].count(";") > text.partition("\n")[0].count(",") else ","
    reader = csv.DictReader(io.StringIO(text), delimiter=delimiter)
    missing = {"sample_id", "action", "label"} - set(reader.fieldnames or [])
    if missing:
        raise UserError(
            f"columns are missing: {', '.join(sorted(missing))}", where=path, remedy="Put the header line back"
        )
    for line, row in enumerate(reader, start=2):
        where, sample_id = f"{path}:{line}", (row["sample_id"] or "").strip()
        action, label = (row["action"] or "").strip().lower(), (row["label"] or "").strip() or None
        if not (sample_id or action or label):
            continue
        if multi and label is not None:
            label = _several(label, classes, where)
        if sample_id not in asked:
            raise UserError("no sample of this query", where=where, value=sample_id, remedy="Remove the line")
        seen.add(sample_id)
        if not action and label is None:
            continue
        action = action or ("accept" if label == asked[sample_id] else "correct")
        if action not in ACTIONS:
            raise UserError("unknown action", where=where, value=action, remedy=f"Choose one of: {', '.join(ACTIONS)}")
        if action == "accept":
            if label not in (None, asked[sample_id]):
                suggested = in_words(asked[sample_id])
                raise UserError(
                    f"accept means the suggested class, {suggested!r}, but another label stands beside it",
                    where=where,
                    value=in_words(label),
                    remedy="Write correct, or clear the label",
                )
            label = asked[sample_id]
        elif action == "correct" and (label is None if multi else label not in classes):
            raise UserError("unknown label", where=where, value=label, remedy=f"Choose one of: {', '.join(classes)}")
        annotator = (row.get("annotator") or "").strip() or "file"
        decisions[sample_id] = {
            "decision_id": f"{t:03d}-{annotator}-{sample_id[:12]}",
            "sample_id": sample_id,
            "round": t,
            "annotator": annotator,
            "action": action,
            "label": label if action in ("accept", "correct") else None,
            "comment": (row.get("comment") or "").strip() or None,
        }
    if lost := sorted(asked.keys() - seen):
        remedy = "Put its line back, or delete the file to get a new one"
        raise UserError(f"a sample is missing ({len(lost)} in all)", where=path, value=lost[0], remedy=remedy)
    return frame([decisions[i] for i in asked], DECISIONS) if len(decisions) == len(asked) else None


def _several(text: str, classes: tuple[str, ...], where: str) -> str:
    """A multi-label task's label as people write it, in its canonical form."""
    if text.lower() == NONE:
        return ""
    if unknown := foreign(text, classes, multi=True):
        remedy = f"Join classes by {SEPARATOR}, or write {NONE}; the classes are: {', '.join(classes)}"
        raise UserError("unknown label", where=where, value=unknown[0], remedy=remedy)
    return join(*split(text))


def _instructions(classes: tuple[str, ...], multi: bool) -> str:
    several = (
        f"        Several classes may hold: join them by {SEPARATOR}, as in A{SEPARATOR}B. Where none holds write\n"
        f"        {NONE}: an empty cell is no answer. {UNKNOWN}A says that you cannot tell whether A holds.\n"
    )
    return (
        "How to answer review.csv: fill in two columns of each line, save it as CSV UTF-8, resume the run.\n\n"
        "action  accept: the suggested label is right. correct: it is wrong, the right one stands under label.\n"
        "        reject: this is no sample of the task. flag: somebody should look at it; it is left out.\n"
        f"label   the right label, for correct. A label without an action will do.\n{several * multi}\n"
        "Classes:\n" + "".join(f"  {name}\n" for name in classes)
    )


def _cell(folder: Path, sample_id: str, payload: bytes | str | list) -> str:
    """What the table shows of a sample: its text, or the name of the file that holds it."""
    if not isinstance(payload, bytes) and len(str(payload)) <= CELL:
        # A spreadsheet would run a text that opens like a formula.
        return f"'{payload}" if str(payload).startswith(("=", "+", "-", "@")) else str(payload)
    path = folder / "review" / f"{sample_id}.{'png' if isinstance(payload, bytes) else 'txt'}"
    with atomic(path, recorded=False) as temporary:
        temporary.write_bytes(payload if isinstance(payload, bytes) else str(payload).encode())
    return f"review/{path.name}"
