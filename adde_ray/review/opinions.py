"""What several people's answers about a sample add up to: its items and their answers in → DECISIONS.

An owner's word decides. Else most people say whether a sample belongs to the task at all, and those who gave it a label
say which; where they are even, it is flagged, and stays out of the dataset until an owner has settled it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field

import polars as pl

from adde_ray.artifacts.schema import DECISIONS, frame
from adde_ray.config import Review
from adde_ray.labels import foreign, in_words
from adde_ray.review.read_review import KEPT
from adde_ray.review.store import ADAPTIVE, Answer, Item
from adde_ray.review.store.doubt import enough
from adde_ray.review.store.records import PROPOSED


@dataclass(frozen=True)
class Rules:
    """How answers are added up. owners: names of those whose word decides. merged: proposed class → the class that it
    was merged into."""

    classes: tuple[str, ...]
    multi: bool
    review: Review
    owners: Collection[str] = ()
    merged: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Opinions:
    """decisions: DECISIONS about the samples that are settled, in the order in which they were asked. open: how many
    samples are not."""

    decisions: pl.DataFrame
    open: int


def add_up(
    items: Iterable[Item],
    answers: Sequence[Answer],
    rules: Rules,
    *,
    t: int,
    final: bool = False,
    weighed: Mapping[str, str] | None = None,
) -> Opinions:
    """What a round's people have decided by now.

    items: of round t; gold is passed over. answers: those that stand, of all rounds where people are weighed by how
    they err, else of this one. final: nobody is waited for any longer, and what is not settled is flagged. weighed:
    `weigh` of these answers, where it is known.
    """
    by_sample: dict[str, list[Answer]] = {}
    for answer in answers:
        if answer.round == t:
            by_sample.setdefault(answer.sample_id, []).append(answer)
    asked = [item for item in items if item.kind != "gold"]
    weighed = weigh(answers, rules) if weighed is None else weighed
    rows, num_open = [], 0
    for item in asked:
        of_it = by_sample.get(item.sample_id, [])
        if not (final or _is_settled(item, of_it, rules)):
            num_open += 1
            continue
        rows.append(_decision(item, of_it, rules, weighed, t))
    return Opinions(frame(rows, DECISIONS), num_open)


def _is_settled(item: Item, answers: Sequence[Answer], rules: Rules) -> bool:
    if any(answer.annotator in rules.owners for answer in answers):
        return True
    return len(answers) >= wanted(item, answers, rules.review)


def wanted(item: Item, answers: Sequence[Answer], review: Review) -> int:
    """How many opinions on a sample are enough, by those there are."""
    return enough(item, answers) if review.overlap == ADAPTIVE else int(review.overlap)


def _decision(item: Item, answers: Sequence[Answer], rules: Rules, weighed: Mapping[str, str], t: int) -> dict:
    """A row of DECISIONS."""
    deciding = [answer for answer in answers if answer.annotator in rules.owners][-1:] or answers
    action, label, why = _verdict(item, deciding, rules, weighed)
    people = ", ".join(dict.fromkeys(answer.annotator for answer in deciding)) or "nobody"
    comments = [why, *(answer.comment for answer in deciding)]
    return {
        "decision_id": f"{t:03d}-{people}-{item.sample_id[:12]}",
        "sample_id": item.sample_id,
        "round": t,
        "annotator": people,
        "action": action,
        "label": label,
        "comment": "; ".join(comment for comment in comments if comment) or None,
    }


def _verdict(
    item: Item, answers: Sequence[Answer], rules: Rules, weighed: Mapping[str, str]
) -> tuple[str, str | None, str | None]:
    """(action, label, why) of those whose word counts."""
    kinds = Counter("label" if answer.action in KEPT else answer.action for answer in answers)
    if not kinds:
        return "flag", None, "nobody answered in time"
    if (kind := _most(kinds)) is None:
        return "flag", None, _disagreement(answers)
    if kind != "label":
        return kind, None, None
    labels = [_settled(answer.label or "", rules) for answer in answers if answer.action in KEPT]
    label = labels[0] if len(set(labels)) == 1 else weighed.get(item.sample_id) or _most(Counter(labels))
    if label is None:
        return "flag", None, _disagreement(answers)
    if label.startswith(PROPOSED) or foreign(label, rules.classes, multi=rules.multi):
        return "flag", None, f"of a class that is not there yet: {label.removeprefix(PROPOSED)}"
    return "accept" if label == item.suggested else "correct", label, None


def _settled(label: str, rules: Rules) -> str:
    """The label, or what an owner made of the class that it proposes."""
    return rules.merged.get(label.removeprefix(PROPOSED), label) if label.startswith(PROPOSED) else label


def _most(counts: Counter[str]) -> str | None:
    """What is said most often; None where two are."""
    first, *others = counts.most_common(2)
    return None if others and others[0][1] == first[1] else first[0]


def _disagreement(answers: Sequence[Answer]) -> str:
    said = ((a.annotator, repr(in_words(a.label)) if a.action in KEPT else a.action) for a in answers)
    return f"people disagree: {', '.join(f'{who} {what}' for who, what in said)}"


def weigh(answers: Sequence[Answer], rules: Rules) -> dict[str, str]:
    """sample_id → label by Dawid and Skene, or of several classes each by most; of what people disagree about."""
    if not (rules.review.weighs_people or rules.multi):
        return {}
    given = [
        {"item": answer.sample_id, "worker": answer.annotator, "label": label}
        for answer in answers
        if answer.action in KEPT
        and not foreign(label := _settled(answer.label or "", rules), rules.classes, multi=rules.multi)
    ]
    if not given:
        return {}
    from adde_ray.methods.crowd.consensus import consensus

    found = consensus(pl.DataFrame(given), rules.review.consensus, classes=rules.classes, multi=rules.multi)
    return dict(found.table().select("item", "label").iter_rows())
