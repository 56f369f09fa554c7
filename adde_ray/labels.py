"""Labels as text, which every table and every person sees, and as numbers, which models learn from.

A label is one string. In a single-label task it is the class. In a multi-label task it is the classes that hold,
sorted and joined by `|`; the empty string says that none holds; `?Name` says that class Name is not known, and is
then neither learned from nor measured. Null, in both, is a sample nobody has labelled.

As numbers labels have scikit-learn's two forms: (n,) class rows in a single-label task, (n, C) targets in a
multi-label one: 1 holds, 0 does not, NaN not known. What takes labels takes either, and tells them by their shape.
"""

from __future__ import annotations

import re
import unicodedata
from collections import Counter
from collections.abc import Iterable, Sequence
from datetime import date, time, timedelta
from decimal import Decimal

import numpy as np

from adde_ray.errors import UserError

TASKS = ("single", "multi")

SEPARATOR, UNKNOWN = "|", "?"

NONE = "none"
"""What people read and write for a label without a class: an empty cell says that nobody has answered."""

PRESENT = 0.5
"""The calibrated probability from which a class of a multi-label task is predicted to hold."""


MISSING = frozenset(
    ("nan", "-nan", "nat", "<na>", "#n/a", "#n/a n/a", "#na", "n/a", "null", "(null)", "\\n", "1.#ind", "-1.#ind",
     "1.#qnan", "-1.#qnan")
)  # fmt: skip
"""Texts, in lower case, that programs write for a value that is not there; no name for a class."""

DOUBTFUL = frozenset(("na", "none", "-", "--", "?", "."))
"""Texts, in lower case, that some write for a missing value, and others as a name."""

_BLANKS = "\0\xad\u200b\u200c\u200d\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2060\u2066\u2067\u2068\u2069\ufeff"
"""Characters nobody sees, besides those that `str.strip` takes away."""

_NUMBER = re.compile(r"-?(0|[1-9]\d*)(\.\d+)?(e[+-]\d+)?", re.A)
"""A number as programs write it. 01, +1, .5, 1,5 and 1e5 are names."""

_MOMENT = re.compile(r"(\d{4}-\d\d-\d\d)[ T](\d\d:\d\d:\d\d)(\.\d+)?(Z|[+-]\d\d:?\d\d)?", re.A)


def bare(text: str) -> str:
    """Without what nobody sees at both ends: blanks of any kind, marks of byte order and of direction."""
    while (shorter := text.strip().strip(_BLANKS)) != text:
        text = shorter
    return text


def canonical(value: object) -> str | None:
    """A class's name in its one form, whatever the file's format made of it; None where the value is missing.

    Text: NFC, without blanks at its ends. Numbers: 1, 1.0 and "1.00" are "1"; 01 stays. Booleans: "true", "false".
    Dates and times: ISO 8601, a day alone at midnight.
    """
    if value is None:
        return None
    if isinstance(value, (bool, np.bool_)):
        return "true" if value else "false"
    if isinstance(value, (date, time)):
        value = value.isoformat()
    elif isinstance(value, timedelta):
        value = _duration(value)
    elif isinstance(value, Decimal):
        value = format(value, "f")
    text = unicodedata.normalize("NFC", bare(str(value)))
    lower = text.lower()
    if not text or lower in MISSING:
        return None
    if lower in ("true", "false"):
        return lower
    if moment := _MOMENT.fullmatch(text):
        day, clock, fraction, zone = moment.groups("")
        fraction = fraction.rstrip("0").rstrip(".")
        return day if (clock, fraction, zone) == ("00:00:00", "", "") else f"{day}T{clock}{fraction}{zone}"
    return _plain_number(text) if _NUMBER.fullmatch(text) else text


def _plain_number(text: str) -> str:
    """As short as it goes, without an exponent where it is whole and exact."""
    mantissa, _, exponent = text.partition("e")
    if exponent:
        number = Decimal(text) if abs(int(exponent)) < 400 else None
        if number is None or number != number.to_integral_value() or abs(number) >= 2**63:
            return text
        mantissa = format(number, "f")
    if "." in mantissa:
        mantissa = mantissa.rstrip("0").rstrip(".")
    return "0" if mantissa == "-0" else mantissa


