"""What stands before every request: its size, where it comes from, and how often somebody may guess a token."""

from __future__ import annotations

import json
import threading
import time
from collections import deque
from collections.abc import Callable
from typing import Any

from starlette.datastructures import Headers, MutableHeaders
from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send

LARGEST = 1024 * 1024
"""Bytes of a request."""

HEADERS = {
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data: blob:; font-src 'self'; "
        "connect-src 'self'; manifest-src 'self'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'"
    ),
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), microphone=(), geolocation=()",
}

TOO_LARGE = "the request is too large"

LOCAL_NAMES = ("localhost", "127.0.0.1", "[::1]")


class Guard:
    """Refuses what is too large or from another site, and says to browsers what a page may do.

    is_open: whether whoever sits at this machine is let in without a token; then only names of this machine are
    answered to, since a stranger's name, or a proxy, can be made to lead here.
    """

    def __init__(self, app: ASGIApp, *, is_open: Callable[[], bool], largest: int = LARGEST):
        self._app, self._is_open, self._largest = app, is_open, largest

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """As ASGI has it."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        headers = Headers(scope=scope)

        async def answer(message: Message) -> None:
            if message["type"] == "http.response.start":
                made = MutableHeaders(scope=message)
                for name, value in HEADERS.items():
                    made[name] = value
                if "cache-control" not in made:
                    made["Cache-Control"] = "no-store"
            await send(message)

        if refusal := self._refusal(scope, headers):
            await _refuse(answer, *refusal)
            return
        await self._app(scope, self._counted(receive), answer)

    def _refusal(self, scope: Scope, headers: Headers) -> tuple[int, str] | None:
        host = headers.get("host", "")
        if host.rpartition(":")[0] not in LOCAL_NAMES and host not in LOCAL_NAMES and self._is_open():
            return 421, "this server answers to localhost alone"
        length = headers.get("content-length", "0")
        if not length.isdecimal() or int(length) > self._largest:
            return 413, TOO_LARGE
        if scope["method"] not in ("GET", "HEAD"):
            origin = headers.get("origin")
            if origin is not None and origin.partition("://")[2] != host:
                return 403, "the request comes from another site"
            if headers.get("content-type", "").partition(";")[0].strip() != "application/json":
                return 415, "a request is JSON"
        return None

    def _counted(self, receive: Receive) -> Receive:
        left = self._largest

        async def counted() -> Message:
            nonlocal left
            message = await receive()
            left -= len(message.get("body", b""))
            if left < 0:
                raise HTTPException(413, TOO_LARGE)
            return message

        return counted


async def _refuse(send: Callable[[Message], Any], status: int, reason: str) -> None:
    body = json.dumps({"error": reason}).encode()
    headers = [(b"content-type", b"application/json"), (b"content-length", str(len(body)).encode())]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})


class Failures:
    """Counts wrong tokens by address: who had `most` within `seconds` has to wait. Threads may share it."""

    KNOWN = 10_000
    """Addresses that are kept."""

    def __init__(self, most: int = 10, seconds: float = 60.0, clock: Callable[[], float] = time.monotonic):
        self._most, self._seconds, self._now = most, seconds, clock
        self._failed: dict[str, deque[float]] = {}
        self._lock = threading.Lock()

    def must_wait(self, address: str) -> float:
        """Seconds until an address may try again; 0: now."""
        with self._lock:
            failed = self._failed.get(address)
            while failed and failed[0] <= self._now() - self._seconds:
                failed.popleft()
            if not failed:
                self._failed.pop(address, None)
                return 0.0
            return failed[0] + self._seconds - self._now() if len(failed) >= self._most else 0.0

    def add(self, address: str) -> None:
        """A wrong token came from an address."""
        with self._lock:
            if len(self._failed) >= self.KNOWN and address not in self._failed:
                self._failed.pop(next(iter(self._failed)))
            self._failed.setdefault(address, deque(maxlen=self._most)).append(self._now())
