"""A label as people and spreadsheets write it → the class it means, where exactly one is meant.

Compared closely first, then ever more loosely: letter by letter; without blanks around it and in whatever Unicode form;
in whatever case and width; by value, since a spreadsheet makes 1 of `01`, `1,0` of `1.0` and TRUE or WAHR of `true`.
The first comparison in which a class is alike decides. Where two are, nobody can tell which is meant.
"""

from __future__ import annotations

import re
import unicodedata
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from decimal import MAX_EMAX, MIN_EMIN, Context, Decimal, InvalidOperation

from adde_ray.errors import Mistakes, UserError, nearest
from adde_ray.labels import NONE, SEPARATOR, UNKNOWN, join
from adde_ray.review.cells import MARK, unescape
from adde_ray.review.sheet import unscrambled

LISTED = 12
"""Classes an error lists; review.txt has all of them."""

SEPARATORS = (SEPARATOR, ";", ",", "\n")
"""What people put between several classes: the first by which all of them are known."""

TRUTH = {
    "true": ("true", "wahr", "vrai", "verdadero", "vero", "waar", "verdadeiro", "prawda", "pravda", "истина"),
    "false": ("false", "falsch", "faux", "falso", "onwaar", "fałsz", "nepravda", "ложь"),
}
"""What spreadsheets in people's languages make of true and false."""

_TRUTH = {word: value for value, words in TRUTH.items() for word in words}


ABSENT = ("na", "n/a", "nan", "null", "<na>")
"""What programs write into an empty cell. Where it is no class, it is no answer either."""


class Names:
    """The classes of a task, to find by what people write. multi: any number of them may hold."""

    def __init__(self, classes: Sequence[str], *, multi: bool = False):
        self._classes, self._multi = tuple(classes), multi
        self._alike: list[dict[str, set[str]]] = []
        for keys in COMPARISONS:
            alike = defaultdict(set)
            for name in classes:
                for key in keys(name):
                    alike[key].add(name)
            self._alike.append(alike)
        self._rewritten: dict[str, set[str]] = defaultdict(set)
        self._hints = Mistakes.SHOWN

    def saw(self, cell: str, name: str) -> None:
        """Learn that the cell, as it was read, was written as class `name`: the spreadsheet may have rewritten it."""
        seen = unescape(cell)
        alike = any(keys(seen) & keys(name) for keys in COMPARISONS) or re.search(DATE, cell.strip())
        if seen != name and alike:
            self._rewritten[cell.strip()].add(name)

    def is_empty(self, cell: str) -> bool:
        """Whether a cell holds no label."""
        return not cell.strip() or (cell.strip().lower() in ABSENT and not self._found(cell))

    def label(self, cell: str, *, where: object = None) -> str:
        """The label a cell means, in its canonical form. Raises UserError: none, or more than one."""
        if not self._multi:
            return self._one(cell, where)
        if _folded(cell) == {NONE}:
            return ""
        splits = [[part.strip() for part in cell.split(mark) if part.strip()] for mark in SEPARATORS]
        known = (parts for parts in splits if all(self._found(part.removeprefix(UNKNOWN).strip()) for part in parts))
        return self._several(next(known, splits[0]), where)

    def _several(self, parts: list[str], where: object) -> str:
        if not parts:
            raise self._not_known(SEPARATOR, where)
        holds: list[str] = []
        unknown: list[str] = []
        for part in parts:
            name = self._one(part.removeprefix(UNKNOWN).strip(), where)
            (unknown if part.startswith(UNKNOWN) else holds).append(name)
        return join(holds, unknown)

    def _one(self, cell: str, where: object) -> str:
        found = self._found(cell)
        if not found:
            raise self._not_known(cell.strip(), where)
        if len(found) > 1:
            raise UserError(
                f"may mean {' or '.join(map(repr, sorted(found)))}",
                where=where,
                value=cell.strip(),
                remedy="Write it exactly so, in a column that the spreadsheet takes for text",
            )
        return next(iter(found))

    def _found(self, cell: str) -> set[str]:
        """The classes a cell may mean: those alike in the closest comparison in which any is."""
        for keys, alike in zip(COMPARISONS, self._alike, strict=True):
            for text in dict.fromkeys((unescape(cell), cell, cell.strip().removeprefix(MARK), *unscrambled(cell))):
                if found := {name for key in keys(text) for name in alike.get(key, ())}:
                    return found | self._rewritten.get(cell.strip(), set())
        return set()

    def _not_known(self, cell: str, where: object) -> UserError:
        spoilt = SPOILT if not all(map(str.isascii, self._classes)) else SPOILT[1:]
        hint = next((hint for pattern, hint in spoilt if re.search(pattern, cell)), None)
        if hint is None:
            hint = self._nearest(cell)
        how = f"Join classes by {SEPARATOR}, or write {NONE}; the classes are" if self._multi else "Choose one of"
        listed = ", ".join(self._classes[:LISTED])
        more = f" … ({len(self._classes)} in all, see review.txt)" if len(self._classes) > LISTED else ""
        return UserError("unknown label", where=where, value=cell, remedy=f"{hint}{how}: {listed}{more}")

    def _nearest(self, cell: str) -> str:
        """Only so often: it takes a while, and no more mistakes are shown."""
        self._hints -= 1
        return nearest(cell, self._classes) if self._hints >= 0 else ""


