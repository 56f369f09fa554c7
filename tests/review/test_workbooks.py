"""review.xlsx as people leave it: read as a CSV is, filled in without touching the rest, no formula run or written."""

from __future__ import annotations

import io
import zipfile

import polars as pl
import pytest
from openpyxl import Workbook, load_workbook

from adde_ray import errors
from adde_ray.artifacts.schema import QUERY, frame
from adde_ray.errors import UserError
from adde_ray.review import workbook
from adde_ray.review.bridges.cvat import Cvat
from adde_ray.review.read_review import read_review, read_round
from adde_ray.review.sheet import open_sheet
from adde_ray.review.write_review import COLUMNS, write_review

CLASSES = ("01", "=cmd", "true")


@pytest.fixture
def asked(tmp_path):
    suggested = ["01", "=cmd", "true", "01"]
    rows = [
        {"sample_id": f"{i:032x}", "rank": i + 1, "suggested": s, "confidence": 0.5} for i, s in enumerate(suggested)
    ]
    query = frame(rows, QUERY)
    write_review(tmp_path, query.with_columns(pl.Series("text", ["a", "b", "c", "d"])), "text", CLASSES)
    return tmp_path, query


def book(path, rows, *, above=(), other_sheet=True):
    """A workbook as people make one: a sheet of notes first, a title above the table."""
    made = Workbook()
    if other_sheet:
        made.active.append(["Notes of Ann"])
        made.create_sheet("answers")
    sheet = made.worksheets[-1]
    for row in (*above, *rows):
        sheet.append(row)
    made.save(path)
    return path


def answers(path, query):
    return read_review(path, query, CLASSES, t=0).decisions.select("action", "label").rows()


def ids(query):
    return query["sample_id"].to_list()


def test_a_workbook_with_titles_notes_and_columns_moved_is_read(asked):
    folder, query = asked
    a, b, c, d = ids(query)
    rows = [
        ["Label", "my own", "Action", "SAMPLE ID"],
        [1, "x", None, a],
        [None, None, "OK", b],
        [None, None, None, None],
        [True, None, "accept", c],
        ["'=cmd", None, "", d],
    ]
    path = book(folder / "review.xlsx", rows, above=[["Batch of Monday"], []])
    assert answers(path, query) == [("accept", "01"), ("accept", "=cmd"), ("accept", "true"), ("correct", "=cmd")]


def test_renamed_columns_are_known_by_what_people_call_them(asked):
    folder, query = asked
    rows = [["ID", "Klasse", "Entscheidung", "Bemerkung"], *([i, "01", None, "gut"] for i in ids(query))]
    found = read_review(book(folder / "x.xlsx", rows), query, CLASSES, t=0).decisions
    assert found["label"].to_list() == ["01"] * 4 and found["comment"].to_list() == ["gut"] * 4


def test_a_name_of_our_own_goes_before_what_people_call_it(asked):
    folder, query = asked
    rows = [["id", "sample_id", "action", "label"], *([f"row {n}", i, "accept", ""] for n, i in enumerate(ids(query)))]
    assert len(answers(book(folder / "x.xlsx", rows), query)) == 4


def test_mistakes_name_the_row_that_the_spreadsheet_shows(asked):
    folder, query = asked
    rows = [["sample_id", "action", "label"], *([i, "", "zebra"] for i in ids(query))]
    with pytest.raises(UserError, match=r"x.xlsx:4: unknown label \(got 'zebra'\)"):
        answers(book(folder / "x.xlsx", rows, above=[["title"], ["more"]]), query)


def test_a_formula_counts_by_the_value_that_was_saved_and_is_never_run(asked):
    folder, query = asked
    rows = [["sample_id", "action", "label"], *([i, '=IF(1,"accept","")', ""] for i in ids(query))]
    path = book(folder / "x.xlsx", rows)
    assert answers(path, query) == [], "nobody has computed it"


def test_the_workbook_counts_where_the_table_has_no_answer(asked):
    folder, query = asked
    rows = [["sample_id", "action", "label"], *([i, "accept", ""] for i in ids(query))]
    path = book(folder / "review.xlsx", rows)
    found = read_round(folder, query, CLASSES, t=0)
    assert found[0] == path and not found[1].open
    table = open_sheet(folder / "review.csv", COLUMNS, ("sample_id", "action", "label"))
    table.set(2, {"action": "flag"})
    table.save(table.path)
    assert read_round(folder, query, CLASSES, t=0)[0] == table.path
    table.path.unlink()
    assert read_round(folder, query, CLASSES, t=0)[0] == path


