"""Answers of another tool → answers to the waiting query: checked all at once, then taken all or none.

Without a store they fill in the waiting round's table, which `adde run --resume` takes; see `stored` for the other way.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

from adde_ray.artifacts.run_dir import RunDir, atomic, one_at_a_time
from adde_ray.errors import Mistakes, UserError
from adde_ray.labels import NONE, SEPARATOR, in_words
from adde_ray.review.actions import NOBODY
from adde_ray.review.bridges.base import SKIP, Given, Questions, Read
from adde_ray.review.names import Names
from adde_ray.review.read_review import COLUMNS, NEEDED, Answer, check_rank, read_answer, read_round
from adde_ray.review.sheet import Line, open_sheet
from adde_ray.review.store.place import FOLDER

LONGEST = {"annotator": 80, "comment": 10_000}
"""Characters; more is some mistake, and fits no cell."""

LOCK = ".bridges.lock"
"""In a run's folder `review`: whoever pushes or imports holds it."""


@dataclass(frozen=True)
class Taken:
    """One answer to the waiting query. action: accept, correct, reject, flag or skip; label: canonical. source: as
    `Given` has it."""

    where: str
    sample_id: str
    action: str
    label: str | None
    annotator: str
    comment: str | None
    seconds: float | None
    source: str

    @property
    def verdict(self) -> tuple[str | None, str | None]:
        """What decides, as `Answer` has it."""
        return Answer(0, self.action, self.label, self.annotator, self.comment).verdict

    def __str__(self) -> str:
        return str(Answer(0, self.action, self.label, self.annotator, self.comment))


@dataclass(frozen=True)
class Checked:
    """answers, skips: in the file's order. unanswered: of how many samples nothing is known. untouched: of how many
    there is only what the model suggested. earlier: answers about rounds before, which are not taken again; changed:
    how many of them say another label than was taken."""

    answers: list[Taken]
    skips: list[Taken] = field(default_factory=list)
    unanswered: int = 0
    untouched: int = 0
    earlier: int = 0
    changed: int = 0


def check(
    questions: Questions, read: Read, where: object, *, annotator: str = "", accept_untouched: bool = False
) -> Checked:
    """What a file says about the waiting query.

    annotator: who answered, where the file does not say. accept_untouched: whether what the model suggested counts as
    accepted where nobody changed it.

    Raises Mistakes, which has all of them: samples that are none of the run, labels that are none of its classes,
    actions that nothing means, and what one person says against themselves.
    """
    asked = {question.sample_id: question for question in questions.asked}
    given = [*read.given, *(read.untouched if accept_untouched else [])]
    names = Names(questions.classes, multi=questions.multi)
    for one in given:
        if (question := asked.get(_id(one))) and one.fields.get("suggested"):
            names.saw(one.fields["suggested"], in_words(question.suggested) or "")
    answers: list[Taken] = []
    mistakes: list[UserError] = []
    earlier = changed = unanswered = 0
    for one in given:
        try:
            if (question := asked.get(_id(one))) is None:
                is_changed = _is_changed(one, questions, names)
                earlier += is_changed is not None
                changed += bool(is_changed)
            elif taken := _taken(one, question.suggested, question.rank, names, questions.multi, annotator):
                answers.append(taken)
            else:
                unanswered += 1
        except UserError as error:
            mistakes.append(error)
    mistakes += _contradictions(answers, by_person=True)
    if mistakes:
        raise Mistakes(mistakes, where=where)
    return Checked(
        [answer for answer in answers if answer.action != SKIP],
        [answer for answer in answers if answer.action == SKIP],
        unanswered + read.unanswered,
        0 if accept_untouched else len(read.untouched),
        earlier,
        changed,
    )


def _id(given: Given) -> str:
    """As `read_review` takes it."""
    return re.sub(r"[\W_]", "", given.sample_id).lower()


def _is_changed(given: Given, questions: Questions, names: Names) -> bool | None:
    """Whether an answer about an earlier round says something else than was taken; None: it is none. Raises UserError:
    it is about no sample of the run."""
    if _id(given) not in questions.earlier:
        remedy = "Remove it, or give the run that asked about it"
        raise UserError("no sample of this run", where=given.where, value=given.sample_id, remedy=remedy)
    was, action = questions.earlier[_id(given)], given.action.strip().casefold()
    if not given.labels:
        return None if action in ("", SKIP) else action in ("reject", "flag") and was is not None
    try:
        return names.label(SEPARATOR.join(given.labels)) != was
    except UserError:
        return True


