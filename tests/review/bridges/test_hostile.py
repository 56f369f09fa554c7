"""Files that somebody made to do harm, or that some program broke: one line or a few, and nothing is taken."""

from __future__ import annotations

import contextlib
import io
import json
import random
import zipfile

import pytest
from bridged import questions, written

from adde_ray.errors import UserError
from adde_ray.review.bridges import cvat
from adde_ray.review.bridges.base import Given, Read, sample_id_of
from adde_ray.review.bridges.commands import _kind
from adde_ray.review.bridges.formats import BRIDGES
from adde_ray.review.bridges.take import check

ID = "0" * 32
LAUGHS = (
    '<!DOCTYPE x [<!ENTITY a "ha"><!ENTITY b "&a;&a;&a;&a;"><!ENTITY c "&b;&b;&b;&b;">]><annotations>&c;</annotations>'
)
STEALS = '<!DOCTYPE x [<!ENTITY a SYSTEM "file:///etc/passwd">]><annotations>&a;</annotations>'
IMAGE = {"id": 1, "file_name": f"{ID}.png"}
CATEGORY = {"id": 1, "name": "01"}


def coco(**parts) -> str:
    return json.dumps({"images": [IMAGE], "categories": [CATEGORY], "annotations": []} | parts)


FILES = {
    "billion laughs": ("cvat", LAUGHS, "a document type or entities"),
    "a file of the system": ("cvat", STEALS, "a document type or entities"),
    "a document type alone": ("cvat", "<!DOCTYPE annotations><annotations/>", "a document type or entities"),
    "no XML": ("cvat", "hello", "is not XML"),
    "cut short": ("cvat", "<annotations><image", "is not XML"),
    "another XML": ("cvat", "<svg/>", "is no XML of CVAT"),
    "an encoding nobody knows": ("cvat", '<?xml version="1.0" encoding="bogus"?><annotations/>', "is not XML"),
    "tags that exclude each other": (
        "cvat",
        f'<annotations><image name="{ID}.png"><tag label="01"/><tag label="adde:reject"/></image></annotations>',
        r"image 0{32}.png: labels that exclude each other \(got '01, adde:reject'\)",
    ),
    "no JSON": ("coco", "{", "is not JSON"),
    "a list": ("coco", "[]", "holds no JSON object"),
    "deep": ("coco", '{"a":' * 100_000, "nested too deeply"),
    "deep lists": ("label-studio", "[" * 100_000 + "]" * 100_000, "nested too deeply"),
    "a number of thousands of digits": ("coco", '{"images": ' + "9" * 5000 + "}", "thousands of digits"),
    "not a number": ("label-studio", "[NaN]", "NaN"),
    "a key twice": ("coco", '{"images": [], "images": []}', "twice"),
    "no images": ("coco", "{}", "no list of images"),
    "images that are none": ("coco", coco(images=[7]), r"images\[0\]: is no COCO: an object without id"),
    "a list for an id": ("coco", coco(images=[{"id": [], "file_name": "x"}]), "an object without id"),
    "an image that is not there": (
        "coco",
        coco(annotations=[{"image_id": 2, "category_id": 1}]),
        r"annotations\[0\]: image_id is nobody's id \(got 2\)",
    ),
    "a category that is not there": (
        "coco",
        coco(annotations=[{"image_id": 1, "category_id": "x"}, {"image_id": 3, "category_id": 1}]),
        "2 mistakes, so nothing is taken",
    ),
    "an object": ("label-studio", "{}", "holds no JSON"),
    "tasks that are none": ("label-studio", "[1, {}]", "2 mistakes"),
    "annotations that are none": ("label-studio", '[{"data": {}, "annotations": [3]}]', "task 1: is no task"),
    "choices that are none": (
        "label-studio",
        '[{"data": {}, "annotations": [{"result": [{"type": "choices", "value": {"choices": [{}]}}]}]}]',
        "is no task",
    ),
    "not UTF-8": ("label-studio", b'["\xff"]', "not in UTF-8"),
    "no table": ("csv", "hello", "columns are missing: sample_id, label"),
    "a cell too many": ("csv", f"sample_id,label\n{ID},01,=cmd\n", "more cells than the header has columns"),
}


