"""review.csv as spreadsheets and people leave it: what is plain is read, everything else is told, all of it at once."""

from __future__ import annotations

import csv
import io
import random
import re
import unicodedata

import polars as pl
import pytest

from adde_ray.artifacts.schema import QUERY, frame
from adde_ray.errors import Mistakes, UserError
from adde_ray.labels import in_words, join
from adde_ray.review.cells import escape
from adde_ray.review.read_review import read_review
from adde_ray.review.sheet import CODE_PAGES
from adde_ray.review.write_review import write_review


class Table:
    """A review.csv that was put out, as rows to edit and to save again."""

    def __init__(self, folder, classes, suggested=None, *, multi=False):
        self.classes, self.multi = tuple(classes), multi
        suggested = suggested or [classes[i % len(classes)] for i in range(6)]
        rows = [
            {
                "sample_id": f"{i:032x}",
                "rank": i + 1,
                "suggested": s,
                "confidence": -0.5,
                "origin": "real",
                "gap_id": "-1",
            }
            for i, s in enumerate(suggested)
        ]
        self.query = frame(rows, QUERY)
        texts = [f'=text {i}, with "quotes"\nand lines; or\ttabs' for i in range(len(rows))]
        shown = self.query.with_columns(pl.Series("text", texts), pl.lit("@é.png").alias("file"))
        self.path = write_review(folder, shown, "text", self.classes, multi=multi)
        text = self.path.read_text(encoding="utf-8")
        self.header, *self.rows = csv.reader(io.StringIO(text, newline=""))

    def set(self, i: int, **cells: str) -> Table:
        for name, cell in cells.items():
            self.rows[i][self.header.index(name)] = cell
        return self

    def accept(self) -> Table:
        """Whatever is not answered yet."""
        for i, row in enumerate(self.rows):
            if not (row[self.header.index("action")] or row[self.header.index("label")]):
                self.set(i, action="accept")
        return self

    def save(self, *, separator=",", encoding="utf-8", end="\r\n", quoting=csv.QUOTE_MINIMAL, above="", below=""):
        text = io.StringIO()
        csv.writer(text, delimiter=separator, lineterminator=end, quoting=quoting).writerows([self.header, *self.rows])
        self.path.write_bytes((above + text.getvalue() + below).encode(encoding, errors="replace"))
        return self

    def read(self):
        return read_review(self.path, self.query, self.classes, t=0, multi=self.multi)

    def answers(self) -> list[tuple]:
        return self.read().decisions.select("action", "label").rows()

    def error(self) -> str:
        with pytest.raises(UserError) as error:
            self.read()
        return str(error.value)


@pytest.fixture
def table(tmp_path):
    return Table(tmp_path, ("café", "=cmd", "naïve"))


SAVED = {
    "tabs": {"separator": "\t"},
    "semicolons": {"separator": ";"},
    "bars": {"separator": "|"},
    "UTF-8 with a mark": {"encoding": "utf-8-sig"},
    "UTF-16 with a mark": {"encoding": "utf-16", "separator": "\t"},
    "UTF-16 without": {"encoding": "utf-16-le"},
    "big-endian UTF-16 without": {"encoding": "utf-16-be", "separator": ";"},
    "UTF-32": {"encoding": "utf-32"},
    "Excel's plain CSV": {"encoding": "cp1252", "separator": ";"},
    "Excel's on a Mac": {"encoding": "mac_roman", "end": "\r"},
    "latin-1": {"encoding": "latin-1"},
    "old DOS": {"encoding": "cp850"},
    "sep= above": {"separator": ";", "above": "sep=;\r\n"},
    "a rare separator, named": {"separator": "^", "above": '"sep=^"\n'},
    "a title above": {"above": "Answers of Ann, round 0\r\n\r\n"},
    "a title with a stray quote": {"above": "Ann's 5\" answers\n"},
    "a wide title": {"separator": ";", "above": "Answers;;;;;;;;;\n"},
    "notes below": {"below": "\r\n\r\nDone on Monday, thanks\r\n,,,,\r\n"},
    "all quoted": {"quoting": csv.QUOTE_ALL},
    "CR": {"end": "\r"},
    "LF": {"end": "\n"},
}


@pytest.mark.parametrize("name", SAVED)
def test_however_it_is_saved_the_answers_are_the_same(table, name):
    table.set(0, label="naïve").set(1, action="reject").set(2, label="'=cmd").accept().save(**SAVED[name])
    expected = [
        ("correct", "naïve"),
        ("reject", None),
        ("correct", "=cmd"),
        *(("accept", name) for name in table.classes),
    ]
    assert table.answers() == expected and table.read().open == []


