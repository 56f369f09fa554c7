"""CVAT, "CVAT for images 1.1": classes of whole images as tags.

Out: the images as a ZIP, `labels.json` for the raw view of a task's labels, and `annotations.xml` with what the model
suggests as tags of the source "auto". In: the XML, or the ZIP with it. A tag that is still of that source is the
model's and no answer.
"""

from __future__ import annotations

import json
import re
import zipfile
import zlib
from pathlib import Path
from typing import TYPE_CHECKING
from xml.etree import ElementTree as Tree

from adde_ray.config import documents
from adde_ray.errors import Mistakes, UserError, first_line, needed
from adde_ray.review.bridges.base import (
    Given,
    Questions,
    Read,
    only_images,
    reserved,
    sample_id_of,
    unreserved,
)
from adde_ray.review.bridges.coco import size

if TYPE_CHECKING:
    from xml.etree.ElementTree import Element

ANNOTATIONS, IMAGES, LABELS = "annotations.xml", "images.zip", "labels.json"

MODELS = "auto"
"""The source of a tag that no person has set."""

COMMENT = "comment"
"""The text attribute that every label has."""

MOST = 2**26
"""Bytes of XML that are read."""


class Cvat:
    """See the module."""

    def export(self, questions: Questions, folder: Path) -> list[Path]:
        """Raises UserError: the samples are no images."""
        only_images(questions, "CVAT")
        names = [*questions.classes, *reserved(questions)]
        root = Tree.Element("annotations")
        Tree.SubElement(root, "version").text = "1.1"
        task = Tree.SubElement(Tree.SubElement(root, "meta"), "task")
        Tree.SubElement(task, "name").text = plain(f"{questions.title}, round {questions.round}")
        Tree.SubElement(task, "size").text = str(len(questions.asked))
        Tree.SubElement(task, "mode").text = "annotation"
        labels = Tree.SubElement(task, "labels")
        for name in names:
            label = Tree.SubElement(labels, "label")
            Tree.SubElement(label, "name").text = plain(name)
            Tree.SubElement(label, "type").text = "tag"
        with zipfile.ZipFile(folder / IMAGES, "w", zipfile.ZIP_STORED) as archive:
            for number, question in enumerate(questions.asked):
                assert isinstance(question.payload, bytes)
                archive.writestr(question.file_name, question.payload)
                width, height = map(str, size(question.payload))
                about = {"id": str(number), "name": question.file_name, "width": width, "height": height}
                image = Tree.SubElement(root, "image", about)
                for name in questions.suggested(question):
                    Tree.SubElement(image, "tag", {"label": plain(name), "source": MODELS})
        Tree.indent(root)
        Tree.ElementTree(root).write(folder / ANNOTATIONS, encoding="utf-8", xml_declaration=True)
        text = {"name": COMMENT, "input_type": "text", "mutable": False, "values": [""]}
        constructor = [{"name": plain(name), "type": "tag", "attributes": [text]} for name in names]
        (folder / LABELS).write_text(json.dumps(constructor, indent=1, ensure_ascii=False), encoding="utf-8")
        return [folder / IMAGES, folder / LABELS, folder / ANNOTATIONS]

    def read(self, path: Path) -> Read:
        """Raises UserError and Mistakes: no such XML, or an image with tags that exclude each other."""
        root = parse(_xml(path), path)
        if root.tag != "annotations":
            raise UserError("is no XML of CVAT", where=path, value=root.tag, remedy="Export as CVAT for images 1.1")
        who = root.findtext("meta/task/assignee/username") or root.findtext("meta/job/assignee/username") or ""
        read, mistakes = Read([]), []
        unanswered = 0
        for image in root.iterfind("image"):
            tags = list(image.iterfind("tag"))
            by_people = [tag for tag in tags if tag.get("source") != MODELS]
            try:
                if tags:
                    (read.given if by_people else read.untouched).append(_given(image, by_people or tags, who, path))
                unanswered += not tags
            except UserError as error:
                mistakes.append(error)
        if mistakes:
            raise Mistakes(mistakes, where=path)
        return Read(read.given, unanswered, read.untouched)


def _given(image: Element, tags: list[Element], who: str, path: Path) -> Given:
    name = image.get("name", "")
    comments = [(tag.findtext(f"attribute[@name='{COMMENT}']") or "").strip() for tag in tags]
    return unreserved(
        [tag.get("label", "") for tag in tags],
        f"{path}: image {name}",
        sample_id_of(name),
        annotator=who,
        comment="; ".join(dict.fromkeys(filter(None, comments))),
        source=image.get("id", ""),
        fields={"name": name},
    )


def plain(text: str) -> str:
    """Without what XML 1.0 cannot hold."""
    return re.sub("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]", "\ufffd", text)


def parse(text: str | bytes, where: Path) -> Element:
    """XML without a document type, entities or anything from elsewhere. Raises UserError."""
    needed("defusedxml", extra="review", where=str(where), value="XML")
    import defusedxml
    from defusedxml.ElementTree import ParseError, fromstring

    try:
        return fromstring(text, forbid_dtd=True)
    except defusedxml.DefusedXmlException:
        what, remedy = "is XML with a document type or entities, which are not read", "Remove the DOCTYPE"
        raise UserError(what, where=where, remedy=remedy) from None
    except (ParseError, ValueError, LookupError, RecursionError) as error:
        raise UserError(f"is not XML: {first_line(error)}", where=where) from None


def _xml(path: Path) -> bytes:
    """The XML in a file, or in a ZIP of CVAT's."""
    if not path.is_file():
        raise UserError("is no file" if path.exists() else "no such file", where=path, remedy="Give an export of CVAT")
    with path.open("rb") as file:
        zipped = file.read(4) == b"PK\x03\x04"
    if not zipped:
        return documents.read_text(path, limit=MOST).encode()
    try:
        with zipfile.ZipFile(path) as archive:
            part = archive.getinfo(ANNOTATIONS)
            if part.file_size > MOST:
                raise UserError(f"{ANNOTATIONS} in it is larger than {MOST >> 20} MiB", where=path)
            return archive.read(part)
    except KeyError:
        remedy = "Export as CVAT for images 1.1"
        raise UserError(f"is a ZIP without {ANNOTATIONS}", where=path, remedy=remedy) from None
    except (zipfile.BadZipFile, zlib.error, NotImplementedError, RuntimeError, EOFError, OSError) as error:
        raise UserError(f"is a ZIP that cannot be read: {first_line(error)}", where=path) from None
