"""How a command ends before it is done: Ctrl-C, SIGTERM, SIGHUP, or something it cannot go on without is gone.

The first signal raises `Stopped` in the main thread, which unwinds it. Work that does not come back to Python within
`GRACE` (a long product, a library that hangs), and a second signal, end the process at once: what is committed is on
the disk, and Ray's processes die with their parent.
"""

from __future__ import annotations

import atexit
import contextlib
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator

from adde_ray.errors import UserError

GRACE = 8.0
"""Seconds from a signal until the process is ended whatever it does."""

ENDING = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)

STOPPED = "stopped; nothing committed is lost, `--resume` goes on"


class Stopped(KeyboardInterrupt):
    """error: why, where it was no signal from outside. code: what the process is to exit with."""

    def __init__(self, number: int = signal.SIGINT, error: UserError | None = None):
        self.error, self.code = error, 2 if error else 128 + number
        super().__init__(number)

    @property
    def line(self) -> str:
        """What the terminal is told."""
        return f"error: {self.error}" if self.error else STOPPED


class _Watch:
    """Handlers of the main thread, and a thread that sees signals even while the main thread is not in Python."""

    def __init__(self) -> None:
        self._error: UserError | None = None
        self._stopped: Stopped | None = None
        self.told = False
        self._read, self._write = os.pipe()
        os.set_blocking(self._write, False)

    def start(self) -> None:
        # What is ignored stays so, as SIGHUP under nohup.
        numbers = [number for number in ENDING if signal.getsignal(number) != signal.SIG_IGN]
        self._before = {number: signal.signal(number, self._raise) for number in numbers}
        self._fd = signal.set_wakeup_fd(self._write, warn_on_full_buffer=False)
        threading.Thread(target=self._see, name="signals", daemon=True).start()

    def end(self) -> None:
        """As it was, unless the process is ending: its end is watched too."""
        if self.ending:
            return
        signal.set_wakeup_fd(self._fd)
        for number, handler in self._before.items():
            signal.signal(number, handler)
        os.close(self._write)

    @property
    def ending(self) -> bool:
        return self._stopped is not None

    def halt(self, error: UserError) -> None:
        if self._error is None:
            self._error = error
            main = threading.main_thread().ident
            assert main is not None, "the main thread has begun"
            signal.pthread_kill(main, signal.SIGTERM)

    def _raise(self, number: int, frame: object) -> None:
        if self._stopped is None:
            # Libraries too send SIGINT to their own process when what they stand on is gone.
            self._stopped = Stopped(number, self._error or (reason() if number == signal.SIGINT else None))
            raise self._stopped

    def _see(self) -> None:
        """One byte a signal. The first starts the clock, the second ends the process."""
        seen = False
        while found := os.read(self._read, 1):
            if found[0] not in ENDING:
                continue
            stopped = Stopped(found[0], self._error)
            if seen:
                self._exit(stopped)
            seen = True
            clock = threading.Timer(GRACE, self._exit, [stopped])
            clock.daemon = True
            clock.start()
        os.close(self._read)

    def _exit(self, stopped: Stopped) -> None:
        if not self.told:
            with contextlib.suppress(OSError):
                os.write(2, f"{stopped.line}\n".encode())
        _dismiss()
        os._exit((self._stopped or stopped).code)


_watch: _Watch | None = None


@contextlib.contextmanager
def watched() -> Iterator[None]:
    """Within it the signals that end a process raise `Stopped`, whose line is to be told by `tell`."""
    global _watch
    if _watch or threading.current_thread() is not threading.main_thread():
        yield
        return
    _watch = _Watch()
    _watch.start()
    try:
        yield
    finally:
        _watch.end()
        if not _watch.ending:
            _watch = None


REASONS: list[Callable[[], UserError | None]] = []
"""Each tells whether something is gone that nothing goes on without."""


def reason() -> UserError | None:
    """Why whatever fails now fails, where it is known."""
    return next((error for look in REASONS if (error := look())), None)


def halt(error: UserError) -> None:
    """From any thread: end the command that is running, with this error. Nothing where none is."""
    if _watch:
        _watch.halt(error)


def witness(line: str) -> None:
    """Have a line told when this process, running a command, ends without a word: killed, or by a library's own exit.

    A shell of a few hundred kilobytes waits for that. Nothing where no command is running.
    """
    global _witness
    if _watch is None or _witness:
        return
    script = 'trap "" INT TERM HUP; read -r word; [ "$word" = done ] || echo "$1" >&2'
    _witness = subprocess.Popen(["/bin/sh", "-c", script, "sh", line], stdin=subprocess.PIPE, stdout=subprocess.DEVNULL)
    atexit.register(_dismiss)


_witness: subprocess.Popen | None = None


def _dismiss() -> None:
    global _witness
    if _witness:
        with contextlib.suppress(OSError):
            _witness.communicate(b"done\n")
        _witness = None


def tell(stopped: Stopped) -> None:
    """Say once why the process ends."""
    if _watch:
        _watch.told = True
    sys.stderr.write(f"{stopped.line}\n")
    sys.stderr.flush()
