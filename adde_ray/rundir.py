"""Where a run keeps things, and what makes it safe to kill.

Every artifact is written to a temporary file beside its place, synced and renamed, so it is there whole or
not at all. A stage whose artifact is there is not run again. `manifest.json` is written last in a round:
its presence is the only "done". Nothing in an artifact depends on the clock, so a run that was killed and
resumed is the same, byte for byte, as one that was not; times go to `events.jsonl` alone.
"""

from __future__ import annotations

import contextlib
import fcntl
import functools
import hashlib
import json
import os
import shutil
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import polars as pl
import pyarrow.parquet as pq

from adde_ray import documents
from adde_ray.config import Config
from adde_ray.errors import Halted, UserError

MANIFEST = "manifest.json"

ORACLE = "ingest/oracle.parquet"
"""sample_id, label: the pool's hidden truth, which only the simulated annotator may read."""

MODEL = "model/model.json"
"""In a round's folder: what its model is. Written last: without it, the weights beside it do not count."""

TUNED = "model/encoder.safetensors"
"""In a round's folder: the weights of its fine-tuned encoder, where it has one."""


# --- files ---------------------------------------------------------------------------------------------


@contextlib.contextmanager
def atomic(path: Path) -> Iterator[Path]:
    """A temporary path that becomes `path` when the block ends well, and vanishes when it does not."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.tmp")
    try:
        yield temporary
        with temporary.open("rb") as file:
            os.fsync(file.fileno())
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)


def write_json(path: Path, value: object) -> None:
    with atomic(path) as temporary:
        temporary.write_text(json.dumps(value, indent=1, sort_keys=True, allow_nan=False) + "\n")


def read_json(path: Path) -> dict:
    return documents.read_json(path)


def write_table(path: Path, table: pl.DataFrame) -> None:
    with atomic(path) as temporary:
        pq.write_table(table.to_arrow(compat_level=pl.CompatLevel.oldest()), temporary, compression="zstd")


def read_table(path: Path, *columns: str) -> pl.DataFrame:
    return pl.read_parquet(path, columns=list(columns) or None, glob=False, hive_partitioning=False)


def read_kept(path: Path, *columns: str) -> pl.DataFrame:
    """`read_table` of what never changes once it is there, as a round's tables: every later round reads them again."""
    found = path.stat()
    return _kept(path, found.st_mtime_ns, found.st_size, columns)


@functools.lru_cache(maxsize=256)
def _kept(path: Path, mtime_ns: int, size: int, columns: tuple[str, ...]) -> pl.DataFrame:
    return read_table(path, *columns)


# --- identity ------------------------------------------------------------------------------------------


def fingerprint(*parts: object) -> str:
    """16 hex digits over strings, bytes and JSON-able values."""
    digest = hashlib.blake2b(digest_size=8)
    for part in parts:
        digest.update(part if isinstance(part, bytes) else json.dumps(part, sort_keys=True, default=str).encode())
        digest.update(b"\0")
    return digest.hexdigest()


def derive_rng(seed: int, *scope: object) -> np.random.Generator:
    """A generator for one (round, stage, shard, …) of the run: the same wherever and whenever it is asked for."""
    return np.random.default_rng(derive_seed(seed, *scope))


def derive_seed(seed: int, *scope: object) -> int:
    """The same as a non-negative 31-bit integer, for libraries that take one."""
    return int(fingerprint(seed, *map(str, scope)), 16) % (2**31)


# --- folders -------------------------------------------------------------------------------------------


@contextlib.contextmanager
def locked(root: Path, *, wait: float = 0.0) -> Iterator[None]:
    """Make the folder unless it is there, and hold its lock.

    wait: seconds to wait for another process to be done with it. Raises UserError when it is not, or when there can be
    no such folder.
    """
    _check_place(root)
    try:
        root.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UserError(f"no folder can be made: {error.strerror}", where=root) from None
    # flock is dropped by the kernel when the process dies, however it dies: no stale locks after a kill.
    with (root / ".lock").open("w") as file:
        deadline = time.monotonic() + wait
        while True:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                if time.monotonic() < deadline:
                    time.sleep(0.1)
                    continue
                raise UserError(
                    "another process is running here", where=root, remedy="Wait for it, or choose another folder"
                ) from None
        yield


