"""How many opinions on a sample are enough, where overlap is adaptive."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from adde_ray.review.store.records import Answer

Asked = Any
"""An `Item`, or a row with its `kind`, `suggested` and `confidence`."""

LOW = 0.5
"""Below this published confidence in the answered label a single opinion is not enough."""

MOST = 3
"""Opinions on a sample at most."""


def enough(item: Asked, standing: Sequence[Answer]) -> int:
    """In 1 … `MOST`: another one where the first disagree, or where the only one is doubtful.

    A single opinion is doubtful when it says that somebody else should look, when the published confidence in its label
    is below `LOW`, or when it is another label than the suggested one. Of gold the truth is known: one is enough.
    """
    if item.kind == "gold" or not standing:
        return 1
    if len({answer.verdict for answer in standing}) > 1:
        return MOST
    return 1 + any(_doubtful(item, answer) for answer in standing)


def _doubtful(item: Asked, answer: Answer) -> bool:
    if answer.action == "flag":
        return True
    if answer.action == "reject" or item.confidence is None or item.suggested is None:
        return False
    return answer.label != item.suggested or item.confidence < LOW