def _taken(given: Given, suggested: str | None, rank: int, names: Names, multi: bool, annotator: str) -> Taken | None:
    """None: it says nothing. Raises UserError."""
    who, comment = _text(given.annotator, "annotator", given.where), _text(given.comment, "comment", given.where)
    check_rank(given.fields.get("rank", ""), rank, given.where)

    def taken(action: str, label: str | None) -> Taken:
        by = who or annotator or NOBODY
        return Taken(given.where, _id(given), action, label, by, comment or None, given.seconds, given.source)

    if given.action.strip().casefold() in (SKIP, "skipped"):
        return taken(SKIP, None)
    if given.labels and len(given.labels) > 1 and not multi:
        what, value = "several labels, where one class holds of each sample", ", ".join(given.labels)
        raise UserError(what, where=given.where, value=value, remedy="Keep one of them")
    label = SEPARATOR.join(given.labels or ())
    cells = dict.fromkeys(COLUMNS, "") | {"action": given.action, "label": label}
    cells["suggested"] = given.fields.get("suggested", "")
    answer = read_answer(Line(0, cells, []), {"suggested": suggested}, names, given.where)
    return taken(answer.action, answer.label) if answer.action else None


def _text(text: str, name: str, where: str) -> str:
    """What people wrote, without what no table can hold. Raises UserError: longer than that."""
    text = "".join(c if c.isprintable() or c in "\n\t" else "\ufffd" for c in text).strip()
    if len(text) > LONGEST[name]:
        what = f"{name} of more than {LONGEST[name]:,} characters"
        raise UserError(what, where=where, value=text, remedy="Shorten it")
    return text


def _contradictions(answers: Iterable[Taken], *, by_person: bool) -> list[UserError]:
    """by_person: whether people may say different things of one sample."""
    first: dict[tuple[str, str], Taken] = {}
    mistakes = []
    for answer in answers:
        if answer.action == SKIP:
            continue
        before = first.setdefault((answer.sample_id, answer.annotator if by_person else ""), answer)
        if before.verdict != answer.verdict:
            remedy = "Keep one of them" if by_person else "Let them agree on one"
            who = "" if before.annotator == answer.annotator else f" of {before.annotator}"
            what = f"contradicts the answer{who} at {before.where}, which says {before}"
            mistakes.append(UserError(what, where=answer.where, value=str(answer), remedy=remedy))
    return mistakes


# --- into the table -----------------------------------------------------------------------------------------


def fill_in(run: RunDir, questions: Questions, answers: list[Taken], where: object) -> int:
    """Fill answers in where the waiting round's table has none; how many. The same answers again change nothing.

    Raises UserError: there is no table. Raises Mistakes: people contradict each other, or what the table says.
    """
    round_ = run.round(questions.round)
    with one_at_a_time(run.root / FOLDER / LOCK):  # not the run's own, which a run that waits may hold
        query = round_.read("query.parquet")
        assert query is not None
        found = read_round(round_.root, query, questions.classes, t=questions.round, multi=questions.multi)
        if found is None:
            raise UserError(
                "no table to fill in", where=round_.root, remedy="Repeat `adde run` with --resume to get one"
            )
        path, there = found
        said = {row["sample_id"]: row for row in there.decisions.iter_rows(named=True)}
        new: dict[str, Taken] = {}
        mistakes = _contradictions(answers, by_person=False)
        for answer in answers:
            if (row := said.get(answer.sample_id)) is None:
                new.setdefault(answer.sample_id, answer)
                continue
            before = Answer(there.lines[answer.sample_id], row["action"], row["label"], row["annotator"], None)
            if before.verdict != answer.verdict:
                remedy = "Clear the line, and import again; or change the answer there"
                what = f"contradicts line {before.line} of {path.name}, which says {before}"
                mistakes.append(UserError(what, where=answer.where, value=str(answer), remedy=remedy))
        if mistakes:
            raise Mistakes(mistakes, where=where)
        if new:
            _write(path, {there.lines[sample_id]: answer for sample_id, answer in new.items()}, questions)
    return len(new)


def _write(path: Path, answers: dict[int, Taken], questions: Questions) -> None:
    suggested = {question.suggested for question in questions.asked if question.suggested}
    sheet = open_sheet(path, COLUMNS, NEEDED, {*questions.classes, *suggested})
    for number, answer in answers.items():
        cells = {"action": answer.action, "label": ""}
        if answer.action == "correct":
            cells["label"] = NONE if answer.label == "" else answer.label or ""
        cells["annotator"] = "" if answer.annotator == NOBODY else answer.annotator
        if answer.comment:
            cells["comment"] = answer.comment
        sheet.set(number, cells)
    with atomic(path, recorded=False) as temporary:
        sheet.save(temporary)
