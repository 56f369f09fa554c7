"""Label Studio's JSON: tasks with predictions and a labelling interface out, annotations in.

What is skipped there (cancelled) stays open. Where somebody rejects or flags, the label that stands beside it is passed
over: Label Studio fills it in with the prediction.
"""

from __future__ import annotations

import base64
import io
import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as Tree

from adde_ray.config import documents
from adde_ray.errors import Mistakes, UserError
from adde_ray.labels import NONE, UNKNOWN
from adde_ray.review.actions import TABLE as ACTIONS
from adde_ray.review.bridges.base import MAX_BYTES, SKIP, Given, Question, Questions, Read, sample_id_of
from adde_ray.review.bridges.cvat import plain
from adde_ray.review.bridges.tables import seconds

TASKS, INTERFACE = "tasks.json", "interface.xml"

LABEL, ACTION, NOT_KNOWN, COMMENT, SAMPLE = "label", "action", "unknown", "comment", "sample"
"""The interface's controls, by name, and what they are about."""

LARGE, SIDE = 2**20, 1024
"""An image of more bytes goes into tasks.json as a PNG of at most so many pixels a side."""

FIELDS = 200
"""Fields of a task's data that are read."""


class LabelStudio:
    """See the module."""

    def export(self, questions: Questions, folder: Path) -> list[Path]:
        """Write tasks.json, with its images inside, and interface.xml."""
        written = [folder / TASKS, folder / INTERFACE]
        made = tasks(questions, {}, embedded)
        written[0].write_text(json.dumps(made, ensure_ascii=False, indent=1), encoding="utf-8")
        written[1].write_text(interface(questions), encoding="utf-8")
        return written

    def read(self, path: Path) -> Read:
        """Raises UserError and Mistakes: no export of Label Studio."""
        text = documents.read_text(path, limit=MAX_BYTES)
        return read_tasks(documents.parse_json(text, where=path, kind=list), path)


# --- out ----------------------------------------------------------------------------------------------------


def interface(questions: Questions) -> str:
    """The labelling interface: what is seen, a choice of class, what else can be said, and a comment."""
    root = Tree.Element("View")
    if questions.modality == "image":
        Tree.SubElement(root, "Image", name=SAMPLE, value="$image", zoom="true", zoomControl="true")
    else:
        Tree.SubElement(root, "Text", name=SAMPLE, value="$text")
    classes = [*questions.classes, *([NONE] if questions.multi else [])]
    _choices(root, LABEL, "The label", classes, multi=questions.multi)
    if questions.multi:
        _choices(root, NOT_KNOWN, "Cannot be told", questions.classes, multi=True)
    _choices(root, ACTION, "Or instead of a label", ("reject", "flag"), multi=False)
    Tree.SubElement(root, "TextArea", name=COMMENT, toName=SAMPLE, placeholder="Comment", maxSubmissions="1")
    Tree.indent(root)
    return Tree.tostring(root, encoding="unicode")


def _choices(root: Tree.Element, name: str, title: str, values, *, multi: bool) -> None:
    Tree.SubElement(root, "Header", value=title, size="5")
    group = Tree.SubElement(
        root, "Choices", name=name, toName=SAMPLE, choice="multiple" if multi else "single", showInline="true"
    )
    for value in values:
        said = {"hint": ACTIONS[value].means} if name == ACTION else {}
        Tree.SubElement(group, "Choice", {"value": _shown(value), **said})


def _shown(name: str) -> str:
    """A class as a choice. `$100` would be shown as the field `100` of the task, so a mark that nobody sees stands
    between; labels are read without it (`review.names`)."""
    return plain(name).replace("$", "$\u200b")


def tasks(questions: Questions, pushed: Mapping[str, Any], shown: Callable[[Question], str]) -> list[dict]:
    """The query as tasks, in its order, without those of which `pushed` has the sample_id.

    shown: of a question with an image the address under which Label Studio finds it.
    """
    found = []
    for question in questions.asked:
        if question.sample_id in pushed:
            continue
        is_image = isinstance(question.payload, bytes)
        data: dict[str, Any] = {
            "sample_id": question.sample_id,
            "run": questions.run,
            "round": questions.round,
            "rank": question.rank,
            "image" if is_image else "text": shown(question) if is_image else _words(question.payload),
        }
        found.append({"data": data, "predictions": _predictions(questions, question)})
    return found


def _words(payload: str | list[float] | bytes) -> str:
    return payload if isinstance(payload, str) else " ".join(f"{float(value):.6g}" for value in payload)


def _predictions(questions: Questions, question: Question) -> list[dict]:
    names = [_shown(name) for name in questions.suggested(question)]
    if questions.multi and not names and question.shown is not None:
        names = [NONE]
    if not names:
        return []
    chosen = {"from_name": LABEL, "to_name": SAMPLE, "type": "choices", "value": {"choices": names}}
    version = f"adde_ray round {questions.round}"
    return [{"model_version": version, "score": round(question.confidence, 4), "result": [chosen]}]


def embedded(question: Question) -> str:
    """An image as an address that holds all of it."""
    data, kind = question.payload, {"jpg": "jpeg"}.get(question.extension, question.extension)
    assert isinstance(data, bytes)
    if len(data) > LARGE:
        from PIL import Image

        with Image.open(io.BytesIO(data)) as opened:
            opened.thumbnail((SIDE, SIDE))
            smaller = io.BytesIO()
            opened.convert("L" if opened.mode == "L" else "RGB").save(smaller, "PNG")
        data, kind = smaller.getvalue(), "png"
    return f"data:image/{kind};base64,{base64.b64encode(data).decode()}"