@pytest.mark.parametrize("name", FILES)
def test_a_hostile_file_is_refused_in_a_line(tmp_path, name):
    bridge, text, message = FILES[name]
    path = tmp_path / "x"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    with pytest.raises(UserError, match=message) as error:
        BRIDGES[bridge].read(path)
    assert str(path) in str(error.value) and all(len(line) < 3000 for line in error.value.lines)


@pytest.mark.parametrize("name", BRIDGES)
def test_what_is_no_file_is_said(tmp_path, name):
    for path in (tmp_path, tmp_path / "nothing"):
        with pytest.raises(UserError, match=r"is no file|is a folder|[Nn]o such file"):
            BRIDGES[name].read(path)


def test_deep_xml_is_read_without_harm(tmp_path):
    path = tmp_path / "x.xml"
    path.write_text("<annotations>" + "<image>" * 50_000 + "</image>" * 50_000 + "</annotations>")
    assert BRIDGES["cvat"].read(path).given == []


def zipped(**parts: bytes) -> bytes:
    data = io.BytesIO()
    with zipfile.ZipFile(data, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, part in parts.items():
            archive.writestr(name, part)
    return data.getvalue()


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (zipped(**{"../../annotations.xml": b"<annotations/>"}), "a ZIP without annotations.xml"),
        (zipped(**{"annotations.xml": b" " * (cvat.MOST + 1)}), "is larger than 64 MiB"),
        (zipped(**{"annotations.xml": b"<annotations/>" * 99})[:-40], "a ZIP that cannot be read"),
        (b"PK\x03\x04" + b"\0" * 50, "a ZIP that cannot be read"),
    ],
    ids=["a path that leads out", "a bomb", "cut short", "no ZIP"],
)
def test_a_hostile_archive_is_refused_and_nothing_is_unpacked(tmp_path, data, message):
    (tmp_path / "in").mkdir()
    path = tmp_path / "in" / "x.zip"
    path.write_bytes(data)
    with pytest.raises(UserError, match=message):
        BRIDGES["cvat"].read(path)
    assert [p for p in tmp_path.rglob("*") if p.is_file()] == [path]


def test_a_broken_stream_in_an_archive_is_refused(tmp_path):
    data = bytearray(zipped(**{"annotations.xml": b"<annotations>" + bytes(range(32, 100)) * 9}))
    data[60:80] = b"\xff" * 20
    (tmp_path / "x.zip").write_bytes(data)
    with pytest.raises(UserError, match="a ZIP that cannot be read"):
        BRIDGES["cvat"].read(tmp_path / "x.zip")


@pytest.mark.parametrize(
    ("name", "sample_id"),
    [
        (f"../../{ID}.png", ID),
        (f"c:\\x\\00001_{ID.upper()}.PNG", ID),
        (f"/etc/{ID[:-1]}g.png", f"{ID[:-1]}g"),
        ("..", "."),
        ("", ""),
    ],
)
def test_a_file_name_is_no_more_than_an_id(name, sample_id):
    assert sample_id_of(name) == sample_id


# --- answers ------------------------------------------------------------------------------------------------


def told(*given: Given, multi: bool = False, **options) -> tuple[str, ...]:
    with pytest.raises(UserError) as error:
        check(questions(multi=multi), Read(list(given)), "x.json", **options)
    return error.value.lines


def test_all_mistakes_are_told_at_once_each_with_its_place():
    lines = told(
        Given("x.json: task 1", "nobody", labels=("01",)),
        Given("x.json: task 2", ID, labels=("zebra",)),
        Given("x.json: task 3", ID, action="maybe"),
        Given("x.json: task 4", ID, labels=("01", "=cmd")),
        Given("x.json: task 5", ID, action="accept", labels=("=cmd",)),
        Given("x.json: task 6", ID, labels=("01",), comment="x" * 10_001),
    )
    assert lines[0] == "x.json: 6 mistakes, so nothing is taken."
    for line, message in zip(
        lines[1:],
        [
            "task 1: no sample of this run (got 'nobody'). Remove it, or give the run that asked about it.",
            "task 2: unknown label (got 'zebra'). Choose one of: 01",
            "task 3: unknown action (got 'maybe')",
            "task 4: several labels, where one class holds of each sample (got '01, =cmd'). Keep one",
            "task 5: accept means the suggested class, '01', but another label stands beside it (got '=cmd')",
            "task 6: comment of more than 10,000 characters",
        ],
        strict=True,
    ):
        assert message in line


