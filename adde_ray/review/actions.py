"""What people can do with a sample, in the words in which they are told of it and in those they answer with."""

from __future__ import annotations

import re
from typing import NamedTuple

import polars as pl

from adde_ray.artifacts.schema import ACTIONS
from adde_ray.errors import UserError, nearest
from adde_ray.labels import in_words


class Action(NamedTuple):
    """label: what stands under label beside it. means: as people are told. done: its participle. said: what people
    write for it, in any case."""

    label: str
    means: str
    done: str
    said: tuple[str, ...]


TABLE = {
    "accept": Action(
        "", "the suggested label is right", "accepted",
        ("accept", "accepts", "accepted", "accepting", "ok", "okay"),
    ),
    "correct": Action(
        "the right label", "the suggested label is wrong", "corrected",
        ("correct", "corrects", "corrected", "correcting", "correction"),
    ),
    "reject": Action(
        "", "no sample of the task: unreadable, of nothing that the classes are about, or synthetic and like nothing",
        "rejected", ("reject", "rejects", "rejected", "rejecting", "rejection"),
    ),
    "flag": Action(
        "", "cannot be decided here: somebody else should look at it", "flagged",
        ("flag", "flags", "flagged", "flagging"),
    ),
}  # fmt: skip

NOBODY = "file"
"""The annotator of answers that nobody has put a name to."""

_MEANT = {word: action for action, row in TABLE.items() for word in row.said}

ABSENT = ("na", "nan", "null", "none")
"""What programs write where there is no action."""


def read_action(cell: str, *, where: object = None) -> str | None:
    """The action a cell means; None for an empty one. Raises UserError: none that is known."""
    said = re.sub(r"[\W_]+", "", cell.casefold())
    if said in _MEANT:
        return _MEANT[said]
    if not cell.strip() or said in ABSENT:
        return None
    remedy = f"{nearest(said, ACTIONS)}Choose one of: {', '.join(ACTIONS)}"
    raise UserError("unknown action", where=where, value=cell.strip(), remedy=remedy)


def count(decisions: pl.DataFrame) -> dict[str, int]:
    """Action → how many of the decisions, those that occur alone."""
    counts = dict(decisions["action"].value_counts().iter_rows())
    return {action: counts[action] for action in ACTIONS if action in counts}


def tally(counts: dict[str, int]) -> str:
    """As "3 accepted, 17 corrected"."""
    return ", ".join(f"{number} {TABLE[action].done}" for action, number in counts.items())


def describe(decision: dict | None) -> str:
    """A row of DECISIONS as "accept 'cat' by Ann (blurred)"; None, of a sample without one, is open."""
    if decision is None:
        return "open"
    label, who, comment = in_words(decision["label"]), decision["annotator"], decision["comment"]
    by = f" by {who}" * (who != NOBODY)
    return decision["action"] + f" {label!r}" * (label is not None) + by + f" ({comment})" * bool(comment)