DATE = r"""(?ix)
    ^ \d{1,4} [-./\ ]+ [^\W\d]{3,}\.? ([-./\ ]+ \d{2,4})? $ |  # 2-Jan, 2. Jan 2026
    ^ [^\W\d]{3,}\.? [-./\ ]+ \d{1,4} $ |  # Jan-26
    ^ \d{1,4} ([-./] \d{1,4}){2} |  # 2026-01-02, 02.01.2026
    ^ \d [.,] \d+ E \+ \d+ $  # 1.23457E+16
"""
"""What spreadsheets make of a class that they take for a date or a long number."""

SPOILT = (
    ("[?\ufffd]", "Letters may be lost: save the table as CSV UTF-8. "),
    ("^#", "The spreadsheet may have taken it for a formula: begin it with '. "),
    (DATE, "The spreadsheet may have made a date or number of it: format the column as text. "),
)
"""What a spoilt cell looks like, and what has happened to it. The first can only happen to names beyond ASCII."""


# --- comparisons: text → keys, of which texts that are alike share one ---------------------------------------


def _exact(text: str) -> set[str]:
    return {text}


def _spelled(text: str) -> set[str]:
    text = re.sub("[\u200b-\u200f\u2060\ufeff\u00ad]", "", unicodedata.normalize("NFC", text))
    return {" ".join(text.split())}


def _folded(text: str) -> set[str]:
    [text] = _spelled(text.translate(_PLAIN))
    return {unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", text).casefold())}


_PLAIN = {
    ord(x): plain for plain, variants in {"'": "‘’‚‛ʼ´`", '"': "“”„‟«»", "-": "‐‑‒–—―−"}.items() for x in variants
}
"""Quotes and dashes as programs "correct" them -> as keyboards have them."""


def _valued(text: str) -> set[str]:
    [text] = _folded(text)
    if text in _TRUTH:
        return {_TRUTH[text]}
    return {value for number in _numbers(text) if (value := _value(number))}


COMPARISONS: tuple[Callable[[str], set[str]], ...] = (_exact, _spelled, _folded, _valued)


def _numbers(text: str) -> Iterator[str]:
    """A number as programs read it. 1.234 and 1,234 may be either of two."""
    if re.fullmatch(r"[+-]?\d+([.,]\d*)?(e[+-]?\d+)?", text):
        yield text.replace(",", ".")
    if re.fullmatch(r"[+-]?\d{1,3}[.,]\d{3}", text):
        yield re.sub("[.,]", "", text)


def _value(number: str) -> str | None:
    """The same for all ways to write a number, without rounding."""
    try:
        return str(Decimal(number).normalize(Context(prec=len(number), Emax=MAX_EMAX, Emin=MIN_EMIN)))
    except (InvalidOperation, ArithmeticError):
        return None
