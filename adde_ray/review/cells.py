"""Text in the cells of a CSV that people open: a spreadsheet runs what begins like a formula.

`escape` puts a "'" before such a text, as the spreadsheets' own users do; `unescape` takes it off. Every text comes
back as it was. Numbers are no text: a column of numbers is written as it is.
"""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import TextIO

MARK = "'"

# Signs of any width count, and those behind blanks or quotes, which some programs drop. A text that begins so behind
# a mark of its own is marked once more: `unescape` takes one off.
_FORMULA = re.compile("[\\s\"'\u200b\ufeff]*[=+\\-@＝＋－＠]|[\"'\u200b\ufeff]*[\t\r\n]")


def escape(text: str) -> str:
    """The text as a cell that no spreadsheet takes for a formula."""
    return MARK + text if _FORMULA.match(text) else text


def unescape(cell: str) -> str:
    """The inverse of `escape`. A cell that `escape` did not write is left as it is."""
    text = cell.removeprefix(MARK)
    return text if _FORMULA.match(text) else cell


def csv_text(columns: Sequence[str], rows: Iterable[Mapping[str, object]]) -> str:
    """A CSV as `write_csv` writes it."""
    text = io.StringIO()
    write_csv(text, columns, rows)
    return text.getvalue()


def write_csv(file: TextIO, columns: Sequence[str], rows: Iterable[Mapping[str, object]]) -> None:
    """A CSV with a header line; texts escaped, None as an empty cell."""
    writer = csv.DictWriter(file, columns)
    writer.writerow({name: escape(name) for name in columns})
    writer.writerows({name: escape(x) if isinstance(x, str) else x for name, x in row.items()} for row in rows)
