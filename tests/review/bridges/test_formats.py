"""What goes out to each tool, and what comes back from it as people leave it there."""

from __future__ import annotations

import base64
import csv
import io
import json
import re
import zipfile
from dataclasses import replace
from xml.etree import ElementTree as Tree

import pytest
from bridged import CLASSES, picture, questions, said, written
from openpyxl import load_workbook
from PIL import Image

from adde_ray.errors import UserError
from adde_ray.review.bridges.base import sample_id_of
from adde_ray.review.bridges.formats import BRIDGES
from adde_ray.review.bridges.take import check
from adde_ray.review.cells import unescape

# Of a sample what a person did in the tool: the labels they chose, or what else they said.
SINGLE = {0: ("01",), 1: ("=cmd",), 2: "reject", 3: ("a, b",), 4: "flag", 5: ('café "quoted"',), 6: None}
MULTI = {0: ("<b>", "a, b"), 1: ("none",), 2: "reject", 3: ("café",), 4: "flag", 5: ("=cmd",), 6: None}


def chosen(multi: bool):
    return MULTI if multi else SINGLE


def expected(multi: bool) -> dict[str, tuple]:
    """sample_id -> action and canonical label."""
    suggested = {question.sample_id: question.suggested for question in questions(multi=multi).asked}
    found = {}
    for i, did in chosen(multi).items():
        sample_id = f"{i:032x}"
        if isinstance(did, str):
            found[sample_id] = (did, None)
        elif did:
            label = "|".join(sorted(name for name in did if name != "none" or not multi))
            found[sample_id] = ("accept" if label == suggested[sample_id] else "correct", label)
    return found


def in_label_studio(asked, folder, multi):
    """Somebody annotates: the choice of a label stays where another was made instead, as the page leaves it."""
    path = folder / "tasks.json"
    tasks = json.loads(path.read_text())
    for i, did in chosen(multi).items():
        result = []
        if isinstance(did, str):
            result += tasks[i]["predictions"][0]["result"]
        if did:
            control = ("action", [did]) if isinstance(did, str) else ("label", list(did))
            result.append({"from_name": control[0], "to_name": "sample", "type": "choices"})
            result[-1]["value"] = {"choices": control[1]}
        one = {"id": i + 1, "completed_by": 1, "result": result, "was_cancelled": did is None, "lead_time": 2.5}
        tasks[i]["annotations"] = [one]
    for task in tasks:
        task.setdefault("annotations", [])
    return written(folder / "export.json", tasks)


def in_cvat(asked, folder, multi):
    """Tags are set; those of the model stay where people add none."""
    path = folder / "annotations.xml"
    tree = Tree.parse(path)
    images = tree.findall("image")
    for i, did in chosen(multi).items():
        for tag in images[i].findall("tag"):
            images[i].remove(tag) if did else None
        for name in [f"adde:{did}"] if isinstance(did, str) else did or ():
            name = "adde:none" if multi and name == "none" else name
            Tree.SubElement(images[i], "tag", {"label": name, "source": "manual"})
    tree.write(path)
    with zipfile.ZipFile(folder / "export.zip", "w") as archive:
        archive.write(path, "annotations.xml")
    return folder / "export.zip"


def in_coco(asked, folder, multi):
    path = folder / "annotations.json"
    whole = json.loads(path.read_text())
    ids = {row["name"]: row["id"] for row in whole["categories"]}
    for i, did in chosen(multi).items():
        for name in [f"adde:{did}"] if isinstance(did, str) else did or ():
            name = "adde:none" if multi and name == "none" else name
            one = {"id": len(whole["annotations"]) + 1, "image_id": i + 1, "category_id": ids[name], "iscrowd": 0}
            whole["annotations"].append(one)
    return written(path, whole)


def in_a_table(asked, folder, multi):
    """Saved by a German Excel, with the columns moved and renamed."""
    path = folder / "review.csv"
    header, *rows = csv.reader(io.StringIO(path.read_text(encoding="utf-8"), newline=""))
    for i, did in chosen(multi).items():
        cell = dict(action=did) if isinstance(did, str) else dict(label="|".join(did or ()))
        for name, text in cell.items():
            rows[i][header.index(name)] = text
    keep = ["label", "action", "sample", "suggested", "sample_id", "rank"]
    names = ["Klasse", "Aktion", "sample", "suggested", "SAMPLE-ID", "Rank"]
    text = io.StringIO()
    csv.writer(text, delimiter=";").writerows(
        [["Antworten"], [], [*names, "eigenes"], *([*(row[header.index(n)] for n in keep), "x"] for row in rows), []]
    )
    path.write_bytes(text.getvalue().encode("cp1252"))
    return path


