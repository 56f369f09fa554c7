"""The one exception a user is meant to see, and what helps to write it."""

from __future__ import annotations

from collections.abc import Sequence


class UserError(ValueError):
    """Something the user can mend: bad config, bad data, a run folder in use.

    The message is one line that names what is wrong, where, the offending value and the remedy.
    The command line prints it without a traceback and exits with code 2.
    """

    def __init__(self, what: str, *, where: object = None, value: object = None, remedy: str = ""):
        self.what = what
        parts = [f"{where}: {what}" if where is not None else what]
        if value is not None:
            parts.append(f"got {value!r}")
        message = " (".join(parts) + (")" if len(parts) > 1 else "")
        message = message if message.endswith("?") else f"{message}."
        message = f"{message} {remedy}".rstrip(". ") + "." if remedy else message
        super().__init__("\\n".join(message.splitlines()))  # names and paths may hold line breaks

    def __reduce__(self) -> tuple:
        """As it is: one raised in a worker reaches the user word for word."""
        return _again, (type(self), self.what, str(self))


def _again(kind: type[UserError], what: str, message: str) -> UserError:
    error = kind.__new__(kind)
    ValueError.__init__(error, message)
    error.what = what
    return error


class Halted(UserError):
    """The work cannot go on here and now (no room left on the disk); what is done is kept, and a resume goes on."""


class Mistakes(UserError):
    """Several of them in one place. The message is that of the only one, or a line each under one head."""

    SHOWN = 20
    """More are only counted."""

    def __init__(self, mistakes: Sequence[UserError], *, where: object):
        head, more = (
            UserError(f"{len(mistakes)} mistakes, so nothing is taken", where=where),
            len(mistakes) - self.SHOWN,
        )
        lines = [head, *mistakes[: self.SHOWN], *([f"and {more} more"] if more > 0 else [])]
        ValueError.__init__(self, "\n  ".join(map(str, lines if len(mistakes) > 1 else mistakes)))
        self.what = mistakes[0].what


def choose(registry: dict, name: str, *, where: str):
    """Look `name` up in a registry; an unknown name raises `UserError` that lists the valid ones."""
    if name not in registry:
        raise UserError("unknown name", where=where, value=name, remedy=f"Choose one of: {', '.join(sorted(registry))}")
    return registry[name]


def first_line(error: BaseException) -> str:
    """What another library's error says, in one line; its kind where it says nothing."""
    lines = str(error).strip().splitlines()
    return lines[0].strip() if lines else type(error).__name__
