"""Answers of another tool → the store in which people are asked, beside those from the page.

An answer's id says which one of the tool's it is, and what it says: a repeat is known, and one that was changed there
since replaces what it was.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from adde_ray.artifacts.run_dir import fingerprint
from adde_ray.errors import Mistakes, UserError
from adde_ray.review.bridges.base import SKIP, Questions
from adde_ray.review.bridges.take import Checked, Taken
from adde_ray.review.read_review import Answer as Said
from adde_ray.review.store import Answer

if TYPE_CHECKING:
    from adde_ray.review.store import Store


def into_store(store: Store, questions: Questions, checked: Checked, where: object) -> int:
    """Give answers and skips to the store; how many are new. The same again change nothing.

    Raises Mistakes: a sample is not asked about there, or somebody has said otherwise on the page.
    """
    tasks = {item.sample_id: (task, item.hides_guess) for task, item in store.items(questions.round)}
    standing = {(row["annotator"], row["sample_id"]): row for row in store.answers(round=questions.round).to_dicts()}
    sent: dict[str, tuple[Taken, Answer]] = {}
    mistakes: list[UserError] = []
    for one in [*checked.answers, *checked.skips]:
        try:
            answer = _answer(one, tasks, standing.get((one.annotator, one.sample_id)), questions.round)
        except UserError as error:
            mistakes.append(error)
            continue
        if answer and store.answer_of(answer.answer_id) is None:
            sent[answer.answer_id] = one, answer
    if not mistakes:
        refused = store.answer([answer for _, answer in sent.values()], settles=True)
        mistakes = [UserError(f"was refused: {no.reason}", where=sent[no.answer_id][0].where) for no in refused]
    if mistakes:
        raise Mistakes(mistakes, where=where)
    return len(sent)


def _answer(one: Taken, tasks: dict[str, tuple[int, bool]], before: dict | None, round_: int) -> Answer | None:
    """before: what the same person says of the sample so far. None: it says the same. Raises UserError."""
    if one.sample_id not in tasks:
        remedy = "Repeat `adde run` with --resume, which publishes the query"
        raise UserError("is not asked about in the store", where=one.where, value=one.sample_id, remedy=remedy)
    said = Said(0, before["action"], before["label"], one.annotator, None) if before else None
    if said and (one.action == SKIP or said.verdict == one.verdict):
        return None
    mine = fingerprint(one.source or one.where, one.annotator, one.sample_id)
    if before and not before["answer_id"].startswith(mine):
        what, remedy = f"contradicts what {one.annotator} said elsewhere, {said}", "Amend that answer on the page"
        raise UserError(what, where=one.where, value=str(one), remedy=remedy)
    task, hides_guess = tasks[one.sample_id]
    replaces = before["answer_id"] if before else None
    return Answer(
        answer_id=mine + fingerprint(one.action, one.label, replaces),
        task=task,
        sample_id=one.sample_id,
        round=round_,
        annotator=one.annotator,
        action=one.action,
        label=one.label,
        comment=one.comment,
        seconds=one.seconds or 0.0,
        saw_guess=not hides_guess,
        replaces=replaces,
    )
