"""Wait for people: until what a run asks about is answered, with how far they are; and the page beside it."""

from __future__ import annotations

import contextlib
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from adde_ray.artifacts.run_dir import RunDir
from adde_ray.errors import UserError
from adde_ray.review.pending import pending

POLL_SECONDS = 1.0

GOODBYE_SECONDS = 10.0
"""For the page's server, when the run has ended."""


def wait(run: RunDir, tell: Callable[[str], None], *, every: float = POLL_SECONDS) -> None:
    """Return once the run can go on. tell: is given a line whenever more is answered, or what is wrong with an answer
    has changed. Nothing is loaded meanwhile, and nothing held: table and store are read anew each time."""
    told = None
    while True:
        try:
            found = pending(run)
            if found is None or not found.open:
                return
            line = f"waiting for people: {found.asked - found.open} of {found.asked} answered"
        except UserError as error:  # a mistake in the table, or a store that is away for a moment
            line = str(error)
        if line != told:
            tell(line)
            told = line
        time.sleep(every)


@contextlib.contextmanager
def page_beside(run: Path, port: int) -> Iterator[None]:
    """Serve the run's page meanwhile, in a process of its own: as `adde review` does, which says where it is."""
    command = [sys.executable, "-m", "adde_ray.cli", "review", str(run), "--port", str(port)]
    server = subprocess.Popen(command)
    try:
        yield
    finally:
        server.terminate()
        try:
            server.wait(GOODBYE_SECONDS)
        except subprocess.TimeoutExpired:
            server.kill()
