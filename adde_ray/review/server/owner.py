"""What owners do: see how it goes, settle, look at samples, ask again."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Path, Query, Request

from adde_ray.review.server import figures
from adde_ray.review.server.asking import classes, room_of
from adde_ray.review.server.bodies import MOST_SAMPLES, Again, SampleIds, Settlement
from adde_ray.review.server.room import Room, told
from adde_ray.review.store.records import LONGEST, Item

router = APIRouter(prefix="/api")

FRESH_SECONDS = 2.0
"""How old the figures may be: they are computed over all answers."""

Name = Annotated[str, Query(max_length=LONGEST["label"])]


def _said(room: Room) -> figures.Said:
    return room.kept("said", FRESH_SECONDS, lambda: figures.Said.of(room.store, room.about))


@router.get("/overview")
def overview(request: Request) -> dict:
    """Progress by round, people, classes, agreement, disagreements to settle, flags, and what guesses do to people."""
    room = room_of(request)
    room.owner(request)
    said = _said(room)
    found = dict(room.kept("overview", FRESH_SECONDS, lambda: figures.overview(said)))
    owners = {person.name for person in room.store.people() if person.role == "owner"}
    progress = [{"round": t} | room.store.progress(t, overlap=room.about.overlap) for t in room.store.rounds()]
    return found | {"progress": progress, "disagreements": _disagreements(room, said, found.pop("divided"), owners)}


def _disagreements(room: Room, said: figures.Said, divided: list[int], owners: set[str]) -> list[dict]:
    """Those that no owner has decided."""
    answers: dict[int, list[dict]] = {}
    for answer, _ in reversed(room.store.said(tasks_=divided, limit=10_000)):
        answers.setdefault(answer.task, []).append(told(answer))
    unsettled = {
        task: said.items[task]
        for task in divided
        if task in said.items and not any(answer["annotator"] in owners for answer in answers.get(task, ()))
    }
    samples = room.samples(list(unsettled.items()))
    return [
        {"sample_id": sample["sample_id"], "sample": sample, "answers": answers.get(sample["task"], [])}
        for sample in samples
    ]


@router.get("/confusions")
def confusions(request: Request) -> dict:
    """Each person's counts: rows what a sample is, columns what they said."""
    room = room_of(request)
    room.owner(request)
    said = _said(room)
    counts = room.kept("confusions", FRESH_SECONDS, lambda: figures.confusions(said))
    return {"classes": list(said.classes), "people": counts}


@router.get("/samples")
def samples(
    request: Request,
    person: Name | None = None,
    truth: Name | None = None,
    given: Name | None = None,
    ids: Annotated[str, Query(max_length=60_000, pattern=r"^([0-9a-f]{32}(,[0-9a-f]{32})*)?$")] = "",
) -> dict:
    """The samples behind a cell of somebody's confusions, or those of these ids that people were asked about, each with
    the label that most people gave it."""
    room = room_of(request)
    room.owner(request)
    said = _said(room)
    if person is not None and truth is not None and given is not None:
        found = [(task, said.items[task]) for task in figures.confused(said, person, truth, given)]
        return {"samples": _labelled(room, said, found)}
    return {"samples": _labelled(room, said, _of_ids(said, [one for one in ids.split(",") if one]))}


@router.post("/samples")
def many_samples(request: Request, body: SampleIds) -> dict:
    """The same, of more ids than an address holds."""
    room = room_of(request)
    room.owner(request, changes=True)
    said = _said(room)
    return {"samples": _labelled(room, said, _of_ids(said, body.sample_ids))}


def _of_ids(said: figures.Said, ids: list[str]) -> list[tuple[int, Item]]:
    """Where a sample was asked about twice, the last time."""
    last = {item.sample_id: (task, item) for task, item in said.items.items()}
    return [last[one] for one in dict.fromkeys(ids) if one in last]


def _labelled(room: Room, said: figures.Said, found: list[tuple[int, Item]]) -> list[dict]:
    given: dict[int, list[str]] = {}
    for item, label in said.answers.select("item", "label").drop_nulls().iter_rows():
        given.setdefault(int(item), []).append(label)
    shown = room.samples(found[:MOST_SAMPLES])
    return [{**one, "label": figures.majority(given.get(one["task"], []))} for one in shown]


@router.post("/again")
def again(request: Request, body: Again) -> dict:
    """Have people asked about these again, in a later round."""
    room = room_of(request)
    person = room.owner(request, changes=True)
    room.store.ask_again(body.sample_ids, person.name, body.reason)
    return {"wanted": len(room.store.wanted_again())}


@router.post("/classes/{name:path}/settle")
def settle(
    request: Request, name: Annotated[str, Path(min_length=1, max_length=LONGEST["name"])], body: Settlement
) -> dict:
    """Adopt, merge or refuse a class that somebody proposed."""
    room = room_of(request)
    person = room.owner(request, changes=True)
    room.store.settle_class(name, body.as_, room.label(body.into), person.name)
    return classes(request)
