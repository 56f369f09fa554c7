"""Review by file: rounds/NNN/review.csv goes out, people fill in `action` and `label`, the run picks it up.

QUERY rows + payload → review.csv (and review/<sample_id>.png for images) → DECISIONS. The plainest way for
people to answer; it needs a spreadsheet and nothing else.
"""

from __future__ import annotations

import csv
import io
from pathlib import Path

import polars as pl

from adde_ray.errors import UserError
from adde_ray.rundir import atomic
from adde_ray.schema import ACTIONS, DECISIONS, frame

COLUMNS = (
    "sample_id",
    "rank",
    "sample",
    "suggested",
    "confidence",
    "origin",
    "gap_id",
    "action",
    "label",
    "annotator",
    "comment",
)


def put_out(folder: Path, query: pl.DataFrame, modality: str) -> Path:
    """Write review.csv, and pictures beside it, unless it is there. Returns its path.

    query: QUERY columns and the payload column.
    """
    path = folder / "review.csv"
    if path.exists():
        return path
    rows = []
    for row in query.sort("rank").iter_rows(named=True):
        payload = row[modality]
        if modality == "image":
            picture = folder / "review" / f"{row['sample_id']}.png"
            with atomic(picture) as temporary:
                temporary.write_bytes(payload)
            payload = f"review/{picture.name}"
        rows.append({**{c: row.get(c) for c in COLUMNS}, "sample": payload, "confidence": round(row["confidence"], 3)})
    text = io.StringIO()
    writer = csv.DictWriter(text, COLUMNS)
    writer.writeheader()
    writer.writerows(rows)
    with atomic(path) as temporary:
        temporary.write_text(text.getvalue(), encoding="utf-8", newline="")
    return path


def take_in(path: Path, query: pl.DataFrame, classes: tuple[str, ...], *, t: int) -> pl.DataFrame | None:
    """DECISIONS from a filled-in review.csv; None while a row has no action yet.

    Raises UserError for an unknown action or label, a row that is no sample of the query, or one that is missing.
    """
    asked = dict(query.select("sample_id", "suggested").iter_rows())
    decisions, waiting = {}, set(asked)
    # Spreadsheets save with a byte-order mark, and with semicolons where the comma is the decimal sign.
    text = path.read_text(encoding="utf-8-sig")
    delimiter = ";" if text.partition("\n")[0].count(";") > text.partition("\n")[0].count(",") else ","
    reader = csv.DictReader(io.StringIO(text), delimiter=delimiter)
    missing = {"sample_id", "action", "label"} - set(reader.fieldnames or [])
    if missing:
        raise UserError(
            f"columns are missing: {', '.join(sorted(missing))}", where=path, remedy="Put the header line back"
        )
    for line, row in enumerate(reader, start=2):
        where, sample_id = f"{path}:{line}", (row["sample_id"] or "").strip()
        if sample_id not in asked:
            raise UserError("no sample of this query", where=where, value=sample_id, remedy="Remove the line")
        action, label = (row["action"] or "").strip().lower(), (row["label"] or "").strip() or None
        if not action and not label:
            continue
        action = action or ("accept" if label == asked[sample_id] else "correct")
        if action not in ACTIONS:
            raise UserError("unknown action", where=where, value=action, remedy=f"Choose one of: {', '.join(ACTIONS)}")
        if action == "accept":
            label = asked[sample_id]
        elif action == "correct" and label not in classes:
            raise UserError("unknown label", where=where, value=label, remedy=f"Choose one of: {', '.join(classes)}")
        waiting.discard(sample_id)
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
    if waiting:
        return None
    return frame([decisions[i] for i in asked], DECISIONS)