def test_columns_in_any_order_and_case_with_others_between(table):
    table.set(0, label="naïve").accept()
    order = random.Random(0).sample(range(len(table.header)), len(table.header))
    names = {"sample_id": "Sample ID ", "action": "Action ", "label": "LABEL", "rank": "\ufeffRank"}
    table.header = ["My notes", *(names.get(table.header[i], table.header[i]) for i in order), "", ""]
    table.rows = [["n/a", *(row[i] for i in order), "", "", ""] for row in table.rows]
    random.Random(1).shuffle(table.rows)
    assert table.save(separator=";").answers()[0] == ("correct", "naïve")


def test_a_sample_is_known_whatever_stands_around_its_id(table):
    for i, around in enumerate(("\xa0{}", '="{}"', "'{}", " {} ", "{}\u200b", "{}")):
        table.set(i, sample_id=around.format(table.rows[i][0].upper()))
    assert len(table.accept().save().answers()) == 6


def test_what_programs_write_for_nothing_is_no_answer(table):
    table.set(0, action="NA", label="NaN").set(1, action="nan").set(2, action="None", label="null")
    assert table.save().read().open == [2, 3, 4, 5, 6, 7]


def test_halves_that_two_people_answered_joined_to_one_table(table):
    for i in range(3):
        table.set(i, action="accept")
    halves = [list(map(list, table.rows))]
    for i in range(3, 6):
        table.set(i - 3, action="").set(i, action="reject")
    table.rows = [*halves[0], table.header, *table.rows]
    assert [action for action, _ in table.save().answers()] == ["accept"] * 3 + ["reject"] * 3


def test_bytes_of_two_encodings_in_one_file(table):
    """The table was written as UTF-8, and an old editor put its own letters into it."""
    table.set(0, label="NAIVE").set(1, label="NAIVE").accept().save()
    table.path.write_bytes(table.path.read_bytes().replace(b"NAIVE", "naïve".encode("cp1252")))
    assert [label for _, label in table.answers()][:4] == ["naïve", "naïve", "naïve", "café"]


def test_columns_that_are_not_needed_may_go(table):
    table.accept()
    keep = [table.header.index(name) for name in ("label", "action", "sample_id")]
    table.header, *table.rows = [[row[i] for i in keep] for row in (table.header, *table.rows)]
    assert {action for action, _ in table.save().answers()} == {"accept"}


@pytest.mark.parametrize(
    ("classes", "written", "meant"),
    [
        (("true", "false"), "TRUE", "true"),
        (("true", "false"), "FALSCH", "false"),
        (("true", "false"), "vrai", "true"),
        (("01", "02"), "1", "01"),
        (("1", "2"), "1.0", "1"),
        (("1", "2"), "1,0", "1"),
        (("1.5", "2.5"), "1,5", "1.5"),
        (("1000", "2"), "1.000", "1000"),
        (("100000", "2"), "1E+05", "100000"),
        (("-1", "1"), "-1", "-1"),
        (("-1", "1"), "'-1", "-1"),
        (("-1", "1"), "−1", "-1"),
        (("Cat", "dog"), "CAT", "Cat"),
        (("Cat", "dog"), "\xa0cat\u200b ", "Cat"),
        (("New York", "dog"), "new\xa0 york", "New York"),
        (("Straße", "dog"), "STRASSE", "Straße"),
        (("Café", "dog"), unicodedata.normalize("NFD", "Café"), "Café"),
        ((unicodedata.normalize("NFD", "Café"), "dog"), "café", unicodedata.normalize("NFD", "Café")),
        (("Cat", "dog"), "ＣＡＴ", "Cat"),
        (("=cmd", "dog"), "=cmd", "=cmd"),
        (("=cmd", "dog"), "'=cmd", "=cmd"),
        (("'x", "dog"), "'x", "'x"),
        (("x", "dog"), "'x", "x"),
        (("Cat", "cat"), "cat", "cat"),
        (("1", "01"), "01", "01"),
        (("line\nbreak", "dog"), "line break", "line\nbreak"),
        (("don't know", "dog"), "Don’t know", "don't know"),
        (("a--b", "dog"), "a—-b", "a--b"),
        (("café", "dog"), "cafÃ©", "café"),
        (("Á la carte", "dog"), "Ã\x81 la carte", "Á la carte"),
        (("NaN", "dog"), "nan", "NaN"),
    ],
)  # fmt: skip
def test_a_label_is_read_where_one_class_alone_is_meant(tmp_path, classes, written, meant):
    other = next(name for name in classes if name != meant)
    table = Table(tmp_path, classes, [other, other]).set(0, label=written).accept().save()
    assert table.answers() == [("correct", meant), ("accept", other)]