def in_a_workbook(asked, folder, multi):
    path = folder / "review.xlsx"
    book = load_workbook(path)
    sheet = book.active
    names = [cell.value for cell in sheet[1]]
    for i, did in chosen(multi).items():
        cell = dict(action=did) if isinstance(did, str) else dict(label="|".join(did or ()))
        for name, value in cell.items():
            sheet.cell(i + 2, names.index(name) + 1).value = value or None
            sheet.cell(i + 2, names.index(name) + 1).data_type = "s"
    book.save(path)
    return path


WAYS = {
    "label-studio": in_label_studio,
    "cvat": in_cvat,
    "coco": in_coco,
    "csv": in_a_table,
    "xlsx": in_a_workbook,
}


def test_every_bridge_has_its_way():
    assert WAYS.keys() == BRIDGES.keys()


@pytest.mark.parametrize("multi", [False, True], ids=["single", "multi"])
@pytest.mark.parametrize("name", WAYS)
def test_answers_come_back_as_they_were_given(tmp_path, name, multi):
    asked = questions(multi=multi)
    BRIDGES[name].export(asked, tmp_path)
    path = WAYS[name](asked, tmp_path, multi)
    found = check(asked, BRIDGES[name].read(path), path)
    assert {one.sample_id: (one.action, one.label) for one in found.answers} == expected(multi)
    assert [one.sample_id for one in found.answers] == sorted(expected(multi)), "in the query's order"
    assert len(found.skips) + found.unanswered + found.untouched == 2


@pytest.mark.parametrize("name", WAYS)
def test_what_goes_out_has_no_answer_yet(tmp_path, name):
    asked = questions()
    [first, *_] = BRIDGES[name].export(asked, tmp_path)
    path = {"cvat": tmp_path / "annotations.xml"}.get(name, first)
    if name == "label-studio":
        path = written(path, [task | {"annotations": []} for task in json.loads(path.read_text())])
    read = BRIDGES[name].read(path)
    assert not read.given and read.unanswered + len(read.untouched) == len(asked.asked)


@pytest.mark.parametrize("modality", ["text", "vector"])
@pytest.mark.parametrize("name", ["csv", "xlsx", "label-studio"])
def test_texts_and_vectors_go_out_whole(tmp_path, name, modality):
    asked = questions(modality)
    [path, *_] = BRIDGES[name].export(asked, tmp_path)
    if name == "label-studio":
        shown = [task["data"]["text"] for task in json.loads(path.read_text())]
        assert shown[1] == (asked.asked[1].payload if modality == "text" else "0.5 1")
        return
    if name == "csv":
        shown = [unescape(row["sample"]) for row in csv.DictReader(path.open(newline="", encoding="utf-8"))]
    else:
        shown = [row[2].value for row in load_workbook(path).active.iter_rows(min_row=2)]
    assert shown == [str(question.payload) for question in asked.asked]


@pytest.mark.parametrize("name", WAYS)
def test_a_suggestion_that_is_hidden_goes_nowhere(tmp_path, name):
    asked = questions(classes=("seen", "unseen"), count=2)
    hidden = tuple(replace(question, hides_guess=question.rank == 2) for question in asked.asked)
    [*paths] = BRIDGES[name].export(replace(asked, asked=hidden), tmp_path)
    path = paths[{"coco": 1, "cvat": 2}.get(name, 0)]
    if name == "xlsx":
        text = "\n".join(str(cell.value) for row in load_workbook(path).active.iter_rows() for cell in row)
    else:
        text = path.read_text()
    if name == "coco":
        assert [row["category_id"] for row in json.loads(text)] == [1]
    elif name == "cvat":
        assert [tag.get("label") for tag in Tree.fromstring(text).iter("tag")] == ["seen"]
    else:
        assert "unseen" not in text and "seen" in text


@pytest.mark.parametrize("name", ["cvat", "coco"])
def test_tools_for_images_say_so(tmp_path, name):
    with pytest.raises(UserError, match=r"is for images \(got 'text'\). Choose another: --to csv"):
        BRIDGES[name].export(questions("text"), tmp_path)


def test_a_workbook_never_holds_a_formula(tmp_path):
    asked = questions("text")
    [path, *_] = BRIDGES["xlsx"].export(asked, tmp_path)
    cells = [cell for row in load_workbook(path).active.iter_rows() for cell in row if cell.value is not None]
    assert {cell.data_type for cell in cells} == {"s"} and {cell.number_format for cell in cells} == {"@"}
    assert any(str(cell.value).startswith("=") for cell in cells)