def _duration(value: timedelta) -> str:
    seconds = Decimal(value // timedelta(microseconds=1)).scaleb(-6)
    return f"{'-' if seconds < 0 else ''}PT{_plain_number(format(abs(seconds), 'f'))}S"


def split(label: str) -> tuple[list[str], list[str]]:
    """The classes that hold and those not known, of a multi-label task's label."""
    parts = [part.strip() for part in label.split(SEPARATOR)]
    holds = [part for part in parts if part and not part.startswith(UNKNOWN)]
    return holds, [part.removeprefix(UNKNOWN).strip() for part in parts if part.startswith(UNKNOWN)]


def join(holds: Iterable[str], unknown: Iterable[str] = ()) -> str:
    """The inverse of `split`, in its one canonical form."""
    holds = set(holds)
    marked = [f"{UNKNOWN}{name}" for name in sorted(set(unknown) - holds)]
    return SEPARATOR.join([*sorted(holds), *marked])


def in_words(label: str | None) -> str | None:
    """A label as people read it: "none" where no class holds."""
    return NONE if label == "" else label


def check_classes(classes: Sequence[str], *, where: object) -> None:
    """Raises UserError: a class of a multi-label task has a name that a label could not hold."""
    for name in classes:
        if SEPARATOR in name or name.startswith(UNKNOWN) or name != name.strip() or name.lower() in ("", NONE):
            raise UserError(
                "no name for a class of a multi-label task",
                where=where,
                value=name,
                remedy=f'Rename it: no "{SEPARATOR}", no "{UNKNOWN}" or blank at an end, and not "{NONE}"',
            )


def targets(labels: Iterable[str | None], classes: Sequence[str]) -> np.ndarray:
    """(n, C) float32 of a multi-label task's labels: 1 holds, 0 does not, NaN not known; a row of NaN for null."""
    row = {name: i for i, name in enumerate(classes)}
    labels = list(labels)
    found = np.zeros((len(labels), len(classes)), dtype=np.float32)
    for i, label in enumerate(labels):
        if label is None:
            found[i] = np.nan
            continue
        holds, unknown = split(label)
        found[i, [row[name] for name in holds]] = 1
        found[i, [row[name] for name in unknown]] = np.nan
    return found


def texts(found: np.ndarray, classes: Sequence[str]) -> list[str]:
    """The inverse of `targets`; a row of NaN is a label whose every class is not known."""
    names = np.array(classes, dtype=object)
    return [join(names[row == 1], names[np.isnan(row)]) for row in found]


def holds(labels: np.ndarray, num_classes: int) -> np.ndarray:
    """(n, C) bool: which classes hold, for labels of either form. Unlabelled and unknown: none."""
    return labels[:, None] == np.arange(num_classes) if labels.ndim == 1 else labels == 1


def foreign(label: str, classes: Sequence[str], *, multi: bool) -> list[str]:
    """The names in a label that are none of the classes."""
    return [name for part in (split(label) if multi else [[label]]) for name in part if name not in classes]


def likeliest(proba: np.ndarray, classes: Sequence[str], *, multi: bool) -> tuple[list[str], np.ndarray]:
    """The label f thinks likeliest, of each row of (n, C) probabilities, and (n,) its probability in [0, 1].

    Multi-label: the classes more likely than not, taken as independent of each other, as f takes them.
    """
    if not multi:
        return [classes[int(c)] for c in proba.argmax(axis=1)], proba.max(axis=1)
    present = proba >= PRESENT
    return texts(present.astype(np.float32), classes), np.where(present, proba, 1 - proba).prod(axis=1)


def rarest(labels: Sequence[str]) -> list[str]:
    """Of each multi-label label the class that holds in the fewest of them; "" where none does.

    What stands for a whole label where one class must: in stratified draws, and as a point's colour.
    """
    parts = [split(label)[0] for label in labels]
    counts: dict[str, int] = {}
    for names in parts:
        for name in set(names):
            counts[name] = counts.get(name, 0) + 1
    return [min(names, key=lambda name: (counts[name], name), default="") for names in parts]


def count(labels: Iterable[str | None], classes: Sequence[str], *, multi: bool) -> dict[str, int]:
    """Class -> labels in which it holds. Nulls count for nothing."""
    counts = dict.fromkeys(classes, 0)
    for label, times in Counter(labels).items():
        for name in [] if label is None else split(label)[0] if multi else [label]:
            if name in counts:
                counts[name] += times
    return counts
