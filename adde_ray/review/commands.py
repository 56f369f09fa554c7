"""`adde review`: the page, and who may come to it.

`adde review RUN` serves the page; `adde review invite RUN NAME` and the like are told apart by their first word.
"""

from __future__ import annotations

import contextlib
import getpass
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer
from typer.core import TyperGroup

from adde_ray.artifacts.run_dir import RunDir
from adde_ray.errors import needed
from adde_ray.review.bridges import commands as bridges

if TYPE_CHECKING:
    from adde_ray.review.store.store import Store

SERVE = "serve"
"""The command that a run's folder alone stands for."""

RunFolder = Annotated[Path, typer.Argument(help="A run's folder.", metavar="RUN", show_default=False)]
Name = Annotated[str, typer.Argument(help="A person's name.", metavar="NAME", show_default=False)]

Say = Callable[[str], None]


class RunFirst(TyperGroup):
    """Takes `review RUN …` for `review serve RUN …`."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """As click's, with the command's name where it is left out."""
        if args and args[0] not in self.commands and args[0] != "--help":
            args = [SERVE, *args]
        return super().parse_args(ctx, args)


def group(guarded: Callable[[Callable], Callable], say: Say) -> typer.Typer:
    """The commands. guarded: makes of a user's mistake one line and exit code 2. say: prints a line."""
    app = typer.Typer(cls=RunFirst, no_args_is_help=True, add_completion=False, rich_markup_mode="markdown")

    def command(example: str, **more: Any) -> Callable:
        def register(function: Callable) -> Callable:
            about = " ".join((function.__doc__ or "").split())
            app.command(help=f"{about}\n\nExample: `{example}`", **more)(guarded(function))
            return function

        return register

    @command("adde review runs/tickets --port 8765", name=SERVE)
    def serve(
        run: RunFolder,
        host: Annotated[str, typer.Option(help="Where to listen; beyond this machine everybody needs a token.")] = (
            "127.0.0.1"
        ),
        port: Annotated[int, typer.Option(min=0, max=65535, help="0: any that is free.")] = 8765,
        as_: Annotated[
            str | None,
            typer.Option("--as", help="Who you are, while nobody is invited. Default: your login.", show_default=False),
        ] = None,
    ) -> None:
        """Serve the page on which people answer what a run asks, until Ctrl-C."""
        with opened(run) as (run_dir, store):
            from adde_ray.review.server.about import about
            from adde_ray.review.server.serve import serve as serve_page

            serve_page(store, about(run_dir), host=host, port=port, local=as_ or getpass.getuser(), tell=say)

    @command("adde review invite runs/tickets ann")
    def invite(
        run: RunFolder,
        name: Name,
        role: Annotated[
            Literal["annotator", "owner"], typer.Option(help="Owners also see how it goes, and settle disputes.")
        ] = "annotator",
    ) -> None:
        """Make a token, with which one person signs in; it is shown once."""
        with opened(run) as (_, store):
            token = store.invite(name, role)
            say(f"{name} ({role}) signs in with this token, which cannot be shown again:")
            say(token)

    @command("adde review people runs/tickets")
    def people(run: RunFolder) -> None:
        """List who was let in, and who has a token."""
        with opened(run) as (_, store):
            found = store.people()
            for person in found:
                say(f"{person.name} ({person.role}{', without a token' * person.revoked})")
            if all(person.revoked for person in found):
                say("nobody has a token: whoever sits at this machine may answer")

    @command("adde review revoke runs/tickets ann")
    def revoke(run: RunFolder, name: Name) -> None:
        """Let somebody in no more; what they answered stays."""
        with opened(run) as (_, store):
            store.revoke(name)
            say(f"{name} is let in no more")

    for name, (function, example) in bridges.COMMANDS.items():
        command(example, name=name)(function)
    return app


@contextlib.contextmanager
def opened(root: Path) -> Iterator[tuple[RunDir, Store]]:
    """A run and its store. Raises UserError: no run, the extra is missing, or the store cannot be opened."""
    needed("fastapi", "uvicorn", "sqlalchemy", "alembic", extra="review", where="adde review", value=str(root))
    from adde_ray.review.room import room

    run = RunDir.at(root)
    with room(run) as store:
        yield run, store
