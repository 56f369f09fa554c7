"""Texts that are not UTF-8: told, with the encoding they are likely in."""

from __future__ import annotations

import re
from collections.abc import Iterable

from adde_ray.errors import UserError

MARKS = (
    (b"\xff\xfe\0\0", "UTF-32"),
    (b"\0\0\xfe\xff", "UTF-32"),
    (b"\xff\xfe", "UTF-16"),
    (b"\xfe\xff", "UTF-16"),
)
"""What a file may begin with, and what it is then."""

HEAD = 4096
"""Bytes that show whether every second one is a NUL."""

SCRIPTS = (
    ("Shift-JIS", r"[\u3040-\u30ff]", 0.3),
    ("cp1251", r"[\u0430-\u044f]", 0.7),
    ("KOI8-R", r"[\u0430-\u044f]", 0.7),
    ("EUC-KR", r"[\uac00-\ud7a3]", 0.8),
    ("GB18030", r"[\u4e00-\u9fff\u3000-\u303f\uff00-\uffef]", 0.8),
    ("Big5", r"[\u4e00-\u9fff]", 0.8),
)
"""Encoding -> the letters a text in it has most of, and their share among those that are not ASCII."""

_RUN = re.compile(rb"[\x80-\xff]+(?:[\x20-\x7e][\x80-\xff]+)*")


def plain(data: bytes, where: object) -> bytes:
    """Without the mark some programs put at the head of a file. Raises UserError when it is UTF-16 or UTF-32."""
    wide = next((name for mark, name in MARKS if data.startswith(mark)), None) or _unmarked(data[:HEAD])
    if wide:
        raise UserError(f"is {wide}", where=where, remedy="Save it as UTF-8")
    return data.removeprefix(b"\xef\xbb\xbf")


def _unmarked(head: bytes) -> str | None:
    """UTF-16 or UTF-32 without a mark: plain letters have NULs in every place but one."""
    places = [head[i::4].count(0) / max(len(head[i::4]), 1) for i in range(4)]
    high = [share > 0.3 for share in places]
    if sum(high) == 3:
        return "UTF-32 without a mark"
    return "UTF-16 without a mark" if high in ([False, True, False, True], [True, False, True, False]) else None


def described(texts: Iterable[str]) -> str:
    """What texts with lone surrogates for their bytes are likely in, for a message; "" when nothing speaks for any."""
    guess = likely(b"\n".join(text.encode(errors="surrogateescape") for text in texts))
    return f" ({guess}, by the looks)" if guess else ""


def likely(data: bytes) -> str | None:
    """The encoding whose letters make most of the bytes that are not ASCII; None when there are none."""
    high = re.sub(rb"[\x00-\x7f]", b"", data)
    if not high:
        return None
    runs = _RUN.findall(data)
    length = sum(map(len, runs)) / len(runs)
    if length < 3:  # single letters among others: of the West
        return "Mac Roman" if len(re.findall(rb"[\x80-\x9f](?=[a-z])", data)) > len(runs) / 2 else "cp1252"
    for name, common, share in SCRIPTS:
        foreign = re.sub(r"[\x00-\x7f]", "", data.decode(name, "replace"))
        if len(re.findall(common, foreign)) >= share * max(len(foreign), 1):
            return name
    return "cp1252"
