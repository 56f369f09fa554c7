"""COCO JSON: classes of whole images as annotations without a place in them.

Out: `annotations.json` without annotations, `predictions.json` with what the model suggests in the form of COCO's
results, and the images. In: annotations; those with a `score` are some model's and no answer.
"""

from __future__ import annotations

import io
import json
from collections import defaultdict
from pathlib import Path
from typing import Any

from adde_ray.config import documents
from adde_ray.errors import Mistakes, UserError
from adde_ray.review.bridges.base import (
    MAX_BYTES,
    Given,
    Questions,
    Read,
    only_images,
    reserved,
    sample_id_of,
    unreserved,
)

ANNOTATIONS, PREDICTIONS, IMAGES = "annotations.json", "predictions.json", "images"


class Coco:
    """See the module."""

    def export(self, questions: Questions, folder: Path) -> list[Path]:
        """Raises UserError: the samples are no images."""
        only_images(questions, "COCO")
        (folder / IMAGES).mkdir()
        categories = {name: i for i, name in enumerate([*questions.classes, *reserved(questions)], start=1)}
        images, predictions = [], []
        for number, question in enumerate(questions.asked, start=1):
            assert isinstance(question.payload, bytes)
            (folder / IMAGES / question.file_name).write_bytes(question.payload)
            width, height = size(question.payload)
            images.append({"id": number, "file_name": question.file_name, "width": width, "height": height})
            for name in questions.suggested(question):
                score = round(question.confidence, 4)
                predictions.append({"image_id": number, "category_id": categories[name], "score": score})
        info = {"description": f"{questions.title}, round {questions.round}", "version": "1.0"}
        whole = {
            "info": info,
            "images": images,
            "categories": [{"id": i, "name": name, "supercategory": ""} for name, i in categories.items()],
            "annotations": [],
        }
        written = [folder / ANNOTATIONS, folder / PREDICTIONS]
        for path, value in zip(written, (whole, predictions), strict=True):
            path.write_text(json.dumps(value, indent=1), encoding="utf-8")
        return [*written, folder / IMAGES]

    def read(self, path: Path) -> Read:
        """Raises UserError and Mistakes: no COCO, or ids that nothing has."""
        whole = documents.parse_json(documents.read_text(path, limit=MAX_BYTES), where=path)
        images = {row["id"]: str(row["file_name"]) for _, row in _rows(whole, "images", ("id", "file_name"), path)}
        names = {row["id"]: str(row["name"]) for _, row in _rows(whole, "categories", ("id", "name"), path)}
        labels: dict[Any, list[str]] = defaultdict(list)
        first: dict[Any, int] = {}
        mistakes: list[UserError] = []
        for number, row in _rows(whole, "annotations", ("image_id", "category_id"), path):
            if row.get("score") is not None:
                continue
            for key, there in (("image_id", images), ("category_id", names)):
                if row[key] not in there:
                    where = f"{path}: annotations[{number}]"
                    mistakes.append(UserError(f"{key} is nobody's id", where=where, value=row[key]))
                    break
            else:
                labels[row["image_id"]].append(names[row["category_id"]])
                first.setdefault(row["image_id"], number)
        given: list[Given] = []
        for image, found in labels.items():
            where = f"{path}: annotations[{first[image]}]"
            try:
                fields = {"file_name": images[image]}
                given.append(unreserved(found, where, sample_id_of(images[image]), source=str(image), fields=fields))
            except UserError as error:
                mistakes.append(error)
        if mistakes:
            raise Mistakes(mistakes, where=path)
        return Read(given, len(images) - len(labels))


def _rows(whole: dict, name: str, keys: tuple[str, ...], path: Path) -> list[tuple[int, dict]]:
    """A list of objects that have the keys, with numbers or texts under those that end in "id"."""
    rows = whole.get(name)
    if not isinstance(rows, list):
        raise UserError(f"is no COCO: no list of {name}", where=path, remedy="Export it as COCO JSON")
    for number, row in enumerate(rows):
        for key in keys:
            value = row.get(key) if isinstance(row, dict) else None
            if not isinstance(value, (int, str)):
                raise UserError(f"is no COCO: an object without {key}", where=f"{path}: {name}[{number}]", value=row)
    return list(enumerate(rows))


def size(image: bytes) -> tuple[int, int]:
    """(width, height) in pixels, from an image's head."""
    from PIL import Image

    with Image.open(io.BytesIO(image)) as opened:
        return opened.size
