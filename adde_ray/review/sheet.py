"""A CSV as spreadsheets and people leave it → its lines, by the names of the columns.

Whatever separates the cells, whatever the letters are encoded in, wherever the header stands, in whatever order and
case: the header is the first line that has all columns which are needed, and what stands above it is a title.
"""

from __future__ import annotations

import codecs
import contextlib
import csv
import io
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

from adde_ray.errors import UserError

SEPARATORS = ",;\t|"

MARKS = {
    codecs.BOM_UTF8: "utf-8",
    codecs.BOM_UTF32_LE: "utf-32-le",  # before UTF-16's, with which it begins
    codecs.BOM_UTF32_BE: "utf-32-be",
    codecs.BOM_UTF16_LE: "utf-16-le",
    codecs.BOM_UTF16_BE: "utf-16-be",
}

UNMARKED = ("utf-8", "utf-16-le", "utf-16-be", "utf-32-le", "utf-32-be")

CODE_PAGES = (
    "cp1252", "mac_roman", "cp1250", "cp1251", "cp1253", "cp1254", "cp1255", "cp1256", "cp1257", "cp1258", "cp874",
    "iso8859-2", "iso8859-5", "iso8859-15", "koi8-r", "cp850", "mac_cyrillic", "cp932", "cp949", "gb18030", "big5hkscs",
)  # fmt: skip
"""What a plain "CSV" is saved in, by the language of the system; the first where nothing tells them apart."""

WORKBOOKS = (b"PK\x03\x04", b"PK\x05\x06", b"\xd0\xcf\x11\xe0")
"""How .xlsx, .ods and .numbers begin, all of them ZIP archives, and .xls."""

TITLE_LINES = 100
"""How far down a header is looked for."""


@dataclass(frozen=True)
class Line:
    """number: as a spreadsheet counts its rows, from 1. cells: by column, "" where there is none. surplus: what stands
    right of the last column."""

    number: int
    cells: dict[str, str]
    surplus: list[str]


def read_sheet(path: Path, columns: Sequence[str], needed: Sequence[str], known: Iterable[str] = ()) -> list[Line]:
    """The lines below the header, without blank ones and without the header again.

    columns: names to look for; any others are passed over. needed: those of them that must be there. known: texts that
    occur in the table, by which code pages are told apart.

    Raises UserError: cannot be read, is a workbook, lacks a column or has it twice.
    """
    data = _bytes(path)
    lines = io.StringIO(decode(data, known), newline="").readlines()
    first, separator, names = _header(lines, columns, needed, path)
    reader, read = csv.reader(islice(lines, first, None), delimiter=separator), []
    number = first + 1
    try:
        next(reader)
        for number, cells in enumerate(reader, start=first + 2):
            by_name = {name: cell for name, cell in zip(names, cells, strict=False) if name}
            repeated = all(_bare(by_name.get(name, "")) == _bare(name) for name in needed)  # where tables were joined
            if any(cell.strip() for cell in cells) and not repeated:
                surplus = [cell for cell in cells[len(names) :] if cell.strip()]
                read.append(Line(number, {name: by_name.get(name, "") for name in columns}, surplus))
    except csv.Error as error:
        raise UserError(f"cannot be read: {error}", where=f"{path}:{number + 1}", remedy="Mend the line") from None
    return read


def _bytes(path: Path) -> bytes:
    remedy = "Put the table there"
    if not path.is_file():
        raise UserError("is no file" if path.exists() else "no such file", where=path, remedy=remedy)
    try:
        data = path.read_bytes()
    except OSError as error:
        raise UserError(f"cannot be read: {error.strerror}", where=path, remedy=remedy) from None
    if data.startswith(WORKBOOKS):
        raise UserError("is a workbook, not a CSV", where=path, remedy=f"Save it as CSV UTF-8, as {path.name}")
    return data


def decode(data: bytes, known: Iterable[str] = ()) -> str:
    """Text from bytes in whatever encoding. A letter that cannot be told becomes U+FFFD."""
    for mark, encoding in MARKS.items():
        if data.startswith(mark):
            return data[len(mark) :].decode(encoding, errors="replace")
    for encoding in UNMARKED:
        try:
            text = data.decode(encoding)
        except UnicodeDecodeError:
            continue
        if "\0" not in text and (encoding == "utf-8" or set(SEPARATORS) & set(text)):
            return text
    return data.decode(_code_page(data, known), errors=AS_CONTROLS)


def unscrambled(text: str) -> Iterator[str]:
    """What may have been UTF-8 that a program took for a code page: "cafÃ©" was "café"."""
    if not text.isascii():
        for encoding in ("cp1252", "mac_roman", "cp1250", "cp1251"):
            with contextlib.suppress(UnicodeError):
                yield text.encode(encoding, errors=AS_CONTROLS).decode("utf-8")


AS_CONTROLS = "adde_ray.as_controls"
"""How to treat what a code page lacks: as Windows does, bytes 81 to 9F as the control characters of that number."""


def _as_controls(error: UnicodeError) -> tuple[str | bytes, int]:
    if isinstance(error, UnicodeDecodeError):
        return error.object[error.start : error.end].decode("latin-1"), error.end
    if isinstance(error, UnicodeEncodeError):
        return error.object[error.start : error.end].encode("latin-1"), error.end
    raise error


codecs.register_error(AS_CONTROLS, _as_controls)


def _code_page(data: bytes, known: Iterable[str]) -> str:
    """The encoding in which most of the known texts occur. It may be UTF-8 with some bytes of another."""
    telling = [text for text in known if not text.isascii()]

    def hits(encoding: str) -> int:
        return sum((there := _encoded(text, encoding)) is not None and there in data for text in telling)

    best = max(("utf-8", *CODE_PAGES), key=hits)
    return best if hits(best) else CODE_PAGES[0]


def _encoded(text: str, encoding: str) -> bytes | None:
    try:
        return text.encode(encoding)
    except UnicodeEncodeError:
        return None


def _header(
    lines: list[str], columns: Sequence[str], needed: Sequence[str], path: Path
) -> tuple[int, str, list[str | None]]:
    """Row of the header among the lines, the separator, and which of `columns` each of its cells names, if any."""
    ours = {_bare(name): name for name in columns}
    best: list[str | None] = []
    for row, separator, cells in _headers(lines):
        names = [ours.get(_bare(cell)) for cell in cells]
        if set(needed) <= set(names):
            if twice := sorted({name for name in names if name and names.count(name) > 1}):
                raise UserError("a column stands twice", where=path, value=twice[0], remedy="Remove one of them")
            return row, separator, names
        best = max(best, names, key=lambda found: len({*found} & {*needed}))
    missing = [name for name in needed if name not in best]
    raise UserError(
        f"columns are missing: {', '.join(missing)}",
        where=path,
        remedy=f"Put the header line back ({','.join(columns)}), and save it as CSV UTF-8",
    )


def _headers(lines: list[str]) -> Iterator[tuple[int, str, list[str]]]:
    """(row, separator, cells) of every line that may be the header."""
    said = re.match(r'\s*"?sep=([^"\r\n])', lines[0], re.I) if lines else None  # Excel's way to name the separator
    separators = dict.fromkeys((said[1] if said else "") + SEPARATORS)
    for row in range(min(len(lines), TITLE_LINES)):
        for separator in separators:
            try:
                yield row, separator, next(csv.reader(islice(lines, row, None), delimiter=separator), [])
            except csv.Error:
                continue


def _bare(name: str) -> str:
    """Without case, blanks, marks and quotes."""
    return re.sub(r"[\W_]", "", name.casefold())
