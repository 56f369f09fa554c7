"""Where a run keeps things, and what makes it safe to kill.

Every artifact is written to a temporary file beside its place, synced, recorded (`digests`) and renamed, so it is there
whole or not at all. A stage whose artifact is there is not run again. `manifest.json` is written last in a round: its
presence is the only "done". Nothing in an artifact depends on the clock, so a run that was killed and
resumed is the same, byte for byte, as one that was not; times go to `events.jsonl` alone.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import functools
import hashlib
import json
import logging
import os
import shutil
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO

import numpy as np
import polars as pl
import pyarrow.parquet as pq
from polars.exceptions import PanicException

from adde_ray.artifacts import damage, digests
from adde_ray.artifacts.damage import AMENDED, MANIFEST
from adde_ray.artifacts.digests import LEDGER, Digest, Ledger, sealed
from adde_ray.artifacts.m_div import restated
from adde_ray.artifacts.schema import CHOSEN_BY, LIT_BY
from adde_ray.config import Config, documents
from adde_ray.config import kept as kept_config
from adde_ray.errors import Halted, UserError, first_line

log = logging.getLogger("adde_ray")

ORACLE = "ingest/oracle.parquet"
"""sample_id, label: the pool's hidden truth, which only the simulated annotator may read."""

MODEL = "model/model.json"
"""In a round's folder: what its model is. Written last: without it, the weights beside it do not count."""

TUNED = "model/encoder.safetensors"
"""In a round's folder: the weights of its fine-tuned encoder, where it has one."""


# --- files ---------------------------------------------------------------------------------------------


