"""The review page under a scripted person's hands: from key to next sample, and confirmations an hour.

    python benchmarks/review_speed.py                      # 500 digits and 500 sentences; 25 minutes
    python benchmarks/review_speed.py --quick              # 15 of each one by one, 40 in the grid

A real server on loopback, a real store (SQLite), and Chromium. The person thinks for one second about each action and
is always right. One by one an action is a digit's key. Measured is from the key's event to the moment after the frame
in which the next sample stands on the screen, its image decoded.

In the grid the person looks at a screenful of 60 for one second, picks out a class that is there with a click on each
of its samples, which takes a hand 0.25 s each, presses its key and Enter, and looks again. The seconds of thought and
hand are waited for, so an hour's confirmations are what such a person would reach, page and server included.
"""

from __future__ import annotations

import multiprocessing
import statistics
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path

import numpy as np
from common import arguments, finish, show

THOUGHT, HAND = 1.0, 0.25  # seconds

TOPICS = {
    "cooking": ("the soup", "a pan of rice", "fresh bread", "the stew", "simmers", "burns", "needs salt", "cools"),
    "football": ("the keeper", "a late striker", "our captain", "the referee", "scores", "falls", "protests", "waits"),
    "gardens": ("the hedge", "an old rose", "the lawn", "a young oak", "grows", "dries out", "needs light", "blooms"),
    "trains": (
        "the express",
        "a freight train",
        "the last tram",
        "our carriage",
        "is late",
        "stops",
        "leaves",
        "brakes",
    ),
}
"""Of a topic: four subjects, four verbs."""

MEASURE = """
(() => {
  window.measured = [];
  let pressed = null;
  addEventListener("keydown", (event) => (pressed = event.timeStamp), true);
  const shown = () => {
    const image = document.querySelector("#stage img");
    if (image && !(image.complete && image.naturalWidth)) return image.addEventListener("load", shown, { once: true });
    requestAnimationFrame(() => {
      const after = new MessageChannel();
      after.port1.onmessage = () => {
        if (pressed !== null) measured.push(performance.now() - pressed);
        pressed = null;
      };
      after.port2.postMessage(0);
    });
  };
  new MutationObserver(shown).observe(document, { subtree: true, attributes: true, attributeFilter: ["data-task"] });
})();
"""
"""Milliseconds from a key to the next sample, into `measured`."""

READ = """
(place) => [place.dataset.task, place.querySelector("img")?.src.match(/([0-9a-f]{32})/)[1] ?? place.textContent]
"""
"""A sample on the screen: its task, and the image's name or the text."""


@dataclass(frozen=True)
class Questions:
    """What is asked, and its truth by payload (an image's stem)."""

    modality: str
    classes: tuple[str, ...]
    payloads: list[str]
    truths: dict[str, str]


def digits(images: Path, number: int) -> Questions:
    """scikit-learn's digits as PNGs in the folder `images`."""
    from PIL import Image
    from sklearn.datasets import load_digits

    found = load_digits()
    images.mkdir(parents=True)
    for row in range(number):
        pixels = (255 - found.images[row] * (255 / 16)).astype(np.uint8)
        Image.fromarray(pixels).save(images / f"{row:032x}.png")
    truths = {f"{row:032x}": str(found.target[row]) for row in range(number)}
    return Questions("image", tuple(map(str, range(10))), [f"{stem}.png" for stem in truths], truths)


def sentences(number: int) -> Questions:
    """Sentences about four topics, no two alike."""
    random, truths = np.random.default_rng(0), {}
    while len(truths) < number:
        topic = sorted(TOPICS)[random.integers(len(TOPICS))]
        words = TOPICS[topic]
        said = [f"{words[random.integers(4)]} {words[4 + random.integers(4)]}" for _ in range(3)]
        truths[f"{said[0].capitalize()}, {said[1]}, and {said[2]}."] = topic
    return Questions("text", tuple(sorted(TOPICS)), list(truths), truths)


@contextmanager
def room(root: Path, asked: Questions) -> Iterator[str]:
    """The page's address, of a server that asks `asked`, as a process of its own."""
    context = multiprocessing.get_context("spawn")
    answer, told = context.Pipe(duplex=False)
    server = context.Process(target=serve_room, args=(root, asked, told), daemon=True)
    server.start()
    try:
        yield f"{answer.recv()}/"
    finally:
        server.terminate()
        server.join()


