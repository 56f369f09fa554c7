"""The gates one after the other: splits in → splits without what fails, and for each row that does the reason."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import polars as pl

from adde_ray.artifacts.schema import PAYLOAD_KINDS
from adde_ray.config import Gates
from adde_ray.errors import UserError
from adde_ray.methods.gates import expectations, near_copies
from adde_ray.methods.gates.expectations import Nulls
from adde_ray.methods.gates.index import Index, as_found, sign

LEARNED = ("seed", "pool")

NEAR = "near copy of"
"""What a reason says of a copy that is not exact."""

MAX_PAIRS = 24
"""Near copies kept with both payloads, to be looked at."""


@dataclass(frozen=True)
class Gated:
    """splits: what passed. rejected: where, reason, split, gate of what did not. leaks: {"exact", "near"}: rows.

    nulls: of expected columns. pairs: near copies, as `least_alike` has them.
    """

    splits: dict[str, pl.DataFrame]
    rejected: list[dict[str, str]]
    leaks: dict[str, int]
    nulls: Nulls
    pairs: pl.DataFrame


class Gatekeeper:
    """Splits on their way through the gates: what is still in them, and what was set aside."""

    def __init__(self, splits: dict[str, pl.DataFrame], modality: str, config: Gates, where: str):
        self.splits, self.modality, self.config, self.where = splits, modality, config, where
        self.rejected: list[dict[str, str]] = []
        self.nulls = expectations.count_nulls(splits.values(), config)
        self.leaks = {"exact": 0, "near": 0}
        self._pairs: list[tuple] = []

    def expectations(self) -> None:
        """Set aside the rows of every split that are not what is expected, with the first gate each fails."""
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

    def sign(self) -> None:
        """Give every table what near copies are found by."""
        self.splits = {name: sign(table, self.modality, self.config) for name, table in self.splits.items()}

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

    def seed_copies(self, index: Index) -> None:
        """Pool rows that copy one of the seed set. index: of the seed set."""
        found = index.copies(self.splits["pool"])
        self._note("pool", "near_copy", self.splits["pool"], found, index.table)
        gates = ["copy" if exact else "near_copy" for exact in found.sort("_row")["exact"]]
        self._copies("pool", gates, found, index)

    def pool_copies(self) -> None:
        """Pool rows that nearly copy another of the pool."""
        alike = near_copies.likeness(self.modality, self.config)
        if alike is None:
            return
        # Sorted, so that which one of several stays does not depend on the order of files.
        pool = self.splits["pool"] = self.splits["pool"].sort("sample_id")
        pairs = near_copies.within(pool["_signs"].to_numpy(), pool[self.modality], alike)
        kept_for, similarity = near_copies.keep_first(len(pool), pairs)
        rows = np.flatnonzero(kept_for >= 0)
        found = as_found(rows, kept_for[rows], similarity[rows])
        index = Index.of({"pool": pool}, self.modality, self.config, where=self.where)
        self._note("pool", "near_copy", pool, found, index.table)
        self._copies("pool", ["near_copy"] * len(found), found, index)

    def result(self) -> Gated:
        """What there is by now."""
        pairs = pl.DataFrame(self._pairs, schema=pairs_schema(self.modality), orient="row")
        pairs = least_alike([pairs], self.modality)
        return Gated(self.splits, self.rejected, self.leaks, self.nulls, pairs)

    # --- helpers ----------------------------------------------------------------------------------------------

    def _copies(self, name: str, gates: list[str], found: pl.DataFrame, index: Index) -> None:
        """Set the rows of `found` aside."""
        mask = np.zeros(len(self.splits[name]), dtype=bool)
        mask[found["_row"].to_numpy()] = True
        reasons = []
        for other, similarity, exact in found.sort("_row").select("_other", "similarity", "exact").iter_rows():
            split, where = index.table["_split"][other], index.table[self.where][other]
            near = near_reason(where, similarity)
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
        near = found.filter(~pl.col("exact")).select("_row", "_other", "similarity")
        where, other_where = table[self.where][near["_row"]], others[self.where][near["_other"]]
        near = near.with_columns(where.alias("where"), other_where.alias("other_where"))
        near = near.sort("similarity", "where", "other_where").head(MAX_PAIRS)
        for row, other, similarity, where, other_where in near.iter_rows():
            shown = table[self.modality][row], others[self.modality][other]
            self._pairs.append((gate, name, where, others["_split"][other], other_where, similarity, *shown))

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
            where="gates.leakage",
            value="error",
            remedy='Set it to "drop" to take them out of pool and seed set, to "allow" to keep them',
        )


def near_reason(where: str, similarity: float) -> str:
    """Why a row goes that is a near copy of the one at `where`."""
    return f"{NEAR} {where} ({similarity:.3f} alike)"


def pairs_schema(modality: str) -> dict[str, pl.DataType | type[pl.DataType]]:
    """Near copies as they are kept for the report: where both lie, how alike they are, both payloads."""
    text = dict.fromkeys(("gate", "split", "where", "other_split", "other_where"), pl.String)
    kind = PAYLOAD_KINDS[modality]
    return {**text, "similarity": pl.Float64, modality: kind, f"other_{modality}": kind}


def least_alike(tables: list[pl.DataFrame], modality: str) -> pl.DataFrame:
    """The MAX_PAIRS pairs that resemble each other least, first what is doubted most. Columns: `pairs_schema`."""
    every = pl.concat([pl.DataFrame(schema=pairs_schema(modality)), *tables])
    return every.sort("similarity", "where", "other_where").head(MAX_PAIRS)
