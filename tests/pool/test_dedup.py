"""Copies in a streamed pool: the same rows go as in memory, whatever the parts are."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from adde_ray.config import Gates
from adde_ray.methods import gates
from adde_ray.pool import build as sharding
from adde_ray.pool import dedup as copies
from adde_ray.pool.files import shard_files
from adde_ray.sources.rows import WHERE, identify

DEFAULT = Gates()
WORDS = ["the", "a", "lamp", "hall", "storm", "night", "parcel", "shop", "card", "went", "out", "again", "green"]


@dataclass(frozen=True)
class Held:
    """A chunk that is in memory."""

    table: pl.DataFrame

    @property
    def name(self) -> str:
        return self.table[WHERE][0]

    @property
    def num_rows(self) -> int:
        return len(self.table)

    def read(self):
        return self.table, []


@pytest.fixture(scope="module")
def texts() -> pl.DataFrame:
    """300 sentences, 40 of which come again slightly changed, some often, a few exactly; and 60 that differ by a number
    alone."""
    rng = np.random.default_rng(0)
    found = [" ".join(rng.choice(WORDS, 14)) for _ in range(300)]
    for row in range(40):
        found += [found[row] + "!", found[row].upper(), *[found[row].replace(" ", "  ")] * (row % 3)]
    found += [f"{found[0]}{'?' * marks}" for marks in range(1, 60)]  # a pile
    found += [f"your code for the shop is {number}, keep it to yourself" for number in range(1000, 1060)]
    found = [found[row] for row in rng.permutation(len(found))]
    where = [f"row {row:04d}" for row in range(len(found))]
    age = [None if row % 4 else row for row in range(len(found))]
    return pl.DataFrame(
        {"text": found, "label": pl.Series([None] * len(found), dtype=pl.String), "age": age, WHERE: where}
    )


def shard(table: pl.DataFrame, rows: int, root: Path, config: Gates = DEFAULT) -> sharding.Told:
    chunks = tuple(Held(table[start : start + rows]) for start in range(0, len(table), rows))
    guard = gates.Guard.of({}, "text", config, where=WHERE)
    sharding.shard(chunks, root, "text", guard, shard_rows=rows, sample_rows=50, workers=0)
    return sharding.told(root, "text")


def pool(root: Path) -> pl.DataFrame:
    return pl.concat([pl.read_parquet(path) for path in shard_files(root)]).sort("sample_id")


@pytest.mark.parametrize(("rows", "held"), [(1000, 2**27), (37, 20_000), (150, 60_000)])
def test_the_rows_that_go_in_memory_go_in_any_parts(texts, tmp_path, monkeypatch, rows, held):
    once = texts.with_columns(identify(texts["text"])).unique("sample_id", keep="first", maintain_order=True)
    whole = gates.check({"pool": once}, "text", DEFAULT, where=WHERE)
    monkeypatch.setattr(copies, "BYTES", held)
    monkeypatch.setattr(copies, "FEWEST", 7)
    monkeypatch.setattr(copies, "IDS", 100)
    told = shard(texts, rows, tmp_path)
    near = told.rejected.filter(pl.col("gate") == "near_copy").select("where", "reason").sort("where")
    assert near.equals(pl.DataFrame(whole.rejected).select("where", "reason").sort("where")) and len(near) > 130
    assert told.rejected.filter(pl.col("gate") == "copy").height == len(texts) - len(once) > 10
    assert pool(tmp_path)["sample_id"].equals(whole.splits["pool"]["sample_id"].sort())
    assert told.pairs.equals(whole.pairs) and told.nulls == {}
    assert sum("your code" in text for text in pool(tmp_path)["text"]) == 60


def test_a_pile_is_not_quadratic(texts, tmp_path, monkeypatch):
    """400 rows that are all alike: each is compared with some, and all go for the first."""
    compared, similarity = [], copies.near_copies.similarity
    monkeypatch.setattr(
        copies.near_copies, "similarity", lambda rows, *rest: compared.append(len(rows)) or similarity(rows, *rest)
    )
    pile = pl.DataFrame({"text": [f"{texts['text'][0]}{'.' * dots}" for dots in range(1, 401)]})
    pile = pile.with_columns(label=pl.lit(None, pl.String)).with_row_index(WHERE).cast({WHERE: pl.String})
    shard(pile, 64, tmp_path)
    assert len(pool(tmp_path)) == 1 and sum(compared) <= 400 * copies.near_copies.ALIKE


def test_only_exact_copies_where_near_ones_are_not_looked_for(texts, tmp_path):
    told = shard(texts, 100, tmp_path, Gates(near_copies=False))
    assert set(told.rejected["gate"]) == {"copy"} and told.pairs.is_empty()
    assert not list((tmp_path / "pool").glob("*.npy")) and len(pool(tmp_path)) == texts["text"].n_unique()


def test_missing_values_are_counted_over_all_parts(texts, tmp_path):
    lacking = texts["age"].null_count()
    for rows in (1000, 90):
        told = shard(texts, rows, tmp_path / str(rows), Gates(expect={"age": {}}))
        assert told.nulls == {"age": (lacking, len(texts))}


def test_what_lies_beside_the_parts_goes(texts, tmp_path):
    shard(texts, 100, tmp_path)
    assert len(list((tmp_path / "pool").iterdir())) > 4 * len(shard_files(tmp_path))
    sharding.tidy(tmp_path)
    assert sorted((tmp_path / "pool").iterdir()) == shard_files(tmp_path)
    sharding.tidy(tmp_path / "pool")  # a pool in memory has none


def test_ids_survive_as_bytes():
    ids = pl.Series(sorted([f"{7 << 8:032x}", "0" * 32, "f" * 30 + "00", "a0" * 16]))
    kept = copies._as_bytes(ids)
    assert copies._as_hex(np.sort(kept)) == ids.to_list() and len(np.unique(kept)) == 4