def test_what_is_filled_in_is_text_and_the_rest_stays(asked, tmp_path):
    folder, query = asked
    a, b, *_ = ids(query)
    rows = [["sample_id", "action", "label", "sum"], *([i, None, None, "=1+1"] for i in ids(query))]
    path = book(folder / "review.xlsx", rows, above=[["title"]])
    sheet = open_sheet(path, COLUMNS, ("sample_id", "action", "label"))
    sheet.set(3, {"action": "correct", "label": "=cmd", "annotator": "@eve"})
    sheet.save(folder / "filled.xlsx")
    kept = load_workbook(folder / "filled.xlsx")["answers"]
    assert [cell.value for cell in kept[3]] == [a, "correct", "=cmd", "=1+1", "@eve"]
    assert [kept["C3"].data_type, kept["E3"].data_type, kept["D3"].data_type] == ["s", "s", "f"]
    assert kept["C3"].number_format == "@" and kept["E2"].value == "annotator"
    assert kept["B4"].value is None and load_workbook(folder / "filled.xlsx").worksheets[0]["A1"].value
    found = open_sheet(folder / "filled.xlsx", COLUMNS, ("sample_id",)).lines(COLUMNS, ("sample_id",))
    assert found[0].cells["label"] == "=cmd" and found[1].cells["sample_id"] == b


def test_a_csv_is_filled_in_where_it_stands(asked):
    folder, _ = asked
    path = folder / "x.csv"
    path.write_bytes("Answers of Ann\r\nmine;label;Action;sample_id\r\né;;;1\r\n;;;2\r\n".encode("cp1252"))
    sheet = open_sheet(path, COLUMNS, ("sample_id", "action", "label"), ["é"])
    sheet.set(3, {"label": "=cmd", "action": "correct", "comment": "a;b"})
    sheet.save(path)
    assert path.read_bytes().decode() == (
        'Answers of Ann\r\nmine;label;Action;sample_id;comment\r\né;\'=cmd;correct;1;"a;b"\r\n;;;2\r\n'
    )


def zipped(**parts: bytes) -> bytes:
    data = io.BytesIO()
    with zipfile.ZipFile(data, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, part in parts.items():
            archive.writestr(name.replace("__", "/"), part)
    return data.getvalue()


def spoilt(folder, part: str, change) -> bytes:
    """A workbook one of whose parts is another."""
    with zipfile.ZipFile(book(folder / "whole.xlsx", [["sample_id", "action", "label"], ["1", "", ""]])) as whole:
        parts = {name: whole.read(name) for name in whole.namelist()}
    parts[part] = change(parts[part])
    return zipped(**{name.replace("/", "__"): data for name, data in parts.items()})


LAUGHS = b'<!DOCTYPE x [<!ENTITY a "aaaaaaaaaa">' + b"".join(
    b'<!ENTITY %c "%s">' % (98 + i, b"&%c;" % (97 + i) * 10) for i in range(9)
) + b"]>"  # fmt: skip


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda folder: zipped(content=b"x"), "no .xlsx"),
        (lambda folder: zipped(xl__workbook_xml=b"x").replace(b"workbook_xml", b"workbook.xml"), "cannot be read"),
        (lambda folder: zipped(**{"xl__workbook.xml": b"\0" * (workbook.UNPACKED + 1)}), "too large"),
        (lambda folder: spoilt(folder, "xl/worksheets/sheet2.xml", lambda x: LAUGHS + b"<x>&j;</x>"), "cannot be read"),
        (lambda folder: spoilt(folder, "xl/worksheets/sheet2.xml", lambda x: b"<a>" * 100_000), "cannot be read"),
        (
            lambda folder: spoilt(
                folder, "xl/worksheets/sheet2.xml", lambda x: x.replace(b'<row r="2"', b'<row r="99999999999"')
            ),
            "too large",
        ),
    ],
    ids=["another archive", "no XML", "a bomb", "billion laughs", "deep", "rows without end"],
)
def test_a_hostile_workbook_is_one_line(asked, make, message):
    folder, query = asked
    path = folder / "x.xlsx"
    path.write_bytes(make(folder))
    with pytest.raises(UserError, match=message) as error:
        answers(path, query)
    assert "\n" not in str(error.value)


def test_without_the_extra_there_is_one_line_with_the_command(asked, monkeypatch):
    folder, query = asked
    path = book(folder / "x.xlsx", [["sample_id", "action", "label"]])
    find = errors.importlib.util.find_spec
    monkeypatch.setattr(errors.importlib.util, "find_spec", lambda name: None if name == "openpyxl" else find(name))
    with pytest.raises(UserError, match=r'needs the package openpyxl .*Run: pip install "adde_ray\[review\]"'):
        answers(path, query)
    monkeypatch.setattr(errors.importlib.util, "find_spec", lambda name: None if name == "defusedxml" else find(name))
    (folder / "x.xml").write_text("<annotations/>")
    for read in (lambda: answers(path, query), lambda: Cvat().read(folder / "x.xml")):
        with pytest.raises(UserError, match="needs the package defusedxml"):
            read()
