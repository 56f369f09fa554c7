"""The ledger of a folder: the digest of every artifact in it, written down as the artifact is made.

A line of `digests.txt` is `<check> <BLAKE2b> <bytes> <name>`: a record, made before the artifact gets its name. So an
artifact without a record is not there, and every record but the last one has its artifact; the line `<check> -` says
that the last one has its, too. Check digits tell a line that was damaged from one that a kill cut short, which can only
be the last. What is made again to the same bytes is not recorded again. A folder without a ledger, as earlier versions
left it, is not recorded.
"""

from __future__ import annotations

import hashlib
import itertools
import json
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

LEDGER = "digests.txt"

DIGESTS, SEAL = "digests", "digest"
"""In a JSON object that says what is done: name → digest of the artifacts it speaks for, and the digest of the rest."""

CLOSED, GONE = "-", "gone"

DEPTH = 5
"""Folders from an artifact up to its ledger, at most."""


class Digest(NamedTuple):
    """Of a file's content."""

    blake2b: str
    size: int  # bytes

    @classmethod
    def of(cls, path: Path) -> Digest:
        """That of a file. Raises OSError."""
        with path.open("rb") as file:
            return cls(hashlib.file_digest(file, _blake2b).hexdigest(), file.tell())

    @classmethod
    def of_bytes(cls, data: bytes) -> Digest:
        """That of a file that would hold these."""
        return cls(_blake2b(data).hexdigest(), len(data))

    @classmethod
    def parse(cls, text: str) -> Digest:
        """The inverse of `str`. Raises ValueError."""
        blake2b, size = text.split(" ")
        return cls(blake2b, int(size))

    def __str__(self) -> str:
        return f"{self.blake2b} {self.size}"


def _blake2b(data: bytes = b""):
    return hashlib.blake2b(data, digest_size=16)


# --- the ledger ----------------------------------------------------------------------------------------


class Ledger(NamedTuple):
    """What a folder's ledger says.

    records: name → its digest. last: the name of a record whose artifact may not be there yet; before: what was
    recorded of it earlier. damaged: numbers of the lines that cannot be read.
    """

    records: dict[str, Digest]
    last: str | None = None
    before: Digest | None = None
    damaged: tuple[int, ...] = ()

    @classmethod
    def read(cls, folder: Path) -> Ledger | None:
        """The folder's; None where it has none."""
        try:
            lines = (folder / LEDGER).read_bytes().split(b"\n")
        except FileNotFoundError:
            return None
        records: dict[str, Digest] = {}
        last, before, damaged = None, None, []
        # What follows the last line break was cut short by a kill; a whole file has nothing there.
        for number, line in enumerate(lines[:-1], start=1):
            text = line.partition(b" ")[2]
            if _line(text) != line + b"\n":
                damaged.append(number)
            elif text == CLOSED.encode():
                last = before = None
            else:
                blake2b, size, name = text.decode().split(" ", 2)
                last, before = name, records.get(name)
                if blake2b == GONE:
                    records.pop(name, None)
                else:
                    records[name] = Digest(blake2b, int(size))
        return cls(records, last, before, tuple(damaged))

    def allows(self, name: str, found: Digest | None) -> bool:
        """Whether the artifact may be this one; None: not there."""
        return found == self.records.get(name) or (name == self.last and found == self.before)


def begin(folder: Path) -> None:
    """From now on, what is made in the folder is recorded."""
    (folder / LEDGER).touch()


def ledger_of(path: Path) -> Path | None:
    """The folder that keeps the ledger of an artifact: the nearest above it; None where nothing is recorded."""
    return next((folder for folder in itertools.islice(path.parents, DEPTH) if (folder / LEDGER).exists()), None)


def record(path: Path, digest: Digest | None = None, *, folder: Path | None = None) -> None:
    """Write an artifact's digest down, where there is a ledger, before the artifact gets its name.

    digest: left out, it is there already and is looked at. folder: whose ledger it is; left out, the nearest above.
    """
    if (folder := folder or ledger_of(path)) is not None:
        _append(folder, f"{digest or Digest.of(path)} {path.relative_to(folder).as_posix()}")


def forget(path: Path) -> None:
    """Say that an artifact was removed."""
    if (folder := ledger_of(path)) is not None:
        _append(folder, f"{GONE} 0 {path.relative_to(folder).as_posix()}")


def close(folder: Path) -> None:
    """Say that every recorded artifact is there, if the last one is."""
    ledger = Ledger.read(folder)
    if ledger is not None and ledger.last is not None and (folder / ledger.last).exists():
        _append(folder, CLOSED)


def text_of(records: Mapping[str, Digest]) -> str:
    """A ledger that says this, and that all of it is there."""
    lines = (_line(f"{digest} {name}".encode()) for name, digest in records.items())
    return b"".join([*lines, _line(CLOSED.encode())]).decode()


def _append(folder: Path, text: str) -> None:
    """Add a line, unless it says what is said already: what is done again leaves the ledger as it is."""
    line, name, path = _line(text.encode()), text.split(" ", 2)[-1], folder / LEDGER
    said = path.read_bytes()
    whole = said.rfind(b"\n") + 1  # what follows was cut short by a kill, so it was the last; it is made again
    end = whole if text == CLOSED else said.rfind(f" {name}\n".encode()) + len(name.encode()) + 2
    if said[:end].endswith(line) and whole == len(said):
        return
    if said[:whole].endswith(_line(CLOSED.encode())):  # one stands at the end alone, however often a run was resumed
        whole -= len(_line(CLOSED.encode()))
    with path.open("ab") as file:
        file.truncate(whole)
        if not said[:end].endswith(line):
            file.write(line)


def _line(text: bytes) -> bytes:
    return hashlib.blake2b(text, digest_size=4).hexdigest().encode() + b" " + text + b"\n"


# --- objects that say what is done -----------------------------------------------------------------------


def sealed(tree: dict, digests: Mapping[str, Digest]) -> dict:
    """A JSON object that speaks for these artifacts, and guards itself."""
    tree = {**tree, DIGESTS: {name: str(digest) for name, digest in sorted(digests.items())}}
    return {**tree, SEAL: _seal(tree)}


def unsealed(tree: dict) -> dict:
    """The object without what `sealed` added."""
    return {key: value for key, value in tree.items() if key not in (DIGESTS, SEAL)}


def spoken_for(tree: dict) -> dict[str, Digest] | None:
    """The artifacts a JSON object speaks for; None where it does not, as those of earlier versions.

    Raises ValueError when it is not as it was written.
    """
    if DIGESTS not in tree and SEAL not in tree:
        return None
    if tree.get(SEAL) != _seal({key: value for key, value in tree.items() if key != SEAL}):
        raise ValueError("was changed")
    return {name: Digest.parse(text) for name, text in tree[DIGESTS].items()}


def _seal(tree: dict) -> str:
    return _blake2b(json.dumps(tree, sort_keys=True).encode()).hexdigest()
