"""Users' images, decoded by several threads: for shards that are read side by side, too."""

import io
import subprocess
import sys
import threading
import warnings
from concurrent.futures import ThreadPoolExecutor

import numpy as np
from PIL import Image

from adde_ray.sources.images import pictures
from adde_ray.sources.images.pictures import read_images

# A thread has looked for a TIFF's format in vain, and before it looks again another has loaded all formats.
LATE = """
import sys
from PIL import Image
from adde_ray.sources.images.pictures import read_images

class Late(list):
    def copy(self):
        Image.init()
        return list(self)

Image.ID = Late(Image.ID)
[found] = read_images([sys.stdin.buffer.read()], size=8, mode="L")
print(found if isinstance(found, str) else "read")
"""


def picture(kind: str) -> bytes:
    file = io.BytesIO()
    Image.fromarray(np.arange(64, dtype=np.uint8).reshape(8, 8)).save(file, kind)
    return file.getvalue()


def test_a_format_that_another_thread_is_loading_is_known():
    told = subprocess.run([sys.executable, "-c", LATE], input=picture("TIFF"), capture_output=True)
    assert told.stdout.decode().strip() == "read", told


def test_what_is_warned_of_is_put_back_by_threads_side_by_side(monkeypatch):
    """The second begins while the first is at work, and ends after it: if it can."""
    before, second, first_done = list(warnings.filters), threading.Event(), threading.Event()
    begun = threading.Event()

    def first(*_):
        begun.set()
        second.wait(0.3)
        return "no image"

    def last(*_):
        second.set()
        first_done.wait(0.3)
        return "no image"

    monkeypatch.setattr(pictures, "_read_one", lambda image, *_: {b"first": first, b"last": last}[image]())
    with ThreadPoolExecutor(2) as threads:
        one = threads.submit(read_images, [b"first"], size=8, mode="L")
        one.add_done_callback(lambda _: first_done.set())
        begun.wait()
        threads.submit(read_images, [b"last"], size=8, mode="L").result()
    assert list(warnings.filters) == before
