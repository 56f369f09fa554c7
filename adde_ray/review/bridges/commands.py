"""`adde review export · import · push · pull · convert`: what people are asked goes out, and answers come back."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Annotated, Literal

import typer
from rich import get_console

from adde_ray.artifacts.run_dir import RunDir, atomic, one_at_a_time
from adde_ray.errors import UserError, escaped
from adde_ray.review.bridges.base import Questions, Read

RunFolder = Annotated[Path, typer.Argument(help="A run's folder.", metavar="RUN", show_default=False)]
Format = Literal["label-studio", "cvat", "coco", "csv", "xlsx"]
Url = Annotated[str, typer.Option(help="Where Label Studio is, as http://localhost:8080.", show_default=False)]
Project = Annotated[
    int | None, typer.Option(help="A project by its number. Default: the run's own.", show_default=False)
]
From = Annotated[
    Format | None, typer.Option("--from", help="What wrote the file. Default: what it looks like.", show_default=False)
]


def export(
    run: RunFolder,
    to: Annotated[Format, typer.Option(help="The tool, or the kind of table.", show_default=False)],
    out: Annotated[Path, typer.Option(help="A new folder.", show_default=False)],
) -> None:
    """Write what people are asked for another tool: tasks with the model's suggestions, or a table, and pictures."""
    from adde_ray.review.bridges.formats import BRIDGES
    from adde_ray.review.bridges.questions import waiting

    questions = waiting(RunDir.at(run))
    with _new_folder(out) as folder:
        names = [path.name for path in BRIDGES[to].export(questions, folder)]
    _say(f"round {questions.round}: {len(questions.asked)} samples in {out}: {', '.join(names)}")
    _say(f"next: adde review import {run} FILE")


def import_(
    run: RunFolder,
    file: Annotated[Path, typer.Argument(help="What the tool exported.", metavar="FILE", show_default=False)],
    from_: From = None,
    annotator: Annotated[str, typer.Option(help="Who answered, where the file does not say.", show_default=False)] = "",
    accept_untouched: Annotated[
        bool,
        typer.Option(
            "--accept-untouched", help="Take what the model suggested as accepted where nobody changed it (CVAT)."
        ),
    ] = False,
) -> None:
    """Take answers from another tool's file. The same file again changes nothing."""
    from adde_ray.review.bridges.formats import BRIDGES
    from adde_ray.review.bridges.questions import waiting

    run_ = RunDir.at(run)
    questions = waiting(run_)
    read = BRIDGES[from_ or _kind(file)].read(file)
    _take(run_, questions, read, file, annotator=annotator, accept_untouched=accept_untouched)


def push(run: RunFolder, url: Url, project: Project = None) -> None:
    """Push what people are asked into a project of Label Studio, which is made where there is none. Nothing is pushed
    twice. The access token is read from the environment variable LABEL_STUDIO_API_KEY."""
    from adde_ray.review.bridges.label_studio_server import Server
    from adde_ray.review.bridges.questions import waiting
    from adde_ray.review.bridges.take import LOCK
    from adde_ray.review.store.place import FOLDER

    questions = waiting(RunDir.at(run))
    server = Server(url, project=project)
    with one_at_a_time(run / FOLDER / LOCK):
        done = server.push(questions)
    _say(f"{'made' if done.made else 'found'} project {done.project} of {url}")
    there = f"; {done.asked - done.tasks} were there" if done.tasks < done.asked else ""
    _say(f"pushed {done.tasks} of the {done.asked} samples that round {questions.round} asks about{there}")
    _say(f"next: adde review pull {run} --url {url}")


def pull(run: RunFolder, url: Url, project: Project = None) -> None:
    """Take the answers that people have given in Label Studio so far. Again changes nothing. The access token is read
    from the environment variable LABEL_STUDIO_API_KEY."""
    from adde_ray.review.bridges.label_studio_server import Server
    from adde_ray.review.bridges.questions import waiting

    run_ = RunDir.at(run)
    questions = waiting(run_)
    read, where = Server(url, project=project).pull(questions)
    _take(run_, questions, read, where)


