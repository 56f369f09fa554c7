"""Labelling rules: a Markdown file, shown beside the samples, with pictures that lie beside it."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from adde_ray.errors import UserError, needed

LARGEST = 1024 * 1024
"""Bytes of a guide."""

PICTURE = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_. -]{0,99}\.(png|jpe?g|gif|webp)", re.I)
"""The name of a file beside the guide that it may show."""


@dataclass(frozen=True)
class Guide:
    """html: safe to show: what is HTML in the Markdown is text. pictures: files that it shows, by name."""

    html: str
    pictures: dict[str, Path]


def read_guide(path: Path) -> Guide:
    """Render a guide. Raises UserError: no file, no text in UTF-8, or too large a one."""
    needed("markdown_it", extra="review", where="review.guide", value=str(path))
    from markdown_it import MarkdownIt
    from markdown_it.token import Token

    remedy = f"Give a Markdown file in UTF-8 of at most {LARGEST // 1024} KiB"
    try:
        if path.stat().st_size > LARGEST:
            raise UserError("the guide is too large", where=path, remedy=remedy)
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"the guide cannot be read: {error}", where=path, remedy=remedy) from None
    markdown = MarkdownIt("commonmark", {"html": False, "linkify": False}).enable(["table", "strikethrough"])
    tokens = markdown.parse(text)
    pictures: dict[str, Path] = {}

    def rewrite(token: Token) -> None:
        source = str(token.attrGet("src") or "").replace("%20", " ")
        if token.type == "image" and PICTURE.fullmatch(source) and (path.parent / source).is_file():
            pictures[source] = path.parent / source
            token.attrSet("src", f"/api/guide/{source}")
        if token.type == "link_open":
            token.attrSet("rel", "noopener noreferrer")
            token.attrSet("target", "_blank")
        for child in token.children or ():
            rewrite(child)

    for token in tokens:
        rewrite(token)
    return Guide(markdown.renderer.render(tokens, markdown.options, {}), pictures)
