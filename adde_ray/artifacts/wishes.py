"""Samples that somebody wants people to be asked about, kept in a run until a query takes them.

RUN/wishes.parquet holds what was ever wished for, in order. Like the answers of people it is no artifact of the run: it
may be written while another process works there, and the ledger knows nothing of it. rounds/t/wishes.parquet is what a
round found there, before it looked for candidates: from then on that round's query is settled.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime

import polars as pl

from adde_ray.artifacts.queries import asked_before
from adde_ray.artifacts.run_dir import RoundDir, RunDir, one_at_a_time, read_table, write_table
from adde_ray.artifacts.schema import WISHED, WISHES, frame

FILE = "wishes.parquet"
"""In a run's folder, and in a round's."""

FOUND = "find"
"""What `chosen_by` says of a sample that was wished for."""


def add_wishes(run: RunDir, sample_ids: Sequence[str], asked_for: str) -> int:
    """Wish for samples, the first first; how many were not wished for before. asked_for: what they were found by.

    Raises Halted when it cannot be written.
    """
    with one_at_a_time(run.root / f".{FILE}.lock"):
        known = read_wishes(run)
        new = [i for i in dict.fromkeys(sample_ids) if i not in set(known["sample_id"])]
        if new:
            when = datetime.now(UTC).isoformat(timespec="seconds")
            columns = {"sample_id": new, "asked_for": [asked_for] * len(new), "when": [when] * len(new)}
            write_table(run.root / FILE, pl.concat([known, frame(columns, WISHES)]), recorded=False)
        return len(new)


def read_wishes(run: RunDir) -> pl.DataFrame:
    """WISHES: all there ever were."""
    path = run.root / FILE
    return read_table(path) if path.exists() else frame([], WISHES)


def wishes_of(round_: RoundDir) -> list[str]:
    """The sample_ids that come first in round t's query, as many as fit. What is asked about or in D_t already is
    passed over; what comes after the round has looked for candidates waits for the next one."""
    if (kept := round_.read(FILE, "sample_id")) is not None:
        return kept["sample_id"].to_list()
    wished = read_wishes(round_.run)
    if wished.is_empty() or (round_.root / "candidates.parquet").exists():
        return []
    gone = asked_before(round_.run, round_.t) | set(round_.run.dataset(round_.t)["sample_id"])
    left = wished.filter(~pl.col("sample_id").is_in(list(gone)))
    return round_.once(FILE, lambda: frame(left, WISHED))["sample_id"].to_list() if len(left) else []
