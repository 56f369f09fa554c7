"""Data as strangers hand it in: small data sets of every source, damaged one way at a time, and read.

    python tests/fuzz/data_files.py --number 2000 --seed 0

Each case has to end in data or in one line of `UserError`, within 20 s and a GiB above the start; it may open nothing
outside of its folder, write nothing, and connect to nothing. A case is named by its seed and number, and made again by
`--only NUMBER`.
"""

from __future__ import annotations

import argparse
import io
import json
import os
import resource
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import traceback
import zipfile
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

SECONDS, GROWTH_MIB = 20, 1024

PER_PROCESS = 250
"""Cases a process reads: one that dies is noticed, and takes no others with it."""

INVENTED = "invented"
"""A class that only stands inside of texts, where lines of them look like rows."""

Made = tuple[dict[str, bytes], dict[str, Any]]
"""Files by name, and the section [data] that reads them."""


# --- what is damaged ------------------------------------------------------------------------------------------


def _rows(number: int = 48) -> list[dict[str, Any]]:
    def text(i: int) -> str:
        return f"sentence {i} says\nmore words {i},{INVENTED}\nand ends, so" if i % 3 == 0 else f"sentence {i}, größe"

    return [{"text": text(i), "label": "ab"[i % 2] if i < 24 else None, "site": f"s{i % 3}"} for i in range(number)]


def _picture(i: int, kind: str = "PNG", mode: str = "RGB") -> bytes:
    from PIL import Image

    pixels = np.random.default_rng(i).integers(0, 255, (6, 6, 3)).astype(np.uint8)
    buffer = io.BytesIO()
    Image.fromarray(pixels).resize((24, 24)).convert(mode).save(buffer, kind)
    return buffer.getvalue()


def _frame() -> pl.DataFrame:
    return pl.DataFrame(_rows())


def _csv(quote: str = "necessary", **options: Any) -> bytes:
    return _frame().write_csv(quote_style=quote, **options).encode()


def _parquet(table: pl.DataFrame) -> bytes:
    buffer = io.BytesIO()
    table.write_parquet(buffer, row_group_size=16)
    return buffer.getvalue()


def _npy(values: np.ndarray) -> bytes:
    buffer = io.BytesIO()
    np.save(buffer, values)
    return buffer.getvalue()


def _arrow(table: pl.DataFrame) -> bytes:
    import pyarrow as pa

    buffer = io.BytesIO()
    arrow = table.to_arrow()
    with pa.ipc.new_stream(buffer, arrow.schema) as writer:
        writer.write_table(arrow, max_chunksize=16)
    return buffer.getvalue()


def _tile(i: int, kind: str, **options: Any) -> bytes:
    import tifffile

    buffer = io.BytesIO()
    values = np.random.default_rng(i).uniform(0, 5000, (4, 16, 16)).astype(kind)
    tifffile.imwrite(buffer, values, photometric="minisblack", planarconfig="separate", **options)
    return buffer.getvalue()


def _folder(make: Callable[[int], bytes], suffix: str) -> dict[str, bytes]:
    names = [f"labelled/{c}/{i}" for c in "ab" for i in range(5)] + [f"unlabelled/{i}" for i in range(8)]
    return {f"{name}{suffix}": make(number) for number, name in enumerate(names)}


def _images() -> Made:
    kinds = ("PNG", "JPEG", "BMP", "GIF", "TIFF", "WEBP")
    return _folder(lambda i: _picture(i, kinds[i % 6]), ".png"), {"source": "image_folder", "path": ""}


def _tiles() -> Made:
    kinds = ("uint16", "float32", "int16", "uint8")
    packed = ({}, {"compression": "zlib"}, {"tile": (16, 16)}, {"bigtiff": True})
    made = _folder(lambda i: _tile(i, kinds[i % 4], **packed[i % 3]), ".tif")
    return made, {"source": "tiles", "path": "", "scale": [0, 5000]}


def _table(name: str, data: bytes, **given: Any) -> Made:
    return {name: data}, {"source": "table", "path": name, "text_column": "text", **given}


def _named_images() -> Made:
    files = {f"pics/{i}.png": _picture(i) for i in range(24)}
    rows = "".join(f"pics/{i}.png,{'ab'[i % 2] if i < 12 else ''}\n" for i in range(24))
    return files | {"t.csv": f"image,label\n{rows}".encode()}, {
        "source": "table", "path": "t.csv", "image_column": "image", "size": 8,
    }  # fmt: skip


def _image_bytes() -> Made:
    rows = [{"image": _picture(i), "label": "ab"[i % 2] if i < 12 else None} for i in range(24)]
    return {"t.parquet": _parquet(pl.DataFrame(rows))}, {
        "source": "table", "path": "t.parquet", "image_column": "image", "size": 8,
    }  # fmt: skip