OF_A_JOB = "working_dir_files"
"""The folder of Ray's that jobs submitted with --working-dir work in."""


def _check_place(root: Path) -> None:
    """Raises UserError: what would be kept there could not be read again."""
    whole = os.path.abspath(root)
    try:
        whole.encode()
    except UnicodeEncodeError:
        remedy = "Choose another folder: Parquet files cannot be written there"
        raise UserError("its name is not UTF-8", where=root, remedy=remedy) from None
    if OF_A_JOB in Path(whole).parts:
        raise UserError(
            "lies in the folder that Ray made for this job, and goes with it", where=root,
            remedy="Give --run-dir, of experiments --folder, an absolute path on storage that outlives the job",
        )  # fmt: skip


def identity(config: dict) -> dict:
    """A resolved config but for where its run is kept: moving or renaming a folder does not stop a resume."""
    return {**config, "run": {"seed": config["run"]["seed"]}}


def first_difference(kept: dict, given: dict, at: str = "") -> str:
    """The first key, dotted, that differs between two trees that do, and both its values."""
    for key in sorted(kept.keys() | given.keys()):
        old, new, name = kept.get(key), given.get(key), f"{at}{key}"
        if isinstance(old, dict) and isinstance(new, dict) and old != new:
            return first_difference(old, new, f"{name}.")
        if old != new:
            return f"{name} was {old!r} and is now {new!r}"
    return "they differ"


# --- a run ---------------------------------------------------------------------------------------------


