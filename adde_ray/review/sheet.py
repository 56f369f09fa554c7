"""A CSV or a workbook as spreadsheets and people leave it → its lines, by the names of the columns.

Whatever separates the cells, whatever the letters are encoded in, wherever the header stands, in whatever order and
case: the header is the first line that has all columns which are needed, and what stands above it is a title.
"""

from __future__ import annotations

import codecs
import contextlib
import csv
import io
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import TypeVar

from adde_ray.errors import UserError
from adde_ray.review import workbook
from adde_ray.review.cells import escape

P = TypeVar("P")

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

TITLE_LINES = 100
"""How far down a header is looked for."""

ALSO_CALLED = {
    "sample_id": ("id", "uid"),
    "action": ("decision", "verdict", "aktion", "entscheidung", "acción", "décision", "azione", "decisão"),
    "label": ("class", "category", "correct label", "new label", "klasse", "kategorie", "etikett", "clase", "etiqueta",
              "classe", "étiquette", "categoria", "etichetta"),
    "annotator": ("reviewer", "labeler", "labeller", "person", "bearbeiter", "anotador", "annotateur", "annotatore"),
    "comment": ("comments", "note", "notes", "remark", "remarks", "kommentar", "bemerkung", "comentario", "comentário",
                "commentaire", "commento"),
}  # fmt: skip
"""What people call columns that they rename. Looked for where a column of the name itself is nowhere."""


@dataclass(frozen=True)
class Line:
    """number: as a spreadsheet counts its rows, from 1. cells: by column, "" where there is none. surplus: what stands
    right of the last column."""

    number: int
    cells: dict[str, str]
    surplus: list[str]


@dataclass
class Sheet:
    """A table with its header found. names: of each of the header's cells the column it is, None for others. first: the
    header's row, from 0. above: a CSV's lines above the header; tab: of a workbook the sheet, from 0."""

    path: Path
    names: list[str | None]
    first: int
    rows: list[list[str]]
    header: list[str]
    separator: str = ","
    above: str = ""
    mark: bytes = b""
    tab: int | None = None

    def lines(self, columns: Sequence[str], needed: Sequence[str]) -> list[Line]:
        """The lines below the header, without blank ones and without the header again."""
        read = []
        for number, cells in enumerate(self.rows, start=self.first + 2):
            by_name = {name: cell for name, cell in zip(self.names, cells, strict=False) if name}
            repeated = all(_bare(by_name.get(name, "")) == _bare(name) for name in needed)  # where tables were joined
            if any(cell.strip() for cell in cells) and not repeated:
                surplus = [cell for cell in cells[len(self.names) :] if cell.strip()]
                read.append(Line(number, {name: by_name.get(name, "") for name in columns}, surplus))
        return read

    def set(self, number: int, cells: Mapping[str, str]) -> None:
        """Put texts into a line's cells; a column that is not there is added at the right."""
        for name, text in cells.items():
            if name not in self.names:
                if not text:
                    continue
                self.names.append(name)
                self.header.append(name)
            row, column = self.rows[number - self.first - 2], self.names.index(name)
            row += [""] * (column + 1 - len(row))
            row[column] = text if self.tab is not None else escape(text)

    def save(self, to: Path) -> None:
        """Write it as it was read, with what was set: of a workbook those cells alone change; a CSV is UTF-8."""
        if self.tab is not None:
            workbook.save(self.path, to, self.tab, self.first, [self.header, *self.rows])
            return
        text = io.StringIO()
        csv.writer(text, delimiter=self.separator).writerows([self.header, *self.rows])
        to.write_bytes(self.mark + (self.above + text.getvalue()).encode(errors="replace"))


def read_sheet(path: Path, columns: Sequence[str], needed: Sequence[str], known: Iterable[str] = ()) -> list[Line]:
    """The lines of `open_sheet`. Raises UserError."""
    return open_sheet(path, columns, needed, known).lines(columns, needed)


