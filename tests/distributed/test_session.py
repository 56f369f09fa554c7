"""Which Ray is joined or started: a wrong address is one line within seconds, and a stale one is not looked at."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from adde_ray.distributed import session as ray_session
from adde_ray.errors import UserError

ROOT = Path(__file__).parents[2]


def listener(answer: Callable[[socket.socket], None]) -> Iterator[int]:
    """The port of somebody who is no Ray."""
    held = []

    def serve() -> None:
        while True:
            try:
                line, _ = server.accept()
            except OSError:
                return
            held.append(line)
            answer(line)

    with socket.create_server(("127.0.0.1", 0)) as server:
        threading.Thread(target=serve, daemon=True).start()
        yield server.getsockname()[1]
        server.shutdown(socket.SHUT_RDWR)


ANSWERS = {
    "says nothing": lambda line: None,
    "hangs up": lambda line: line.close(),
    "is a web server": lambda line: line.sendall(b"HTTP/1.1 400 Bad Request\r\nConnection: close\r\n\r\n"),
    "greets first": lambda line: line.sendall(b"SSH-2.0-OpenSSH_9.2\r\n"),
}


@pytest.mark.parametrize("name", ANSWERS)
def test_whoever_else_listens_is_told_from_ray(name, monkeypatch):
    monkeypatch.setattr(ray_session, "KNOCK_SECONDS", 0.5)
    for port in listener(ANSWERS[name]):
        for scheme in ("", "ray://"):
            with pytest.raises(UserError, match=rf"RAY_ADDRESS: no Ray cluster answers .*{port}.*Unset it"):
                ray_session._join(f"{scheme}127.0.0.1:{port}", {})


def test_nobody_listens():
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    with pytest.raises(UserError, match="no Ray cluster answers"):
        ray_session._join(f"127.0.0.1:{port}", {})
    with pytest.raises(UserError, match="no Ray cluster answers"):
        ray_session._join("no-such-host.invalid:6379", {})


@pytest.mark.parametrize(
    "address",
    ["foo", "ray://", "127.0.0.1:99999", "127.0.0.1:0", "127.0.0.1:", ":6379", "http://127.0.0.1:8265", "a b:6379",
     "127.0.0.1:6379/x", "127.0.0.1:-1", "x" * 5000, "ray:///:", "127.0.0.1:６３７９", "h\udce9:6379"],
)  # fmt: skip
def test_what_is_no_address_is_one_line(address):
    with pytest.raises(UserError, match="RAY_ADDRESS: is no address of a Ray cluster") as error:
        ray_session._join(address, {})
    assert len(str(error.value)) < 1000


@pytest.mark.parametrize(
    ("address", "parsed"),
    [("10.0.0.1:6379", ("10.0.0.1", 6379)), ("ray://head", ("head", 10001)), ("[::1]:6379", ("::1", 6379))],
)
def test_addresses_are_parsed(address, parsed):
    assert ray_session._parsed(address, address) == parsed


@pytest.fixture
def elsewhere():
    """An environment in which Ray keeps its files apart from any other Ray's here, one of which is gone."""
    folder = tempfile.mkdtemp(prefix="adde", dir="/tmp")  # short: Ray's socket names below it have a limit
    Path(folder, "ray").mkdir()
    Path(folder, "ray", "ray_current_cluster").write_text("127.0.0.1:1")
    env = {k: v for k, v in os.environ.items() if not k.startswith("RAY_")}  # nor what a Ray in this process has set
    yield env | {"RAY_TMPDIR": folder, "PYTHONPATH": str(ROOT), "HOME": folder}
    shutil.rmtree(folder, ignore_errors=True)


def told(code: str, env: dict[str, str]) -> tuple[str, float]:
    began = time.monotonic()
    done = subprocess.run([sys.executable, "-c", code], env=env, capture_output=True, text=True, timeout=120)
    return done.stdout + done.stderr, time.monotonic() - began


def test_a_cluster_that_is_gone_is_not_looked_for(elsewhere):
    code = """
import ray
from adde_ray.distributed.session import ensure_ray
ensure_ray()
print(ray.get(ray.put('its own')))
"""
    text, seconds = told(code, elsewhere)
    assert text == "its own\n" and seconds < 100
    assert not Path(elsewhere["HOME"], ".ray", "auth_token").exists()


def test_the_cluster_of_this_machine_is_one_line_where_it_is_gone(elsewhere):
    code = """
from adde_ray.distributed import session
from adde_ray.errors import UserError
from ray._private import services
services.find_gcs_addresses = lambda: set()
try:
    session.ensure_ray()
except UserError as error:
    print(error)
"""
    env = elsewhere | {"RAY_ADDRESS": "auto"}
    assert "RAY_ADDRESS: no Ray cluster answers (got 'auto')" in told(code, env)[0]
    Path(env["RAY_TMPDIR"], "ray", "ray_current_cluster").unlink()
    assert "RAY_ADDRESS: no Ray cluster runs on this machine" in told(code, env)[0]


def test_a_lost_raylet_is_one_line(elsewhere, tmp_path):
    code = """
import os, threading
from adde_ray import cli
from adde_ray.distributed.session import ensure_ray

def at_work():
    "Works."
    ensure_ray()
    import ray
    from ray._private import worker
    [raylet] = worker._global_node.all_processes["raylet"]
    os.kill(raylet.process.pid, 9)
    ray.get(ray.remote(lambda: 1).remote())
    threading.Event().wait(60)

cli.command("adde at-work", panel="Look")(at_work)
cli.app(["at-work"])
"""
    text, seconds = told(code, elsewhere)
    assert text.count("\n") == 1 and "Ray cluster was lost" in text and "--resume" in text, text
    assert seconds < 100
