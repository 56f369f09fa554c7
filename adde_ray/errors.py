"""The one exception a user is meant to see, and what helps to write it."""

from __future__ import annotations

import difflib
import importlib.util
import math
import re
import reprlib
from collections.abc import Iterable, Mapping, Sequence
from typing import TypeVar

T = TypeVar("T")

LONGEST = {"where": 400, "what": 1500, "remedy": 2500}
"""Characters of each part of a message; what is longer loses its middle."""


class UserError(ValueError):
    """Something the user can mend: bad config, bad data, a run folder in use.

    The message is one line that names what is wrong, where, the offending value and the remedy.
    The command line prints it without a traceback and exits with code 2.

    more: further mistakes found together with this one. The message counts them, `lines` has them all.
    """

    def __init__(
        self,
        what: str,
        *,
        where: object = None,
        value: object = None,
        remedy: str = "",
        more: Sequence[UserError] = (),
    ):
        self.what = what
        what = _cut(what, LONGEST["what"])
        parts = [f"{_cut(str(where), LONGEST['where'])}: {what}" if where is not None else what]
        if value is not None:
            parts.append(f"got {shown(value)}")
        message = " (".join(parts) + (")" if len(parts) > 1 else "")
        message = message if message.endswith("?") else f"{message}."
        if remedy:
            message = f"{message} {_cut(remedy, LONGEST['remedy'])}".rstrip(". ")
            message = message if message.endswith("?") else f"{message}."
        message = escaped(message.rstrip())
        self.lines: tuple[str, ...] = (message, *(line for error in more for line in error.lines))
        super().__init__(message + (f" (And {len(self.lines) - 1} more.)" if more else ""))

    def __reduce__(self) -> tuple:
        """As it is: one raised in a worker reaches the user word for word."""
        return _again, (type(self), self.what, str(self), self.lines)


def _again(kind: type[UserError], what: str, message: str, lines: tuple[str, ...]) -> UserError:
    error = kind.__new__(kind)
    ValueError.__init__(error, message)
    error.what, error.lines = what, lines
    return error


class Halted(UserError):
    """The work cannot go on here and now (no room left on the disk); what is done is kept, and a resume goes on."""


class Mistakes(UserError):
    """Several of them in one place. The message is that of the only one, or a line each under one head."""

    SHOWN = 20
    """More are only counted."""

    def __init__(self, mistakes: Sequence[UserError], *, where: object):
        lines = [str(mistake) for mistake in mistakes[: self.SHOWN]]
        if len(mistakes) > 1:
            lines.insert(0, str(UserError(f"{len(mistakes)} mistakes, so nothing is taken", where=where)))
        if len(mistakes) > self.SHOWN:
            lines.append(f"and {len(mistakes) - self.SHOWN} more")
        ValueError.__init__(self, "\n  ".join(lines))
        self.what, self.lines = mistakes[0].what, tuple(lines)


def choose(parts: Mapping[str, T], name: str, *, where: str, also: Iterable[str] = ()) -> T:
    """Look `name` up; an unknown one raises `UserError` that lists those there are, and `also`."""
    if name not in parts:
        names = sorted((*parts, *also))
        remedy = f"{nearest(name, names)}Choose one of: {', '.join(names)}"
        raise UserError("unknown name", where=where, value=name, remedy=remedy)
    return parts[name]


def needed(*packages: str, extra: str, where: str, value: object) -> None:
    """Raise UserError with the command that installs them where one of `packages` (by import name) is missing."""
    for name in packages:
        if not installed(name):
            raise UserError(
                f"needs the package {name}", where=where, value=value, remedy=f"Run: {INSTALL.format(extra)}"
            )


def installed(package: str) -> bool:
    """Whether a package can be imported, by its import name; it is not loaded for that."""
    return importlib.util.find_spec(package) is not None


INSTALL = 'pip install "adde_ray[{}]"'
"""How an extra is installed."""


def nearest(name: object, known: Iterable[str]) -> str:
    """ "Did you mean …? ", where one of the known names is like this one; else nothing."""
    if not isinstance(name, str) or len(name) > 100:
        return ""
    lower = {key.lower(): key for key in known}
    found = difflib.get_close_matches(name.strip().lower(), lower, n=1, cutoff=0.7)
    return f"Did you mean {lower[found[0]]!r}? " if found else ""


def first_line(error: BaseException) -> str:
    """What another library's error says, in one line; its kind where it says nothing."""
    lines = str(error).strip().splitlines()
    return lines[0].strip() if lines else type(error).__name__


# --- what users' names and values look like in a message --------------------------------------------------

# Control characters, marks that turn the direction of writing or break lines, and bytes that were no UTF-8.
_UNPRINTABLE = re.compile("[\x00-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff]")
_SHORT = {"\n": "\\n", "\r": "\\r", "\t": "\\t"}


def escaped(text: str) -> str:
    """One line that any terminal can show: line breaks, control characters and bytes that are no UTF-8 as escapes."""
    return _UNPRINTABLE.sub(lambda found: _SHORT.get(found[0]) or _escape(ord(found[0])), text)


def _escape(code: int) -> str:
    if 0xDC80 <= code <= 0xDCFF:  # how Python keeps a byte of a name that is no UTF-8
        code -= 0xDC00
    return f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}"


def shown(value: object) -> str:
    """`repr` of any value there may be in a file, cut short."""
    return _VALUES.repr(value)


class _Values(reprlib.Repr):
    def __init__(self) -> None:
        super().__init__()
        self.maxlevel, self.maxlist, self.maxtuple, self.maxdict = 4, 20, 20, 20
        self.maxstring = self.maxother = 300

    def repr_int(self, x: int, level: int) -> str:
        if abs(x) < 10**60:
            return repr(x)
        return f"a number of {int(x.bit_length() * math.log10(2)) + 1} digits"

    def repr_dict(self, x: dict, level: int) -> str:
        """In the order given: keys of several types cannot be sorted."""
        if level <= 0 and x:
            return "{...}"
        pairs = [f"{self.repr1(k, level - 1)}: {self.repr1(v, level - 1)}" for k, v in list(x.items())[: self.maxdict]]
        return f"{{{', '.join(pairs)}{', ...' if len(x) > self.maxdict else ''}}}"


_VALUES = _Values()


def _cut(text: str, length: int) -> str:
    return text if len(text) <= length else f"{text[: length // 2]} … {text[-length // 2 :]}"