def open_sheet(path: Path, columns: Sequence[str], needed: Sequence[str], known: Iterable[str] = ()) -> Sheet:
    """A CSV, or a workbook's first sheet that has the columns.

    columns: names to look for; any others are passed over. needed: those of them that must be there. known: texts that
    occur in the table, by which code pages are told apart.

    Raises UserError: cannot be read, is a workbook of another kind than .xlsx, lacks a column or has it twice.
    """
    data = _bytes(path)
    if workbook.is_workbook(data):
        tabs = workbook.read(data, path)
        heads = [(tab, row, cells) for tab, rows in enumerate(tabs) for row, cells in enumerate(rows[:TITLE_LINES])]
        (tab, first, header), names = _header(lambda: heads, columns, needed, path)
        return Sheet(path, names, first, tabs[tab][first + 1 :], header, tab=tab)
    lines = io.StringIO(decode(data, known), newline="").readlines()
    (separator, first, header), names = _header(lambda: _headers(lines), columns, needed, path)
    reader, rows = csv.reader(islice(lines, first, None), delimiter=separator), []
    try:
        next(reader)
        for cells in reader:
            rows.append(cells)
    except csv.Error as error:
        number = first + 2 + len(rows)
        raise UserError(f"cannot be read: {error}", where=f"{path}:{number}", remedy="Mend the line") from None
    mark = codecs.BOM_UTF8 if data.startswith(tuple(MARKS)) else b""
    return Sheet(path, names, first, rows, header, separator, "".join(lines[:first]), mark)


def _bytes(path: Path) -> bytes:
    remedy = "Put the table there"
    if not path.is_file():
        raise UserError("is no file" if path.exists() else "no such file", where=path, remedy=remedy)
    try:
        return path.read_bytes()
    except OSError as error:
        raise UserError(f"cannot be read: {error.strerror}", where=path, remedy=remedy) from None


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
    rows: Callable[[], Iterable[tuple[P, int, list[str]]]], columns: Sequence[str], needed: Sequence[str], path: Path
) -> tuple[tuple[P, int, list[str]], list[str | None]]:
    """The first of the rows that is a header, and which of `columns` each of its cells names, if any.

    rows: of a separator or a sheet, the row's number, and its cells.
    """
    best: list[str | None] = []
    for renamed in (False, True):
        for row in rows():
            names = _names(row[2], columns, renamed=renamed)
            if set(needed) <= set(names):
                if twice := sorted({name for name in names if name and names.count(name) > 1}):
                    raise UserError("a column stands twice", where=path, value=twice[0], remedy="Remove one of them")
                return row, names
            best = max(best, names, key=lambda found: len({*found} & {*needed}))
    missing = [name for name in needed if name not in best]
    raise UserError(
        f"columns are missing: {', '.join(missing)}",
        where=path,
        remedy=f"Put the header line back ({','.join(columns)}), and save it as CSV UTF-8",
    )


def _names(cells: list[str], columns: Sequence[str], *, renamed: bool) -> list[str | None]:
    """Of each cell of a header the column it names. renamed: also by what people call the columns that are lacking."""
    ours = {_bare(name): name for name in columns}
    names = [ours.get(_bare(cell)) for cell in cells]
    for name in (name for name in columns if renamed and name not in names):
        others = {_bare(other) for other in ALSO_CALLED.get(name, ())}
        for i, cell in enumerate(cells):
            if names[i] is None and _bare(cell) in others:
                names[i] = name
                break
    return names


def _headers(lines: list[str]) -> Iterator[tuple[str, int, list[str]]]:
    """(separator, row, cells) of every line that may be the header."""
    said = re.match(r'\s*"?sep=([^"\r\n])', lines[0], re.I) if lines else None  # Excel's way to name the separator
    separators = dict.fromkeys((said[1] if said else "") + SEPARATORS)
    for row in range(min(len(lines), TITLE_LINES)):
        for separator in separators:
            try:
                yield separator, row, next(csv.reader(islice(lines, row, None), delimiter=separator), [])
            except csv.Error:
                continue


def _bare(name: str) -> str:
    """Without case, blanks, marks and quotes."""
    return re.sub(r"[\W_]", "", name.casefold())
