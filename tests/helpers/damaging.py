"""Damages every artifact of small runs in every way, and looks at what each command makes of it.

python tests/helpers/damaging.py            # all cases; some minutes
"""

from __future__ import annotations

import csv
import shutil
import sys
import tempfile
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

from small import config, rows, write

from adde_ray.artifacts.digests import LEDGER
from adde_ray.artifacts.run_dir import RunDir
from adde_ray.config import Config
from adde_ray.errors import UserError
from adde_ray.export import export
from adde_ray.loop import run
from adde_ray.report.read import read_run_record
from adde_ray.report.summary import summarise

NO_ARTIFACT = {".lock", "events.jsonl"}


class Case(NamedTuple):
    """name: of a file in the run's folder. kind: what is done to it. command: which then looks at the run."""

    name: str
    kind: str
    command: str


class Subject(NamedTuple):
    """A run to be damaged. foreign: another run, some of whose artifacts take the place of its own."""

    config: Config
    root: Path
    foreign: Path

    def artifacts(self) -> list[str]:
        names = (p.relative_to(self.root).as_posix() for p in sorted(self.root.rglob("*")) if p.is_file())
        return [n for n in names if Path(n).name not in NO_ARTIFACT and "/review" not in n]


def finished(folder: Path) -> Subject:
    """A run that spent its labels, with a baseline, features of corrupted samples, and two ways to say the same."""
    data = write(folder / "data.parquet", rows())
    settings = config(data, gates={"semantic": 0.999}, compare={"random": True}, run={"root": str(folder)})
    for seed, name in ((0, "finished"), (1, "other")):
        run(settings.override(f"run.seed={seed}"), folder / name)
    return Subject(settings.override("run.seed=0"), folder / "finished", folder / "other")


def half_done(folder: Path) -> Subject:
    """A run whose second query waits for people."""
    data = write(folder / "data.parquet", rows())
    settings = config(data, review={"annotator": "file"})
    for seed, name in ((0, "half-done"), (1, "other")):
        own = settings.override(f"run.seed={seed}")
        run(own, folder / name)
        answer(folder / name / "rounds/000/review.csv")
        assert run(own, folder / name, resume=True)["status"] == "awaiting_review"
    return Subject(settings.override("run.seed=0"), folder / "half-done", folder / "other")


def answer(path: Path) -> None:
    """Accept whatever is suggested."""
    with path.open(newline="") as file:
        lines = list(csv.DictReader(file))
    with path.open("w", newline="") as file:
        writer = csv.DictWriter(file, lines[0])
        writer.writeheader()
        writer.writerows(line | {"action": "accept"} for line in lines)


# --- what is done to a file ----------------------------------------------------------------------------------


def remove(path: Path, subject: Subject) -> None:
    path.unlink()


def truncate(path: Path, subject: Subject) -> None:
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def flip(path: Path, subject: Subject) -> None:
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)


def of_another_round(path: Path, subject: Subject) -> None:
    """In its place that of the round before or after; where there is none, that of another run."""
    name = path.relative_to(subject.root).as_posix()
    for old, new in (
        ("/000/", "/001/"),
        ("/001/", "/000/"),
        ("/002/", "/001/"),
        ("-000.", "-001."),
        ("-001.", "-000."),
    ):
        other = subject.root / name.replace(old, new)
        if old in name and other.is_file() and other.read_bytes() != path.read_bytes():
            shutil.copy(other, path)
            return
    other = next((p for p in subject.foreign.glob(_elsewhere(name)) if p.is_file()), None)
    if other is not None and other.read_bytes() != path.read_bytes():
        shutil.copy(other, path)


def _elsewhere(name: str) -> str:
    parts = name.split("/")
    return "/".join(["embeddings", "*", *parts[2:]] if parts[0] == "embeddings" else parts)


KINDS: dict[str, Callable[[Path, Subject], None]] = {
    "removed": remove, "truncated": truncate, "one bit flipped": flip, "of another round": of_another_round,
}  # fmt: skip

COMMANDS: dict[str, Callable[[Subject], object]] = {
    "summary": lambda s: summarise(RunDir.at(s.root)),
    "report": lambda s: read_run_record(RunDir.at(s.root)),
    "export": lambda s: export(RunDir.at(s.root), s.root.parent / "exported"),
    "run --resume": lambda s: run(s.config, s.root, resume=True),
}


# --- what comes of it ----------------------------------------------------------------------------------------


def cases(subject: Subject) -> Iterator[Case]:
    for name in subject.artifacts():
        for kind in KINDS:
            for command in COMMANDS:
                yield Case(name, kind, command)


def outcome(case: Case, subject: Subject, whole: Path) -> str:
    """named, made again, untouched (the other file is the same), or what is wrong: silent, a traceback, not named.

    whole: a copy of the run as it was, which it is again afterwards.
    """
    path = subject.root / case.name
    KINDS[case.kind](path, subject)
    try:
        if path.exists() and path.read_bytes() == (whole / case.name).read_bytes():
            return "untouched"
        COMMANDS[case.command](subject)
        artifacts = Subject(subject.config, whole, whole).artifacts()
        changed = [n for n in artifacts if Path(n).name != LEDGER and not _same(subject.root / n, whole / n)]
        return f"silent: {changed}" if changed else "made again"
    except UserError as error:
        line = str(error)
        if "\n" in line or not any(
            part in line for part in (Path(case.name).name, case.name.rpartition("/")[0] or "/")
        ):
            return f"not named: {line}"
        return "named"
    except Exception as error:
        return f"traceback: {type(error).__name__}: {error}"
    finally:
        shutil.rmtree(subject.root)
        shutil.copytree(whole, subject.root)
        shutil.rmtree(subject.root.parent / "exported", ignore_errors=True)


def _same(path: Path, other: Path) -> bool:
    return path.is_file() and path.read_bytes() == other.read_bytes()


def outcomes(subject: Subject, every: int = 1) -> tuple[Counter, list[str]]:
    """How often each outcome came of every n-th case, and those that must not be."""
    whole = subject.root.parent / "whole"
    shutil.copytree(subject.root, whole)
    counts, wrong = Counter(), []
    for number, case in enumerate(cases(subject)):
        if number % every == 0:
            found = outcome(case, subject, whole)
            counts[found.partition(":")[0]] += 1
            if found not in ("named", "made again", "untouched"):
                wrong.append(f"{case.name}, {case.kind}, {case.command}: {found}")
    return counts, wrong


def main() -> None:
    total, faults = Counter(), []
    for make in (finished, half_done):
        with tempfile.TemporaryDirectory() as folder:
            counts, wrong = outcomes(make(Path(folder)))
        print(make.__name__, dict(counts), flush=True)
        total, faults = total + counts, faults + wrong
    print(sum(total.values()) - total["untouched"], "cases:", dict(total))
    print("\n".join(faults))
    sys.exit(bool(faults))


if __name__ == "__main__":
    main()