@pytest.mark.parametrize(
    ("classes", "written", "message"),
    [
        (("Cat", "cat"), "CAT", r"may mean 'Cat' or 'cat' \(got 'CAT'\)"),
        (("1", "01"), "1.0", r"may mean '01' or '1' \(got '1.0'\)"),
        (("1", "1000"), "1,000", r"may mean '1' or '1000'"),
        (("1-2", "3-4"), "2-Jan", r"unknown label \(got '2-Jan'\). The spreadsheet may have made a date"),
        (("1-2", "3-4"), "02.01.2026", "may have made a date"),
        (("Mar1", "Sep2"), "01-Mar", "may have made a date"),
        (("12345678901234567", "2"), "1.23457E+16", "may have made a date or number"),
        (("-abc", "b"), "#NAME?", "taken it for a formula"),
        (("αβ", "b"), "??", "save the table as CSV UTF-8"),
        (("zebra", "b"), "zerba", "Did you mean 'zebra'"),
        (("a", "b"), "accept", "It is an action: write it under action"),
    ],
)  # fmt: skip
def test_a_label_that_is_not_plain_is_told(tmp_path, classes, written, message):
    table = Table(tmp_path, classes).set(1, label=written).accept().save()
    assert re.search(rf"review\.csv:3: .*{message}", table.error())


def test_what_the_spreadsheet_rewrote_is_not_taken_for_another_class(tmp_path):
    """01 became 1 all over the table, and 1 is a class too."""
    table = Table(tmp_path, ("01", "1", "2"), ["01", "1", "2"]).set(0, suggested="1").set(2, label="1").accept().save()
    assert "review.csv:4: may mean '01' or '1' (got '1')" in table.error()


@pytest.mark.parametrize(
    ("written", "action"),
    [("Accept", "accept"), ("ACCEPTED ", "accept"), ("ok", "accept"), ("o.k.", "accept"), ("Reject.", "reject"),
     ("flagged", "flag"), ("'accept", "accept"), ("\xa0accept", "accept")],
)  # fmt: skip
def test_an_action_in_other_words(table, written, action):
    assert table.set(0, action=written).accept().save().answers()[0][0] == action


@pytest.mark.parametrize(
    ("cells", "message"),
    [
        ({"action": "yes"}, "unknown action (got 'yes'). Choose one of: accept, correct, reject, flag."),
        ({"action": "acept"}, "unknown action (got 'acept'). Did you mean 'accept'?"),
        ({"action": "naïve"}, "unknown action (got 'naïve'). It is a label: write it under label."),
        ({"action": "correct"}, "unknown label: correct needs the right one beside it"),
        ({"action": "reject", "label": "naïve"}, "reject leaves the sample out, but a label stands beside it"),
        ({"action": "accept", "suggested": "naïve"}, "the suggested label was 'café' (got 'naïve')"),
        ({"suggested": "naïve"}, "the suggested label was 'café' (got 'naïve')"),
        ({"action": "accept", "rank": "4"}, "the columns are sorted apart: the sample's rank was 1 (got '4')"),
        ({"action": "accept", "rank": "9" * 5000}, "the columns are sorted apart: the sample's rank was 1"),
        ({"sample_id": "", "action": "accept"}, "no sample of this query (got '')"),
    ],
)  # fmt: skip
def test_a_line_that_says_two_things_or_none_is_told(table, cells, message):
    table.set(0, **cells)
    if "action" in cells:
        table.accept()
    assert f"review.csv:2: {message}" in table.save().error()


def test_contradicting_lines_are_named_and_identical_ones_are_fine(table):
    table.set(0, action="accept").accept()
    table.rows.append(list(table.rows[0]))
    assert len(table.save().answers()) == 6
    table.set(6, action="", label="café")
    assert len(table.save().answers()) == 6, "it says the same in other words"
    table.set(6, action="reject", label="")
    assert "review.csv:8: contradicts line 2 about the same sample, which says accept 'café' (got 'reject')" in (
        table.save().error()
    )
    table.set(6, action="")
    assert table.save().read().open == [], "a copy without an answer takes none back"


