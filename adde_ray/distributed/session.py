"""Ray, started once a process and only when a stage needs it; and noticed when it is gone."""

from __future__ import annotations

import contextlib
import logging
import os
import re
import secrets
import signal
import socket
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from adde_ray.config import plugins
from adde_ray.distributed import signals
from adde_ray.errors import Halted, UserError, first_line

KNOCK_SECONDS = 10.0
"""How long whoever listens at RAY_ADDRESS has to answer, for which `ray.init` would wait many minutes."""

JOIN_SECONDS = 30.0
"""How long joining a cluster may take."""

WATCH_SECONDS = 1.0
"""Between two looks at whether Ray is still there."""

MISSED = 30
"""Looks in a row at which a joined cluster's head did not answer: it is restarted, elsewhere perhaps, in less."""

REMEDY = "Unset it to stay on this machine, or give the address of a running cluster, as 10.0.0.1:6379"

LOST = "the Ray cluster was lost; nothing committed is, `--resume` goes on"


KILLED = "error: killed, or the Ray cluster was lost; nothing committed is lost, `--resume` goes on"
"""What is told when Ray's own code ends the process, which it does without a word where its raylet is gone."""


def ensure_ray() -> None:
    """Join the Ray cluster that RAY_ADDRESS names, as it does under `ray job submit`; else start a local one.

    Its workers are told of the plugins there are.

    Raises UserError: there is no such cluster, it wants a token, or none can be started here.
    """
    import ray

    if ray.is_initialized():
        plugins.publish()
        return
    # Of many tasks that fail alike the first is told; Ray would add a traceback for each of the others.
    os.environ.setdefault("RAY_IGNORE_UNHANDLED_ERRORS", "1")
    # A local Ray announces token authentication, its metrics agent and more; none of it is about the run.
    quiet = {"configure_logging": True, "logging_level": logging.ERROR, "log_to_driver": False}
    address = os.environ.get("RAY_ADDRESS", "").strip()
    with _handlers_kept():
        if address in ("", "local"):
            # Never a cluster of this machine that nobody named: the file that says where it is outlives it.
            _keep_token()
            try:
                ray.init("local", include_dashboard=False, **quiet)
            except (OSError, RuntimeError, ValueError) as error:
                raise UserError(f"Ray cannot be started: {first_line(error)}", where="this machine") from None
        else:
            _join(address, quiet)
    _mute()
    signals.witness(KILLED)
    if lost not in signals.REASONS:
        signals.REASONS.append(lost)
    threading.Thread(target=_watch, name="ray", daemon=True).start()
    plugins.publish()


def lost() -> Halted | None:
    """What is to be told when the Ray that this process started or joined is gone; None while it is there."""
    import ray
    from ray._private import worker

    node: Any = worker._global_node
    if node is None or not ray.is_initialized():
        return None
    own = [info.process for kind in ("raylet", "gcs_server") for info in node.all_processes.get(kind, ())]
    sockets = Path("/proc/net/unix")
    if own:
        gone = any(process.poll() is not None for process in own)
    else:
        gone = sockets.exists() and str(node.raylet_socket_name) not in sockets.read_text()
    return Halted(LOST) if gone else None


# --- joining --------------------------------------------------------------------------------------------


def _join(given: str, quiet: dict) -> None:
    import ray
    from ray.exceptions import AuthenticationError

    address = _found() if given == "auto" else given
    host, port = _parsed(address, given)
    silent = UserError("no Ray cluster answers", where="RAY_ADDRESS", value=given, remedy=REMEDY)
    late = threading.Timer(JOIN_SECONDS, signals.halt, [silent])
    late.daemon = True
    late.start()
    try:
        _knock(host, port)
        ray.init(address, **quiet)
    except AuthenticationError:
        remedy = "Set RAY_AUTH_MODE=token and have the cluster's token in ~/.ray/auth_token or RAY_AUTH_TOKEN"
        raise UserError("the Ray cluster wants a token", where="RAY_ADDRESS", value=given, remedy=remedy) from None
    except OSError:  # ConnectionError is one
        raise silent from None
    except (RuntimeError, ValueError) as error:
        what = f"the Ray cluster cannot be joined: {first_line(error)}"
        raise UserError(what, where="RAY_ADDRESS", value=given, remedy=REMEDY) from None
    finally:
        late.cancel()