def _vectors() -> Made:
    values = np.random.default_rng(0).normal(size=(40, 5)).astype(np.float32)
    labels = "label,site\n" + "".join(f"{'ab'[i % 2] if i < 20 else ''},s{i % 3}\n" for i in range(40))
    return {"vectors.npy": _npy(values), "labels.csv": labels.encode(), "more/x.npy": _npy(values + 1)}, {
        "source": "npy", "path": "", "pool": "more", "subgroup_columns": ["site"],
    }  # fmt: skip


def _npy_labels() -> Made:
    values = np.random.default_rng(0).normal(size=(40, 5)).astype(np.float64)
    labels = np.array(["ab"[i % 2] if i < 20 else "" for i in range(40)])
    return {"vectors.npy": _npy(values), "labels.npy": _npy(labels)}, {"source": "npy", "path": ""}


def _hub(kind: Callable[[pl.DataFrame], bytes], suffix: str, extra: dict[str, bytes]) -> Made:
    table = _frame().with_columns(label=pl.Series([i % 2 if i < 24 else -1 for i in range(48)]))
    files = {f"data/train-00000-of-00001{suffix}": kind(table), f"data/test-00000-of-00001{suffix}": kind(table[:8])}
    return files | extra, {"source": "huggingface", "path": "", "text_column": "text", "seed_per_class": 4}


def _chexpert() -> Made:
    head = "Path,Sex,Age,Frontal/Lateral,AP/PA,Edema,Fracture\n"
    told = ("", "-1.0", "1.0")
    rows = "".join(
        f"Chex/train/patient{i}/study1/view.png,{'FM'[i % 2]},{20 + i},Frontal,AP,{i % 2}.0,{told[i % 3]}\n"
        for i in range(24)
    )
    files = {f"train/patient{i}/study1/view.png": _picture(i, mode="L") for i in range(24)}
    return files | {"train.csv": (head + rows).encode()}, {
        "source": "chexpert", "path": "", "size": 8, "seed_fraction": 0.3,
    }  # fmt: skip


_INFO = {"default": {"features": {"label": {"_type": "ClassLabel", "names": ["a", "b"]}, "text": {"_type": "Value"}}}}

MAKERS: dict[str, Callable[[], Made]] = {
    "image_folder": _images,
    "tiles": _tiles,
    "csv": lambda: _table("t.csv", _csv()),
    "csv quoted": lambda: _table("t.csv", _csv("always", separator=";")),
    "tsv": lambda: _table("t.tsv", _csv(separator="\t")),
    "csv pool": lambda: (
        _table("t.csv", _csv())[0] | {"pool/p.csv": _csv("always"), "pool/q.jsonl": _frame().write_ndjson().encode()},
        {"source": "table", "path": "t.csv", "text_column": "text", "pool": "pool", "subgroup_columns": ["site"]},
    ),
    "jsonl": lambda: _table("t.jsonl", _frame().write_ndjson().encode()),
    "parquet": lambda: _table("t.parquet", _parquet(_frame()), subgroup_columns=["site"]),
    "parquet pool": lambda: (
        {"t.csv": _csv(), "pool/p.parquet": _parquet(_frame())},
        {"source": "table", "path": "t.csv", "text_column": "text", "pool": "pool/*.parquet"},
    ),
    "named images": _named_images,
    "image bytes": _image_bytes,
    "npy": _vectors,
    "npy labels": _npy_labels,
    "hub parquet": lambda: _hub(_parquet, ".parquet", {"dataset_infos.json": json.dumps(_INFO).encode()}),
    "hub arrow": lambda: _hub(_arrow, ".arrow", {}),
    "chexpert": _chexpert,
}


# --- how ------------------------------------------------------------------------------------------------------

NASTY = (
    b"", b"\x00", b'"', b'""', b'\\"', b"'", b"\xff\xfe", b"\xef\xbb\xbf", b"\xed\xa0\x80", b"\xc3", b"\r", b"\n",
    b",", b";", b"\t", b"|", b"NaN", b"-Infinity", b"null", b"1e999", b"9" * 5000, b"[" * 5000, b"{}", b"True", b"-1",
    b"../../etc/passwd", b"/etc/passwd", b"/dev/zero", b"file:///etc/passwd", b"=cmd|' /C calc'!A0", b"%s%n{0}",
    b"s3://x/y.png?endpoint_override=127.0.0.1:9&scheme=http", "\u202e\u200b\ufeff".encode(), "e\u0301".encode(),
    b"a" * 100_000, b"\x1a", b"sep=;\n", b"\\N", b"PK\x03\x04", b"\x89PNG\r\n\x1a\n", b"0.0", b"\x93NUMPY", b"PAR1",
    b"II*\x00",
)  # fmt: skip

