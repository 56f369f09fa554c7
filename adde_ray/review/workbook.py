"""Workbooks (.xlsx) as rows of text, and back. Formulas are neither evaluated nor written.

What a workbook's author chose is not trusted: how much it unpacks to, how many rows and cells it says it has.
"""

from __future__ import annotations

import io
import zipfile
from collections.abc import Iterable, Sequence
from datetime import date, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from adde_ray.errors import UserError, needed

if TYPE_CHECKING:
    from openpyxl.worksheet.worksheet import Worksheet

ZIPPED, OLD = (b"PK\x03\x04", b"PK\x05\x06"), b"\xd0\xcf\x11\xe0"
"""How .xlsx, .ods and .numbers begin, all of them ZIP archives, and .xls."""

UNPACKED, ROWS, CELLS, SHEETS = 2**28, 200_000, 5_000_000, 50
"""The most bytes a workbook may unpack to; the most rows, cells and sheets that are read of it."""

TEXT = "@"
"""The number format of a column that a spreadsheet takes for text."""


def is_workbook(data: bytes) -> bool:
    """Whether a file begins as a workbook does."""
    return data.startswith((*ZIPPED, OLD))


def read(data: bytes, path: Path) -> list[list[list[str]]]:
    """The cells of each sheet as texts, blank rows included, without what is empty at the end of a row.

    A formula counts by the value that the spreadsheet saved with it. Raises UserError: no .xlsx, damaged, too large, or
    openpyxl is missing.
    """
    book = _load(data, path, read_only=True, data_only=True)
    sheets, cells = [], 0
    try:
        for sheet in book.worksheets[:SHEETS]:
            sheet.reset_dimensions()
            rows: list[list[str]] = []
            for values in sheet.iter_rows(values_only=True):
                row = [_text(value) for value in values]
                while row and not row[-1]:
                    row.pop()
                rows.append(row)
                cells += 1 + len(values)
                if len(rows) > ROWS or cells > CELLS:
                    raise _too_large(path)
            while rows and not rows[-1]:
                rows.pop()
            sheets.append(rows)
    except UserError:
        raise
    except Exception as error:  # whatever openpyxl and zipfile make of a damaged or hostile one
        raise _unreadable(path, error) from None
    finally:
        book.close()
    return sheets


def save(path: Path, to: Path, tab: int, first: int, rows: Sequence[Sequence[str]]) -> None:
    """Write the workbook at `path` to `to`, with those of its cells changed that differ from `rows`, which begin at row
    `first` (from 0) of a sheet. What is written is text."""
    before = read(path.read_bytes(), path)[tab]
    book = _load(path.read_bytes(), path)
    sheet = book.worksheets[tab]
    for number, cells in enumerate(rows, start=first):
        was = before[number] if number < len(before) else []
        for column, text in enumerate(cells):
            if text != (was[column] if column < len(was) else ""):
                _put(sheet, number + 1, column + 1, text)
    book.save(to)


def write(to: Path, columns: Sequence[str], rows: Iterable[Sequence[str]], widths: dict[str, int]) -> None:
    """A new workbook of one sheet with a header that stays in view, every cell a text. widths: in characters."""
    needed("openpyxl", extra="review", where=str(to), value="xlsx")
    from openpyxl import Workbook
    from openpyxl.styles import Font
    from openpyxl.utils import get_column_letter

    book = Workbook()
    sheet: Any = book.active
    sheet.title = "review"
    for number, cells in enumerate([columns, *rows], start=1):
        for column, text in enumerate(cells, start=1):
            _put(sheet, number, column, text)
    for column, name in enumerate(columns, start=1):
        sheet.cell(1, column).font = Font(bold=True)
        sheet.column_dimensions[get_column_letter(column)].width = widths.get(name, 14)
        sheet.column_dimensions[get_column_letter(column)].number_format = TEXT
    sheet.freeze_panes = "A2"
    book.save(to)


def _put(sheet: Worksheet, row: int, column: int, text: str) -> None:
    from openpyxl.cell.cell import ILLEGAL_CHARACTERS_RE

    cell: Any = sheet.cell(row, column)
    cell.value = ILLEGAL_CHARACTERS_RE.sub("\ufffd", text.encode(errors="replace").decode()) or None
    if text:
        cell.data_type = "s"  # openpyxl takes what begins with = for a formula
    cell.number_format, cell.quotePrefix = TEXT, True


def _load(data: bytes, path: Path, **options: bool) -> Any:
    if data.startswith(OLD):
        raise _no_xlsx(path)
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            parts = {part.filename: part.file_size for part in archive.infolist()}
    except (zipfile.BadZipFile, ValueError, NotImplementedError):
        raise _no_xlsx(path) from None
    if "xl/workbook.xml" not in parts:
        raise _no_xlsx(path)
    if sum(parts.values()) > UNPACKED:
        raise _too_large(path)
    # Without defusedxml openpyxl reads XML that blows up.
    needed("openpyxl", "defusedxml", extra="review", where=str(path), value=path.name)
    import openpyxl

    try:
        return openpyxl.load_workbook(io.BytesIO(data), **options)
    except Exception as error:
        raise _unreadable(path, error) from None


def _text(value: object) -> str:
    """A cell's value as the spreadsheet shows it, or nearly."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return str(value).upper()
    if isinstance(value, datetime):
        return value.isoformat(" ")
    if isinstance(value, date):
        return value.isoformat()
    return str(value)


def _no_xlsx(path: Path) -> UserError:
    remedy = f"Save it as .xlsx, or as CSV UTF-8, as {path.name}"
    return UserError("is a workbook, but no .xlsx", where=path, remedy=remedy)


def _too_large(path: Path) -> UserError:
    return UserError("is a workbook too large to be read", where=path, remedy="Save it as CSV UTF-8")


def _unreadable(path: Path, error: Exception) -> UserError:
    what = f"is a workbook that cannot be read ({type(error).__name__})"
    return UserError(what, where=path, remedy="Open it, and save it again as .xlsx or as CSV UTF-8")
