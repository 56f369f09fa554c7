"""Review by file: what goes out, what comes back, and what people get wrong in a spreadsheet."""

import csv

import polars as pl
import pytest

from adde_ray.artifacts.schema import QUERY, frame
from adde_ray.errors import UserError
from adde_ray.review.read_review import read_review
from adde_ray.review.write_review import COLUMNS, write_review

CLASSES = ("a", "b")


@pytest.fixture
def out(tmp_path):
    rows = [
        {"sample_id": i, "rank": r, "suggested": "a", "origin": "real", "confidence": 0.5} for r, i in enumerate("xy")
    ]
    query = frame(rows, QUERY)
    path = write_review(tmp_path, query.with_columns(pl.Series("text", ["good, day", "évening"])), "text")
    return path, query


def fill(path, answers, **fmt):
    with path.open(newline="", encoding="utf-8-sig") as file:
        rows = list(csv.DictReader(file))
    with path.open("w", newline="", encoding=fmt.pop("encoding", "utf-8")) as file:
        writer = csv.DictWriter(file, COLUMNS, **fmt)
        writer.writeheader()
        writer.writerows(row | answers.get(row["sample_id"], {}) for row in rows)


def decided(path, query, classes=CLASSES, *, multi=False):
    """DECISIONS, or None while a line is open."""
    answers = read_review(path, query, classes, t=0, multi=multi)
    return None if answers.open else answers.decisions


def test_waits_until_every_row_is_answered(out):
    path, query = out
    assert decided(path, query) is None
    fill(path, {"x": {"action": "accept"}})
    assert decided(path, query) is None
    fill(path, {"y": {"action": "correct", "label": "b", "annotator": "ann"}})
    decisions = decided(path, query)
    assert decisions.select("sample_id", "action", "label", "annotator").rows() == [
        ("x", "accept", "a", "file"),
        ("y", "correct", "b", "ann"),
    ]


def test_as_a_spreadsheet_saves_it(out):
    path, query = out
    fill(path, {"x": {"action": "Reject "}, "y": {"label": "b"}}, delimiter=";", encoding="utf-8-sig")
    decisions = decided(path, query)
    assert decisions.select("action", "label").rows() == [("reject", None), ("correct", "b")]


def test_answers_are_never_overwritten(out):
    path, query = out
    fill(path, {"x": {"action": "accept"}})
    before = path.read_bytes()
    write_review(path.parent, query.with_columns(pl.Series("text", ["other", "other"])), "text")
    assert path.read_bytes() == before


@pytest.mark.parametrize(
    ("answer", "message"),
    [
        ({"action": "yes"}, r"review.csv:2: unknown action \(got 'yes'\). Choose one of: accept"),
        ({"action": "accept", "label": "b"}, r"review.csv:2: accept means the suggested class, 'a', .*got 'b'"),
        ({"action": "correct", "label": "c"}, r"review.csv:2: unknown label \(got 'c'\). Choose one of: a, b"),
        ({"sample_id": "nobody", "action": "accept"}, "no sample of this query"),
    ],
)
def test_mistakes_name_the_line(out, answer, message):
    path, query = out
    fill(path, {"x": answer})
    with pytest.raises(UserError, match=message):
        decided(path, query)


def test_images_lie_beside_the_table(tmp_path):
    query = frame([{"sample_id": "x", "rank": 1, "suggested": "a", "confidence": 0.5}], QUERY)
    path = write_review(tmp_path, query.with_columns(pl.Series("image", [b"png"])), "image")
    assert (tmp_path / "review" / "x.png").read_bytes() == b"png" and "review/x.png" in path.read_text()


def test_the_original_file_is_named_where_it_is_known(tmp_path):
    query = frame([{"sample_id": "x", "rank": 1, "suggested": "a", "confidence": 0.5}], QUERY)
    query = query.with_columns(pl.Series("text", ["words"]))
    plain, named = tmp_path / "plain", tmp_path / "named"
    assert "file" not in write_review(plain, query, "text").read_text().partition("\n")[0].split(",")
    path = write_review(named, query.with_columns(file=pl.lit("unlabelled/1.png")), "text")
    assert next(csv.DictReader(path.open()))["file"] == "unlabelled/1.png"
    assert decided(path, query) is None


