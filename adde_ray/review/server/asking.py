"""What annotators do: sign in, get samples, answer, take back, amend, comment, propose classes."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, HTTPException, Path, Query, Request, Response
from fastapi.responses import JSONResponse

from adde_ray.errors import UserError
from adde_ray.review.server.bodies import MOST_ANSWERS, Id, Nothing, Preview, Proposal, SentAnswers, SentComment, SignIn
from adde_ray.review.server.preview import changes
from adde_ray.review.server.room import Room, told
from adde_ray.review.store.records import DECIDING, PROPOSED, Answer, Refused

router = APIRouter(prefix="/api")

TaskPath = Annotated[int, Path(ge=1, lt=2**63)]
RoundQuery = Annotated[int | None, Query(ge=0, lt=2**31)]

MOST_NEXT = 100
"""Samples given at a time."""


def room_of(request: Request) -> Room:
    """The room of the app that a request came to."""
    return request.app.state.room


# --- who ------------------------------------------------------------------------------------------------------


@router.post("/sign-in")
def sign_in(request: Request, response: Response, body: SignIn) -> dict:
    """{token} → {name, role, csrf}, and a cookie. 401: nobody's token; 429: too many of these."""
    room, address = room_of(request), request.client.host if request.client else ""
    if wait := room.failures.must_wait(address):
        raise HTTPException(429, f"too many wrong tokens; try again in {int(wait) + 1} seconds")
    person = room.store.authenticate(body.token.strip())
    if person is None:
        room.failures.add(address)
        raise HTTPException(401, "nobody has this token")
    csrf = room.let_in(person, request, response)
    return {"name": person.name, "role": person.role, "csrf": csrf}


@router.post("/sign-out")
def sign_out(request: Request, response: Response, body: Nothing) -> dict:
    """End the session; what was held is free for others."""
    room = room_of(request)
    person = room.person(request, changes=True)
    room.leave(request)
    room.store.release(person.name)
    response.delete_cookie(room.cookie, httponly=True, samesite="strict")
    return {}


@router.get("/me")
def me(request: Request, response: Response) -> dict:
    """Who is signed in, and what the page has to know of the run."""
    room = room_of(request)
    person, csrf = room.admit(request, response)
    about, progress = room.about, room.progress()
    return {
        "name": person.name,
        "role": person.role,
        "csrf": csrf,
        "run": about.name,
        "modality": about.modality,
        "classes": list(about.classes),
        "multi": about.multi,
        "guide_html": about.guide and about.guide.html,
        "flags": list(about.flags),
        "may_show_guess": about.guesses,
        "round": progress and progress["round"],
        "progress": progress,
    }


# --- samples ----------------------------------------------------------------------------------------------------


@router.get("/next")
def next_samples(
    request: Request,
    n: Annotated[int, Query(ge=0, le=MOST_NEXT)] = 8,
    not_: Annotated[str, Query(alias="not", max_length=10_000, pattern=r"^(\d{1,18}(,\d{1,18})*)?$")] = "",
) -> Response:
    """Samples for whoever asks, theirs for a while. not: tasks that their page has already."""
    room = room_of(request)
    person, has = room.person(request), [int(task) for task in not_.split(",") if task]
    found = room.store.lease(
        person.name, n, overlap=room.about.overlap, seconds=room.about.lease_seconds, not_tasks=has
    )
    body = {"samples": room.samples(found), "progress": room.progress(), "waiting": not found and not has}
    return JSONResponse(body)  # plain values already: nothing to look for in them


@router.get("/tasks/{task}/guess")
def guess(request: Request, task: TaskPath) -> dict:
    """What the model suggests, where it may be seen."""
    room = room_of(request)
    _, item = room.reachable(request, task)
    if not room.sample(task, item)["can_show_guess"]:
        raise HTTPException(403, "the suggestion is not shown for this sample")
    return {"suggested": item.suggested, "confidence": item.confidence}


@router.get("/tasks/{task}/why")
def why(request: Request, task: TaskPath) -> dict:
    """Why a sample is asked about, with what it is compared to; where the suggestion may be seen, for it sways as
    much, and of gold there is no reason to tell."""
    room = room_of(request)
    _, item = room.reachable(request, task)
    if not room.sample(task, item)["can_show_guess"]:
        raise HTTPException(403, "the reason is not shown for this sample")

    def shown(samples: list[dict]) -> list[dict]:
        about = ("sample_id", "label")
        return [
            {name: one.get(name) for name in about} | room.payload(item.round, item.modality, one["payload"])
            for one in samples
        ]

    gap = item.why.get("gap")
    gap = gap and {**gap, "exemplars": shown(gap.get("exemplars") or [])}
    return {**item.why, "gap": gap, "neighbours": shown(item.why.get("neighbours") or [])}