@contextlib.contextmanager
def atomic(path: Path, *, recorded: bool = True) -> Iterator[Path]:
    """A temporary path that becomes `path` when the block ends well, and vanishes when it does not.

    recorded: whether it is an artifact, whose digest goes into the ledger where there is one: not what people are to
    change, nor what a worker makes beside others (which the driver records). Raises Halted when it cannot be written.
    """
    temporary = path.with_name(f".{path.name}.tmp")
    with halted_by_disk(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            yield temporary
            with temporary.open("rb") as file:
                os.fsync(file.fileno())
            if recorded:
                digests.record(path, Digest.of(temporary))
            os.replace(temporary, path)
        finally:
            with contextlib.suppress(OSError):
                temporary.unlink(missing_ok=True)


FULL = (errno.ENOSPC, errno.EDQUOT)
CLOSED = (errno.EROFS, errno.EACCES, errno.EPERM)


@contextlib.contextmanager
def halted_by_disk(where: Path, *, whatever: bool = True) -> Iterator[None]:
    """Says in one line that something cannot be written. Raises Halted.

    whatever: also for what is wrong besides no room on the disk and no right to write there.
    """
    try:
        yield
    except OSError as error:
        if not whatever and error.errno not in FULL + CLOSED:
            raise
        remedy = "Mend that and continue with --resume: what is done is kept"
        if error.errno in FULL:
            remedy = "Make room and continue with --resume: what is done is kept"
        elif error.errno in CLOSED:
            remedy = "Give a folder you may write to"
        where = error.filename or where
        raise Halted(f"cannot be written: {error.strerror or first_line(error)}", where=where, remedy=remedy) from None


@contextlib.contextmanager
def kept_once_begun(root: Path, begun: str) -> Iterator[None]:
    """Work in a folder with a ledger, which is closed at the end. Raises Halted: it cannot be written.

    A UserError before there is a `begun` in it takes the folder along: nothing is worth keeping, and what was mended
    may start here.
    """
    try:
        with halted_by_disk(root, whatever=False):
            yield
            digests.close(root)
    except Halted:
        raise
    except UserError:
        if not (root / begun).exists():
            shutil.rmtree(root)
        raise


REMEDY = "`adde verify RUN` lists all damage and --repair makes again what can be; else copy the folder again"


@contextlib.contextmanager
def readable(path: Path) -> Iterator[None]:
    """Says in one line that a kept file is missing or damaged, whatever its reader makes of that. Raises Halted."""
    try:
        yield
    except FileNotFoundError:
        raise Halted("is missing", where=path, remedy=REMEDY) from None
    except UserError:
        raise
    except (Exception, PanicException) as error:
        raise Halted(f"is damaged: {first_line(error)[:120]}", where=path, remedy=REMEDY) from None


def write_json(path: Path, value: object, *, recorded: bool = True) -> None:
    """Write a JSON value, atomically, keys sorted. recorded: as `atomic` has it. Raises Halted; ValueError: a NaN."""
    with atomic(path, recorded=recorded) as temporary:
        temporary.write_text(_json_text(value))


def _json_text(value: object) -> str:
    return json.dumps(value, indent=1, sort_keys=True, allow_nan=False) + "\n"


def read_json(path: Path) -> dict:
    """The JSON object in a file. Raises Halted when it is not there, or is none."""
    with readable(path):
        data = path.read_bytes()
    try:
        return documents.parse_json(data, where=path)
    except UserError as error:
        raise Halted(f"is damaged: {error.what}", where=path, remedy=REMEDY) from None


def write_table(path: Path, table: pl.DataFrame, *, recorded: bool = True) -> None:
    """Write a table as Parquet, atomically. recorded: as `atomic` has it. Raises Halted."""
    with atomic(path, recorded=recorded) as temporary:
        pq.write_table(table.to_arrow(compat_level=pl.CompatLevel.oldest()), temporary, compression="zstd")


def read_table(path: Path, *columns: str) -> pl.DataFrame:
    """A table, or some columns of it. Raises Halted when it is not there, or is none."""
    with readable(path):
        return pl.read_parquet(path, columns=list(columns) or None, glob=False, hive_partitioning=False)


def read_kept(path: Path, *columns: str) -> pl.DataFrame:
    """`read_table` of what never changes once it is there, as a round's tables: every later round reads them again."""
    with readable(path):
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
    with _lock_file(root / ".lock") as file:
        deadline = time.monotonic() + wait
        while True:
            try:
                if file is not None:
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


@contextlib.contextmanager
def one_at_a_time(path: Path | None) -> Iterator[None]:
    """Hold the lock file at `path`, which is made, once no other process does; None: nobody else comes there.

    Raises Halted when it cannot be made.
    """
    if path is None:
        yield
        return
    with halted_by_disk(path):
        path.parent.mkdir(parents=True, exist_ok=True)
    with _lock_file(path) as file:
        if file is not None:
            fcntl.flock(file, fcntl.LOCK_EX)  # dropped when the file is closed
        yield


def _lock_file(path: Path) -> contextlib.AbstractContextManager[IO[str] | None]:
    """The file to lock; None in a folder that nobody can write to: there is nothing to guard."""
    try:
        return path.open("w")
    except OSError as error:
        if error.errno in CLOSED:
            return path.open() if path.exists() else contextlib.nullcontext()
        with halted_by_disk(path):
            raise


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
            "lies in the folder that Ray made for this job, and goes with it",
            where=root,
            remedy="Give --run-dir, of experiments --folder, an absolute path on storage that outlives the job",
        )


def _restored(path: Path, config: Config) -> None:
    """Write a run's config.json again when it is lost or damaged and this is, byte for byte, what it held."""
    ledger = Ledger.read(path.parent)
    if ledger is None or "config.json" not in ledger.records or damage.is_whole(path):
        return
    text = _json_text(config.model_dump(mode="json")).encode()
    if Digest.of_bytes(text) == ledger.records["config.json"]:
        with atomic(path) as temporary:
            temporary.write_bytes(text)
        log.warning(f"{path} was missing or damaged, and is made again")


# --- a run ---------------------------------------------------------------------------------------------


