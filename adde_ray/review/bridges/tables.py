"""CSV and XLSX: the table that people fill in, with pictures beside it; and tables as they leave them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from adde_ray.errors import UserError
from adde_ray.labels import in_words
from adde_ray.review import workbook
from adde_ray.review.bridges.base import MAX_BYTES, Given, Question, Questions, Read
from adde_ray.review.cells import csv_text, unescape
from adde_ray.review.sheet import Line, read_sheet
from adde_ray.review.write_review import CELL, HOW_TO, TABLE, WORKBOOK, instructions

COLUMNS = (
    "sample_id", "rank", "sample", "suggested", "confidence", "origin", "action", "label", "annotator", "comment",
)  # fmt: skip

READ = (*COLUMNS, "seconds", "lead_time")
"""The last is what Label Studio calls it."""

FOLDER = "samples"
"""Of what fits no cell."""

WIDTHS = {"sample_id": 12, "rank": 6, "sample": 60, "suggested": 20, "label": 20, "comment": 40}


@dataclass(frozen=True)
class Table:
    """See the module. kind: csv or xlsx, to write; both read either."""

    kind: str

    def export(self, questions: Questions, folder: Path) -> list[Path]:
        """Raises UserError: openpyxl is missing."""
        rows = list(_rows(questions, folder))
        if self.kind == "xlsx":
            path = folder / WORKBOOK
            workbook.write(path, COLUMNS, ([row[name] for name in COLUMNS] for row in rows), WIDTHS)
        else:
            path = folder / TABLE
            path.write_text(csv_text(COLUMNS, rows), encoding="utf-8", newline="")
        how_to = folder / HOW_TO
        how_to.write_text(instructions(questions.classes, questions.multi, False), encoding="utf-8")
        return [path, how_to]

    def read(self, path: Path) -> Read:
        """Raises UserError: see `open_sheet`; larger than is read."""
        if path.is_file() and path.stat().st_size > MAX_BYTES:
            raise UserError(f"is larger than {MAX_BYTES >> 20} MiB", where=path)
        given = [_given(line, path) for line in read_sheet(path, READ, ("sample_id", "label"))]
        answered = [one for one in given if one.action or one.labels]
        return Read(answered, len(given) - len(answered))


def _rows(questions: Questions, folder: Path) -> Iterator[dict[str, str]]:
    for question in questions.asked:
        yield dict.fromkeys(COLUMNS, "") | {
            "sample_id": question.sample_id,
            "rank": str(question.rank),
            "sample": _sample(question, folder),
            "suggested": in_words(question.shown) or "",
            "confidence": "" if question.hides_guess else f"{question.confidence:.3f}",
            "origin": question.origin,
        }


def _sample(question: Question, folder: Path) -> str:
    """What the table shows: the text, or the name of the file that holds it."""
    payload = question.payload
    if not isinstance(payload, bytes) and len(str(payload)) < CELL:
        return str(payload)
    path = folder / FOLDER / question.file_name
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(payload if isinstance(payload, bytes) else str(payload).encode(errors="replace"))
    return f"{FOLDER}/{path.name}"


def _given(line: Line, path: Path) -> Given:
    cells, where = line.cells, f"{path}:{line.number}"
    answered = cells["action"].strip() or cells["label"].strip()
    if line.surplus and answered:
        remedy = 'Put a text with a separator into "quotes", or remove the cell'
        raise UserError("more cells than the header has columns", where=where, value=line.surplus[0], remedy=remedy)
    return Given(
        where,
        cells["sample_id"],
        action=cells["action"],
        labels=(cells["label"],) if cells["label"].strip() else None,
        annotator=unescape(cells["annotator"]),
        comment=unescape(cells["comment"]),
        seconds=seconds(cells["seconds"] or cells["lead_time"]),
        fields={"suggested": cells["suggested"], "rank": cells["rank"]},
    )


MOST_SECONDS = 10**7
"""More than a person can have thought about one sample: some clock's mistake."""


def seconds(value: object) -> float | None:
    """How long an answer took, where a file says something that can be it."""
    try:
        found = float(value.strip().replace(",", ".") if isinstance(value, str) else value)  # type: ignore[arg-type]
    except (TypeError, ValueError, OverflowError):
        return None
    return found if 0 <= found < MOST_SECONDS else None
