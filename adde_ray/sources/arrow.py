"""Arrow's tables as polars': what polars has no type for is brought to one that it has."""

from __future__ import annotations

import polars as pl
import pyarrow as pa

from adde_ray.errors import UserError


def as_polars(table: pa.Table, *, rechunk: bool = True) -> pl.DataFrame:
    """The same rows and columns; decimals of more than 38 digits as text. Raises UserError: two columns of one name."""
    names = table.column_names
    if twice := next((name for name in names if names.count(name) > 1), None):
        raise UserError("two columns have one name", value=twice, remedy="Rename one")
    for i, field in enumerate(table.schema):
        if pa.types.is_decimal256(field.type):
            table = table.set_column(i, field.name, table.column(i).cast(pa.string()))
    return pl.from_arrow(table, rechunk=rechunk)