# --- Label Studio -------------------------------------------------------------------------------------------


def test_label_studio_gets_tasks_in_order_with_pictures_inside(tmp_path):
    asked = questions()
    [path, interface] = BRIDGES["label-studio"].export(asked, tmp_path)
    tasks = json.loads(path.read_text())
    assert [task["data"]["sample_id"] for task in tasks] == [question.sample_id for question in asked.asked]
    head, _, data = tasks[3]["data"]["image"].partition(",")
    assert head == "data:image/png;base64" and base64.b64decode(data) == asked.asked[3].payload
    [prediction] = tasks[1]["predictions"]
    assert prediction["score"] == 0.25 and prediction["result"][0]["value"] == {"choices": ["<b>&amp;"]}
    root = Tree.fromstring(interface.read_text())
    values = [choice.get("value") for choice in root.find("Choices[@name='label']")]
    assert values == list(CLASSES[False]) and root.find("Image").get("value") == "$image"


def test_several_classes_have_a_choice_for_none_and_for_not_known(tmp_path):
    [_, interface] = BRIDGES["label-studio"].export(questions("text", multi=True), tmp_path)
    root = Tree.fromstring(interface.read_text())
    groups = {group.get("name"): group for group in root.findall("Choices")}
    assert [choice.get("value") for choice in groups["label"]] == [*CLASSES[True], "none"]
    assert groups["label"].get("choice") == "multiple" and len(groups["unknown"]) == len(CLASSES[True])


def test_a_class_with_a_dollar_is_no_field_of_the_task(tmp_path):
    asked = questions("text", classes=("$text", "cost $100", "01"))
    [_, interface] = BRIDGES["label-studio"].export(asked, tmp_path)
    shown = [choice.get("value") for choice in Tree.fromstring(interface.read_text()).find("Choices[@name='label']")]
    assert not any(re.search(r"\$\w", value) for value in shown)
    for value, name in zip(shown, asked.classes, strict=True):
        path = written(tmp_path / "x.json", annotated({"id": 1, "result": [choices(value)]}))
        assert [one.label for one in check(asked, BRIDGES["label-studio"].read(path), path).answers] == [name]


def test_a_large_picture_is_smaller_in_the_json(tmp_path):
    asked = questions(count=1)
    large = type(asked.asked[0])("0" * 32, 1, picture(0, 1500), "png", "01", 0.5, "real")
    BRIDGES["label-studio"].export(type(asked)(**{**vars(asked), "asked": (large,)}), tmp_path)
    [task] = json.loads((tmp_path / "tasks.json").read_text())
    data = base64.b64decode(task["data"]["image"].partition(",")[2])
    assert Image.open(io.BytesIO(data)).size == (1024, 1024)


def annotated(*annotations: dict, **data) -> list:
    whole = [{"id": 1, "data": {"sample_id": "0" * 32} | data, "annotations": list(annotations)}]
    return whole


def choices(*names: str, control: str = "label") -> dict:
    return {"from_name": control, "to_name": "sample", "type": "choices", "value": {"choices": list(names)}}


def test_several_annotators_their_times_and_comments_are_kept(tmp_path):
    comment = {"from_name": "comment", "type": "textarea", "value": {"text": ["blurred", "dark"]}}
    path = written(
        tmp_path / "x.json",
        annotated(
            {"id": 5, "completed_by": {"id": 1, "email": "ann@x"}, "result": [choices("01"), comment], "lead_time": 3},
            {"id": 6, "completed_by": 2, "result": [choices("=cmd")], "unique_id": "u-6", "lead_time": 1e300},
            {"id": 7, "completed_by": 3, "result": []},
        ),
    )
    read = BRIDGES["label-studio"].read(path)
    assert [(one.annotator, one.seconds, one.comment, one.source) for one in read.given] == [
        ("ann@x", 3.0, "blurred\ndark", "1/5"),
        ("user 2", None, "", "u-6"),
    ]
    assert [one.label for one in check(questions(), read, path).answers] == ["01", "=cmd"]


def test_what_cannot_be_told_is_said_class_by_class(tmp_path):
    result = [choices("<b>", "café"), choices("café", control="unknown")]
    path = written(tmp_path / "x.json", annotated({"id": 1, "result": result}))
    [found] = check(questions(multi=True), BRIDGES["label-studio"].read(path), path).answers
    assert found.label == "<b>|?café"


