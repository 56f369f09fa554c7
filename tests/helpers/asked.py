"""Items to publish, and answers to them."""

from __future__ import annotations

import uuid

from adde_ray.review.store import Answer, Item


def items(number: int, *, round: int = 0, **changed) -> list[Item]:
    """So many texts, `A` suggested."""
    given = {"kind": "new", "modality": "text", "suggested": "A", "confidence": 0.9} | changed
    return [
        Item(sample_id=f"{round:02x}{i:030x}", round=round, rank=i, payload=f"text {i}", **given) for i in range(number)
    ]


def says(annotator: str, task: int, action: str = "accept", label: str | None = None, **also) -> Answer:
    """An answer, of an id of its own."""
    made = {"answer_id": uuid.uuid4().hex, "sample_id": "", "round": 0, "seconds": 1.0} | also
    return Answer(task=task, annotator=annotator, action=action, label=label, **made)
