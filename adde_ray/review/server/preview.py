"""What it would change to amend an answer, in sentences."""

from __future__ import annotations

from dataclasses import replace

from adde_ray.labels import in_words
from adde_ray.review.store.records import DECIDING, Answer
from adde_ray.review.store.store import Store

OUT = {"reject": "rejected", "flag": "flagged", "skip": "passed on", "later": "put off", "undo": "open again"}


def changes(store: Store, answer: Answer, action: str, label: str | None) -> list[str]:
    """What happens if `answer`, which stands, becomes this."""
    [before, after] = _meant(store, answer), _meant(store, replace(answer, action=action, label=label))
    if before == after:
        return ["Nothing changes: that is what you said."]
    told = [f"You said {before}, and will have said {after}."]
    others = [one for one, _ in store.said(tasks_=[answer.task]) if one.annotator != answer.annotator]
    if others:
        agree = sum(_meant(store, one) == after for one in others)
        told.append(f"{len(others)} other answers to this sample stay; {agree} of them say the same.")
    if action not in DECIDING:
        told.append("The sample is without your decision.")
    if answer.round not in store.open_rounds():
        told.append(f"Round {answer.round} is closed: the run takes the change up with its next round, and the dataset")
        told[-1] += f" is made anew from round {answer.round} on."
        if action in ("reject", "flag") and answer.action not in ("reject", "flag") and not others:
            told.append("The sample leaves the dataset.")
        if answer.action in ("reject", "flag") and action in ("accept", "correct") and not others:
            told.append("The sample enters the dataset.")
    return told


def _meant(store: Store, answer: Answer) -> str:
    if answer.action == "accept" and answer.label is None:
        item = store.item(answer.task)
        answer = replace(answer, label=item and item.suggested)
    return OUT[answer.action] if answer.action in OUT else repr(in_words(answer.label))
