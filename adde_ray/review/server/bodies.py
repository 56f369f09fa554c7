"""What browsers send."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

from adde_ray.review.store.records import LONGEST, MOST_FLAGS

Id = Annotated[str, Field(min_length=1, max_length=LONGEST["answer_id"], pattern=r"^[A-Za-z0-9_-]+$")]
Task = Annotated[int, Field(ge=1, lt=2**63)]
SampleId = Annotated[str, Field(pattern=r"^[0-9a-f]{32}$")]
Action = Literal["accept", "correct", "reject", "flag", "skip", "later", "undo"]
Label = Annotated[str, Field(max_length=LONGEST["label"])]
Text = Annotated[str, Field(max_length=LONGEST["comment"])]

MOST_ANSWERS = 500
"""In one request: a grid that is confirmed at once."""

MOST_SAMPLES = 1_000


class Body(BaseModel):
    """A JSON object without anything unknown."""

    model_config = ConfigDict(extra="forbid")


class SignIn(Body):
    token: Annotated[str, Field(max_length=200)]


class Nothing(Body):
    pass


class Sent(Body):
    """An answer. settle: an owner's, to a sample that was not given to them."""

    answer_id: Id
    task: Task
    action: Action
    label: Label | None = None
    flags: Annotated[
        list[Annotated[str, Field(min_length=1, max_length=LONGEST["flag"])]], Field(max_length=MOST_FLAGS)
    ] = []
    comment: Text | None = None
    seconds: Annotated[float, Field(ge=0, le=86_400, allow_inf_nan=False)] = 0.0
    saw_guess: bool = False
    saw_why: bool = False
    replaces: Id | None = None
    settle: bool = False


class SentAnswers(Body):
    answers: Annotated[list[Sent], Field(max_length=MOST_ANSWERS)]


class Preview(Body):
    action: Action
    label: Label | None = None


class SentComment(Body):
    text: Text


class Proposal(Body):
    name: Annotated[str, Field(max_length=LONGEST["name"])]


class Settlement(Body):
    """`as`: adopt | merge | refuse."""

    model_config = ConfigDict(extra="forbid", populate_by_name=True)

    as_: Annotated[Literal["adopt", "merge", "refuse"], Field(alias="as")]
    into: Label | None = None


class Again(Body):
    sample_ids: Annotated[list[SampleId], Field(min_length=1, max_length=MOST_SAMPLES)]
    reason: Text


class SampleIds(Body):
    sample_ids: Annotated[list[SampleId], Field(max_length=10_000)]
