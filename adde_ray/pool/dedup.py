"""Copies among the shards of a streamed pool: shards in → which rows go, and for what.

Exact ones are rows with one id. Near ones are looked for band by band of their signatures, which lie beside the shards
(`part-NNNNN.signs.npy`: id, signs). A task takes the rows of all shards whose key in one band falls into its share, so
rows that share a key meet whatever shard they are in; what is alike by signature is compared itself by further tasks,
which fetch those rows' payloads. Nothing here depends on what the shards are, nor on who does what in which order.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable
from pathlib import Path

import numpy as np
import polars as pl
import pyarrow.parquet as pq

from adde_ray.artifacts.run_dir import atomic, read_table
from adde_ray.distributed.tasks import each
from adde_ray.methods.gates import near_copies
from adde_ray.methods.gates.gatekeeper import MAX_PAIRS, least_alike, near_reason, pairs_schema
from adde_ray.methods.gates.near_copies import Likeness, Pairs
from adde_ray.pool.files import beside, read_rows
from adde_ray.progress import Bar
from adde_ray.sources.rows import WHERE

EXACT = "same content as another row of the pool"

IDS = 500_000
"""sample_ids looked through for exact copies at a time."""

BYTES = 128 * 2**20
"""Signatures, or payloads, that a task holds at a time; about, and some copies of them."""

FEWEST = 256
"""Pairs that a task compares at least, however large the payloads are."""

COPIES = {"part": pl.Int64, "sample_id": pl.String, "where": pl.String, "reason": pl.String, "gate": pl.String}
"""part: the number of the shard, as its file is named; so in all tables and arrays here."""

ROW = np.dtype([("part", "i4"), ("id", "S16")])
PAIR = np.dtype([("row", ROW), ("other", ROW)])
"""Two rows by shard and id; sorted by shard, so that those compared together lie near each other."""


def write_signs(path: Path, ids: pl.Series, signs: np.ndarray) -> None:
    """Keep the signatures of a shard's rows beside it."""
    entries = np.empty(len(ids), dtype=[("id", "S16"), ("signs", signs.dtype, signs.shape[1:])])
    entries["id"], entries["signs"] = _as_bytes(ids), signs
    with atomic(beside(path, "signs.npy"), recorded=False) as temporary, temporary.open("wb") as file:
        np.save(file, entries)


def find_copies(
    files: list[Path], modality: str, alike: Likeness | None, *, workers: int | None
) -> tuple[pl.DataFrame, pl.DataFrame]:
    """COPIES, the rows that go, sorted by shard and id; and near ones to look at, as `gatekeeper.least_alike` has them.

    alike: None where near copies are not looked for.
    """
    found, pairs = [_with_reason(_exact(files), files)], pl.DataFrame(schema=pairs_schema(modality))
    if alike is not None:
        near = _near(files, modality, alike, workers)
        found.append(near.select(*COPIES))
        pairs = least_alike([_shown(near, files, modality)], modality)
    return pl.concat(found).sort("part", "sample_id"), pairs


# --- exact ones -----------------------------------------------------------------------------------------------


