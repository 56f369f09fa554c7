"""A pool too large for memory: a source's chunks in → ingest/pool/part-*.parquet and what goes with them out.

    pool/part-NNNNN.parquet           rows sorted by sample_id, in small row groups
    pool/part-NNNNN.rejected.parquet  where, reason, gate, rows: what its chunks held besides; rows 0 = it was usable
    pool/part-NNNNN.oracle.parquet    sample_id, label of the rows whose class is known
    pool/part-NNNNN.where.parquet     sample_id and where the row came from, for messages
    pool-sample.parquet               the rows with the smallest sample_ids, from all parts

A part is written whole or not at all, its own file last, so a killed ingest goes on with the next part.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import polars as pl
import pyarrow.parquet as pq

from adde_ray.methods.gates import Guard
from adde_ray.progress import Bar
from adde_ray.rundir import ORACLE, atomic, fingerprint, read_table, write_table
from adde_ray.sources.rows import WHERE, Chunk, identify, read_all
from adde_ray.workers import each

GROUP = 256
"""Rows of a Parquet row group: what must be read to get one row with its payload."""

COPY = "same content as another row of the pool"

IDS = 500_000
"""sample_ids looked through for copies at a time."""


@dataclass(frozen=True)
class Sharded:
    """What became of the pool."""

    rows: int
    digest: str  # identity of the rows, whatever the parts are
    has_oracle: bool


@dataclass(frozen=True)
class Cleaning:
    """What each part needs to know."""

    folder: Path
    modality: str
    guard: Guard


def shard(
    chunks: tuple[Chunk, ...], root: Path, modality: str, guard: Guard, *, shard_rows: int, sample_rows: int,
    workers: int | None,
) -> Sharded:  # fmt: skip
    """Write the pool's parts below `root` (the run's ingest/), unless they are there.

    guard: the gates each part passes. Copies are kept once, in the first part that has them. workers: as
    `workers.each` has it.
    """
    cleaning = Cleaning(root / "pool", modality, guard)
    groups = list(enumerate(_grouped(chunks, shard_rows)))
    left = [(part, group) for part, group in groups if not _file(cleaning.folder, part).exists()]
    with Bar("reading pool", sum(c.num_rows for _, group in left for c in group)) as bar:
        for row, _ in each(_write_part, left, cleaning, workers=workers):
            bar.advance(sum(c.num_rows for c in left[row][1]))
    files = [_file(cleaning.folder, part) for part, _ in groups]
    for path, copies in _copies(files):
        _leave_out(path, copies)
    sizes = [pq.read_metadata(path).num_rows for path in files]
    write_table(root / "pool-sample.parquet", sample(files, sizes, sample_rows))
    known = pl.scan_parquet([_beside(path, "oracle") for path in files], glob=False)
    known.sink_parquet(root / Path(ORACLE).name)
    has_oracle = known.select(pl.len()).collect().item() > 0
    return Sharded(sum(sizes), _digest(files), has_oracle)


def arranged(table: pl.DataFrame, modality: str) -> pl.DataFrame:
    """Columns in the order and of the types all of a run's tables have, sorted by sample_id."""
    kind = {"image": pl.Binary, "text": pl.String, "vector": pl.List(pl.Float32)}[modality]
    ours = [pl.col("sample_id"), pl.col("label").cast(pl.String), pl.col(modality).cast(kind)]
    return table.select(*ours, pl.exclude("sample_id", "label", modality, WHERE)).sort("sample_id")


def part_files(root: Path) -> list[Path]:
    """The parts below `root` (a run's ingest/), in order; none when the pool is in memory."""
    return sorted((root / "pool").glob(f"part-{5 * '[0-9]'}.parquet"))


def rejects(root: Path) -> pl.DataFrame:
    """What all parts set aside: where, reason, gate, and for how many unusable rows that stands."""
    tables = [read_table(path) for path in sorted((root / "pool").glob("part-*.rejected.parquet"))]
    return pl.concat([_ASIDE.clear(), *tables])


def sample(files: list[Path], sizes: list[int], rows: int) -> pl.DataFrame:
    """The `rows` rows with the smallest ids: ids are hashes, so that is a uniform sample, whatever the parts are."""
    total = sum(sizes)
    share = min(1.2 * rows / max(total, 1), 1.0)
    while True:
        below = f"{int(share * 16**8):08x}" if share < 1 else "g"  # greater than any hexadecimal digit
        found = pl.concat(
            [pl.scan_parquet(path, glob=False).filter(pl.col("sample_id") < below).collect() for path in files],
            how="diagonal_relaxed",
        )
        if len(found) >= min(rows, total):
            return found.sort("sample_id").head(rows)
        share = min(2 * share, 1.0)


