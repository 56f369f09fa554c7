"""Mutated configs, grids and sweeps: each is accepted, or refused in lines that say why; and what is accepted runs.

`run(number, seed)` makes the same cases again for the same seed.
"""

from __future__ import annotations

import contextlib
import json
import os
import random
import resource
import signal
import subprocess
import sys
import tempfile
import time
import tomllib
import traceback
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from adde_ray.config import Config
from adde_ray.config_check import check_names
from adde_ray.errors import UserError
from adde_ray.experiments.grid import Grid
from adde_ray.experiments.space import Sweep

ROOT = Path(__file__).parents[2]

SECONDS = 20
"""What one case may take."""

GIB = 2**20  # of ru_maxrss, which counts KiB
"""What all cases together may add to the memory in use."""

LONGEST = 10_000
"""Characters of one line that is told."""

SOURCES = {
    "digits": {},
    "image_folder": {"path": "images"},
    "table": {"path": "rows.csv", "text_column": "text"},
    "chexpert": {"path": "xrays"},
    "huggingface": {"path": "dataset"},
    "tiles": {"path": "tiles"},
    "npy": {"path": "vectors.npy"},
}

NUMBERS = (
    0, -1, 1, 2, 7, 10**3, 10**6, 10**9, 2**31, 2**53, 2**63 - 1, 2**63, -(2**63) - 1, 10**18, 10**30, 10**5000,
    -0.0, 0.5, 1.0, 1.5, 5e-324, 1e-300, 1e-9, 1e9, 1e300, 1e308, -1e308, float("inf"), float("-inf"), float("nan"),
)  # fmt: skip

TEXTS = (
    "", " ", "a", "none", "true", "0", "nan", "x" * 300, "x" * 10_000, "../up", "/", "/dev/zero",
    "/proc/self/mem", "~", "~nobody-here/x",
    "s3://bucket/x", "ray://x", "file:///etc/passwd", "a\0b", "line\nbreak", "\x1b[31m", "caf\u00e9", "\u202eabc",
    "=cmd|' /C calc'!A0", "%s%n", "{seed}", "\U0001f600" * 50, "a.b.c", "[1, 2]",
)  # fmt: skip