class RunDir:
    """One run's folder. Open one with `RunDir.start` (to write) or `RunDir.at` (to read).

    on_stage: who is told when a stage begins, by its name and its round (None before the first). is_mended: something
    damaged was taken out, which going on makes again.
    """

    def __init__(self, root: str | Path):
        self.root = Path(root)
        self.on_stage: Callable[[RunDir, str, int | None], None] = lambda run, stage, t: None
        self.is_mended = False
        self._config: Config | None = None

    @classmethod
    def at(cls, root: str | Path) -> RunDir:
        """An existing run, for reading. Raises UserError when there is none, or when something in it is damaged."""
        root = Path(root)
        if not (root / "config.json").exists() and not damage.is_recorded(root):
            raise UserError("no run here", where=root, remedy="Give a folder that `adde run` made")
        damage.refuse(root)
        return cls(root)

    @classmethod
    @contextlib.contextmanager
    def start(cls, root: str | Path, config: Config, *, resume: bool = False, wait: float = 0.0) -> Iterator[RunDir]:
        """Create or resume a run and hold its lock, for which it waits so many seconds.

        Its `config` is the one it began with, whatever the defaults are by now. Raises UserError when the folder is in
        use, holds a run and `resume` is false, was started with another config, or is damaged; what is damaged and not
        done yet is made again. A run that a UserError ends before its first round leaves no folder behind.
        """
        run, path = cls(root), Path(root) / "config.json"
        with locked(run.root, wait=wait):
            if path.exists() or damage.is_recorded(run.root):
                if not resume:
                    raise UserError(
                        "holds a run already",
                        where=run.root,
                        remedy="Continue it with --resume, or choose another: --run-dir or --set run.name=NAME",
                    )
                _restored(path, config)
                for line in damage.heal(run.root):
                    log.warning(line)
                    run.is_mended = True
                run._config = kept_config.resumed(read_json(path), config, where=run.root)
            elif any(not p.name.startswith(".") and p.name != LEDGER for p in run.root.iterdir()):
                raise UserError("is not empty and holds no run", where=run.root, remedy="Choose another folder")
            else:
                with halted_by_disk(run.root):
                    digests.begin(run.root)
                write_json(path, config.model_dump(mode="json"))
            with kept_once_begun(run.root, "rounds"):
                yield run

    @property
    def config(self) -> Config:
        """The config it began with."""
        if self._config is None:
            self._config = kept_config.parse(read_json(self.root / "config.json"), where=self.root / "config.json")
        return self._config

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

    def keep_provenance(self, compute: Callable[[], dict]) -> None:
        """Write provenance.json unless it is there. It differs with each command, so it guards itself: the ledger, the
        same for the same run, knows nothing of it."""
        path = self.root / damage.PROVENANCE
        if not path.exists():
            spoken = {damage.CONFIG: Digest.of(self.root / damage.CONFIG)}
            write_json(path, sealed(compute(), spoken), recorded=False)

    def round(self, t: int) -> RoundDir:
        """Round t's folder, there or not."""
        return RoundDir(self, t)

    def rounds(self) -> list[RoundDir]:
        """The committed rounds, in order."""
        found = (self.root / "rounds").glob(f"[0-9][0-9][0-9]*/{MANIFEST}")
        return [self.round(t) for t in sorted(int(p.parent.name) for p in found)]

    def dataset(self, t: int | None = None) -> pl.DataFrame:
        """D_t: the union of parts <= t (all parts when t is None), in the order they were added, as it was amended by
        then."""
        parts = sorted(int(p.stem.removeprefix("round-")) for p in (self.root / "dataset").glob("round-*.parquet"))
        if t is not None and parts[: t + 1] != list(range(t + 1)):
            missing = min(set(range(t + 1)) - set(parts))
            raise Halted("is missing", where=self.dataset_part(missing), remedy=REMEDY)
        kept = [read_kept(self.dataset_part(part)) for part in parts if t is None or part <= t]
        together = self._amended(pl.concat(kept, how="diagonal"), t)
        lacking = {CHOSEN_BY.name, LIT_BY.name} - set(together.columns)  # in a run of an earlier version
        return together.with_columns(pl.lit(None, pl.String).alias(name) for name in sorted(lacking))

    def _amended(self, dataset: pl.DataFrame, t: int | None) -> pl.DataFrame:
        """The dataset with what people changed up to round t of their earlier decisions."""
        paths = {int(p.parent.name): p for p in (self.root / "rounds").glob(f"[0-9][0-9][0-9]*/{AMENDED}")}
        for path in (paths[then] for then in sorted(paths) if t is None or then <= t):
            changed = read_kept(path)
            kept = dataset.filter(~pl.col("sample_id").is_in(changed["sample_id"].to_list()))
            now = changed.filter(pl.col("label").is_not_null())
            dataset = pl.concat([kept, now.select(c for c in dataset.columns if c in now.columns)], how="diagonal")
        return dataset

    def dataset_part(self, t: int) -> Path:
        """The file of the samples that D_t has and D_(t-1) lacks."""
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
        for line in path.read_text(errors="replace").splitlines() if path.exists() else []:
            with contextlib.suppress(ValueError):
                event = json.loads(line)
                if isinstance(event, dict) and isinstance(event.get("time"), (int, float)):
                    events.append(event)
        return events

    def ended(self) -> list[dict]:
        """The events of stages that ended: round, stage, seconds."""
        ends = [event for event in self.events() if event.get("event") == "end"]
        return [event for event in ends if {"round", "stage", "seconds"} <= event.keys()]

    def seconds(self) -> float:
        """Wall time of all stages so far, over all resumptions."""
        return sum(event["seconds"] for event in self.ended())


