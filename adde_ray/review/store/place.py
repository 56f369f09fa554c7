"""Where a run's store lies, and what the run is called in it."""

from __future__ import annotations

import os
import secrets
from pathlib import Path

from adde_ray.errors import UserError

FOLDER = "review"
"""In a run's folder: what people are at. No artifact of the run: neither ledger nor digests know of it."""


def place(root: Path, setting: str | None = None) -> tuple[str, str]:
    """(URL, run) to open the store of the run at `root` with. setting: `review.store`; None: a file in its folder.

    The run is named by 16 random hex digits, kept beside the file, so that a folder that is moved keeps its answers.
    Raises UserError: the folder cannot be written.
    """
    folder = root / FOLDER
    try:
        folder.mkdir(parents=True, exist_ok=True)
        return setting or f"sqlite:///{(folder / 'store.sqlite').absolute()}", _name(folder / "run.txt")
    except OSError as error:
        raise UserError(f"no store can be kept there: {error.strerror}", where=folder) from None


def _name(path: Path) -> str:
    if not path.exists():
        made = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
        made.write_text(secrets.token_hex(8))
        try:
            os.link(made, path)  # of two processes that begin at once one is first, and both take its name
        except FileExistsError:
            pass
        finally:
            made.unlink()
    return path.read_text().strip()