def run(number: int, seed: int) -> dict[str, Any]:
    """That many mutated documents, and a sample of the accepted ones run. Returns counts and failures."""
    rng = random.Random(seed)
    counts: Counter[str] = Counter()
    failures: list[str] = []
    bases = list(_bases())
    began = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    accepted: list[bytes] = []
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "it.toml"
        for case in range(number):
            load, tree = rng.choice(bases)
            data = _document(tree, rng)
            overrides = [_override(rng) for _ in range(rng.choice((0, 0, 0, 1, 2)))]
            path.write_bytes(data)
            outcome = _loaded(lambda load=load, overrides=overrides: load(path, overrides))
            counts[outcome if outcome in ("accepted", "refused") else "failed"] += 1
            if outcome == "accepted" and not overrides and b'"source" = "digits"' in data:
                accepted.append(data)
            elif outcome not in ("accepted", "refused"):
                failures.append(f"seed {seed}, case {case}, {overrides!r:.200}: {outcome}")
        grown = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - began
        if grown > GIB:
            failures.append(f"seed {seed}: memory grew by {grown >> 10} MiB")
        for data in rng.sample(accepted, min(len(accepted), number // 200)):
            counts["run"] += 1
            if told := _run(data, Path(folder)):
                failures.append(f"seed {seed}: {told}, running\n{data.decode(errors='replace')[:3000]}")
    return {"counts": dict(counts), "failures": failures}


# --- documents ----------------------------------------------------------------------------------------------


def _bases() -> Iterator[tuple[Callable[[Path, list[str]], object], dict]]:
    """What reads a document, and the tree of a good one: every source with all settings, every experiment shipped."""

    def config(path: Path, overrides: list[str]) -> None:
        check_names(Config.load(path, overrides))

    def grid(path: Path, overrides: list[str]) -> None:
        plan = Grid.load(path)
        plan.made_quick()
        plan.located(path.parent).trials(tuple(overrides), path.parent)

    def sweep(path: Path, overrides: list[str]) -> None:
        plan = Sweep.load(path)
        plan.trials(plan.base(tuple(overrides), path.parent))

    for source, keys in SOURCES.items():
        tree = Config.parse({"data": {"source": source, **keys}}).model_dump(mode="json")
        yield config, tree
        yield config, {"data": tree["data"], "stop": {"labels": 20}}
    for path in sorted((ROOT / "jobs" / "configs").glob("*.toml")):
        tree = tomllib.loads(path.read_text())
        for key in ("config", "datasets"):
            if key in tree:
                here = ROOT / "jobs" / "configs"
                tree[key] = str(here / tree[key]) if key == "config" else [str(here / "digits.toml")]
        yield grid if "strategies" in tree else sweep if "space" in tree else config, tree


def _document(tree: dict, rng: random.Random) -> bytes:
    if rng.random() < 0.05:
        return rng.randbytes(rng.randrange(200))
    tree = json.loads(json.dumps(tree))
    for _ in range(rng.choice((1, 1, 1, 2, 3, 8))):
        _mutate(tree, rng)
    data = "".join(_lines(tree)).encode("utf-8", "surrogatepass")
    return _spoilt(data, rng) if rng.random() < 0.25 else data


def _mutate(tree: dict, rng: random.Random) -> None:
    """One place of the tree is another: its value, its name, or gone."""
    holder: Any = tree
    while True:
        keys = list(holder) if isinstance(holder, dict) else list(range(len(holder)))
        if not keys:
            return
        key = rng.choice(keys)
        if isinstance(holder[key], (dict, list)) and holder[key] and rng.random() < 0.85:
            holder = holder[key]
            continue
        break
    act = rng.random()
    if act < 0.75:
        old = holder[key]
        plain = isinstance(old, (int, float)) and not isinstance(old, bool) and abs(old) < 1e100 and rng.random() < 0.6
        holder[key] = (
            rng.choice((old * 10, old * 2, old / 2, old + 1, type(old)(old * 0.9), 1)) if plain else _value(rng)
        )
    elif act < 0.83:
        del holder[key]
    elif isinstance(holder, dict):
        name = rng.choice((str(key)[:-1], f"{key}s", str(key).upper(), rng.choice(TEXTS), str(key)[::-1]))
        holder[name] = holder.pop(key) if act < 0.92 else _value(rng)
    else:
        many = 1 if isinstance(holder[key], (dict, list)) or len(holder) > 50 else rng.choice((1, 100, 5000))
        holder.extend([holder[key]] * many)


def _value(rng: random.Random, depth: int = 0) -> Any:
    kind = rng.random()
    if kind < 0.5 or depth > 3:
        return rng.choice(NUMBERS)
    if kind < 0.7:
        return rng.choice(TEXTS)
    if kind < 0.78:
        return rng.random() < 0.5
    if kind < 0.88:
        return [_value(rng, depth + 1) for _ in range(rng.choice((0, 1, 2, 3, 20)))]
    if kind < 0.98:
        return {rng.choice(TEXTS): _value(rng, depth + 1) for _ in range(rng.choice((0, 1, 2)))}
    deep: Any = 1
    for row in range(rng.choice((20, 40, 2000))):
        deep = [deep] if row % 2 else {"a": deep} if rng.random() < 0.5 else [deep]
    return deep


def _spoilt(data: bytes, rng: random.Random) -> bytes:
    """The text itself damaged."""
    at = rng.randrange(len(data) + 1)
    lines = data.splitlines(keepends=True) or [b""]
    return rng.choice(
        (
            lambda: data[:at],
            lambda: data[:at] + rng.randbytes(rng.choice((1, 4))) + data[at:],
            lambda: data[:at] + bytes([data[at] ^ 1 << rng.randrange(8)]) + data[at + 1 :] if at < len(data) else data,
            lambda: data + rng.choice(lines),
            lambda: data.decode("utf-8", "replace").encode(rng.choice(("utf-16", "utf-16-le", "utf-32"))),
            lambda: b"\xef\xbb\xbf" + data.replace(b"\n", b"\r\n"),
            lambda: data[:at] + b"\xe9\xff" + data[at:],
            lambda: data + b"\nx = " + rng.choice((b"[", b"{a=")) * rng.choice((50, 5000)),
            lambda: data + b"\n" + b"a." * rng.choice((20, 50, 5000)) + b"a = 1",
            lambda: data + b"\nx = " + rng.choice((b"", b"0x", b"1.", b"-")) + b"9" * rng.choice((50, 5000)),
            lambda: data + b"\n[" + rng.choice((b"select", b"data", b"[run]", b"run.seed")) + b"]\n",
        )
    )()


def _override(rng: random.Random) -> str:
    key = rng.choice(
        ("select.alpha", "train.steps", "run.name", "data.path", "data", "a", "", "stop.labels", "a." * 40)
    )
    value = rng.choice((*map(_number, NUMBERS), *TEXTS, "\udce9", "[" * 3000, '"', "{a=1", "'''", "1\n[data]"))
    return rng.choice((f"{key}={value}", f"{key}={value}", f"{key}={value}", key, f"={value}"))


def _number(value: float) -> str:
    if isinstance(value, int):
        return f"1{'0' * 5000}" if value > 10**100 else str(value)
    return {"inf": "inf", "-inf": "-inf", "nan": "nan"}.get(str(value), str(value))


def _lines(tree: dict, names: tuple[str, ...] = ()) -> Iterator[str]:
    """A tree as TOML. None, which TOML has not, is left out."""
    inner = {k: v for k, v in tree.items() if isinstance(v, dict) and not names and k}
    for key, value in tree.items():
        if key not in inner and value is not None:
            yield f"{_text(key)} = {_written(value)}\n"
    for key, value in inner.items():
        yield f"[{_text(key)}]\n"
        yield from _lines(value, (*names, key))


def _written(value: Any) -> str:
    """Without recursion, so that what is deep can be written."""
    parts: list[str] = []
    left: list[Any] = [value]
    while left:
        one = left.pop()
        if isinstance(one, _Raw):
            parts.append(one)
        elif isinstance(one, bool):
            parts.append(str(one).lower())
        elif isinstance(one, (int, float)):
            parts.append(_number(one))
        elif isinstance(one, str):
            parts.append(_text(one))
        elif isinstance(one, list):
            left.append(_Raw("]"))
            for item in reversed([item for item in one if item is not None]):
                left += [_Raw(", "), item]
            left.append(_Raw("["))
        elif isinstance(one, dict):
            left.append(_Raw("}"))
            pairs = [(key, item) for key, item in one.items() if item is not None]
            for row, (key, item) in reversed(list(enumerate(pairs))):
                left += [*([_Raw(", ")] if row < len(pairs) - 1 else []), item, _Raw(f"{_text(key)} = ")]
            left.append(_Raw("{"))
    return "".join(parts)


class _Raw(str):
    """TOML as it is."""


def _text(text: object) -> str:
    return json.dumps(str(text), ensure_ascii=False).replace("\x7f", "\\u007f")


# --- what becomes of them ------------------------------------------------------------------------------------


class _Late(Exception):
    pass


def _loaded(load: Callable[[], object]) -> str:
    """accepted, refused, or what is wrong with it."""
    began = time.monotonic()
    try:
        with _limited(SECONDS):
            load()
    except UserError as error:
        for line in error.lines:
            if "\n" in line or not line.isprintable() or len(line) > LONGEST:
                return f"no plain line: {line!r:.500}"
        if time.monotonic() - began > SECONDS:
            return f"took {time.monotonic() - began:.0f} s"
        return "refused"
    except Exception:
        return traceback.format_exc()[-1500:]
    return "accepted"


@contextlib.contextmanager
def _limited(seconds: float) -> Iterator[None]:
    def late(number: int, frame: object) -> None:
        raise _Late(f"takes more than {seconds} s")

    before = signal.signal(signal.SIGALRM, late)
    left, _ = signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, left)
        signal.signal(signal.SIGALRM, before)


def _run(data: bytes, folder: Path) -> str | None:
    """What is wrong with `adde run` on it: it ends, is refused in plain lines, or ends when it is told to."""
    with tempfile.TemporaryDirectory(dir=folder) as inside:
        path = Path(inside) / "it.toml"
        path.write_bytes(data)
        command = [sys.executable, "-m", "adde_ray.cli", "run", str(path), "--run-dir", f"{inside}/run"]
        small = ("stop.rounds=2", "compare.random=false", "generate.actors=0", "train.workers=0", "stream.workers=0")
        for override in small:
            command += ["--set", override]
        env = os.environ | {"PYTHONPATH": str(ROOT)}
        process = subprocess.Popen(command, env=env, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        try:
            _, told = process.communicate(timeout=3 * SECONDS)
        except subprocess.TimeoutExpired:
            process.terminate()
            try:
                _, told = process.communicate(timeout=SECONDS)
            except subprocess.TimeoutExpired:
                process.kill()
                return "does not end when it is told to"
        if resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss > 3 * GIB:
            return "takes more than 3 GiB"
        if process.returncode not in (0, 2, 143) or "Traceback" in told:
            return f"exit code {process.returncode}: {told[-1500:]}"
    return None