def _exact(files: list[Path]) -> pl.DataFrame:
    """part, sample_id of the rows that an earlier shard has as well, found with a bounded number of ids in memory."""
    ids = [
        pl.scan_parquet(path, glob=False).select(pl.lit(number, pl.Int64).alias("part"), "sample_id")
        for number, path in enumerate(files)
    ]
    turns = -(-sum(pq.read_metadata(path).num_rows for path in files) // IDS) or 1
    bounds = [f"{turn * 16**8 // turns:08x}" for turn in range(turns)] + ["g"]  # g: past any hexadecimal digit
    found = []
    for low, high in itertools.pairwise(bounds):
        inside = (pl.col("sample_id") >= low) & (pl.col("sample_id") < high)
        every = pl.concat([shard.filter(inside) for shard in ids]).collect()
        found.append(every.filter(~pl.col("sample_id").is_first_distinct()))
    return pl.concat(found)


def _with_reason(exact: pl.DataFrame, files: list[Path]) -> pl.DataFrame:
    where = exact.join(_where(exact, files), on=["part", "sample_id"])
    return where.with_columns(reason=pl.lit(EXACT), gate=pl.lit("copy")).select(*COPIES)


# --- near ones ------------------------------------------------------------------------------------------------


def _near(files: list[Path], modality: str, alike: Likeness, workers: int | None) -> pl.DataFrame:
    """COPIES and kept, kept_part, similarity, kept_where: of several near copies the first by sample_id stays."""
    candidates = _candidates(files, alike, workers)
    similarity = _similarity(candidates, files, modality, alike, workers)
    candidates, similarity = candidates[similarity >= alike.least], similarity[similarity >= alike.least]

    ids = np.unique(np.concatenate([candidates["row"]["id"], candidates["other"]["id"]]))
    rows, others = (np.searchsorted(ids, candidates[name]["id"]) for name in ("row", "other"))
    shards = np.zeros(len(ids), dtype=np.int64)
    shards[rows], shards[others] = candidates["row"]["part"], candidates["other"]["part"]
    kept_for, similarity = near_copies.keep_first(len(ids), Pairs(rows, others, similarity))

    gone = np.flatnonzero(kept_for >= 0)
    names = pl.Series(_as_hex(ids), dtype=pl.String)
    near = pl.DataFrame(
        {
            "part": shards[gone],
            "sample_id": names[gone],
            "kept_part": shards[kept_for[gone]],
            "kept": names[kept_for[gone]],
            "similarity": similarity[gone],
        }
    )
    kept = near.select(part="kept_part", sample_id="kept").unique()
    kept_where = _where(kept, files).rename({"part": "kept_part", "sample_id": "kept", "where": "kept_where"})
    near = near.join(_where(near, files), on=["part", "sample_id"]).join(kept_where, on=["kept_part", "kept"])
    reasons = [near_reason(*row) for row in near.select("kept_where", "similarity").iter_rows()]
    return near.with_columns(pl.Series("reason", reasons, dtype=pl.String), gate=pl.lit("near_copy"))


def _candidates(files: list[Path], alike: Likeness, workers: int | None) -> np.ndarray:
    """PAIR of what is alike by signature, each once, "row" being the later one by sample_id."""
    signed = [beside(path, "signs.npy") for path in files]
    size = sum(path.stat().st_size for path in signed)
    shares = -(-size // BYTES) or 1
    tasks = [(band, share, shares) for band in range(alike.num_bands) for share in range(shares)]
    found = dict(each(_alike_in, tasks, signed, alike, workers=workers))
    return np.sort(np.concatenate([found[task] for task in range(len(tasks))]))


def _alike_in(task: tuple[int, int, int], signed: list[Path], alike: Likeness) -> np.ndarray:
    """PAIR among the rows of all shards whose key in a band falls into one share of all keys."""
    band, share, shares = task
    kept = [np.load(path, mmap_mode="r") for path in signed]
    keys, shards, rows = [], [], []
    for number, entries in enumerate(kept):
        key = alike.key(entries["signs"], band)
        # The keys' high bits, mixed: those of images differ in some bits only.
        inside = np.flatnonzero((key * np.uint64(0x9E3779B97F4A7C15) >> np.uint64(32)) % np.uint64(shares) == share)
        keys.append(key[inside])
        rows.append(inside)
        shards.append(np.full(len(inside), number, dtype=np.int32))
    _, group, sizes = np.unique(np.concatenate(keys), return_inverse=True, return_counts=True)
    shared = sizes[group] > 1
    shards, rows = np.concatenate(shards)[shared], np.concatenate(rows)[shared]
    entries = np.concatenate([kept[0][:0], *(kept[number][rows[shards == number]] for number in np.unique(shards))])
    # Of exact copies the first; sorted, since the first by sample_id is the one that stays.
    ids, first = np.unique(entries["id"], return_index=True)
    every = np.empty(len(ids), dtype=ROW)
    every["part"], every["id"] = shards[first], ids
    rows, others = near_copies.candidates(entries["signs"][first], band, alike)
    found = np.empty(len(rows), dtype=PAIR)
    found["row"], found["other"] = every[rows], every[others]
    return found


def _similarity(
    pairs: np.ndarray, files: list[Path], modality: str, alike: Likeness, workers: int | None
) -> np.ndarray:
    """(m,) of m PAIR."""
    at_once = max(BYTES // (2 * _row_bytes(files)), FEWEST)
    tasks = [pairs[start : start + at_once] for start in range(0, len(pairs), at_once)]
    found = {}
    with Bar("comparing near copies", len(pairs)) as bar:
        for task, similarity in each(_compare, tasks, files, modality, alike, workers=workers):
            found[task] = similarity
            bar.advance(len(similarity))
    return np.concatenate([np.zeros(0), *(found[task] for task in range(len(tasks)))])


def _compare(pairs: np.ndarray, files: list[Path], modality: str, alike: Likeness) -> np.ndarray:
    wanted, at = np.unique(np.concatenate([pairs["row"], pairs["other"]]), return_inverse=True)
    rows = pl.DataFrame({"part": wanted["part"].astype(np.int64), "sample_id": _as_hex(wanted["id"])})
    payloads = _rows(rows, files, modality)[modality]  # sorted, as `wanted` is
    return near_copies.similarity(at[: len(pairs)], at[len(pairs) :], payloads, payloads, alike)


def _shown(near: pl.DataFrame, files: list[Path], modality: str) -> pl.DataFrame:
    """The near copies to look at, with both payloads."""
    few = near.rename({"kept_where": "other_where"}).sort("similarity", "where", "other_where").head(MAX_PAIRS)
    ours = _rows(few, files, modality)
    theirs = _rows(few.select(part="kept_part", sample_id="kept").unique(), files, modality)
    theirs = theirs.rename({"part": "kept_part", "sample_id": "kept", modality: f"other_{modality}"})
    few = few.join(ours, on=["part", "sample_id"]).join(theirs, on=["kept_part", "kept"])
    few = few.with_columns(pl.lit("pool").alias("split"), pl.lit("pool").alias("other_split"))
    return few.select(*pairs_schema(modality))


# --- rows of shards --------------------------------------------------------------------------------------------


def _rows(wanted: pl.DataFrame, files: list[Path], *columns: str) -> pl.DataFrame:
    """part, sample_id and these columns of the rows wanted (part, sample_id), sorted by shard and id."""
    found = []
    for number, ids in _by_shard(wanted):
        rows = np.flatnonzero(read_table(files[number], "sample_id")["sample_id"].is_in(ids.to_list()).to_numpy())
        found.append(_rows_at(number, rows, files, *columns))
    return pl.concat(found or [_rows_at(0, np.zeros(0, dtype=np.int64), files, *columns)])


def _rows_at(number: int, rows: np.ndarray, files: list[Path], *columns: str) -> pl.DataFrame:
    table = read_rows(files[number], rows, "sample_id", *columns)
    return table.select(pl.lit(number, pl.Int64).alias("part"), "sample_id", *columns)


def _where(wanted: pl.DataFrame, files: list[Path]) -> pl.DataFrame:
    """part, sample_id, where of the rows wanted (part, sample_id)."""
    found = [pl.DataFrame(schema={"part": pl.Int64, "sample_id": pl.String, "where": pl.String})]
    for number, ids in _by_shard(wanted):
        table = read_table(beside(files[number], "where.parquet")).filter(pl.col("sample_id").is_in(ids.to_list()))
        found.append(table.select(pl.lit(number, pl.Int64).alias("part"), "sample_id", where=WHERE))
    return pl.concat(found)


def _by_shard(wanted: pl.DataFrame) -> Iterable[tuple[int, pl.Series]]:
    for (number,), rows in wanted.sort("part").group_by("part", maintain_order=True):
        yield number, rows["sample_id"]


def _row_bytes(files: list[Path]) -> int:
    """Of a row of the pool, about."""
    shards = [pq.read_metadata(path) for path in files]
    size = sum(shard.row_group(group).total_byte_size for shard in shards for group in range(shard.num_row_groups))
    return size // max(sum(shard.num_rows for shard in shards), 1) + 1


def _as_bytes(ids: pl.Series) -> np.ndarray:
    """(n,) S16, in the same order: half the size of hexadecimal digits."""
    return np.frombuffer(bytes.fromhex("".join(ids)), dtype="S16")


def _as_hex(ids: np.ndarray) -> list[str]:
    digits = ids.tobytes().hex()
    return [digits[i : i + 32] for i in range(0, len(digits), 32)]
