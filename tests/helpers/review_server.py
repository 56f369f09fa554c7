"""The review server on a run that is only a folder and a store."""

from __future__ import annotations

import contextlib
import io
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
from PIL import Image
from starlette.testclient import TestClient

from adde_ray.review.server.about import About
from adde_ray.review.server.app import make_app
from adde_ray.review.store import Store


def about(root: Path, **changed) -> About:
    """A run of texts, of classes A, B and C."""
    given = {"name": "tickets", "modality": "text", "classes": ("A", "B", "C"), "multi": False} | changed
    return About(root=root, **given)


def png(value: int = 0, side: int = 40) -> bytes:
    """A grey image."""
    out = io.BytesIO()
    Image.fromarray(np.full((side, side), value, np.uint8)).save(out, "PNG")
    return out.getvalue()


class Browser:
    """One person's. It signs in, keeps its cookie, and sends the CSRF token as the page does."""

    def __init__(self, app, *, url: str = "http://localhost", address: str = "testclient"):
        self.http = TestClient(app, base_url=url, raise_server_exceptions=False, client=(address, 50_000))
        self.csrf = ""

    def sign_in(self, token: str):
        """With a token."""
        told = self.http.post("/api/sign-in", json={"token": token})
        self.csrf = told.json().get("csrf", "")
        return told

    def get(self, path: str, **query):
        """A response."""
        return self.http.get(path, params=query)

    def post(self, path: str, body: object = None, **headers):
        """A response."""
        body = {} if body is None else body
        return self.http.post(path, json=body, headers={"X-CSRF-Token": self.csrf, **headers})


class Served:
    """An app and its store. `browser(name)` is that of somebody who is invited."""

    def __init__(self, store: Store, about_: About, *, local: str | None = None):
        self.store, self.about = store, about_
        self.app = make_app(store, about_, local=local)

    def browser(self, name: str, role: str = "annotator") -> Browser:
        """Signed in."""
        opened = Browser(self.app)
        assert opened.sign_in(self.store.invite(name, role)).status_code == 200
        return opened


def begun_run(root: Path, **review) -> Path:
    """The folder of a run that has read its data, texts of classes A, B and C. review: keys of that section."""
    from dataclasses import asdict

    from adde_ray.artifacts.run_dir import RunDir, write_json
    from adde_ray.artifacts.schema import Meta
    from adde_ray.config import Config

    data = {"source": "csv", "path": str(root / "data.csv"), "text_column": "text"}
    sections = {"data": data, "run": {"name": "tickets"}, "review": {"annotator": "page"} | review}
    with RunDir.start(root, Config.parse(sections)) as run:
        write_json(run.root / "ingest" / "meta.json", asdict(Meta("text", ("A", "B", "C"))))
    return root


@contextlib.contextmanager
def running(*arguments: object, within: float = 60.0) -> Iterator[tuple[str, subprocess.Popen]]:
    """`adde review` in a process of its own, ended if it is still there: the page's URL, and the process."""
    command = [sys.executable, "-m", "adde_ray.cli", "review", *map(str, arguments)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    try:
        with ThreadPoolExecutor(1) as reader:
            line = reader.submit(process.stdout.readline)
            try:
                told = line.result(timeout=within)
            except TimeoutError:
                process.kill()  # which ends the line
                raise
        assert "http://" in told, told + process.stdout.read()
        yield "http://" + told.strip().partition("http://")[2], process
    finally:
        process.kill()
        process.wait()
        process.stdout.close()