def test_all_mistakes_are_told_at_once(tmp_path):
    table = Table(tmp_path, ("a", "b"), ["a"] * 50)
    for i in range(30):
        table.set(i, label=f"wrong {i}")
    with pytest.raises(Mistakes) as error:
        table.save().read()
    head, *lines = str(error.value).splitlines()
    assert head.endswith("review.csv: 30 mistakes, so nothing is taken.") and len(lines) == 21
    assert "review.csv:2: unknown label (got 'wrong 0')" in lines[0] and "review.csv:21:" in lines[19]
    assert lines[20] == "  and 10 more"


def test_what_is_open_has_its_lines(table):
    answers = table.set(0, action="accept").set(3, label="café").save(above="title\n\n").read()
    assert answers.open == [5, 6, 8, 9] and len(answers.decisions) == 2


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"PK\x03\x04\x14\x00rest", "review.csv: is a workbook, but no .xlsx. Save it as .xlsx, or as CSV UTF-8"),
        (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", "is a workbook"),
        (b"", "columns are missing: sample_id, action, label. Put the header line back"),
        (b"\x00" * 100, "columns are missing"),
        (b"{\\rtf1 sample_id}", "columns are missing"),
        (b"sample_id,action\n1,accept\n", "columns are missing: label"),
        (b"sample_id,action,label,Label\n", "a column stands twice (got 'label')"),
        (b'sample_id,action,label\n1,"' + b"x" * 200_000 + b'"\n', "review.csv:2: cannot be read: field larger"),
    ],
)
def test_what_is_no_table_is_told(table, data, message):
    table.path.write_bytes(data)
    assert message in table.error()


def test_a_row_with_a_cell_too_many_is_told(table):
    table.accept()
    table.rows[1].append("more")
    assert "review.csv:3: more cells than the header has columns (got 'more')" in table.save().error()


def test_a_folder_is_no_table(table):
    table.path.unlink()
    assert "review.csv: no such file" in table.error()
    table.path.mkdir()
    assert "review.csv: is no file" in table.error()


class TestMultiLabel:
    @pytest.mark.parametrize(
        ("written", "meant"),
        [
            ("Edema|-x", "-x|Edema"),
            ("'-x|Edema", "-x|Edema"),
            ("edema ; -X", "-x|Edema"),
            ("Edema, -x", "-x|Edema"),
            ("?edema|-x", "-x|?Edema"),
            ("'-x|? '=a, b", "-x|?=a, b"),
            ("NONE ", ""),
            ("=a, b", "=a, b"),
        ],
    )
    def test_several_classes_as_people_write_them(self, tmp_path, written, meant):
        table = Table(tmp_path, ("-x", "=a, b", "Edema", "Other"), ["Other"] * 2, multi=True)
        assert table.set(0, label=written).accept().save().answers() == [("correct", meant), ("accept", "Other")]

    @pytest.mark.parametrize("written", ["Edema|Oedema", "|", "?", "Edema or Other"])
    def test_what_is_no_label_is_told(self, tmp_path, written):
        table = Table(tmp_path, ("Edema", "Other"), ["Other"] * 2, multi=True).set(0, label=written).accept().save()
        assert "review.csv:2: unknown label" in table.error()


# --- whatever the names and the program ---------------------------------------------------------------

LETTERS = "ab1-+=@'\"|,;\t\n ?é𝔘ßA.0"


def libre_office(table: Table, rng: random.Random) -> None:
    """Keeps cells as they are; the user chooses separator, encoding and quotes."""
    table.save(
        separator=rng.choice(",;\t|"),
        encoding=rng.choice(["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be", "utf-32"]),
        end="\n",
        quoting=rng.choice([csv.QUOTE_ALL, csv.QUOTE_MINIMAL, csv.QUOTE_NONNUMERIC]),
    )


def excel(table: Table, rng: random.Random) -> None:
    """Writes CRLF, drops cells that are empty at the end of all rows, pads the others; "Unicode text" is UTF-16."""
    table.rows = [[*row, *[""] * rng.randint(0, 2)] for row in table.rows]
    above = rng.choice(["", "sep=;\r\n", ";;;\r\n"])
    rng.choice(
        [
            lambda: table.save(separator=";", encoding="utf-8-sig", above=above),
            lambda: table.save(separator="\t", encoding="utf-16"),
            lambda: table.save(separator=",", encoding="utf-8-sig", below="\r\n,,,\r\n"),
        ]
    )()


