"""Every message that a user can meet stands on the page for it, found in the code and not in a list."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator

from documents import DOCUMENTS, ROOT

from adde_ray.report import outlook

PAGE = DOCUMENTS["docs/troubleshooting.md"].replace("\\|", "|")

ALSO = DOCUMENTS["docs/own-parts.md"]
"""Where mistakes in parts of one's own are told."""

ERRORS = {"UserError", "Halted", "Damage", "_unusable"}
"""Whose first text is the message; of a Damage the second."""


def literal(node: ast.expr) -> list[str]:
    """The fixed pieces of a text, between what differs from case to case."""
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        return [node.value]
    if isinstance(node, ast.JoinedStr):
        return [part.value for part in node.values if isinstance(part, ast.Constant)]
    return []


def messages() -> Iterator[tuple[str, list[str]]]:
    """(where in the code, pieces) of every message that is written where it is raised."""
    for path in sorted((ROOT / "adde_ray").rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Call) and node.args:
                name = node.func.id if isinstance(node.func, ast.Name) else getattr(node.func, "attr", "")
                of_config = name == "ValueError" and path.is_relative_to(ROOT / "adde_ray" / "config")
                if name in ERRORS or of_config:
                    pieces = literal(node.args[1 if name == "Damage" else 0])
                    if longest(pieces):
                        yield f"{path.relative_to(ROOT)}:{node.lineno}", pieces


def longest(pieces: list[str]) -> str:
    """What to look for: the longest piece, without the punctuation around it."""
    return max((re.sub(r"^\W+|\W+$", "", piece) for piece in pieces), key=len, default="")


def test_messages_are_found():
    assert len(list(messages())) > 200


def test_every_message_is_on_the_page():
    assert not {where: longest(pieces) for where, pieces in messages() if longest(pieces) not in PAGE + ALSO}


def test_every_warning_of_check_is_on_the_page():
    tree = ast.parse((ROOT / "adde_ray" / "report" / "outlook.py").read_text())
    warned = {"small_images", "idle_generator", "unused_split", "spelling", "odd_labels"}
    functions = [node for node in tree.body if isinstance(node, ast.FunctionDef) and node.name in warned]
    assert {f.name for f in functions} == warned and all(hasattr(outlook, name) for name in warned)
    rows = re.split(r"^## ", PAGE, flags=re.M)
    section = next(part for part in rows if part.startswith("Warnings of adde check"))
    for function in functions:
        pieces = [piece for node in ast.walk(function) for piece in literal(node)]
        words = {" ".join(piece.split()) for piece in pieces if len(piece.split()) > 3}
        told = [row for row in section.splitlines() if any(overlap(row, piece) for piece in words)]
        assert told, function.name


def overlap(row: str, piece: str) -> bool:
    """Whether four words in a row are the same."""
    words = piece.split()
    return any(" ".join(words[i : i + 4]) in row for i in range(len(words) - 3))


def test_every_row_says_what_to_do():
    for row in re.findall(r"^\| `.*$", PAGE, re.M):
        assert not re.search(r"\|\s*\|", re.sub(r"`[^`]*`", "x", row)), row
