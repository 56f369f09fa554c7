"""What goes into the store and comes out of it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Literal, NamedTuple

ADAPTIVE = "adaptive"
"""The overlap that asks for another opinion only where there is doubt."""

DECIDING = ("accept", "correct", "reject", "flag")
"""Actions that say something of a sample; the others are about who looks at it."""

ACTIONS = (*DECIDING, "skip", "later", "undo")

PROPOSED = "new:"
"""Begins a label that is a class nobody thought of."""

KINDS = ("new", "again", "gold")

LONGEST = {"label": 2_000, "comment": 10_000, "flag": 100, "name": 80, "answer_id": 64}
"""Characters of what people send."""

MOST_FLAGS = 20

Overlap = int | Literal["adaptive"]


@dataclass(frozen=True)
class Item:
    """One question about one sample, in one round."""

    sample_id: str
    round: int
    rank: int  # the order in which they are asked; gold stands among the others
    kind: str  # one of KINDS: new, an old label worth another look, or gold; people never see which
    modality: str  # image | text | vector
    payload: str  # the text; an image's file name in RUN/rounds/NNN/review; a vector as JSON
    suggested: str | None = None
    confidence: float | None = None  # in [0, 1], of `suggested`
    origin: str = "real"  # real | synthetic
    why: dict[str, Any] = field(default_factory=dict)  # why it is asked: sentence, U, Div, Q, gap, neighbours
    truth: str | None = None  # gold only
    hides_guess: bool = False  # the guess cannot be uncovered here


@dataclass(frozen=True)
class Answer:
    """What somebody said of a sample. An undo or an amendment is a further answer that names the one it replaces."""

    answer_id: str  # made by who answers; sending it twice changes nothing
    task: int  # the item's key in the store
    sample_id: str
    round: int
    annotator: str
    action: str  # one of ACTIONS
    label: str | None = None  # canonical; of an acceptance the suggested one
    flags: tuple[str, ...] = ()
    comment: str | None = None
    seconds: float = 0.0
    saw_guess: bool = False
    saw_why: bool = False
    replaces: str | None = None
    when: str = ""  # ISO 8601, UTC, set by the store

    @property
    def verdict(self) -> tuple[str, str | None]:
        """What it comes to: the label, or that there is none and why."""
        return ("label", self.label) if self.action in ("accept", "correct") else (self.action, None)


class Refused(NamedTuple):
    """An answer that was not taken."""

    answer_id: str
    reason: str  # one line


@dataclass(frozen=True)
class Person:
    """Who may answer. role: annotator | owner."""

    name: str
    role: str
    revoked: bool = False


@dataclass(frozen=True)
class Session:
    """Who is signed in. local: without a token, at this machine."""

    person: Person
    local: bool


@dataclass(frozen=True)
class Comment:
    """What somebody wrote on a sample, for the others."""

    sample_id: str
    by: str
    text: str
    when: str


@dataclass(frozen=True)
class ProposedClass:
    """A class that nobody thought of. state: proposed | adopt | merge | refuse. into: the class it is merged into."""

    name: str
    by: str
    state: str
    into: str | None
    settled_by: str | None


@dataclass(frozen=True)
class Wanted:
    """A sample that somebody wants people to be asked about again."""

    sample_id: str
    by: str
    reason: str
    when: str
