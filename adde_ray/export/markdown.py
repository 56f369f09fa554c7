"""Plain text -> Markdown that shows it unchanged. For generated documents that quote what users wrote."""

from __future__ import annotations

import re
from collections.abc import Iterable


def escape(text: object) -> str:
    """Text that Markdown shows as it is, on one line: in a table cell, a heading or the middle of a paragraph."""
    line = re.sub(r"[\s\x00-\x1f\x7f]+", " ", str(text)).strip()
    line = line.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    # An underscore inside a word means nothing, and names are full of them.
    return re.sub(r"[\\`*\[\]|~$#]|(?<![^\W_])_|_(?![^\W_])", r"\\\g<0>", line)


def table(head: Iterable[object], rows: Iterable[Iterable[object]]) -> str:
    """A GitHub-flavoured Markdown table; None is an empty cell."""
    lines = [[("" if cell is None else escape(cell)) for cell in row] for row in (head, *rows)]
    lines.insert(1, ["---"] * len(lines[0]))
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)
