"""What goes out to another tool, what comes back, and what a bridge to one has to offer."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from adde_ray.errors import UserError
from adde_ray.labels import split

MAX_BYTES = 2**28
"""The largest file that is read of another tool."""


@dataclass(frozen=True)
class Question:
    """One sample of the waiting query. payload: the text, the values, or an encoded image, whose file ends in
    `extension`. suggested: a canonical label; confidence: in [0, 1]. hides_guess: nobody is to see it."""

    sample_id: str
    rank: int
    payload: str | list[float] | bytes
    extension: str
    suggested: str | None
    confidence: float
    origin: str
    hides_guess: bool = False

    @property
    def shown(self) -> str | None:
        """The suggested label, where people may see it."""
        return None if self.hides_guess else self.suggested

    @property
    def file_name(self) -> str:
        """Of an image: in the query's order where tools sort by name."""
        return f"{self.rank:05d}_{self.sample_id}.{self.extension}"


@dataclass(frozen=True)
class Questions:
    """The query a run waits for. title: the run, as people read it. run: 16 hex digits that tell it from others.
    earlier: sample_ids of its rounds before, with the label that was taken of each."""

    title: str
    run: str
    round: int
    modality: str
    classes: tuple[str, ...]
    multi: bool
    asked: tuple[Question, ...]
    earlier: dict[str, str | None] = field(default_factory=dict)

    def suggested(self, question: Question) -> list[str]:
        """The classes that people are told the model suggests for a sample."""
        if question.shown is None:
            return []
        return split(question.shown)[0] if self.multi else [question.shown]


@dataclass(frozen=True)
class Given:
    """What a file says of a sample, as it stands there. where: file and place. labels: classes that hold, `?Name` for
    one not known; None where there is none, and "none" for no class. source: what names this answer in its tool, for
    ever. fields: what else the file says of the sample, for those who look for no sample of a run."""

    where: str
    sample_id: str
    action: str = ""
    labels: tuple[str, ...] | None = None
    annotator: str = ""
    comment: str = ""
    seconds: float | None = None
    source: str = ""
    fields: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Read:
    """given: in the file's order. untouched: samples about which it has what the model suggested and nothing of a
    person. unanswered: how many there are about which it says nothing."""

    given: list[Given]
    unanswered: int = 0
    untouched: list[Given] = field(default_factory=list)


class Bridge(Protocol):
    """A format of another tool."""

    def export(self, questions: Questions, folder: Path) -> list[Path]:
        """Write what the tool needs into an empty folder; its files, the one to begin with first. Raises UserError."""
        ...

    def read(self, path: Path) -> Read:
        """What a file of the tool says. Raises UserError: it is none, damaged or too large."""
        ...


SKIP = "skip"
"""Said of a sample by somebody who would rather not answer: it stays open."""

RESERVED = {"adde:reject": "reject", "adde:flag": "flag", "adde:none": "none"}
"""Labels for what is no class, in tools that know nothing but labels, and what they mean."""


def unreserved(names: Iterable[str], where: str, sample_id: str, **rest) -> Given:
    """What labels say in such a tool. Raises UserError: one that is no class stands beside another."""
    labels = tuple(dict.fromkeys(names))
    meant = [RESERVED[name] for name in labels if name in RESERVED]
    if meant and len(labels) > 1:
        raise UserError(
            "labels that exclude each other", where=where, value=", ".join(labels), remedy="Keep one of them"
        )
    if meant and meant[0] in ("reject", "flag"):
        return Given(where, sample_id, action=meant[0], **rest)
    return Given(where, sample_id, labels=("none",) if meant else labels, **rest)


def reserved(questions: Questions) -> list[str]:
    """The reserved labels that a task has use for."""
    return [name for name in RESERVED if questions.multi or name != "adde:none"]


def sample_id_of(file_name: str) -> str:
    """The sample_id in a file's name: its last 32 hex digits, whatever stands before; else the name without ending."""
    stem = file_name.replace("\\", "/").rpartition("/")[2].rpartition(".")[0] or file_name
    tail = stem[-32:]
    return tail.lower() if len(tail) == 32 and set(tail.lower()) <= set("0123456789abcdef") else stem


def only_images(questions: Questions, tool: str) -> None:
    """Raises UserError: the samples are none."""
    if questions.modality != "image":
        raise UserError(
            f"{tool} is for images", where=questions.title, value=questions.modality, remedy="Choose another: --to csv"
        )
