"""A PostgreSQL of one's own: Debian's, started in a temporary folder on a free port of this machine."""

from __future__ import annotations

import contextlib
import os
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

DEBIAN = Path("/usr/lib/postgresql")


def binaries() -> Path | None:
    """The folder with `postgres` and `initdb`; None where PostgreSQL is not installed."""
    found = shutil.which("postgres")
    folders = [Path(found).parent] if found else sorted(DEBIAN.glob("*/bin"), reverse=True)
    return next((folder for folder in folders if (folder / "initdb").exists()), None)


def free_port() -> int:
    """A port of this machine that nobody listens on."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        return taken.getsockname()[1]


@contextlib.contextmanager
def postgresql(*settings: str) -> Iterator[str]:
    """Start one, and give its URL. settings: as `fsync=off`. It refuses to be root's, who lends it to `nobody`."""
    folder, port = Path(tempfile.mkdtemp(prefix="adde-postgresql-", dir="/tmp")), free_port()
    who = {"user": "nobody"} if os.geteuid() == 0 else {}
    if who:
        shutil.chown(folder, "nobody")
    programs = binaries()
    assert programs is not None, "look for them first"
    quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.STDOUT, "cwd": folder}
    initdb = [programs / "initdb", "-D", folder / "data", "-U", "adde", "--auth=trust", "--no-sync", "--encoding=UTF8"]
    subprocess.run(initdb, check=True, **quiet, **who)
    options = ["listen_addresses=127.0.0.1", f"port={port}", f"unix_socket_directories={folder}", *settings]
    command = [programs / "postgres", "-D", folder / "data", *(part for option in options for part in ("-c", option))]
    server = subprocess.Popen(command, **quiet, **who)
    try:
        _wait(port, server)
        yield f"postgresql://adde@127.0.0.1:{port}/postgres"
    finally:
        server.terminate()
        server.wait(timeout=30)
        shutil.rmtree(folder, ignore_errors=True)


def _wait(port: int, server: subprocess.Popen) -> None:
    import psycopg

    deadline = time.monotonic() + 30
    while True:
        assert server.poll() is None, "it ended"
        try:
            psycopg.connect(f"postgresql://adde@127.0.0.1:{port}/postgres", connect_timeout=2).close()
            return
        except psycopg.OperationalError:
            assert time.monotonic() < deadline, "it does not answer"
            time.sleep(0.05)