def test_a_flat_export_is_read(tmp_path):
    rows = [
        {"sample_id": "0" * 32, "label": "01", "annotation_id": 3, "annotator": 1, "lead_time": 2.0, "comment": "x"},
        {"sample_id": "1".rjust(32, "0"), "action": "reject", "label": "01", "annotation_id": 4, "annotator": 1},
    ]
    read = BRIDGES["label-studio"].read(written(tmp_path / "x.json", rows))
    assert [(one.action, one.labels, one.comment) for one in read.given] == [("", ("01",), "x"), ("reject", None, "")]


def test_a_project_that_somebody_else_made_is_known_by_its_files(tmp_path):
    whole = [{"data": {"pic": f"/data/upload/1/ab-{'1'.rjust(32, '0')}.png"}, "annotations": [{"result": []}]}]
    whole[0]["annotations"][0]["result"] = [choices("01", control="kind")]
    [one] = BRIDGES["label-studio"].read(written(tmp_path / "x.json", whole)).given
    assert one.sample_id == "1".rjust(32, "0") and one.labels == ("01",)


# --- CVAT and COCO ------------------------------------------------------------------------------------------


def test_cvat_gets_pictures_labels_and_suggestions(tmp_path):
    asked = questions(multi=True)
    archive, labels, _ = BRIDGES["cvat"].export(asked, tmp_path)
    with zipfile.ZipFile(archive) as images:
        names = images.namelist()
        assert names == sorted(names) and images.read(names[2]) == asked.asked[2].payload
    assert [sample_id_of(name) for name in names] == [question.sample_id for question in asked.asked]
    assert [row["name"] for row in json.loads(labels.read_text())] == [
        *CLASSES[True], "adde:reject", "adde:flag", "adde:none",
    ]  # fmt: skip
    tags = Tree.parse(tmp_path / "annotations.xml").findall("image")[1].findall("tag")
    assert [(tag.get("label"), tag.get("source")) for tag in tags] == [("<b>", "auto"), ("=cmd", "auto")]


def test_what_nobody_changed_in_cvat_counts_where_that_is_said(tmp_path):
    asked = questions()
    BRIDGES["cvat"].export(asked, tmp_path)
    path = tmp_path / "annotations.xml"
    read = BRIDGES["cvat"].read(path)
    assert not check(asked, read, path).answers and check(asked, read, path).untouched == 8
    taken = check(asked, read, path, accept_untouched=True).answers
    assert [one.action for one in taken] == ["accept"] * 8


def test_who_was_assigned_answered(tmp_path):
    path = tmp_path / "x.xml"
    path.write_text(
        "<annotations><meta><task><assignee><username>ann</username></assignee></task></meta>"
        f'<image id="0" name="a/b/{"0" * 32}.png"><tag label="01" source="manual"><attribute name="comment">dark'
        '</attribute></tag><box label="x"/></image></annotations>'
    )
    [one] = BRIDGES["cvat"].read(path).given
    assert (one.annotator, one.comment, one.sample_id) == ("ann", "dark", "0" * 32)


def test_coco_of_a_detector_counts_as_the_classes_in_each_image(tmp_path):
    whole = {
        "images": [{"id": 7, "file_name": f"{'0' * 32}.png"}, {"id": 8, "file_name": f"x/{'1'.rjust(32, '0')}.png"}],
        "categories": [{"id": 1, "name": "=cmd"}, {"id": 2, "name": "<b>"}],
        "annotations": [
            {"id": 1, "image_id": 7, "category_id": 2, "bbox": [0, 0, 1, 1]},
            {"id": 2, "image_id": 7, "category_id": 1, "bbox": [1, 1, 1, 1]},
            {"id": 3, "image_id": 7, "category_id": 2, "bbox": [2, 0, 1, 1]},
            {"id": 4, "image_id": 8, "category_id": 1, "score": 0.9},
        ],
    }
    path = written(tmp_path / "x.json", whole)
    read = BRIDGES["coco"].read(path)
    assert said(read.given) == {"0" * 32: ("", ("<b>", "=cmd"))} and read.unanswered == 1
    assert check(questions(multi=True), read, path).answers[0].label == "<b>|=cmd"


def test_coco_gets_predictions_beside_what_is_to_be_annotated(tmp_path):
    asked = questions()
    whole, predictions, images = BRIDGES["coco"].export(asked, tmp_path)
    tree = json.loads(whole.read_text())
    assert tree["annotations"] == [] and [(row["width"], row["height"]) for row in tree["images"]] == [(8, 8)] * 8
    assert json.loads(predictions.read_text())[1] == {"image_id": 2, "category_id": 2, "score": 0.25}
    assert sorted(path.name for path in images.iterdir()) == [row["file_name"] for row in tree["images"]]
