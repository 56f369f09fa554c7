"""A pool too large for memory: a source's chunks in → ingest/pool/part-*.parquet, and what ingest reports of it, out.

    pool/part-NNNNN.parquet   rows sorted by sample_id, in small row groups
    pool-sample.parquet       the rows with the smallest sample_ids, from all shards
    oracle.parquet            sample_id, label of the rows whose class is known

Until ingest is done, beside each shard:

    .rejected.parquet   where, reason, gate, rows: what its chunks held besides; rows 0 = it was usable
    .oracle.parquet     its share of oracle.parquet
    .where.parquet      sample_id and where the row came from, for messages
    .told.json          leaks, and what expected columns lack
    .pairs.parquet      near copies to look at, where there are
    .signs.npy          id, signs: what near copies are found by, where they are looked for

A shard is written whole or not at all, its own file last, so a killed ingest goes on with the next one. Rows that copy
others are found when all shards are there (`dedup`). pool/copies.parquet keeps which they are before the first of them
goes, so that a killed ingest ends with the same rows.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import polars as pl
import pyarrow.parquet as pq

from adde_ray.artifacts import digests
from adde_ray.artifacts.digests import Digest
from adde_ray.artifacts.run_dir import ORACLE, atomic, fingerprint, read_json, read_table, write_json, write_table
from adde_ray.artifacts.schema import PAYLOAD_KINDS
from adde_ray.distributed.tasks import each, together
from adde_ray.methods.gates import Guard
from adde_ray.methods.gates.expectations import Nulls, add_nulls
from adde_ray.methods.gates.gatekeeper import least_alike
from adde_ray.methods.gates.near_copies import likeness
from adde_ray.pool.dedup import EXACT, find_copies, write_signs
from adde_ray.pool.files import beside, shard_file, shard_files, write_rows
from adde_ray.progress import Bar
from adde_ray.sources.rows import WHERE, Chunk, identify, read_all

COPIES, PAIRS = "copies.parquet", "near.pairs.parquet"
"""Beside the shards: the rows that go since they copy others, and some of them to look at."""


@dataclass(frozen=True)
class Sharded:
    """What became of the pool."""

    rows: int
    digest: str  # identity of the rows, whatever the shards are
    has_oracle: bool


@dataclass(frozen=True)
class Cleaning:
    """What each shard needs to know."""

    folder: Path
    modality: str
    guard: Guard


def shard(
    chunks: tuple[Chunk, ...],
    root: Path,
    modality: str,
    guard: Guard,
    *,
    shard_rows: int,
    sample_rows: int,
    workers: int | None,
) -> Sharded:
    """Write the pool's shards below `root` (the run's ingest/), unless they are there.

    guard: the gates each shard passes. Of exact copies the one in the first shard stays, of near copies the first by
    sample_id. workers: as `tasks.each` has it.
    """
    cleaning = Cleaning(root / "pool", modality, guard)
    groups = list(enumerate(together(chunks, lambda chunk: chunk.num_rows, at_most=shard_rows)))
    left = [(number, group) for number, group in groups if not shard_file(cleaning.folder, number).exists()]
    with Bar("reading pool", sum(c.num_rows for _, group in left for c in group)) as bar:
        for row, digest in each(_write_shard, left, cleaning, workers=workers):
            digests.record(shard_file(cleaning.folder, left[row][0]), digest)
            bar.advance(sum(c.num_rows for c in left[row][1]))
    files = [shard_file(cleaning.folder, number) for number, _ in groups]
    _leave_copies_out(files, cleaning, workers)
    sizes = [pq.read_metadata(path).num_rows for path in files]
    write_table(root / "pool-sample.parquet", sample(files, sizes, sample_rows))
    known = pl.scan_parquet([beside(path, "oracle.parquet") for path in files], glob=False)
    with atomic(root / Path(ORACLE).name) as temporary:
        known.sink_parquet(temporary)
    has_oracle = known.select(pl.len()).collect().item() > 0
    return Sharded(sum(sizes), _digest(files), has_oracle)


def arranged(table: pl.DataFrame, modality: str) -> pl.DataFrame:
    """Columns in the order and of the types all of a run's tables have, sorted by sample_id."""
    ours = [pl.col("sample_id"), pl.col("label").cast(pl.String), pl.col(modality).cast(PAYLOAD_KINDS[modality])]
    return table.select(*ours, pl.exclude("sample_id", "label", modality, WHERE)).sort("sample_id")


@dataclass(frozen=True)
class Told:
    """What the shards tell of what is no longer in them.

    rejected: where, reason, gate, and for how many unusable rows that stands. The others: as `Gated` has them, of rows
    as they were read, copies among them.
    """

    rejected: pl.DataFrame
    leaks: dict[str, int]
    nulls: Nulls
    pairs: pl.DataFrame