def by_hand(table: Table, rng: random.Random) -> None:
    """Sorted, its columns moved, renamed and added to."""
    order = rng.sample(range(len(table.header)), len(table.header))
    table.header = [rng.choice([str.upper, str.title, lambda s: f" {s} "])(table.header[i]) for i in order]
    table.rows = [[row[i] for i in order] for row in table.rows]
    rng.shuffle(table.rows)
    end = rng.choice(["\r", "\n", "\r\n"])
    table.save(end=end, quoting=csv.QUOTE_ALL, above=rng.choice(["", f"Title{end}", end * 2]))


def nasty(rng: random.Random, *, multi: bool) -> tuple[str, ...]:
    """Class names of which no two look alike once a blank is taken away or a letter is made large."""
    names: dict[str, str] = {}
    while len(names) < 4:
        name = "".join(rng.choices(LETTERS, k=rng.randint(1, 6))).strip()
        name = name.replace("|", "").lstrip("?").strip() if multi else name
        bare = "".join(name.casefold().split()).strip("'+0.,")
        if bare and name:
            names.setdefault(bare, name)
    return tuple(sorted(names.values()))


@pytest.mark.parametrize("program", [libre_office, excel, by_hand])
@pytest.mark.parametrize("multi", [False, True], ids=["single", "multi"])
def test_any_names_through_any_program_give_the_same_decisions(tmp_path, program, multi):
    rng = random.Random(f"{program.__name__} {multi}")
    for turn in range(40):
        classes = nasty(rng, multi=multi)
        draw = (lambda: join(rng.sample(classes, rng.randint(0, 3)))) if multi else (lambda: rng.choice(classes))  # noqa: B023
        (folder := tmp_path / str(turn)).mkdir()
        table = Table(folder, classes, [draw() for _ in range(6)], multi=multi)
        expected = []
        for i, suggested in enumerate(table.query["suggested"]):
            label, action = draw(), rng.choice(["accept", "correct", "reject", "flag", ""])
            written = rng.choice([str, escape])(in_words(label)) if action in ("correct", "") else ""
            table.set(i, action=action, label=written)
            if action == "":
                action = "accept" if label == suggested else "correct"
            expected.append((action, {"accept": suggested, "correct": label}.get(action)))
        program(table, rng)
        assert table.answers() == expected, classes


@pytest.mark.parametrize("page", CODE_PAGES)
def test_any_code_page_is_known_by_the_names_in_it(tmp_path, page):
    rng = random.Random(page)
    everything = [chr(i) for first in (0xA0, 0x3040, 0x4E00, 0xAC00) for i in range(first, first + 0xDC0)]
    letters = [c for c in everything if c.isalpha() and c.encode(page, errors="ignore")]
    for turn in range(5):
        classes = sorted({"ab" + "".join(rng.choices(letters, k=rng.randint(1, 4))) for _ in range(4)})
        (folder := tmp_path / str(turn)).mkdir()
        table = Table(folder, classes, ["ab" + letters[0], *classes[:2]])
        for i in range(3):
            table.set(i, label=rng.choice(classes), file="1.png")
        labels = [row[table.header.index("label")] for row in table.rows]
        assert [label for _, label in table.save(encoding=page, separator=";").answers()] == labels


def by_value(cell: str, rng: random.Random) -> str:
    """A cell as a spreadsheet shows what it takes for a number, a truth value or a date."""
    if cell.casefold() in ("true", "false"):
        return cell.upper()
    if re.fullmatch(r"\d\d?[-/]\d\d?", cell):
        return "2-Jan"
    if re.fullmatch(r"[+-]?\d+([.]\d+)?(e\d)?", cell):
        return f"{float(cell):g}".replace(".", rng.choice(".,"))
    return cell


def test_a_label_that_was_rewritten_is_read_or_told_but_never_taken_for_another(tmp_path):
    rng = random.Random(0)
    names = [
        "0",
        "00",
        "1",
        "01",
        "001",
        "1.0",
        "1.5",
        "10",
        "1e1",
        "+1",
        "-1",
        "1-2",
        "2/1",
        "true",
        "TRUE",
        "a",
        "2-Jan",
    ]
    read = 0
    for turn in range(200):
        classes = sorted(rng.sample(names, rng.randint(2, 5)))
        (folder := tmp_path / str(turn)).mkdir()
        table = Table(folder, classes, [*classes, *classes])
        meant = [rng.choice(classes) for _ in table.rows]
        for i, label in enumerate(meant):
            table.set(i, label=by_value(label, rng), suggested=by_value(table.query["suggested"][i], rng))
        try:
            assert [label for _, label in table.save().answers()] == meant, classes
            read += 1
        except UserError:
            assert any(by_value(name, rng) != name for name in classes)
    assert read > 50