def test_a_text_is_never_a_formula(tmp_path):
    query = frame([{"sample_id": "x", "rank": 1, "suggested": "a", "confidence": 0.5}], QUERY)
    path = write_review(tmp_path, query.with_columns(pl.Series("text", ['=HYPERLINK("x")'])), "text")
    assert next(csv.DictReader(path.open()))["sample"] == '\'=HYPERLINK("x")'


def test_what_fits_no_cell_lies_beside_the_table(tmp_path):
    """A spreadsheet cuts long texts, and Python's csv module refuses to read very long ones back."""
    query = frame([{"sample_id": "x", "rank": 1, "suggested": "a", "confidence": 0.5}], QUERY)
    long = "é" * 200_000
    path = write_review(tmp_path, query.with_columns(pl.Series("text", [long])), "text")
    assert (tmp_path / "review" / "x.txt").read_text(encoding="utf-8") == long and "review/x.txt" in path.read_text()
    fill(path, {"x": {"action": "accept"}})
    assert len(decided(path, query)) == 1


def test_a_table_that_lost_lines_or_gained_empty_ones(out):
    path, query = out
    fill(path, {"x": {"action": "accept"}, "y": {"action": "accept"}})
    header, first, *_ = path.read_text(encoding="utf-8").splitlines()
    path.write_text("\n".join([header, first, "," * header.count(","), ""]))
    with pytest.raises(UserError, match=r"review.csv: a sample is missing \(1 in all\) \(got 'y'\)"):
        decided(path, query)
    path.unlink()
    assert write_review(path.parent, query.with_columns(text=pl.lit("again")), "text") == path


class TestMultiLabel:
    CLASSES = ("Edema", "Fracture", "Pleural Effusion")

    @pytest.fixture
    def sheet(self, tmp_path):
        suggested = ["", "Edema|Fracture", "Edema"]
        rows = [
            {"sample_id": i, "rank": r, "suggested": s, "origin": "real", "confidence": 0.5}
            for r, (i, s) in enumerate(zip("xyz", suggested, strict=True))
        ]
        query = frame(rows, QUERY)
        shown = query.with_columns(pl.Series("text", ["a", "b", "c"]))
        return write_review(tmp_path, shown, "text", self.CLASSES, multi=True), query

    def answers(self, sheet, given):
        path, query = sheet
        fill(path, given)
        decisions = decided(path, query, self.CLASSES, multi=True)
        return None if decisions is None else decisions.select("action", "label").rows()

    def test_no_class_is_a_word_and_an_empty_cell_is_no_answer(self, sheet):
        with sheet[0].open(newline="") as file:
            assert [row["suggested"] for row in csv.DictReader(file)] == ["none", "Edema|Fracture", "Edema"]
        assert "none: an empty cell is no answer" in (sheet[0].parent / "review.txt").read_text()
        given = {"x": {"action": "accept"}, "y": {"label": "None"}, "z": {"label": ""}}
        assert self.answers(sheet, given) is None
        assert self.answers(sheet, {"z": {"action": "accept", "label": "Edema"}}) == [
            ("accept", ""),
            ("correct", ""),
            ("accept", "Edema"),
        ]

    def test_classes_in_any_order_and_one_that_cannot_be_told(self, sheet):
        given = {
            "x": {"label": "none"},
            "y": {"label": "Fracture | Edema"},
            "z": {"label": "?Fracture|Pleural Effusion"},
        }
        expected = [("accept", ""), ("accept", "Edema|Fracture"), ("correct", "Pleural Effusion|?Fracture")]
        assert self.answers(sheet, given) == expected

    @pytest.mark.parametrize(
        ("answer", "message"),
        [
            ({"label": "Edema|Oedema"}, r"unknown label \(got 'Oedema'\).*classes are: Edema, Fracture, Pleural"),
            ({"action": "correct"}, "unknown label"),
            ({"action": "accept", "label": "Edema"}, r"accept means the suggested class, 'none', .*'Edema'"),
        ],
    )
    def test_mistakes_are_one_line(self, sheet, answer, message):
        with pytest.raises(UserError, match=message) as error:
            self.answers(sheet, {"x": answer})
        assert "\n" not in str(error.value)
