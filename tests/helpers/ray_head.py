"""A Ray head with its job server, apart from any other Ray on this machine."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

RAY = Path(sys.executable).with_name("ray")


def free_port() -> int:
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


@contextlib.contextmanager
def job_server() -> Iterator[tuple[str, dict[str, str]]]:
    """Its address, and the environment that reaches it."""
    root = tempfile.mkdtemp(prefix="adde", dir="/tmp")  # short: Ray's socket names below it have a limit
    token = "ab" * 32
    env = {**os.environ, "RAY_TMPDIR": root, "RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": token}
    env.pop("RAY_ADDRESS", None)  # of the cluster that other tests share
    port = free_port()
    head = subprocess.Popen(
        [RAY, "start", "--head", "--block", f"--port={free_port()}", f"--dashboard-port={port}", "--num-cpus=2",
         f"--dashboard-agent-listen-port={free_port()}", f"--ray-client-server-port={free_port()}",
         "--min-worker-port=0", "--max-worker-port=0", f"--temp-dir={root}", "--disable-usage-stats"],
        env=env, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True,
    )  # fmt: skip
    address = f"http://127.0.0.1:{port}"
    deadline = time.monotonic() + 90
    while subprocess.run([RAY, "job", "list", "--address", address], env=env, capture_output=True).returncode:
        assert head.poll() is None and time.monotonic() < deadline, "the head did not come up"
        time.sleep(0.5)
    yield address, env
    head.send_signal(signal.SIGTERM)
    try:
        head.wait(30)
    except subprocess.TimeoutExpired:
        os.killpg(head.pid, signal.SIGKILL)
    shutil.rmtree(root, ignore_errors=True)
