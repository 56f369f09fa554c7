"""Many people at the review page at once, while its server is killed: what of their decisions is kept, and how long one
takes.

200 annotators over HTTP on this machine, 20,000 samples, an overlap of 2; the server ends by SIGKILL five times and is
started again; on SQLite, and on a PostgreSQL that is started for it (Debian's package). Everybody thinks for 0.5 to
1.5 seconds, then sends one decision, as the page does: under an id of its own, again until it is acknowledged. A
decision's time is from sending to acknowledgement by a server that lives; `worst wait` includes those that met a kill.
Some four minutes for each database; `--quick`: 60 annotators, 1,000 samples, two kills, a minute in all.
"""

from __future__ import annotations

import asyncio
import json
import random
import subprocess
import sys
import tempfile
import time
import uuid
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from common import arguments, console, finish, show

from adde_ray.review.store import Item, Store, place

sys.path.insert(0, str(Path(__file__).parents[1] / "tests" / "helpers"))

import databases  # pyright: ignore[reportMissingImports] of the tests
from review_server import begun_run  # pyright: ignore[reportMissingImports]

OVERLAP, THINK = 2, (0.5, 1.5)

AHEAD, LOW = 10, 5
"""Samples that a page has before it, and how few it lets them become."""


class Gone(Exception):
    """The server does not answer, or stopped doing so."""


class Http:
    """One connection that is kept open. An HTTP library would use more of the processor than the server does."""

    def __init__(self, port: int):
        self._port, self._streams = port, None
        self.cookie = self.csrf = ""

    async def send(self, method: str, path: str, body: object = None) -> dict:
        """What the server answers. Raises Gone."""
        content = b"" if body is None else json.dumps(body).encode()
        head = (
            f"{method} {path} HTTP/1.1\r\nHost: 127.0.0.1:{self._port}\r\nContent-Type: application/json\r\n"
            f"Content-Length: {len(content)}\r\nCookie: {self.cookie}\r\nX-CSRF-Token: {self.csrf}\r\n\r\n"
        )
        try:
            if self._streams is None:
                self._streams = await asyncio.open_connection("127.0.0.1", self._port)
            reader, writer = self._streams
            writer.write(head.encode() + content)
            status, *lines = (await reader.readuntil(b"\r\n\r\n")).decode().split("\r\n")
            headers = dict(
                line.lower().split(": ", 1) if "ookie" not in line else line.split(": ", 1) for line in lines if line
            )
            told = json.loads(await reader.readexactly(int(headers["content-length"])))
        except (OSError, asyncio.IncompleteReadError) as error:
            self._streams = None
            raise Gone(str(error)) from None
        if "set-cookie" in headers:
            self.cookie = headers["set-cookie"].partition(";")[0]
        assert status.split()[1] == "200", f"{path}: {status} {told}"
        return told


@dataclass
class Found:
    """What people noted. waits: seconds of each decision, from its first sending; alive: of those that no kill met."""

    acknowledged: set[str] = field(default_factory=set)
    waits: list[float] = field(default_factory=list)
    alive: list[float] = field(default_factory=list)
    refused: Counter[str] = field(default_factory=Counter)


async def annotator(name: int, port: int, token: str, found: Found, think: tuple[float, float]) -> None:
    """Answer until nothing is left."""
    rng, http, ahead = random.Random(name), Http(port), []
    http.csrf = (await until(http, "POST", "/api/sign-in", {"token": token}))[0]["csrf"]
    while True:
        if len(ahead) < LOW:
            has = ",".join(str(task) for task in ahead)
            more, _ = await until(http, "GET", f"/api/next?n={AHEAD - len(ahead)}&not={has}")
            ahead += [sample["task"] for sample in more["samples"] if sample["task"] not in ahead]
            if not ahead:
                return
        await asyncio.sleep(rng.uniform(*think))
        answer = {"answer_id": uuid.UUID(int=rng.getrandbits(128)).hex, "task": ahead.pop(0), "seconds": 1.0}
        answer |= rng.choice([{"action": "accept"}, {"action": "correct", "label": "B"}, {"action": "reject"}])
        began = time.perf_counter()
        told, interrupted = await until(http, "POST", "/api/answers", {"answers": [answer]})
        found.waits.append(time.perf_counter() - began)
        if not interrupted:
            found.alive.append(found.waits[-1])
        found.acknowledged.update(told["accepted"])
        found.refused.update(one["error"] for one in told["refused"])