def _grouped(chunks: tuple[Chunk, ...], rows: int) -> Iterator[tuple[Chunk, ...]]:
    """Chunks in order, together as long as they hold no more than `rows`."""
    group: list[Chunk] = []
    for chunk in chunks:
        if group and sum(c.num_rows for c in group) + chunk.num_rows > rows:
            yield tuple(group)
            group = []
        group.append(chunk)
    if group:
        yield tuple(group)


def _write_part(task: tuple[int, tuple[Chunk, ...]], cleaning: Cleaning) -> None:
    part, chunks = task
    table, rejected = read_all(chunks)
    table = table.with_columns(identify(table[cleaning.modality]))
    table, aside = cleaning.guard.check(table)
    rejected += [{**reject, "rows": 0} for reject in aside]
    first = table.unique("sample_id", keep="first", maintain_order=True).sort("sample_id")
    rejected += [
        {"where": w, "reason": COPY, "gate": "copy", "rows": 0} for w in table.join(first, on=WHERE, how="anti")[WHERE]
    ]
    path = _file(cleaning.folder, part)
    write_table(_beside(path, "rejected"), _aside(rejected))
    write_table(_beside(path, "oracle"), arranged(first, cleaning.modality).select("sample_id", "label").drop_nulls())
    write_table(_beside(path, "where"), first.select("sample_id", WHERE))
    _write_rows(path, arranged(first.with_columns(label=pl.lit(None, pl.String)), cleaning.modality))


def _copies(files: list[Path]) -> Iterator[tuple[Path, pl.Series]]:
    """(file, ids in it that an earlier one has as well), found with a bounded number of ids in memory."""
    ids = [
        pl.scan_parquet(path, glob=False).select("sample_id", pl.lit(row).alias("file"))
        for row, path in enumerate(files)
    ]
    turns = -(-sum(pq.read_metadata(path).num_rows for path in files) // IDS) or 1
    bounds = [f"{turn * 16**8 // turns:08x}" for turn in range(turns)] + ["g"]  # g: past any hexadecimal digit
    found: dict[int, list[pl.Series]] = {}
    for low, high in itertools.pairwise(bounds):
        inside = (pl.col("sample_id") >= low) & (pl.col("sample_id") < high)
        later = (
            pl.concat([part.filter(inside) for part in ids]).collect().filter(~pl.col("sample_id").is_first_distinct())
        )
        for (row,), rows in later.group_by("file"):
            found.setdefault(row, []).append(rows["sample_id"])
    for row, of_file in sorted(found.items()):
        yield files[row], pl.concat(of_file)


def _leave_out(path: Path, ids: pl.Series) -> None:
    """Take these rows out of a part, and say so beside it first."""
    out = pl.col("sample_id").is_in(ids.to_list())
    copies = [
        {"where": w, "reason": COPY, "gate": "copy", "rows": 0}
        for w in read_table(_beside(path, "where")).filter(out)[WHERE]
    ]
    beside = _beside(path, "rejected")
    write_table(beside, pl.concat([read_table(beside), _aside(copies)]).unique(maintain_order=True))
    write_table(_beside(path, "oracle"), read_table(_beside(path, "oracle")).filter(~out))
    _write_rows(path, read_table(path).filter(~out))


_ASIDE = pl.DataFrame(schema={"where": pl.String, "reason": pl.String, "gate": pl.String, "rows": pl.Int64})


def _aside(rejected: list[dict]) -> pl.DataFrame:
    return pl.DataFrame([{"rows": 1, "gate": "read"} | row for row in rejected], schema=_ASIDE.schema)


def _write_rows(path: Path, table: pl.DataFrame) -> None:
    with atomic(path) as temporary:
        arrow = table.to_arrow(compat_level=pl.CompatLevel.oldest())
        pq.write_table(arrow, temporary, compression="zstd", row_group_size=GROUP)


def _digest(files: list[Path]) -> str:
    """Of the set of ids: their sum does not depend on which part each is in."""
    sums = [
        pl.scan_parquet(path, glob=False).select(pl.col("sample_id").str.slice(i, 8).str.to_integer(base=16).sum())
        .collect().item() or 0
        for i in (0, 8, 16, 24) for path in files
    ]  # fmt: skip
    quarter = len(files)
    return fingerprint([sum(sums[i : i + quarter]) for i in range(0, len(sums), quarter or 1)])


def _file(folder: Path, part: int) -> Path:
    return folder / f"part-{part:05d}.parquet"


def _beside(path: Path, what: str) -> Path:
    return path.with_name(f"{path.stem}.{what}.parquet")