class RunDir:
    """One run's folder. Open one with `RunDir.start` (to write) or `RunDir.at` (to read)."""

    def __init__(self, root: Path):
        self.root = Path(root)

    @classmethod
    def at(cls, root: str | Path) -> RunDir:
        """An existing run, for reading. Raises UserError when there is none."""
        root = Path(root)
        if not (root / "config.json").is_file():
            raise UserError("no run here", where=root, remedy="Give a folder that `adde run` made")
        return cls(root)

    @classmethod
    @contextlib.contextmanager
    def start(cls, root: str | Path, config: Config, *, resume: bool = False, wait: float = 0.0) -> Iterator[RunDir]:
        """Create or resume a run and hold its lock, for which it waits so many seconds.

        Raises UserError when the folder is in use, holds a run and `resume` is false, or was started
        with another config. A run that a UserError ends before its first round leaves no folder behind.
        """
        run = cls(root)
        resolved = config.model_dump(mode="json")
        with locked(run.root, wait=wait):
            if (run.root / "config.json").exists():
                if not resume:
                    raise UserError(
                        "holds a run already",
                        where=run.root,
                        remedy="Continue it with --resume, or choose another: --run-dir or --set run.name=NAME",
                    )
                kept, given = identity(read_json(run.root / "config.json")), identity(resolved)
                if kept != given:
                    raise UserError(
                        f"was started with another config; {first_difference(kept, given)}",
                        where=run.root,
                        remedy="Resume with the config it was started with, or choose another folder",
                    )
            elif any(p.name != ".lock" and not p.name.endswith(".tmp") for p in run.root.iterdir()):
                raise UserError("is not empty and holds no run", where=run.root, remedy="Choose another folder")
            else:
                write_json(run.root / "config.json", resolved)
            try:
                yield run
            except Halted:
                raise
            except UserError:
                # Refused before its first round: nothing is worth keeping, and the mended config may start here.
                if not (run.root / "rounds").exists():
                    shutil.rmtree(run.root)
                raise

    @property
    def config(self) -> Config:
        return Config.parse(read_json(self.root / "config.json"), where=self.root / "config.json")

    def once(self, name: str, compute: Callable[[], pl.DataFrame]) -> pl.DataFrame:
        """The table at `name`, computed and written unless it is there."""
        path = self.root / name
        if not path.exists():
            write_table(path, compute())
        return read_table(path)

    def once_json(self, name: str, compute: Callable[[], dict]) -> dict:
        """The JSON object at `name`, computed and written unless it is there."""
        path = self.root / name
        if not path.exists():
            write_json(path, compute())
        return read_json(path)

    def round(self, t: int) -> RoundDir:
        return RoundDir(self, t)

    def rounds(self) -> list[RoundDir]:
        """The committed rounds, in order."""
        found = (self.root / "rounds").glob(f"[0-9][0-9][0-9]*/{MANIFEST}")
        return [self.round(t) for t in sorted(int(p.parent.name) for p in found)]

    def dataset(self, t: int | None = None) -> pl.DataFrame:
        """D_t: the union of parts <= t (all parts when t is None), in the order they were added."""
        parts = sorted(int(p.stem.removeprefix("round-")) for p in (self.root / "dataset").glob("round-*.parquet"))
        return pl.concat([read_kept(self.dataset_part(part)) for part in parts if t is None or part <= t])

    def dataset_part(self, t: int) -> Path:
        return self.root / "dataset" / f"round-{t:03d}.parquet"

    def dataset_fingerprint(self) -> str:
        """Identity of D_T: sample ids, labels, rounds and lineage, whatever the order."""
        columns = ["sample_id", "label", "round", "origin", "gap_id", "generator", "decision_ids"]
        return fingerprint(self.dataset().select(columns).sort("sample_id").write_ndjson())

    def event(self, **fields: object) -> None:
        """Append one line to events.jsonl: the only place where times are kept."""
        with (self.root / "events.jsonl").open("a") as file:
            file.write(json.dumps({"time": round(time.time(), 3), **fields}) + "\n")

    def events(self) -> list[dict]:
        """Every event so far. A line cut short by a kill is passed over."""
        path = self.root / "events.jsonl"
        events = []
        for line in path.read_text().splitlines() if path.exists() else []:
            with contextlib.suppress(json.JSONDecodeError):
                events.append(json.loads(line))
        return events

    def seconds(self) -> float:
        """Wall time of all stages so far, over all resumptions."""
        return sum(event["seconds"] for event in self.events() if event.get("event") == "end")


class RoundDir:
    """rounds/NNN of a run."""

    def __init__(self, run: RunDir, t: int):
        self.run, self.t = run, t
        self.root = run.root / "rounds" / f"{t:03d}"

    @contextlib.contextmanager
    def stage(self, name: str) -> Iterator[None]:
        """Times a stage into events.jsonl."""
        self.run.event(event="start", round=self.t, stage=name)
        began = time.perf_counter()
        yield
        self.run.event(event="end", round=self.t, stage=name, seconds=round(time.perf_counter() - began, 4))

    def once(self, name: str, compute: Callable[[], pl.DataFrame]) -> pl.DataFrame:
        return self.run.once(f"rounds/{self.t:03d}/{name}", compute)

    def once_json(self, name: str, compute: Callable[[], dict]) -> dict:
        return self.run.once_json(f"rounds/{self.t:03d}/{name}", compute)

    def read(self, name: str, *columns: str) -> pl.DataFrame | None:
        """A table of this round, or some columns of it; None where the round has none."""
        try:
            return read_kept(self.root / name, *columns)
        except FileNotFoundError:
            return None

    @property
    def manifest(self) -> dict:
        return read_json(self.root / MANIFEST)

    @property
    def metrics(self) -> dict:
        return read_json(self.root / "metrics.json")

    def commit(self, manifest: dict) -> None:
        write_json(self.root / MANIFEST, manifest)
