"""What a sample looks like in the page: a small picture as a data URI, or a short text.

Every picture is decoded and encoded again, so nothing but a PNG or WebP of our own making reaches the page.
"""

from __future__ import annotations

import base64
import io
from collections.abc import Iterable, Mapping

from adde_ray.artifacts.images import viewable

THUMBNAIL = 96  # pixels, longer side; smaller pictures keep their size and are magnified by the browser
SMALL_PNG = 3000  # bytes up to which a picture stays lossless

Payload = bytes | str | list


def show(payload: Payload, modality: str, *, side: int = THUMBNAIL) -> dict:
    """`{"src": data URI}` for a picture of at most `side` pixels, else `{"text": …}` with what can be said of it."""
    if modality == "image":
        src = thumbnail(payload, side) if isinstance(payload, bytes) else None
        return {"src": src} if src else {"text": "(picture cannot be shown)"}
    if modality == "text":
        return {"text": cut(str(payload), 400)}
    values = ", ".join(f"{x:.2f}" for x in payload[:8])
    return {"text": f"{len(payload)} numbers: {values}{', …' if len(payload) > 8 else ''}"}


def show_all(
    ids: Iterable[str], payloads: Mapping[str, Payload], modality: str, budget: int
) -> tuple[dict[str, dict], int]:
    """What to show of `ids`, in that order, until `budget` characters are spent; and how many were left out."""
    shown, left_out = {}, 0
    for sample_id in ids:
        payload = payloads.get(sample_id)
        if payload is None or sample_id in shown:
            continue
        # Decoding tens of thousands of pictures to throw them away would take minutes: stop at the first overflow.
        if budget <= 0:
            left_out += 1
            continue
        shown[sample_id] = show(payload, modality)
        budget -= len(next(iter(shown[sample_id].values())))
    return shown, left_out


def thumbnail(payload: bytes, side: int = THUMBNAIL) -> str | None:
    """A data URI of the picture, at most so many pixels a side; None when it cannot be decoded."""
    from PIL import Image, ImageOps

    try:
        with Image.open(io.BytesIO(viewable(payload))) as opened:
            opened = ImageOps.exif_transpose(opened)
            image = opened.convert("L" if opened.mode in ("1", "L", "I;16", "I", "F") else "RGB")
    except Exception:  # Pillow's decoders raise many kinds; a report must not fail over one bad picture
        return None
    image.thumbnail((side, side))
    file = io.BytesIO()
    image.save(file, "PNG", optimize=True)
    kind = "png"
    if file.tell() > SMALL_PNG:
        file, kind = io.BytesIO(), "webp"
        image.save(file, "WEBP", quality=80)
    return f"data:image/{kind};base64,{base64.b64encode(file.getvalue()).decode()}"


def cut(text: str, limit: int) -> str:
    """`text` on one line, at most `limit` characters."""
    text = " ".join(text.split())
    return text if len(text) <= limit else text[: limit - 1] + "…"