# --- in -----------------------------------------------------------------------------------------------------


def read_tasks(found: list, where: object, people: Mapping[int, str] | None = None) -> Read:
    """What an export says, whole (JSON) or flat (JSON-MIN). people: user's number -> name.

    Raises UserError and Mistakes: tasks or annotations that are none.
    """
    given: list[Given] = []
    mistakes: list[UserError] = []
    unanswered = 0
    for number, task in enumerate(found):
        place = f"{where}: task {number + 1}"
        try:
            of_task = _of_task(task, place, people or {})
        except UserError as error:
            mistakes.append(error)
            continue
        given += of_task
        unanswered += not of_task
    if mistakes:
        raise Mistakes(mistakes, where=where)
    return Read(given, unanswered)


def _of_task(task: Any, place: str, people: Mapping[int, str]) -> list[Given]:
    flat = isinstance(task, dict) and "annotations" not in task and "annotation_id" in task
    data = task if flat else _get(task, "data", dict, place)
    if flat:
        return _of_flat(task, place, people)
    held = list(data.items())[:FIELDS]
    fields = {name: str(value) for name, value in held if isinstance(value, (str, int, float))}
    sample_id = fields.get("sample_id") or next((sample_id_of(x) for x in fields.values() if _is_path(x)), "")
    found = []
    for annotation in _get(task, "annotations", list, place):
        results = _get(annotation, "result", list, place)
        said: dict[str, Any] = _said(results, place)
        if annotation.get("was_cancelled") is True:
            said = {"action": SKIP}
        if not said:
            continue
        found.append(
            Given(
                f"{place}, annotation {annotation.get('id', len(found) + 1)}",
                sample_id,
                annotator=_person(annotation.get("completed_by"), people),
                seconds=seconds(annotation.get("lead_time")),
                source=str(annotation.get("unique_id") or f"{task.get('id')}/{annotation.get('id')}"),
                fields=fields,
                **said,
            )
        )
    return found


def _of_flat(task: dict, place: str, people: Mapping[int, str]) -> list[Given]:
    results = []
    for name in (LABEL, NOT_KNOWN, ACTION):
        if (value := task.get(name)) is not None:
            choices = value.get("choices") if isinstance(value, dict) else value if isinstance(value, list) else [value]
            results.append({"from_name": name, "type": "choices", "value": {"choices": choices}})
    if isinstance(task.get(COMMENT), str):
        results.append({"from_name": COMMENT, "type": "textarea", "value": {"text": task[COMMENT]}})
    whole = {
        "id": task.get("id"),
        "data": {name: value for name, value in task.items() if name not in (LABEL, NOT_KNOWN, ACTION, COMMENT)},
        "annotations": [
            {
                "id": task["annotation_id"],
                "result": results,
                "completed_by": task.get("annotator"),
                "lead_time": task.get("lead_time"),
            }
        ],
    }
    return _of_task(whole, place, people)


def _said(results: list, place: str) -> dict[str, Any]:
    """action, labels and comment of an annotation; nothing where it says nothing."""
    choices: dict[str, list[str]] = {}
    comments: list[str] = []
    for result in results:
        value = _get(result, "value", dict, place)
        name = result.get("from_name")
        if result.get("type") == "choices":
            choices.setdefault(str(name), []).extend(_texts(value.get("choices"), place))
        elif result.get("type") == "textarea" and name == COMMENT:
            comments += _texts(value.get("text"), place)
    action, unknown = choices.pop(ACTION, []), choices.pop(NOT_KNOWN, [])
    labels = choices.get(LABEL) or [name for names in choices.values() for name in names]
    said: dict[str, Any] = {"comment": "\n".join(comments)} if comments else {}
    if action:
        return said | {"action": action[0]}
    if labels or unknown:
        sure = [name for name in labels if name not in unknown and not (unknown and name == NONE)]
        return said | {"labels": (*sure, *(f"{UNKNOWN}{name}" for name in unknown))}
    return {}


def _texts(value: Any, place: str) -> list[str]:
    texts = [value] if isinstance(value, str) else value
    if not isinstance(texts, list) or not all(isinstance(text, (str, int, float)) for text in texts):
        raise _no_export(place, value)
    return [str(text) for text in texts]


def _get(holder: Any, key: str, kind: type, place: str) -> Any:
    value = holder.get(key) if isinstance(holder, dict) else None
    if not isinstance(value, kind):
        raise _no_export(place, value if isinstance(holder, dict) else holder)
    return value


def _no_export(place: str, value: object) -> UserError:
    return UserError("is no task as Label Studio exports it", where=place, value=value, remedy="Export it as JSON")


def _person(value: Any, people: Mapping[int, str]) -> str:
    if isinstance(value, dict):
        value = value.get("email") or value.get("id")
    if isinstance(value, int):
        return people.get(value) or f"user {value}"
    return value if isinstance(value, str) else ""


def _is_path(text: str) -> bool:
    """Whether a field of a task may be an image's address."""
    return len(text) < 1000 and text.lower().endswith((".png", ".jpg", ".jpeg", ".gif", ".webp", ".bmp"))
