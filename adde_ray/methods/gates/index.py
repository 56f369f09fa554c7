"""Rows that others must not copy: signed tables in → an `Index` that names the copies in any other table."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import polars as pl

from adde_ray.config import Gates
from adde_ray.methods.gates import near_copies


def sign(table: pl.DataFrame, modality: str, config: Gates) -> pl.DataFrame:
    """The table with a column _signs to find near copies by; without where they are not looked for."""
    alike = near_copies.likeness(modality, config)
    if alike is None:
        return table
    signs = alike.signatures(table[modality])
    kind = pl.Array(pl.UInt64 if signs.dtype == np.uint64 else pl.UInt32, signs.shape[1])
    return table.with_columns(pl.Series("_signs", signs, dtype=kind))


@dataclass(frozen=True)
class Index:
    """table: sample_id, the payload, `where`, _split, and _signs as `sign` adds."""

    table: pl.DataFrame
    modality: str
    config: Gates

    @classmethod
    def of(cls, tables: dict[str, pl.DataFrame], modality: str, config: Gates, *, where: str) -> Index:
        """An index of some splits, signed. Of a sample that is in two of them, the first counts."""
        columns = ("sample_id", modality, where, "_signs")
        parts = [
            table.select(*(c for c in columns if c in table.columns), pl.lit(name).alias("_split"))
            for name, table in tables.items()
        ]
        return cls(pl.concat(parts).unique("sample_id", keep="first", maintain_order=True), modality, config)

    def copies(self, table: pl.DataFrame) -> pl.DataFrame:
        """_row of a signed table, _other row of the index, similarity (1 and `exact`, or less): each row's best."""
        ours = self.table.select("sample_id").with_row_index("_other")
        rows = table.select("sample_id").with_row_index("_row").join(ours, on="sample_id", how="left")
        rows = rows.with_columns(pl.col("_row", "_other").cast(pl.Int64)).sort("_row")
        exact = rows.drop_nulls("_other").select("_row", "_other", similarity=pl.lit(1.0), exact=pl.lit(True))
        alike = near_copies.likeness(self.modality, self.config)
        if alike is None or "_signs" not in self.table.columns:
            return exact
        rest = rows.filter(pl.col("_other").is_null())["_row"].to_numpy()
        near = near_copies.between(
            *(table[rest]["_signs"].to_numpy(), table[rest][self.modality]),
            *(self.table["_signs"].to_numpy(), self.table[self.modality]),
            alike,
        )
        best = as_found(rest[near.rows], near.others, near.similarity)
        best = best.sort("_row", -pl.col("similarity"), "_other").unique("_row", keep="first", maintain_order=True)
        return pl.concat([exact, best]).sort("_row")


def as_found(rows: np.ndarray, others: np.ndarray, similarity: np.ndarray) -> pl.DataFrame:
    """Near copies in the form `Index.copies` has them."""
    columns = {"_row": rows, "_other": others, "similarity": similarity}
    schema = {"_row": pl.Int64, "_other": pl.Int64, "similarity": pl.Float64}
    return pl.DataFrame(columns, schema=schema).with_columns(exact=pl.lit(False))