async def until(http: Http, method: str, path: str, body: object = None) -> tuple[dict, bool]:
    """Ask until there is an answer: (that, whether the server was gone meanwhile)."""
    interrupted = False
    while True:
        try:
            return await http.send(method, path, body), interrupted
        except Gone:
            interrupted = True
            await asyncio.sleep(0.25)


async def server(run: Path, port: int) -> asyncio.subprocess.Process:
    """Start it; it is there once it says so."""
    command = [sys.executable, "-m", "adde_ray.cli", "review", str(run), "--port", str(port)]
    process = await asyncio.create_subprocess_exec(*command, stdout=subprocess.PIPE)
    assert process.stdout is not None
    assert b"http" in await process.stdout.readline(), "it did not start"
    return process


async def drive(run: Path, tokens: list[str], decisions: int, kills: int, think: tuple[float, float]) -> Found:
    """All people at work, and the kills, each after an equal share of the decisions."""
    port, found = databases.free_port(), Found()
    process = await server(run, port)
    people = [asyncio.create_task(annotator(i, port, token, found, think)) for i, token in enumerate(tokens)]
    for kill in range(kills):
        while len(found.acknowledged) < (kill + 1) * decisions / (kills + 1) and not all(one.done() for one in people):
            await asyncio.sleep(0.02)
        process.kill()
        await process.wait()
        process = await server(run, port)
    await asyncio.gather(*people)
    process.terminate()
    await process.wait()
    return found


def measure(store_url: str | None, folder: Path, people: int, samples: int, kills: int) -> dict[str, float | None]:
    """One database's figures."""
    run = begun_run(folder / "run", overlap=OVERLAP, **({"store": store_url} if store_url else {}))
    store = Store.open(*place(run, store_url))
    tokens = [store.invite(f"person {i}") for i in range(people)]
    store.publish(Item(f"{i:032x}", 0, i, "new", "text", f"text {i}", "A", 0.5) for i in range(samples))
    began = time.perf_counter()
    found = asyncio.run(drive(run, tokens, samples * OVERLAP, kills, THINK))
    seconds = time.perf_counter() - began
    kept = store.answers(in_effect=False)
    progress = store.progress(0, overlap=OVERLAP)
    store.shut()
    by_task, by_both = Counter(kept["task"]), Counter(zip(kept["task"], kept["annotator"], strict=True))
    for reason, times in found.refused.items():
        console.print(f"refused {times} times: {reason}")
    return {
        "lost": len(found.acknowledged - set(kept["answer_id"])),
        "doubled": sum(times - 1 for times in by_both.values()) + len(kept) - kept["answer_id"].n_unique(),
        "over_overlap": sum(times > OVERLAP for times in by_task.values()),
        "unfinished": samples - progress["done"],
        "p50_ms": 1000 * float(np.quantile(found.alive, 0.5)),
        "p95_ms": 1000 * float(np.quantile(found.alive, 0.95)),
        "p99_ms": 1000 * float(np.quantile(found.alive, 0.99)),
        "worst_wait_s": max(found.waits),
        "decisions_per_s": len(found.waits) / seconds,
        "decisions": len(found.waits),
    }


def main() -> None:
    """Both databases, or SQLite alone where PostgreSQL is not installed."""
    parser = arguments(__doc__ or "")
    parser.add_argument("--only", choices=("sqlite", "postgresql"), help="one of the databases")
    options = parser.parse_args()
    size = (
        {"people": 60, "samples": 1_000, "kills": 2}
        if options.quick
        else {"people": 200, "samples": 20_000, "kills": 5}
    )
    found: dict[str, dict[str, float | None]] = {}
    if options.only != "postgresql":
        with tempfile.TemporaryDirectory() as folder:
            found["sqlite"] = measure(None, Path(folder), **size)
    if options.only != "sqlite" and databases.binaries() is not None:
        with tempfile.TemporaryDirectory() as folder, databases.postgresql() as url:
            found["postgresql"] = measure(url, Path(folder), **size)
    names = list(next(iter(found.values())))
    show(
        "decisions over HTTP, the server killed meanwhile",
        ["", *found],
        [[n, *(f[n] for f in found.values())] for n in names],
    )
    figures = {f"{database}_{name}": value for database, all_ in found.items() for name, value in all_.items()}
    none = ("lost", "doubled", "over_overlap", "unfinished")
    targets = {f"{database}_{name}": "<= 0" for database in found for name in none}
    finish("review_load", figures, targets | {f"{database}_p95_ms": "<= 150" for database in found})


if __name__ == "__main__":
    main()
