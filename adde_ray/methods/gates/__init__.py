"""What data must pass before anything learns from it: splits in → splits, rejects with their reason, a report.

Expectations of single rows come first (`expectations`), then copies. A sample that is held out (val, test, ood) is in
no split that is learned from (seed, pool), not even as a near copy (`near_copies`): that is leakage. The pool lacks
what is labelled, and holds one of each set of near copies. What resembles by meaning is judged later, on embeddings
(`semantic`).

A pool that is read in parts passes a `Guard`, part by part. Near copies within it are not looked for: which rows go
would depend on what the parts are.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import polars as pl

from adde_ray.config import Gates
from adde_ray.errors import UserError
from adde_ray.methods.gates import expectations, near_copies

LEARNED, HELD_OUT = ("seed", "pool"), ("val", "test", "ood")

NOT_EXPECTATIONS = ("read", "copy", "near_copy", "overlap", "leakage")
"""Gates whose rejects may be fine by themselves, or are counted elsewhere."""

NEAR = "near copy of"
"""What a reason says of a copy that is not exact."""

MAX_PAIRS = 24
"""Near copies kept with both payloads, to be looked at."""


@dataclass(frozen=True)
class Gated:
    """splits: what passed. rejected: where, reason, split, gate of what did not. leaks: {"exact", "near"}: rows.

    pairs: up to MAX_PAIRS near copies, the least alike first: gate, split, where, other_split, other_where,
    similarity, the payload and `other_<payload>`.
    """

    splits: dict[str, pl.DataFrame]
    rejected: list[dict[str, str]]
    leaks: dict[str, int]
    pairs: pl.DataFrame


@dataclass(frozen=True)
class Index:
    """Rows that others must not copy. table: sample_id, the payload, `where`, _split, and _signs as `sign` adds."""

    table: pl.DataFrame
    modality: str
    config: Gates

    @classmethod
    def of(cls, tables: dict[str, pl.DataFrame], modality: str, config: Gates, *, where: str) -> Index:
        """An index of some splits, signed. Of a sample that is in two of them, the first counts."""
        parts = [_labelled(table, name, modality, where) for name, table in tables.items()]
        return cls(pl.concat(parts).unique("sample_id", keep="first", maintain_order=True), modality, config)

    def copies(self, table: pl.DataFrame) -> pl.DataFrame:
        """_row of a signed table, _other row of the index, similarity (1 and `exact`, or less): each row's best."""
        ours = self.table.select("sample_id").with_row_index("_other")
        rows = table.select("sample_id").with_row_index("_row").join(ours, on="sample_id", how="left")
        rows = rows.with_columns(pl.col("_row", "_other").cast(pl.Int64)).sort("_row")
        exact = rows.drop_nulls("_other").select("_row", "_other", similarity=pl.lit(1.0), exact=pl.lit(True))
        if "_signs" not in self.table.columns:
            return exact
        rest = rows.filter(pl.col("_other").is_null())["_row"].to_numpy()
        near = near_copies.between(
            *(table[rest]["_signs"].to_numpy(), table[rest][self.modality]),
            *(self.table["_signs"].to_numpy(), self.table[self.modality]),
            self.modality,
            self.config,
        )
        best = _found(rest[near.rows], near.others, near.similarity)
        best = best.sort("_row", -pl.col("similarity"), "_other").unique("_row", keep="first", maintain_order=True)
        return pl.concat([exact, best]).sort("_row")


def sign(table: pl.DataFrame, modality: str, config: Gates) -> pl.DataFrame:
    """The table with a column _signs to find near copies by; without where they are not looked for."""
    if not config.near_copies or modality not in near_copies.TYPES:
        return table
    signs = near_copies.signatures(table[modality], modality)
    return table.with_columns(pl.Series("_signs", signs, dtype=pl.Array(near_copies.TYPES[modality], signs.shape[1])))


@dataclass(frozen=True)
class Guard:
    """The gates for a piece of the pool: expectations, leakage, copies of the seed set. Travels to workers."""

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

    def check(self, table: pl.DataFrame) -> tuple[pl.DataFrame, list[dict[str, str]]]:
        """What passed, and `where`, reason, gate of what did not. Raises UserError when held-out samples leak."""
        gate = _Gatekeeper({"pool": table}, self.modality, self.config, self.where)
        gate.expectations()
        gate.splits["pool"] = sign(gate.splits["pool"], self.modality, self.config)
        for index in self.indices:
            gate.seed_copies(index) if index.table["_split"].first() == "seed" else gate.leakage(index)
        rejected = [{key: row[key] for key in ("where", "reason", "gate")} for row in gate.rejected]
        return gate.splits["pool"].drop("_signs", strict=False), rejected