NAMES = (
    "labelled/..", "labelled/\udcff", "labelled/a\nb", "labelled/" + "c" * 240, "labelled/=1+1", "labelled/ ",
    "Thumbs.db", "__MACOSX/._x", "labelled/a/.hidden.png", "labelled/CON", "unlabelled/\u202egnp.exe",
    "labelled/<b>&amp;",
)  # fmt: skip


def damage(files: dict[str, bytes], rng: np.random.Generator) -> tuple[dict[str, bytes], dict[str, str], str]:
    """The files with one thing wrong, special files by name (fifo, or a link's target), and what was done."""
    files, special = dict(files), {}
    # The tables are few among many pictures, and as interesting as all of them together.
    names = sorted(files, key=lambda name: (name.count("/"), name))
    name = names[int(rng.integers(min(3, len(names)) if rng.random() < 0.5 else len(names)))]
    data = bytearray(files[name])
    at = int(rng.integers(max(len(data), 1)))
    what = str(rng.choice(list(WAYS), p=np.array(list(WAYS.values())) / sum(WAYS.values())))
    if what == "flip":
        for _ in range(int(rng.integers(1, 4))):
            if data:
                data[int(rng.integers(len(data)))] ^= 1 << int(rng.integers(8))
    elif what == "cut":
        del data[at : at + int(rng.integers(1, 200))]
    elif what == "truncate":
        del data[at:]
    elif what == "insert":
        data[at:at] = NASTY[int(rng.integers(len(NASTY)))]
    elif what == "overwrite":
        token = NASTY[int(rng.integers(len(NASTY)))]
        data[at : at + len(token)] = token
    elif what == "zero":
        data[at : at + 64] = bytes(len(data[at : at + 64]))
    elif what == "repeat":
        data[at:at] = data[at : at + int(rng.integers(1, 4096))] * int(rng.integers(1, 50))
    elif what == "large":  # numbers that sizes and offsets are read from
        data[at : at + 4] = b"\xff\xff\xff\x7f"
    elif what == "other":
        data = bytearray(files[names[int(rng.integers(len(names)))]])
    elif what == "quote":
        data[at:at] = [b'"', b'\\"', b'""', b'"x'][int(rng.integers(4))]
    elif what == "encode":
        encodings = ("utf-16", "utf-16-le", "utf-32", "cp1252", "shift_jis", "utf-7")
        text = data.decode("utf-8", errors="ignore")
        data = bytearray(text.encode(encodings[int(rng.integers(6))], errors="ignore"))
    elif what == "zip":
        buffer = io.BytesIO()
        with zipfile.ZipFile(buffer, "w") as archive:
            archive.writestr("x", bytes(data))
        data = bytearray(buffer.getvalue())
    files[name] = bytes(data)
    if what == "remove":
        del files[name]
    elif what == "rename":
        new = NAMES[int(rng.integers(len(NAMES)))]
        files[f"{new}/{name.rpartition('/')[2]}" if "." not in new[-5:] else new] = files.pop(name)
    elif what == "special":
        del files[name]
        special[name] = str(rng.choice(["fifo", "/dev/zero", "/etc/passwd", "/proc/self/environ", "folder", "loop"]))
    return files, special, f"{what} {name} at {at}"


WAYS = {
    "flip": 6, "cut": 3, "truncate": 3, "insert": 8, "overwrite": 4, "zero": 2, "repeat": 1, "large": 3, "other": 1,
    "quote": 3, "encode": 1, "zip": 0.5, "remove": 0.5, "rename": 1, "special": 1,
}  # fmt: skip
"""Kind of damage -> how often it is drawn."""


def _write(folder: Path, files: dict[str, bytes], special: dict[str, str]) -> None:
    for name, data in files.items():
        path = Path(os.path.normpath(folder / name))
        path.parent.mkdir(parents=True, exist_ok=True)
        if not path.is_dir():
            path.write_bytes(data)
    for name, kind in special.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        if kind == "fifo":
            os.mkfifo(path)
        elif kind == "folder":
            path.mkdir()
        else:
            path.symlink_to(path.parent if kind == "loop" else kind)


# --- what must hold -------------------------------------------------------------------------------------------


