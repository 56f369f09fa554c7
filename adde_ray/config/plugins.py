"""Plugins: modules that register parts of their own when they are imported.

`load` is called for the config of a user's, never for one that is kept in a run's folder: a folder may come from a
stranger. Besides, every installed distribution may name modules in the entry point group `GROUP`. A Ray worker learns
from its driver what to import (`publish`) and does so when it is asked for a name it does not know (`catch_up`).
"""

from __future__ import annotations

import importlib
import importlib.metadata
import json
import logging
import os
import sys
import traceback
from collections.abc import Iterable
from pathlib import Path

from adde_ray.errors import UserError, escaped, first_line

GROUP = "adde_ray.plugins"
"""Entry points of installed distributions, which are always loaded."""

PACKAGE = str(Path(__file__).parents[1]) + os.sep

log = logging.getLogger(__name__)

_loaded: dict[str, None] = {}
_folders: dict[str, None] = {}
_installed = False


def load(modules: Iterable[str], *, near: Path | None = None) -> None:
    """Import each module once, and those of entry points. near: a folder that is searched after `sys.path`, as is the
    one we are in.

    Raises UserError: a module cannot be imported, with the file and the line where it failed.
    """
    _load_installed()
    if not (left := [name for name in modules if name not in _loaded]):
        return
    catch_up()
    for folder in (near or Path.cwd(), Path.cwd()):
        _search(os.path.abspath(folder))
    for name in left:
        _import(name)


def loaded() -> tuple[str, ...]:
    """The modules that configs named, in the order they were imported. Those of entry points are not among them."""
    return tuple(_loaded)


def _search(folder: str) -> None:
    _folders[folder] = None
    if folder not in sys.path:
        sys.path.append(folder)  # last, so that nothing there hides what is installed


def _import(name: str) -> None:
    if name in _loaded:
        return
    try:
        importlib.import_module(name)
    except (Exception, SystemExit) as error:
        raise _failure(name, error) from None
    _loaded[name] = None


def _load_installed() -> None:
    """Once a process. One that fails is told and does not stop the others: a run may not need it."""
    global _installed
    if _installed:
        return
    _installed = True
    for entry in sorted(importlib.metadata.entry_points(group=GROUP), key=lambda entry: (entry.name, entry.value)):
        try:
            entry.load()
        except (Exception, SystemExit) as error:
            log.warning(escaped(f"the installed plugin {entry.name} is left out: {_failure(entry.value, error)}"))


def _failure(name: str, error: BaseException) -> UserError:
    """What is wrong with a module, in a line."""
    if isinstance(error, ModuleNotFoundError) and error.name and f"{name}.".startswith(f"{error.name}."):
        remedy = "Install it, or put it beside the config or into the folder you are in"
        if _in_worker():
            remedy = "Install it on every machine of the Ray cluster, or have it in the job's working directory"
        return UserError(f"there is no module {error.name}", where="plugins.modules", value=name, remedy=remedy)
    if isinstance(error, SyntaxError) and error.filename:
        file, line = error.filename, error.lineno
    else:
        frames = [f for f in traceback.extract_tb(error.__traceback__) if not f.filename.startswith((PACKAGE, "<"))]
        frames = [f for f in frames if f.filename != importlib.__file__]
        file, line = (frames[-1].filename, frames[-1].lineno) if frames else (None, None)
    reason = str(error) if isinstance(error, UserError) else f"{type(error).__name__}: {first_line(error)}"
    place = f" in {file}, line {line}" if file else ""
    what = f"the module cannot be imported: {reason.rstrip('.')}{place}"
    return UserError(what, where="plugins.modules", value=name)


# --- workers ------------------------------------------------------------------------------------------------


def publish() -> None:
    """Let the workers of this process's Ray job know what is loaded. What lies in no package is sent as it is."""
    if not _loaded or _in_worker():
        return
    from ray import cloudpickle
    from ray.experimental.internal_kv import _internal_kv_put

    here = os.path.abspath(os.curdir)
    # In a job a worker's own folder is a copy of the driver's.
    below = [os.path.relpath(folder, here) for folder in _folders if Path(folder).is_relative_to(here)]
    told = {"modules": list(_loaded), "folders": [*_folders, *below]}
    _internal_kv_put(_key(), json.dumps(told).encode(), overwrite=True)
    for name in {name.partition(".")[0] for name in _loaded}:
        # Objects of its classes reach workers before these have been asked to import anything.
        if _is_local(name):
            cloudpickle.register_pickle_by_value(sys.modules[name])


def catch_up() -> None:
    """In a Ray worker, import what the driver has loaded. Raises UserError as `load` does."""
    if not _in_worker():
        return
    from ray.experimental.internal_kv import _internal_kv_get

    _load_installed()
    if (told := _internal_kv_get(_key())) is None:
        return
    told = json.loads(told)
    for folder in map(os.path.abspath, told["folders"]):
        if os.path.isdir(folder):
            _search(folder)
    for name in told["modules"]:
        _import(name)


def _in_worker() -> bool:
    worker = sys.modules.get("ray._private.worker")
    return worker is not None and worker.global_worker.mode == worker.WORKER_MODE


def _key() -> bytes:
    import ray

    return f"adde_ray.plugins:{ray.get_runtime_context().get_job_id()}".encode()


def _is_local(name: str) -> bool:
    """Whether a module or package was found in a folder of `_folders`, which workers do not search."""
    module = sys.modules[name]
    places = [*getattr(module, "__path__", ()), *filter(None, [getattr(module, "__file__", None)])]
    return any(os.path.dirname(place) in _folders for place in places)