def check(splits: dict[str, pl.DataFrame], modality: str, config: Gates, *, where: str, beside: int = 0) -> Gated:
    """Put the splits (sample_id, the payload, a column `where` for messages, the user's columns) through every gate.

    beside: rows that are checked elsewhere, for the share that may fail.
    Raises UserError: a column is not what is expected, too many rows fail, or held-out samples leak.
    """
    gate = _Gatekeeper(dict(splits), modality, config, where)
    expectations.check_columns(list(splits.values()), config)
    gate.expectations()
    refuse_if_many(gate.rejected, sum(map(len, splits.values())) + beside, config)
    gate.splits = {name: sign(table, modality, config) for name, table in gate.splits.items()}
    gate.held_out_once()
    held_out = {name: gate.splits[name] for name in HELD_OUT if name in splits}
    if held_out:
        gate.leakage(Index.of(held_out, modality, config, where=where))
    gate.pool_copies()
    passed = {name: table.drop("_signs", strict=False) for name, table in gate.splits.items()}
    return Gated(passed, gate.rejected, gate.leaks, gate.pairs())


class _Gatekeeper:
    def __init__(self, splits: dict[str, pl.DataFrame], modality: str, config: Gates, where: str):
        self.splits, self.modality, self.config, self.where = splits, modality, config, where
        self.rejected: list[dict[str, str]] = []
        self.leaks = {"exact": 0, "near": 0}
        self._pairs: list[dict] = []

    def expectations(self) -> None:
        for name, table in self.splits.items():
            found = expectations.reasons(table[self.modality], self.modality, self.config)
            for column, expected in self.config.expect.items():
                if column in table.columns:
                    why = expectations.column_reasons(table[column], expected)
                    found = found.with_columns(
                        gate=pl.coalesce("gate", pl.when(why.is_not_null()).then(pl.lit("column"))),
                        reason=pl.coalesce("reason", why),
                    )
            fails = found["reason"].is_not_null()
            gates, whys = found.filter(fails)
            self._set_aside(name, fails, gates, whys)

    def held_out_once(self) -> None:
        """Val steers the run; test and ood only report. So what is in both is theirs."""
        for other in ("test", "ood"):
            if "val" in self.splits and other in self.splits:
                shared = self.splits["val"]["sample_id"].is_in(self.splits[other]["sample_id"].to_list())
                number = int(shared.sum())
                self._set_aside("val", shared, ["overlap"] * number, [f"in val, also in {other}"] * number)

    def leakage(self, index: Index) -> None:
        """index: of what is held out."""
        found = {name: index.copies(self.splits[name]) for name in LEARNED if name in self.splits}
        for part in found.values():
            self.leaks["exact"] += int(part["exact"].sum())
            self.leaks["near"] += int((~part["exact"]).sum())
        for name, part in found.items():
            self._note(name, "leakage", self.splits[name], part, index.table)
        if self.config.leakage == "error" and any(map(len, found.values())):
            raise self._leak(found, index)
        if self.config.leakage == "drop":
            for name, part in found.items():
                self._copies(name, ["leakage"] * len(part), part, index)

    def pool_copies(self) -> None:
        """Pool rows that copy a labelled one, or another of the pool."""
        if "pool" not in self.splits:
            return
        parts = {n: self.splits[n] for n in LEARNED if n in self.splits}
        if "seed" in parts:
            exactly = {"seed": parts["seed"].drop("_signs", strict=False)}
            self.seed_copies(Index.of(exactly, self.modality, self.config, where=self.where))
        if "_signs" not in self.splits["pool"].columns:
            return
        # Sorted, so that which one of several stays does not depend on the order of files.
        self.splits["pool"] = self.splits["pool"].sort("sample_id")
        both = pl.concat([_labelled(self.splits[n], n, self.modality, self.where) for n in parts])
        fixed = len(both) - len(self.splits["pool"])
        pairs = near_copies.within(both["_signs"].to_numpy(), both[self.modality], self.modality, self.config)
        kept_for, similarity = near_copies.keep_first(len(both), pairs, fixed)
        rows = np.flatnonzero(kept_for >= 0)
        found = _found(rows - fixed, kept_for[rows], similarity[rows])
        self._note("pool", "near_copy", self.splits["pool"], found, both)
        self._copies("pool", ["near_copy"] * len(found), found, Index(both, self.modality, self.config))

    def seed_copies(self, index: Index) -> None:
        """Pool rows that copy one of the seed set. index: of the seed set."""
        found = index.copies(self.splits["pool"])
        gates = ["copy" if exact else "near_copy" for exact in found.sort("_row")["exact"]]
        self._copies("pool", gates, found, index)

    def pairs(self) -> pl.DataFrame:
        kind = {"image": pl.Binary, "text": pl.String}.get(self.modality, pl.List(pl.Float32))
        text = dict.fromkeys(("gate", "split", "where", "other_split", "other_where"), pl.String)
        schema = {**text, "similarity": pl.Float64, self.modality: kind, f"other_{self.modality}": kind}
        table = pl.DataFrame(self._pairs, schema=schema, orient="row")
        return table.sort("similarity", "where", "other_where").head(MAX_PAIRS)

    # --- helpers ----------------------------------------------------------------------------------------------

    def _copies(self, name: str, gates: list[str], found: pl.DataFrame, index: Index) -> None:
        """Set the rows of `found` aside."""
        mask = np.zeros(len(self.splits[name]), dtype=bool)
        mask[found["_row"].to_numpy()] = True
        reasons = []
        for other, similarity, exact in found.sort("_row").select("_other", "similarity", "exact").iter_rows():
            split, where = index.table["_split"][other], index.table[self.where][other]
            near = f"{NEAR} {where} ({similarity:.3f} alike)"
            inside = near if split == name else f"in {name}, {near} in {split}"
            reasons.append(f"in {name}, also in {split}" if exact else inside)
        self._set_aside(name, pl.Series(mask), gates, reasons)

    def _set_aside(self, name: str, mask: pl.Series, gates: Iterable[str], reasons: Iterable[str]) -> None:
        table = self.splits[name]
        for where, gate, reason in zip(table.filter(mask)[self.where], gates, reasons, strict=False):
            self.rejected.append({"where": where, "reason": reason, "split": name, "gate": gate})
        self.splits[name] = table.filter(~mask)

    def _note(self, name: str, gate: str, table: pl.DataFrame, found: pl.DataFrame, others: pl.DataFrame) -> None:
        """Keep near copies for the report."""
        near = found.filter(~pl.col("exact")).sort("similarity").head(MAX_PAIRS)
        for row, other, similarity in near.select("_row", "_other", "similarity").iter_rows():
            where, split = others[self.where][other], others["_split"][other]
            shown = table[self.modality][row], others[self.modality][other]
            self._pairs.append((gate, name, table[self.where][row], split, where, similarity, *shown))

    def _leak(self, found: dict[str, pl.DataFrame], index: Index) -> UserError:
        counts = " and ".join(f"{len(part)} {name}" for name, part in found.items() if len(part))
        # An exact copy convinces at once: show one where there is one.
        name, part = max(((n, p) for n, p in found.items() if len(p)), key=lambda item: item[1]["exact"].any())
        row, other, exact = part.sort("exact", descending=True, maintain_order=True)["_row", "_other", "exact"].row(0)
        what = "copies" if exact else "nearly copies"
        example = (
            f"{self.splits[name][self.where][row]} ({name}) {what} {index.table[self.where][other]} "
            f"({index.table['_split'][other]})"
        )
        kinds = f"{self.leaks['exact']} exact, {self.leaks['near']} near"
        return UserError(
            f"what is held out is also learned from, {counts} samples ({kinds}): {example}",
            where="gates.leakage", value="error",
            remedy='Set it to "drop" to take them out of pool and seed set, to "allow" to keep them',
        )  # fmt: skip