class RoundDir:
    """rounds/NNN of a run."""

    def __init__(self, run: RunDir, t: int):
        self.run, self.t = run, t
        self.root = run.root / "rounds" / f"{t:03d}"

    @contextlib.contextmanager
    def stage(self, name: str) -> Iterator[None]:
        """Times a stage into events.jsonl."""
        self.run.on_stage(self.run, name, self.t)
        self.run.event(event="start", round=self.t, stage=name)
        began = time.perf_counter()
        yield
        self.run.event(event="end", round=self.t, stage=name, seconds=round(time.perf_counter() - began, 4))

    def once(self, name: str, compute: Callable[[], pl.DataFrame]) -> pl.DataFrame:
        """`RunDir.once` in this round's folder."""
        return self.run.once(f"rounds/{self.t:03d}/{name}", compute)

    def once_json(self, name: str, compute: Callable[[], dict]) -> dict:
        """`RunDir.once_json` in this round's folder."""
        return self.run.once_json(f"rounds/{self.t:03d}/{name}", compute)

    def read(self, name: str, *columns: str) -> pl.DataFrame | None:
        """A table of this round, or some columns of it; None where the round has none."""
        path = self.root / name
        return read_kept(path, *columns) if path.exists() else None

    @property
    def manifest(self) -> dict:
        """What the round was committed with. Raises Halted: it is not done, or damaged."""
        return read_json(self.root / MANIFEST)

    @property
    def metrics(self) -> dict:
        """What was measured in this round, with M_div as it is defined today. Raises Halted: it is not there, or
        damaged."""
        return restated(read_json(self.root / "metrics.json"))

    def commit(self, manifest: dict) -> None:
        """Write the manifest, which makes the round done: it speaks for the round's artifacts, and for the manifest of
        the round before."""
        run = self.run.root
        if (ledger := Ledger.read(run)) is not None:
            own = damage.of_round(self.t, ledger.records)
            before = ledger.records.get(damage.manifest_name(self.t - 1))
            manifest = sealed(manifest | {"before": before and before.blake2b}, own)
        write_json(self.root / MANIFEST, manifest)
        digests.close(run)