def convert(
    file: Annotated[Path, typer.Argument(help="What a tool exported.", metavar="FILE", show_default=False)],
    out: Annotated[Path, typer.Option(help="A file of JSON Lines (.jsonl).", show_default=False)],
    from_: From = None,
) -> None:
    """Make a table (JSON Lines) with a column label of what was labelled elsewhere, from which a run can start."""
    from adde_ray.review.bridges.convert import labelled
    from adde_ray.review.bridges.formats import BRIDGES

    columns, rows = labelled(BRIDGES[from_ or _kind(file)].read(file), file)
    with atomic(out, recorded=False) as temporary, temporary.open("w", encoding="utf-8", errors="replace") as opened:
        opened.writelines(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)
    _say(f"{len(rows)} rows in {out}, with the columns {', '.join(columns)}")


COMMANDS: dict[str, tuple[Callable[..., None], str]] = {
    "export": (export, "adde review export runs/tickets --to label-studio --out tasks"),
    "import": (import_, "adde review import runs/tickets project-1.json"),
    "push": (push, "adde review push runs/tickets --url http://localhost:8080"),
    "pull": (pull, "adde review pull runs/tickets --url http://localhost:8080"),
    "convert": (convert, "adde review convert instances.json --out labelled.jsonl"),
}
"""Name -> what it does, and an example."""


def _take(run: RunDir, questions: Questions, read: Read, where: object, **options) -> None:
    """Check all answers, take all or none, and say what was done."""
    from adde_ray.review import room
    from adde_ray.review.bridges.stored import into_store
    from adde_ray.review.bridges.take import check, fill_in

    checked = check(questions, read, where, **options)
    if run.config.review.annotator == "page":
        with room.room(run) as store:
            new = into_store(store, questions, checked, where)
    else:
        new = fill_in(run, questions, checked.answers, where)
    _say(f"round {questions.round}: answers in {where}: {len(checked.answers)}, of them new: {new}")
    for what, count in (
        ("skipped there", len(checked.skips)),
        ("without an answer there yet", checked.unanswered),
        ("with only what the model suggested, which --accept-untouched takes as accepted", checked.untouched),
        ("about earlier rounds, whose answers were taken", checked.earlier),
        ("of these changed since, while what was taken stays", checked.changed),
    ):
        if count:
            _say(f"{what}: {count}")


def _kind(path: Path) -> Format:
    """What a file looks like."""
    if not path.is_file():
        raise UserError(
            "is no file" if path.exists() else "no such file", where=path, remedy="Give an export of a tool"
        )
    with path.open("rb") as file:
        head = file.read(4096)
    if head.startswith(b"PK"):
        from zipfile import BadZipFile, ZipFile

        with contextlib.suppress(BadZipFile, NotImplementedError, ValueError), ZipFile(path) as archive:
            return "cvat" if "annotations.xml" in archive.namelist() else "xlsx"
    begins = head.removeprefix(b"\xef\xbb\xbf").lstrip()[:1]
    return {b"[": "label-studio", b"{": "coco", b"<": "cvat"}.get(begins, "csv")  # type: ignore[return-value]


@contextlib.contextmanager
def _new_folder(path: Path) -> Iterator[Path]:
    """A folder that becomes `path` when the block ends well. Raises UserError: there is something."""
    if path.exists() and (not path.is_dir() or any(path.iterdir())):
        raise UserError("is there already, and not empty", where=path, remedy="Give a new folder: --out FOLDER")
    path.parent.mkdir(parents=True, exist_ok=True)
    made = Path(tempfile.mkdtemp(prefix=f".{path.name}.", dir=path.parent))
    try:
        yield made
        made.chmod(0o777 & ~_umask())
        os.replace(made, path)
    finally:
        shutil.rmtree(made, ignore_errors=True)


def _umask() -> int:
    was = os.umask(0)
    os.umask(was)
    return was


def _say(line: str) -> None:
    get_console().print(escaped(line), soft_wrap=True, highlight=False, markup=False, emoji=False)
