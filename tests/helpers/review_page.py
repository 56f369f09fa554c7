"""A review room to try the page in: a store in a folder, the server on a free port, and people in Chromium."""

from __future__ import annotations

import json
import shutil
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pytest

RUN = "0123456789abcdef"


@contextmanager
def serve(app) -> Iterator[str]:
    """The address of an app, served by a thread."""
    import uvicorn

    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        server = uvicorn.Server(uvicorn.Config(app, log_level="warning", timeout_graceful_shutdown=1))
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listening]}, daemon=True)
        thread.start()
        yield f"http://127.0.0.1:{listening.getsockname()[1]}/"
        server.should_exit = True
        thread.join(10)


@contextmanager
def chromium() -> Iterator[Any]:
    """A headless Chromium, where there is one."""
    api = pytest.importorskip("playwright.sync_api")
    binary = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
    if binary is None:
        pytest.skip("needs chromium")
    with api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=binary, args=["--no-sandbox"])
        yield browser
        browser.close()


def draw(folder: Path, number: int) -> list[str]:
    """Small images in `folder`, of noise; their names."""
    from PIL import Image

    folder.mkdir(parents=True, exist_ok=True)
    names = [f"{row:032x}.png" for row in range(number)]
    for row, name in enumerate(names):
        pixels = np.random.default_rng(row).integers(0, 256, (12, 12), np.uint8)
        Image.fromarray(pixels).save(folder / name)
    return names


@dataclass
class Room:
    """One run's. errors: what browsers told of in their consoles."""

    store: Any
    address: str
    browser: Any
    errors: list[str] = field(default_factory=list)

    def enter(self, name: str, role: str = "annotator", view: str = "one", **settings: Any) -> Visitor:
        """Somebody new, signed in by their link. settings: of the browser's context."""
        token = self.store.invite(name, role)
        page = self.browser.new_context(**{"viewport": {"width": 1280, "height": 800}} | settings).new_page()
        page.set_default_timeout(10_000)
        page.on("pageerror", lambda error: self.errors.append(str(error)))
        page.on("console", lambda told: self.errors.append(told.text) if told.type == "error" else None)
        page.goto(f"{self.address}#token={token}")
        page.wait_for_selector("#stage")
        visitor = Visitor(page, self.address)
        visitor.go(view)
        return visitor

    def said(self, name: str) -> dict[int, str]:
        """task → what somebody's standing answer comes to: its label, or its action."""
        rows = self.store.answers().filter(annotator=name).iter_rows(named=True)
        return {row["task"]: row["label"] if row["action"] in ("accept", "correct") else row["action"] for row in rows}


@dataclass
class Visitor:
    """Somebody's browser window."""

    page: Any
    address: str

    def go(self, view: str) -> None:
        """Open a view of the page."""
        self.page.goto(f"{self.address}#{view}")
        self.page.wait_for_selector(f"#views a[href='#{view}'][aria-current]")

    def sample(self) -> int:
        """The task that is on the screen, as soon as there is one."""
        return int(self.page.wait_for_selector("#stage[data-task]").get_attribute("data-task"))

    def press(self, *keys: str) -> None:
        for key in keys:
            self.page.keyboard.press(key)

    def saved(self) -> None:
        """Wait until the server has every answer."""
        self.until("document.querySelector('#saved').textContent === 'saved'")

    def until(self, expression: str) -> None:
        """Wait until a JavaScript expression is true; the page's policy forbids that it waits for it itself."""
        for _ in range(500):
            if self.page.evaluate(expression):
                return
            self.page.wait_for_timeout(20)
        raise AssertionError(f"never true: {expression}")

    def close(self) -> None:
        self.page.context.close()


def violations(page) -> list[str]:
    """What axe finds serious or critical in the page as it is now."""
    axe = pytest.importorskip("axe_playwright_python.base")
    page.evaluate(axe.AXE_FILE_PATH.read_text())
    found = page.evaluate("axe.run()")["violations"]
    return [f"{one['id']}: {one['nodes'][0]['html']}" for one in found if one["impact"] in ("serious", "critical")]


def map_of(folder: Path, names: list[str]) -> None:
    """A map on which the samples lie on a diagonal."""
    points = [
        {"x": float(row), "y": float(row), "sample_id": name[:32], "label": None, "kind": "new"}
        for row, name in enumerate(names)
    ]
    (folder / "map.json").write_text(json.dumps({"points": points}))