def serve_room(root: Path, asked: Questions, told: Connection) -> None:
    """Publish into a new store and serve it; the address goes to `told`."""
    from adde_ray.review.server.about import About
    from adde_ray.review.server.serve import serve
    from adde_ray.review.store import Item, Store

    store = Store.open(f"sqlite:///{root / 'store.sqlite'}", "0123456789abcdef")
    about = {"round": 0, "kind": "new", "modality": asked.modality}
    ids = [f"{rank:032x}" for rank in range(len(asked.payloads))]
    store.publish([Item(ids[rank], rank=rank, payload=payload, **about) for rank, payload in enumerate(asked.payloads)])
    known = About(root=root, name="speed", modality=asked.modality, classes=asked.classes, multi=False)
    serve(store, known, host="127.0.0.1", port=0, local="ann", tell=lambda line: told.send(line.split()[-1]))


def one_by_one(page, asked: Questions) -> dict[str, float]:
    """Answer all; median milliseconds to the next sample, and confirmations an hour."""
    page.wait_for_selector("#stage[data-task]")
    began = time.perf_counter()
    for _ in asked.payloads:
        _, payload = page.eval_on_selector("#stage", READ)
        time.sleep(THOUGHT)
        page.keyboard.press(key_of(asked, payload))
    seconds = time.perf_counter() - began
    waits = page.evaluate("measured")
    saved(page, asked)
    late = float(np.quantile(waits, 0.95))
    return {"ms_to_next": statistics.median(waits), "ms_p95": late, "per_hour": rate(asked, seconds)}


def in_grid(page, asked: Questions) -> dict[str, float]:
    """Answer all, a class at a time; confirmations an hour."""
    page.wait_for_selector(".tiles .tile")
    began, left = time.perf_counter(), len(asked.payloads)
    while left:
        shown = page.eval_on_selector_all(".tiles .tile", f"(all) => all.map({READ})")
        label, count = Counter(asked.truths[payload] for _, payload in shown).most_common(1)[0]
        time.sleep(THOUGHT)
        for task, payload in shown:
            if asked.truths[payload] == label:
                time.sleep(HAND)
                page.click(f".tile[data-task='{task}']")
        page.keyboard.press(key(asked, label))
        page.keyboard.press("Enter")
        left -= count
        if left and count == len(shown):
            page.wait_for_selector(".tiles .tile")
    seconds = time.perf_counter() - began
    saved(page, asked)
    return {"per_hour": rate(asked, seconds)}


def key(asked: Questions, label: str) -> str:
    """Classes called by a digit have that key, others their place."""
    return label if label.isdecimal() else str(1 + asked.classes.index(label))


def key_of(asked: Questions, payload: str) -> str:
    return key(asked, asked.truths[payload])


def rate(asked: Questions, seconds: float) -> float:
    return 3600 * len(asked.payloads) / seconds


def saved(page, asked: Questions) -> None:
    """Wait until the server has it all."""
    number = len(asked.payloads)
    page.wait_for_selector("#saved.saved")
    page.reload()
    page.wait_for_selector(f"#progress-words:text-is('{number} of {number}')")


def main() -> None:
    """Both kinds of samples, one by one and in the grid."""
    from playwright.sync_api import sync_playwright

    quick = arguments(__doc__.splitlines()[0]).parse_args().quick
    numbers = {"one": 15, "grid": 40} if quick else {"one": 500, "grid": 500}
    figures, rows = {}, []
    with sync_playwright() as playwright, tempfile.TemporaryDirectory() as folder:
        browser = playwright.chromium.launch(executable_path="/usr/bin/chromium", args=["--no-sandbox"])
        for kind in ("digits", "sentences"):
            for view, act in (("one", one_by_one), ("grid", in_grid)):
                root = Path(folder) / f"{kind}-{view}"
                root.mkdir()
                number = numbers[view]
                asked = digits(root / "rounds/000/review", number) if kind == "digits" else sentences(number)
                with room(root, asked) as address:
                    page = browser.new_page(viewport={"width": 1280, "height": 800})
                    page.add_init_script(MEASURE)
                    page.goto(f"{address}#{view}")
                    found = act(page, asked)
                    page.close()
                figures |= {f"{kind}_{view}_{name}": value for name, value in found.items()}
                rows.append([kind, view, *(found.get(name, "") for name in ("ms_to_next", "ms_p95", "per_hour"))])
        browser.close()
    show("The review page", ["samples", "view", "ms to next", "ms, 95th percentile", "confirmations/h"], rows)
    targets = {f"{kind}_one_ms_to_next": "<= 50" for kind in ("digits", "sentences")}
    targets |= {f"{kind}_one_per_hour": ">= 1500" for kind in ("digits", "sentences")}
    targets |= {f"{kind}_grid_per_hour": ">= 5000" for kind in ("digits", "sentences")}
    finish("review_speed", figures, targets)


if __name__ == "__main__":
    main()
