"""Images of samples and of the guide, and the map. Whatever is asked for, only files of a round's folder are read."""

from __future__ import annotations

import functools
import io
import json
import re
from pathlib import Path as FilePath
from typing import Annotated

from fastapi import APIRouter, HTTPException, Path, Query, Request, Response

from adde_ray.review.bands import all_bands, bands_beside
from adde_ray.review.server.asking import room_of
from adde_ray.review.server.guide import PICTURE
from adde_ray.review.write_review import MAP

router = APIRouter(prefix="/api")

NAME = re.compile(r"[0-9a-f]{32}\.(png|jpg|jpeg|gif|webp|bmp)")
"""Of an image: its sample_id and a kind that browsers show. No SVG, which can hold scripts."""

TYPES = {
    "png": "image/png", "jpg": "image/jpeg", "jpeg": "image/jpeg", "gif": "image/gif", "webp": "image/webp",
    "bmp": "image/bmp",
}  # fmt: skip

KEPT = {"Cache-Control": "private, max-age=86400"}
"""An image is named by its content's digest."""

RoundPath = Annotated[int, Path(ge=0, lt=10**6)]


@router.get("/images/{round}/{name}")
def image(
    request: Request,
    round: RoundPath,
    name: str,
    thumb: Annotated[int | None, Query(ge=16, le=512)] = None,
    bands: Annotated[str | None, Query(pattern=r"^\d{1,3}(,\d{1,3},\d{1,3})?$")] = None,
) -> Response:
    """An image as it is. bands: one or three of its bands, a PNG. thumb: of at most so many pixels a side, a JPEG where
    that is smaller."""
    room = room_of(request)
    room.person(request)
    if not NAME.fullmatch(name):
        raise HTTPException(404, "no such image")
    path = inside(room.about.images(round), name)
    if bands is None and thumb is None:
        return Response(path.read_bytes(), media_type=TYPES[name.rpartition(".")[2]], headers=KEPT)
    try:
        if bands and bands_beside(path):
            path = inside(path.parent, all_bands(path).name)
        found = path.stat()
        chosen = tuple(int(band) for band in bands.split(",")) if bands else None
        data, kind = drawn(path, found.st_mtime_ns, found.st_size, chosen, thumb)
    except IndexError:
        raise HTTPException(404, "the image has no such band") from None
    except Exception as error:  # of whatever a damaged image makes a decoder raise
        raise HTTPException(415, f"the image cannot be drawn: {type(error).__name__}") from None
    return Response(data, media_type=kind, headers=KEPT)


def inside(folder: FilePath, name: str) -> FilePath:
    """A file of a folder, which no link leads out of. Raises HTTPException: there is none."""
    path = folder / name
    if not path.is_file() or path.resolve().parent != folder.resolve():
        raise HTTPException(404, "no such image")
    return path


@functools.lru_cache(maxsize=512)
def drawn(
    path: FilePath, mtime_ns: int, size: int, bands: tuple[int, ...] | None, side: int | None
) -> tuple[bytes, str]:
    """(image, its kind): some of its bands, smaller. Raises IndexError: no such band; whatever Pillow raises."""
    import numpy as np
    import polars as pl
    from PIL import Image

    from adde_ray.artifacts.images import open_images, planes

    data = pl.Series([path.read_bytes()], dtype=pl.Binary)
    if bands is None:
        [shown] = open_images(data)
    else:
        [found] = planes(data)
        chosen = np.stack([found[band] for band in bands], axis=-1)
        shown = Image.fromarray(np.ascontiguousarray(chosen if len(bands) == 3 else chosen[..., 0]))
    out = io.BytesIO()
    if side is None or max(shown.size) <= side:
        shown.save(out, "PNG")
        return out.getvalue(), "image/png"
    shown = shown.convert("RGB")
    shown.thumbnail((side, side))
    shown.save(out, "JPEG", quality=82)
    return out.getvalue(), "image/jpeg"


@router.get("/guide/{name}")
def of_guide(request: Request, name: str) -> Response:
    """A picture that the guide shows."""
    room = room_of(request)
    room.person(request)
    guide = room.about.guide
    if guide is None or not PICTURE.fullmatch(name) or name not in guide.pictures:
        raise HTTPException(404, "no such image")
    path = inside(guide.pictures[name].parent, name)
    return Response(path.read_bytes(), media_type=TYPES[name.rpartition(".")[2].lower()], headers=KEPT)


@router.get("/map/{round}")
def map_(request: Request, round: RoundPath) -> dict:
    """Where samples of a round lie. task: of those that were given to whoever asks; an owner sees all, and labels that
    stand."""
    room = room_of(request)
    person = room.person(request)
    path = room.about.images(round) / MAP
    points = room.kept(("map", round), 60.0, lambda: _points(path))
    tasks = {item.sample_id: task for task, item in room.store.items(round)}
    if person.role != "owner":
        given = room.store.seated(person.name, list(tasks.values()))
        tasks = {sample_id: task for sample_id, task in tasks.items() if task in given}
    mine = None if person.role == "owner" else person.name
    said = {answer.task: answer.label for answer, _ in room.store.said(round=round, annotator=mine, limit=10**6)}
    return {"points": [_point(point, tasks, said) for point in points]}


def _points(path: FilePath) -> list[dict]:
    try:
        return json.loads(path.read_bytes())["points"]
    except FileNotFoundError:
        return []


def _point(point: dict, tasks: dict[str, int], said: dict[int, str | None]) -> dict:
    task = tasks.get(point["sample_id"])
    label = point.get("label")
    return {**point, "task": task, "label": said.get(task, label) if task is not None else label}