def _found() -> str:
    """The address of the cluster that `ray start` began on this machine. Raises UserError: there is none."""
    from ray._private import services

    there = services.find_bootstrap_address(None) or next(iter(sorted(services.find_gcs_addresses())), None)
    if there is None:
        raise UserError("no Ray cluster runs on this machine", where="RAY_ADDRESS", value="auto", remedy=REMEDY)
    return there


def _parsed(address: str, given: str) -> tuple[str, int]:
    """Host and port. Raises UserError: it is no address."""
    found = re.fullmatch(r"(ray://)?(\[[0-9a-fA-F:.]+\]|[\w.-]+)(?::(\d{1,5}))?", address, re.ASCII)
    port = int(found[3] or (10001 if found[1] else 0)) if found else 0
    if not 0 < port < 2**16:
        raise UserError("is no address of a Ray cluster", where="RAY_ADDRESS", value=given, remedy=REMEDY)
    assert found is not None  # else the port is 0
    return found[2].strip("[]"), port


def _knock(host: str, port: int) -> None:
    """Raises OSError when nobody listens there, or somebody who does not speak HTTP/2, as Ray does."""
    with socket.create_connection((host, port), timeout=KNOCK_SECONDS) as line:
        line.settimeout(KNOCK_SECONDS)
        line.sendall(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + b"\0\0\0\4\0\0\0\0\0")  # the preface, and no settings
        answer = b""
        while len(answer) < 9:
            if not (more := line.recv(9 - len(answer))):
                break
            answer += more
    if len(answer) < 9 or answer[3] != 4:  # a frame of settings comes first
        raise OSError("it speaks no HTTP/2")


@contextlib.contextmanager
def _handlers_kept() -> Iterator[None]:
    """Ray's own handler of SIGTERM prints where in its libraries the process was, and aborts."""
    from ray._private import utils

    main = threading.current_thread() is threading.main_thread()
    before = {number: signal.getsignal(number) for number in signals.ENDING} if main else {}
    own = before.get(signal.SIGTERM, signal.SIG_DFL) != signal.SIG_DFL  # else Ray's is better than none
    setter = utils.set_sigterm_handler
    if own:
        utils.set_sigterm_handler = lambda handler: None
    try:
        yield
    finally:
        utils.set_sigterm_handler = setter
        for number, handler in before.items():
            if own and callable(handler):
                signal.signal(number, handler)


def _keep_token() -> None:
    """A local Ray asks its processes for a token, and would leave one in the home folder, which from then on every
    `ray start` there asks for. This one is forgotten with the process."""
    if not os.environ.keys() & {"RAY_AUTH_MODE", "RAY_AUTH_TOKEN", "RAY_AUTH_TOKEN_PATH"}:
        # The mode is left to `ray.init`, which has this process know of it as well.
        os.environ["RAY_AUTH_TOKEN"] = secrets.token_hex(32)


def _mute() -> None:
    """Of a raylet that died Ray prints the last twenty lines of its log among what the command prints."""
    from ray._private import worker

    if hasattr(worker, "print_to_stdstream"):
        worker.print_to_stdstream = lambda *args, **kwargs: None


# --- watching -------------------------------------------------------------------------------------------


def _watch() -> None:
    """Ends the command when Ray is gone: what waits for an answer of Ray's would wait for ever, or be aborted by it."""
    missed = 0
    while _there():
        time.sleep(WATCH_SECONDS)
        with contextlib.suppress(Exception):  # Ray is being shut down meanwhile
            missed = 0 if _head_answers() else missed + 1
            if error := Halted(LOST) if missed >= MISSED else lost():
                signals.halt(error)
                return


def _there() -> bool:
    import ray

    return ray.is_initialized()


def _head_answers() -> bool:
    """Whether the head of a joined cluster does; one of our own is watched as a process."""
    from ray._private import worker

    node: Any = worker._global_node
    client = getattr(worker.global_worker, "gcs_client", None)
    if node is None or client is None or node.all_processes:
        return True
    host, _, port = client.address.rpartition(":")
    try:
        socket.create_connection((host.strip("[]"), int(port)), timeout=WATCH_SECONDS).close()
    except OSError:
        return False
    return True