# --- answers ----------------------------------------------------------------------------------------------------


@router.post("/answers")
def answers(request: Request, body: SentAnswers) -> dict:
    """Take answers. Those under `accepted` are on the disk; under `refused` is why the others are not."""
    room = room_of(request)
    person = room.person(request, changes=True)
    taken: dict[bool, list[Answer]] = {False: [], True: []}
    refused: list[Refused] = []
    for sent in body.answers:
        fields = sent.model_dump(exclude={"settle", "flags", "label"})
        try:
            answer = Answer(
                **fields,
                label=room.label(sent.label),
                flags=tuple(sent.flags),
                sample_id="",
                round=0,
                annotator=person.name,
            )
        except UserError as error:
            refused.append(Refused(sent.answer_id, str(error)))
        else:
            taken[sent.settle and person.role == "owner"].append(answer)
    for settles, some in taken.items():
        refused += room.store.answer(some, settles=settles)
    not_taken = {one.answer_id for one in refused}
    accepted = [one for some in taken.values() for one in some if one.answer_id not in not_taken]
    for name in {one.label.removeprefix(PROPOSED) for one in accepted if one.label and one.label.startswith(PROPOSED)}:
        room.store.propose_class(name, person.name)
    return {
        "accepted": [one.answer_id for one in accepted],
        "refused": [{"answer_id": one.answer_id, "error": one.reason} for one in refused],
        "progress": room.progress(),
    }


@router.post("/undo")
def undo(request: Request, body: Nothing) -> dict:
    """Take back what was said last; {sample: null} where there is nothing."""
    room = room_of(request)
    found = room.store.undo(room.person(request, changes=True).name)
    if found is None:
        return {"sample": None, "answer": None}
    answer, item = found
    return {"sample": room.samples([(answer.task, item)])[0], "answer": told(answer)}


@router.get("/mine")
def mine(
    request: Request,
    round: RoundQuery = None,
    before: Id | None = None,
    limit: Annotated[int, Query(ge=1, le=MOST_ANSWERS)] = 50,
) -> dict:
    """What whoever asks has said, the newest first. before: the answer_id that a page of it ended with."""
    room = room_of(request)
    name = room.person(request).name
    found = room.store.said(annotator=name, round=round, before=before, limit=limit)
    samples = room.samples([(answer.task, item) for answer, item in found])
    open_ = set(room.store.open_rounds())
    listed = [
        told(answer) | {"sample": sample, "closed": answer.round not in open_}
        for (answer, _), sample in zip(found, samples, strict=True)
    ]
    return {"answers": listed, "rounds": room.store.rounds()}


@router.post("/answers/{answer_id}/preview")
def preview(request: Request, answer_id: Id, body: Preview) -> dict:
    """What it would change to say something else."""
    room = room_of(request)
    person, answer = room.person(request, changes=True), room.store.answer_of(answer_id)
    if answer is None or answer.annotator != person.name or answer.action not in DECIDING:
        raise HTTPException(404, "no such answer of yours")
    return {"changes": changes(room.store, answer, body.action, room.label(body.label))}


# --- talk -------------------------------------------------------------------------------------------------------


@router.get("/tasks/{task}/comments")
def comments(request: Request, task: TaskPath) -> dict:
    """What people wrote on a sample."""
    room = room_of(request)
    _, item = room.reachable(request, task)
    found = room.store.comments(item.sample_id)
    return {"comments": [{"by": one.by, "text": one.text, "when": one.when} for one in found]}


@router.post("/tasks/{task}/comments")
def comment(request: Request, task: TaskPath, body: SentComment) -> dict:
    """Write on a sample."""
    room = room_of(request)
    person, item = room.reachable(request, task)
    room.person(request, changes=True)
    room.store.comment(item.sample_id, person.name, body.text)
    return comments(request, task)


@router.get("/classes")
def classes(request: Request) -> dict:
    """The classes, and those that people proposed."""
    room = room_of(request)
    room.person(request)
    names = ("name", "by", "state", "into", "settled_by")
    proposed = [{name: getattr(one, name) for name in names} for one in room.store.classes()]
    return {"classes": list(room.about.classes), "proposed": proposed}


@router.post("/classes")
def propose(request: Request, body: Proposal) -> dict:
    """Propose a class that is missing."""
    room = room_of(request)
    person = room.person(request, changes=True)
    name = room.label(f"{PROPOSED}{body.name}")
    assert name is not None, "of a text comes a text"
    room.store.propose_class(name.removeprefix(PROPOSED), person.name)
    return classes(request)
