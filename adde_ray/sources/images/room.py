"""Room in memory for what is decoded: some kilobytes may become gigabytes, and several files are decoded at once."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager

BYTES = 3 << 28
"""What images and tiles may take at a time while they are decoded, all threads together: 768 MiB."""


class Room:
    """Some bytes that threads share."""

    def __init__(self, num_bytes: int = BYTES):
        self._left = self._all = num_bytes
        self._changed = threading.Condition()

    def holds(self, num_bytes: int) -> bool:
        """Whether so much will ever fit."""
        return num_bytes <= self._all

    @contextmanager
    def take(self, num_bytes: int) -> Iterator[None]:
        """Wait until there is room for so many bytes, which `holds`, and keep it meanwhile."""
        assert self.holds(num_bytes), num_bytes
        with self._changed:
            self._changed.wait_for(lambda: self._left >= num_bytes)
            self._left -= num_bytes
        try:
            yield
        finally:
            with self._changed:
                self._left += num_bytes
                self._changed.notify_all()


ROOM = Room()
"""That of this process."""
