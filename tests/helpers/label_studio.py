"""The real Label Studio on this machine, where `make label-studio` has installed it."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import socket
import subprocess
import time
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

PROGRAM = Path(__file__).parents[2] / "build" / "label-studio" / "bin" / "label-studio"

TOKEN = "0123456789abcdef0123456789abcdef01234567"
"""Of the one user there is."""

QUIET = {
    "COLLECT_ANALYTICS": "false",
    "SENTRY_DSN": "",
    "FRONTEND_SENTRY_DSN": "",
    "LATEST_VERSION_CHECK": "false",
    "LOG_LEVEL": "WARNING",
}
"""What keeps it from telling others that it runs, without the prefix LABEL_STUDIO_."""


@dataclass
class Client:
    """What a person does there, through the API."""

    url: str

    def __call__(self, method: str, path: str, body: object = None) -> Any:
        data = None if body is None else json.dumps(body).encode()
        headers = {"Authorization": f"Token {TOKEN}", "Content-Type": "application/json"}
        request = urllib.request.Request(self.url + path, data, headers, method=method)
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        with opener.open(request, timeout=60) as response:
            return json.loads(response.read())

    def tasks(self, project: int) -> list[dict]:
        """In the order in which people get them."""
        found = self("GET", f"/api/tasks?project={project}&page_size=1000&fields=task_only")["tasks"]
        return sorted(found, key=lambda task: task["id"])

    def annotate(self, task: int, **said: str | list[str]) -> None:
        """Submit an annotation: controls of the interface, and what is chosen in each; none at all skips."""
        result = []
        for name, value in said.items():
            kind, key = ("textarea", "text") if name == "comment" else ("choices", "choices")
            values = [value] if isinstance(value, str) else value
            result.append({"from_name": name, "to_name": "sample", "type": kind, "value": {key: values}})
        body = {"result": result, "was_cancelled": not said, "lead_time": 1.5}
        self("POST", f"/api/tasks/{task}/annotations/", body)


@contextlib.contextmanager
def serve(folder: Path, *, patience: float = 600.0) -> Iterator[Client]:
    """It on a free port of the loopback, with SQLite in a folder, and one user."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    folder.mkdir(parents=True, exist_ok=True)
    environment = {"PATH": os.environ["PATH"], "HOME": str(folder), "LABEL_STUDIO_BASE_DATA_DIR": str(folder)}
    environment |= {f"LABEL_STUDIO_{name}": value for name, value in QUIET.items()}
    words = ["start", "--no-browser", "--internal-host", "127.0.0.1", "--port", str(port), "--data-dir", str(folder)]
    words += ["--username", "owner@example.org", "--password", "on-loopback-only", "--user-token", TOKEN]
    log = folder / "server.log"
    with log.open("w") as file:
        process = subprocess.Popen(
            [str(PROGRAM), *words, "--enable-legacy-api-token"],
            env=environment, stdout=file, stderr=file, start_new_session=True,
        )  # fmt: skip
    client = Client(f"http://127.0.0.1:{port}")
    try:
        deadline = time.monotonic() + patience
        while True:
            with contextlib.suppress(OSError, ValueError):
                client("GET", "/api/current-user/whoami")
                break
            assert process.poll() is None, log.read_text()[-2000:]
            assert time.monotonic() < deadline, log.read_text()[-2000:]
            time.sleep(0.5)
        yield client
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGTERM)
        process.wait(30)