def test_what_one_person_says_twice_must_agree_and_two_may_differ():
    mine = Given("task 1", ID, labels=("01",), annotator="ann")
    [line] = told(mine, Given("task 9", ID, labels=("=cmd",), annotator="ann"))
    assert "task 9: contradicts the answer at task 1, which says accept '01' (got \"correct '=cmd'\")" in line
    read = Read([mine, Given("task 9", ID, labels=("=cmd",), annotator="bob")])
    assert [one.annotator for one in check(questions(), read, "x").answers] == ["ann", "bob"]


def test_text_that_no_table_or_terminal_can_hold_is_made_plain():
    read = Read([Given("x", ID, labels=("01",), annotator="an\x1b[31mn\ud800", comment="a\0b\nc\td\u202e")])
    [one] = check(questions(), read, "x").answers
    assert (one.annotator, one.comment) == ("an\ufffd[31mn\ufffd", "a\ufffdb\nc\td\ufffd")


def test_earlier_rounds_are_counted_and_what_changed_of_them():
    said = [{"labels": ("01",)}, {"labels": ("=cmd",)}, {"action": "reject"}, {"action": "skip"}, {}]
    found = check(questions(), Read([Given("x", "f" * 32, **one) for one in said]), "x")
    assert (found.earlier, found.changed, found.answers) == (3, 2, [])


def test_many_mistakes_are_counted(tmp_path):
    whole = [{"data": {"sample_id": "x" * 500}, "annotations": [{"result": []}]}] * 5
    for task in whole:
        task["annotations"] = [{"result": [{"type": "choices", "value": {"choices": ["\ud800" * 9]}}]}]
    path = written(tmp_path / "x.json", whole * 20)
    with pytest.raises(UserError) as error:
        check(questions(), BRIDGES["label-studio"].read(path), path)
    assert len(error.value.lines) == 22 and error.value.lines[-1] == "and 80 more"


# --- whatever may be in a file ------------------------------------------------------------------------------

JUNK = (None, True, -1, 1e308, 10**400, "", "\ud800", [], {}, [[]], "none", "adde:reject", "?", "|", "\0")


def altered(value, rng: random.Random):
    """A JSON value with some of its parts gone, or others in their place."""
    if rng.random() < 0.03:
        return rng.choice(JUNK)
    if isinstance(value, dict):
        return {key: altered(part, rng) for key, part in value.items() if rng.random() > 0.02}
    return [altered(part, rng) for part in value] if isinstance(value, list) else value


def damaged(data: bytes, rng: random.Random) -> bytes:
    """Bytes some of which are others, gone, or there twice."""
    for _ in range(rng.randint(1, 8)):
        at, length = rng.randrange(len(data) + 1), rng.randint(1, 40)
        new = (rng.randbytes(1), b"", data[at : at + length] * 2, bytes(rng.choices(b'<>&"[]{},;=\n\0', k=length)))
        data = data[:at] + rng.choice(new) + data[at + length :]
    return data


@pytest.mark.parametrize("name", BRIDGES)
def test_whatever_is_in_a_file_is_read_or_told(tmp_path, name):
    rng, path = random.Random(name), tmp_path / "x"
    asked = [questions(), questions(multi=True)]
    exports = []
    for number, one in enumerate(asked):
        folder = tmp_path / str(number)
        folder.mkdir()
        BRIDGES[name].export(one, folder)
        exports += [file.read_bytes() for file in sorted(folder.iterdir()) if file.is_file()]
    told = 0
    for _ in range(150):
        data = rng.choice(exports)
        with contextlib.suppress(ValueError):
            data = json.dumps(altered(json.loads(data), rng)).encode()
        path.write_bytes(damaged(data, rng) if rng.random() < 0.5 else data)
        try:
            _kind(path)
            check(rng.choice(asked), BRIDGES[name].read(path), path, accept_untouched=True)
        except UserError:
            told += 1
    assert told > 0