def told(root: Path, modality: str) -> Told:
    """Of the shards below `root`, until `tidy`."""
    folder, files = root / "pool", shard_files(root)
    copies = read_table(folder / COPIES).select(*("where", "reason", "gate"), pl.lit(0, pl.Int64).alias("rows"))
    rejected = [_ASIDE, *(read_table(beside(path, "rejected.parquet")) for path in files), copies]
    leaks, nulls = {"exact": 0, "near": 0}, {}
    for of_shard in (read_json(beside(path, "told.json")) for path in files):
        leaks = {kind: number + of_shard["leaks"][kind] for kind, number in leaks.items()}
        nulls = add_nulls(nulls, of_shard["nulls"])
    pairs = [read_table(path) for path in sorted(folder.glob("*.pairs.parquet"))]
    return Told(pl.concat(rejected), leaks, nulls, least_alike(pairs, modality))


def tidy(root: Path) -> None:
    """Remove what lies beside the shards, which nothing reads once ingest is done."""
    shards = set(shard_files(root))
    for path in (root / "pool").glob("*"):
        if path not in shards:
            path.unlink()


def sample(files: list[Path], sizes: list[int], rows: int) -> pl.DataFrame:
    """The `rows` rows with the smallest ids: ids are hashes, so that is a uniform sample, whatever the shards are."""
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


def _write_shard(task: tuple[int, list[Chunk]], cleaning: Cleaning) -> Digest:
    number, chunks = task
    table, rejected = read_all(chunks)
    table = table.with_columns(identify(table[cleaning.modality]))
    gated = cleaning.guard.check(table)
    rejected += [{key: row[key] for key in ("where", "reason", "gate")} | {"rows": 0} for row in gated.rejected]
    table = gated.splits["pool"]
    first = table.unique("sample_id", keep="first", maintain_order=True).sort("sample_id")
    copies = table.join(first, on=WHERE, how="anti")[WHERE]
    rejected += [{"where": where, "reason": EXACT, "gate": "copy", "rows": 0} for where in copies]
    path = shard_file(cleaning.folder, number)
    aside = [{"rows": 1, "gate": "read"} | row for row in rejected]
    write_table(beside(path, "rejected.parquet"), pl.DataFrame(aside, schema=_ASIDE.schema), recorded=False)
    write_json(beside(path, "told.json"), {"leaks": gated.leaks, "nulls": gated.nulls}, recorded=False)
    write_table(beside(path, "where.parquet"), first.select("sample_id", WHERE), recorded=False)
    if len(gated.pairs):
        write_table(beside(path, "pairs.parquet"), gated.pairs, recorded=False)
    if "_signs" in first.columns:
        write_signs(path, first["sample_id"], first["_signs"].to_numpy())
    rows = arranged(first.drop("_signs", strict=False), cleaning.modality)
    write_table(beside(path, "oracle.parquet"), rows.select("sample_id", "label").drop_nulls(), recorded=False)
    return write_rows(path, rows.with_columns(label=pl.lit(None, pl.String)))


def _leave_copies_out(files: list[Path], cleaning: Cleaning, workers: int | None) -> None:
    """Find which rows copy others, unless that is known, and take them out of their shards."""
    known = cleaning.folder / COPIES
    if not known.exists():
        alike = likeness(cleaning.modality, cleaning.guard.config)
        found, pairs = find_copies(files, cleaning.modality, alike, workers=workers)
        write_table(cleaning.folder / PAIRS, pairs, recorded=False)
        write_table(known, found, recorded=False)
    by_shard = read_table(known).group_by("part", maintain_order=True)
    tasks = [(files[number], rows["sample_id"]) for (number,), rows in by_shard]
    for row, digest in each(_leave_out, tasks, workers=workers):
        digests.record(tasks[row][0], digest)


def _leave_out(task: tuple[Path, pl.Series]) -> Digest:
    """Take these rows out of a shard. Returns its new digest."""
    path, ids = task
    stays = ~pl.col("sample_id").is_in(ids.to_list())
    oracle = beside(path, "oracle.parquet")
    write_table(oracle, read_table(oracle).filter(stays), recorded=False)
    return write_rows(path, read_table(path).filter(stays))


_ASIDE = pl.DataFrame(schema={"where": pl.String, "reason": pl.String, "gate": pl.String, "rows": pl.Int64})


def _digest(files: list[Path]) -> str:
    """Of the set of ids: their sum does not depend on which shard each is in."""
    sums = [
        pl.scan_parquet(path, glob=False).select(pl.col("sample_id").str.slice(i, 8).str.to_integer(base=16).sum())
        .collect().item() or 0
        for i in (0, 8, 16, 24) for path in files
    ]  # fmt: skip
    quarter = len(files)
    return fingerprint([sum(sums[i : i + quarter]) for i in range(0, len(sums), quarter or 1)])
