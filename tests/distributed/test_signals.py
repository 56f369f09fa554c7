"""A command that is told to stop ends in one line, with the signal's exit code, wherever it is."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]

COMMAND = """
import sys, threading, hashlib, time
from adde_ray import cli
from adde_ray.distributed import signals
from adde_ray.errors import Halted
signals.GRACE = {grace}

def at_work():
    "Works."
    {work}

cli.command("adde work", panel="Look")(at_work)
cli.app(["at-work"])
"""

READY = "print('at work', flush=True)"
WAITS = f"{READY}; threading.Event().wait(60)"
HANGS = f"{READY}; hashlib.pbkdf2_hmac('sha512', b'', b'', 10**9)"  # minutes in C, without the interpreter's lock
KEEPS_ON = f"""
    try:
        {READY}
        threading.Event().wait(60)
    finally:
        threading.Event().wait(60)
"""
LEAVES_A_THREAD = f"{READY}; threading.Thread(target=time.sleep, args=(60,)).start(); time.sleep(60)"

LINE = "stopped; nothing committed is lost, `--resume` goes on\n"


def command(work: str, grace: float = 30.0) -> subprocess.Popen:
    env = os.environ | {"PYTHONPATH": str(ROOT)}
    process = subprocess.Popen(
        [sys.executable, "-c", COMMAND.format(work=work, grace=grace)],
        env=env,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stdout.readline() == "at work\n", process.communicate()
    return process


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143), (signal.SIGHUP, 129)])
def test_one_signal_ends_it_with_one_line(number, code):
    process = command(WAITS)
    process.send_signal(number)
    assert process.communicate(timeout=20)[1] == LINE and process.returncode == code


@pytest.mark.parametrize("work", [HANGS, KEEPS_ON, LEAVES_A_THREAD], ids=["in C", "in its own cleaning up", "a thread"])
def test_what_does_not_listen_is_ended_all_the_same(work):
    process = command(work, grace=0.5)
    began = time.monotonic()
    process.send_signal(signal.SIGTERM)
    assert process.communicate(timeout=20)[1] == LINE and process.returncode == 143
    assert time.monotonic() - began < 15


@pytest.mark.parametrize("work", [HANGS, KEEPS_ON], ids=["in C", "in its own cleaning up"])
def test_a_second_signal_ends_it_at_once(work):
    process = command(work)
    process.send_signal(signal.SIGINT)
    time.sleep(0.5)
    process.send_signal(signal.SIGINT)
    assert process.communicate(timeout=20)[1] == LINE and process.returncode == 130


def test_what_is_gone_ends_it_with_its_own_line():
    process = command(f"threading.Timer(0.2, signals.halt, [Halted('the thing is gone')]).start(); {WAITS}")
    assert process.communicate(timeout=20)[1] == "error: the thing is gone.\n" and process.returncode == 2


def test_a_witness_tells_of_an_end_without_a_word_and_of_no_other():
    process = command(f"signals.witness('it was killed'); {WAITS}")
    process.kill()
    assert process.communicate(timeout=20)[1] == "it was killed\n"
    for work in ("pass", "raise SystemExit(3)", "raise signals.Stopped()"):
        process = command(f"signals.witness('it was killed'); {READY}; {work}")
        assert "it was killed" not in process.communicate(timeout=20)[1]


def test_hangups_stay_ignored_under_nohup():
    work = f"{READY}; print(__import__('signal').getsignal(1) == 1)"
    ignoring = f"import signal; signal.signal(signal.SIGHUP, signal.SIG_IGN)\n{COMMAND.format(work=work, grace=1)}"
    env = os.environ | {"PYTHONPATH": str(ROOT)}
    told = subprocess.run([sys.executable, "-c", ignoring], env=env, capture_output=True, text=True, timeout=60)
    assert told.stdout == "at work\nTrue\n", told.stderr
