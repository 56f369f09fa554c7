"""Run the server: where it listens, and that nobody beyond this machine gets in without a token."""

from __future__ import annotations

import contextlib
import ipaddress
import signal
import socket
from collections.abc import Callable, Iterator

import uvicorn

from adde_ray.errors import UserError
from adde_ray.review.server.about import About
from adde_ray.review.server.app import make_app
from adde_ray.review.store.store import Store

GOODBYE_SECONDS = 5
"""For requests that are being answered when the server is asked to stop."""


def serve(store: Store, about: About, *, host: str, port: int, local: str, tell: Callable[[str], None]) -> None:
    """Serve until Ctrl-C or SIGTERM. local: who is let in without a token, on this machine, while nobody is invited.

    tell: is given a line once people can come. Raises UserError: beyond this machine without tokens, or it cannot
    listen there.
    """
    at_home = is_loopback(host)
    if not at_home and all(person.revoked for person in store.people()):
        raise UserError(
            "beyond this machine nobody is let in without a token, and nobody has one",
            where="--host",
            value=host,
            remedy="Invite people first: adde review invite RUN NAME",
        )
    with _listening(host, port) as sock:
        app = make_app(store, about, local=local if at_home else None)
        config = uvicorn.Config(
            app, log_level="warning", access_log=False, server_header=False, timeout_graceful_shutdown=GOODBYE_SECONDS
        )
        tell(f"review page: http://{_shown(host)}:{sock.getsockname()[1]}")
        _Server(config).run(sockets=[sock])


class _Server(uvicorn.Server):
    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """As uvicorn's, but a signal is not raised once more at the end: to be asked to stop is no fault."""
        before = {number: signal.signal(number, self.handle_exit) for number in (signal.SIGINT, signal.SIGTERM)}
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)


def is_loopback(host: str) -> bool:
    """Whether only this machine can reach it there."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:  # a name: wherever it leads
        return False


def _shown(host: str) -> str:
    return f"[{host}]" if ":" in host else host


@contextlib.contextmanager
def _listening(host: str, port: int) -> Iterator[socket.socket]:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as sock:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            sock.bind((host, port))
            sock.listen(512)
        except (OSError, OverflowError) as error:
            reason = getattr(error, "strerror", None) or str(error)
            remedy = "Take another --port, or --host: a name or address of this machine"
            raise UserError(f"cannot listen there: {reason}", where=f"{host}:{port}", remedy=remedy) from None
        sock.set_inheritable(True)
        yield sock