class Watch:
    """What this process opens and connects to, while it is on."""

    def __init__(self, allowed: Path):
        self._allowed, self.seen, self.on = str(allowed), [], False
        sys.addaudithook(self._hear)

    def _hear(self, event: str, arguments: tuple) -> None:
        if not self.on or event not in ("open", "socket.connect", "subprocess.Popen", "os.remove", "os.rename"):
            return
        if event != "open":
            self.seen.append(f"{event} {arguments[:2]}")
            return
        path, mode, flags = arguments
        if not isinstance(path, (str, bytes)):
            return
        path = os.path.abspath(os.fsdecode(path))
        writes = bool((flags or 0) & (os.O_WRONLY | os.O_RDWR)) or any(c in (mode or "") for c in "wax+")
        if writes or not path.startswith((self._allowed, sys.prefix, sys.base_prefix, "/usr/")):
            self.seen.append(f"{'write' if writes else 'open'} {path}")


def check(number: int, seed: int, watch: Watch, scratch: Path) -> dict[str, Any]:
    """Read case `number`: {"source", "damage", "outcome", "wrong" (what should not be), …}."""
    from adde_ray.config import Config
    from adde_ray.errors import UserError
    from adde_ray.stages.ingest import prepare

    rng = np.random.default_rng((seed, number))
    source = list(MAKERS)[number % len(MAKERS)]
    files, section = MAKERS[source]()
    files, special, what = damage(files, rng)
    folder = Path(tempfile.mkdtemp(dir=scratch))
    found: dict[str, Any] = {"number": number, "source": source, "damage": what, "wrong": []}
    try:
        _write(folder, files, special)
        places = {key: str(folder / section[key]) for key in ("path", "pool") if key in section}
        tree = {"data": {**section, **places, "max_rejected": float(rng.choice([0.05, 1.0]))}}
        before, began = _memory(), time.perf_counter()
        signal.alarm(SECONDS)
        watch.on = True
        try:
            prepared = prepare(Config.parse(tree))
            found["outcome"] = "read"
            if INVENTED in prepared.meta.classes and what.startswith("quote"):
                found["wrong"].append("a class was invented")
        except UserError as error:
            found["outcome"] = "refused"
            found["message"] = str(error)
            if "\n" in str(error) or len(str(error)) > 2000:
                found["wrong"].append("a message of more than one line, or too long")
        except _TookTooLong:
            found["wrong"].append(f"took over {SECONDS} s")
        except BaseException:
            found["wrong"].append(traceback.format_exc(limit=-6))
        finally:
            watch.on = False
            signal.alarm(0)
        found["seconds"], found["grown"] = round(time.perf_counter() - began, 3), _memory() - before
        if found["grown"] > GROWTH_MIB:
            found["wrong"].append(f"grew by {found['grown']} MiB")
        found["wrong"] += [f"outside: {event}" for event in watch.seen]
        watch.seen.clear()
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    return found


class _TookTooLong(BaseException):
    pass


def _memory() -> int:
    """MiB this process has held at most so far."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024


def check_range(numbers: range, seed: int, tell: Callable[[dict[str, Any]], None]) -> None:
    """Read these cases in this process."""

    def alarm(*_: object) -> None:
        raise _TookTooLong

    signal.signal(signal.SIGALRM, alarm)
    with tempfile.TemporaryDirectory() as scratch:
        watch = Watch(Path(scratch))
        for number in numbers:
            tell(check(number, seed, watch, Path(scratch)))


def run(number: int, seed: int) -> dict[str, Any]:
    """Read so many cases, in processes of their own: {"counts": what became of them, "failures"}."""
    outcomes, failures = Counter(), []
    for first in range(0, number, PER_PROCESS):
        numbers = range(first, min(first + PER_PROCESS, number))
        command = [sys.executable, __file__, "--seed", str(seed), "--range", str(numbers.start), str(numbers.stop)]
        done = subprocess.run(command, capture_output=True, text=True)
        cases = [json.loads(line) for line in done.stdout.splitlines() if line.startswith("{")]
        outcomes.update(case.get("outcome", "wrong") for case in cases)
        failures += [case for case in cases if case["wrong"]]
        if done.returncode or len(cases) < len(numbers):
            at = numbers.start + len(cases)
            failures.append({"number": at, "wrong": [f"the process ended with {done.returncode}", done.stderr[-2000:]]})
        print(f"{numbers.stop} of {number}: {dict(outcomes)}, {len(failures)} wrong", file=sys.stderr)
    return {"counts": dict(outcomes), "failures": failures}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--number", type=int, default=2000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--only", type=int, help="this case alone")
    parser.add_argument("--range", type=int, nargs=2, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.range or given.only is not None:
        numbers = range(*given.range) if given.range else range(given.only, given.only + 1)
        check_range(numbers, given.seed, lambda case: print(json.dumps(case), flush=True))
        return 0
    result = run(given.number, given.seed)
    print(json.dumps(result, indent=1))
    return bool(result["failures"])


if __name__ == "__main__":
    sys.exit(main())
