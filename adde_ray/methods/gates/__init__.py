"""What data must pass before anything learns from it: splits in → splits, rejects with their reason, a report.

Expectations of single rows come first (`expectations`), then copies. A sample that is held out (val, test, ood) is in
no split that is learned from (seed, pool), not even as a near copy (`near_copies`): that is leakage. The pool lacks
what is labelled, and holds one of each set of near copies. What resembles by meaning is judged later, on embeddings
(`semantic`).

A pool that is read in shards passes a `Guard`, shard by shard. Which of its rows copy each other is found when all
shards are there (`adde_ray.pool.dedup`), from the signatures the guard leaves.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace

import polars as pl

from adde_ray.artifacts.schema import HELD_OUT
from adde_ray.config import Gates
from adde_ray.errors import UserError
from adde_ray.methods.gates import expectations
from adde_ray.methods.gates.gatekeeper import Gated, Gatekeeper
from adde_ray.methods.gates.index import Index, sign

NOT_EXPECTATIONS = ("read", "copy", "near_copy", "overlap", "leakage")
"""Gates whose rejects may be fine by themselves, or are counted elsewhere."""


@dataclass(frozen=True)
class Guard:
    """The gates for a shard of the pool: expectations, leakage, copies of the seed set. Travels to workers."""

    indices: tuple[Index, ...]  # of held-out splits and of the seed set, where there are
    modality: str
    config: Gates
    where: str

    @classmethod
    def of(cls, splits: dict[str, pl.DataFrame], modality: str, config: Gates, *, where: str) -> Guard:
        """A guard of these splits; the pool is not among them."""
        signed = {name: sign(table, modality, config) for name, table in splits.items()}
        groups = [{n: signed[n] for n in names if n in signed} for names in (HELD_OUT, ("seed",))]
        return cls(tuple(Index.of(g, modality, config, where=where) for g in groups if g), modality, config, where)

    def check(self, table: pl.DataFrame) -> Gated:
        """The shard as the split "pool", with _signs. Raises UserError when held-out samples leak."""
        gate = Gatekeeper({"pool": table}, self.modality, self.config, self.where)
        gate.expectations()
        gate.sign()
        for index in self.indices:
            gate.seed_copies(index) if index.table["_split"].first() == "seed" else gate.leakage(index)
        return gate.result()


def check(
    splits: dict[str, pl.DataFrame],
    modality: str,
    config: Gates,
    *,
    where: str,
    beside: int = 0,
    columns_beside: Iterable[str] = (),
) -> Gated:
    """Put the splits (sample_id, the payload, a column `where` for messages, the user's columns) through every gate.

    beside: rows that pass a `Guard`, for the share that may fail; what columns lack is then not judged before these
    are counted. columns_beside: the columns these rows have.
    Raises UserError: a column is not what is expected, too many rows fail, or held-out samples leak.
    """
    gate = Gatekeeper(dict(splits), modality, config, where)
    expectations.check_names({*columns_beside, *(c for table in splits.values() for c in table.columns)}, config)
    if not beside:
        expectations.check_nulls(gate.nulls, config)
    gate.expectations()
    refuse_if_many(gate.rejected, sum(map(len, splits.values())) + beside, config)
    gate.sign()
    gate.held_out_once()
    if held_out := {name: gate.splits[name] for name in HELD_OUT if name in splits}:
        gate.leakage(Index.of(held_out, modality, config, where=where))
    if "pool" in splits:
        if "seed" in splits:
            gate.seed_copies(Index.of({"seed": gate.splits["seed"]}, modality, config, where=where))
        gate.pool_copies()
    gated = gate.result()
    passed = {name: table.drop("_signs", strict=False) for name, table in gated.splits.items()}
    return replace(gated, splits=passed)


def refuse_if_many(rejected: list[dict[str, str]], total: int, config: Gates) -> None:
    """Raises UserError when more than max_rejected of `total` rows are not what is expected. Copies do not count."""
    failed = [row for row in rejected if row["gate"] not in NOT_EXPECTATIONS]
    if len(failed) > config.max_rejected * total:
        first = f"{failed[0]['where']}: {failed[0]['reason']}"
        raise UserError(
            f"{len(failed)} of {total} rows are not what is expected, the first: {first}",
            where="gates",
            value=round(len(failed) / total, 3),
            remedy="Mend the data, relax the gate, or raise gates.max_rejected",
        )


def report(
    read: dict[str, int], kept: dict[str, int], leaks: dict[str, int], rejected: pl.DataFrame, config: Gates
) -> dict:
    """The gates of a run as JSON. read, kept: rows of each split. leaks: `Gated.leaks`. rejected: schema.REJECTED.

    Keys: rows {split: {read, kept}}; rejected [{gate, split, rows, where, reason}], the last two of one example;
    leakage {exact, near, action}; settings.
    """
    groups = rejected.group_by("gate", "split", maintain_order=True).agg(
        pl.len().alias("rows"), pl.col("where").first(), pl.col("reason").first()
    )
    return {
        "rows": {name: {"read": count, "kept": kept.get(name, 0)} for name, count in read.items()},
        "rejected": groups.sort("gate", "split", nulls_last=True).to_dicts(),
        "leakage": {**leaks, "action": config.leakage},
        "settings": config.model_dump(mode="json", exclude=None if config.own else {"own"}),
    }