def refuse_if_many(rejected: list[dict[str, str]], total: int, config: Gates) -> None:
    """Raises UserError when more than max_rejected of `total` rows are not what is expected. Copies do not count."""
    failed = [row for row in rejected if row["gate"] not in NOT_EXPECTATIONS]
    if len(failed) > config.max_rejected * total:
        first = f"{failed[0]['where']}: {failed[0]['reason']}"
        raise UserError(
            f"{len(failed)} of {total} rows are not what is expected, the first: {first}",
            where="gates", value=round(len(failed) / total, 3),
            remedy="Mend the data, relax the gate, or raise gates.max_rejected",
        )  # fmt: skip


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
        "settings": config.model_dump(mode="json"),
    }


def _labelled(table: pl.DataFrame, split: str, modality: str, where: str) -> pl.DataFrame:
    signs = ["_signs"] if "_signs" in table.columns else []
    return table.select("sample_id", modality, where, pl.lit(split).alias("_split"), *signs)


def _found(rows: np.ndarray, others: np.ndarray, similarity: np.ndarray) -> pl.DataFrame:
    columns = {"_row": rows, "_other": others, "similarity": similarity}
    schema = {"_row": pl.Int64, "_other": pl.Int64, "similarity": pl.Float64}
    return pl.DataFrame(columns, schema=schema).with_columns(exact=pl.lit(False))
