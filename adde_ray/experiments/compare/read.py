"""Experiments from disk: folders with results.parquet, or such files → checked tables and what failed.

One row per (trial, round): `schema.RESULT_KEYS`, then numeric figures with dotted names (`test.macro_f1`), null where a
dataset has none, and `config.<dotted key>` of sweeps. Beside it experiment.json (name, kind) and failures.json.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TypeVar

import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq

from adde_ray.artifacts.damage import is_whole
from adde_ray.artifacts.m_div import IN_M_DIV
from adde_ray.artifacts.schema import RESULT_KEYS
from adde_ray.config.documents import read_json
from adde_ray.errors import UserError, first_line
from adde_ray.strategies import OWN

SETTING = "config."

MOST_ROWS = 5_000_000

Document = TypeVar("Document", dict, list)


@dataclass(frozen=True)
class Experiment:
    """kind: ablation or sweep. failures: trial and reason of each trial without results. own: strategies that are
    no baselines."""

    name: str
    kind: str
    path: Path
    table: pl.DataFrame
    failures: tuple[tuple[str, str], ...] = ()
    own: frozenset[str] = OWN


def read_experiments(paths: Sequence[Path]) -> list[Experiment]:
    """All of them, with strategies told apart by the experiment's name where two have the same trials."""
    found = [_read(Path(path)) for path in paths]
    if len({e.path.resolve() for e in found}) < len(found):
        twice = next(e.path for i, e in enumerate(found) if e.path.resolve() in {f.path.resolve() for f in found[:i]})
        raise UserError("named twice", where=twice)
    return _apart(found)


def _read(path: Path) -> Experiment:
    file = path / "results.parquet" if path.is_dir() else path
    if not os.path.isfile(file):
        what = "no results.parquet in this folder" if path.is_dir() else "there is no such folder or file"
        raise UserError(what, where=path, remedy="Give the folder of `adde ablate` or `adde sweep`, or its table")
    for name in (file.name, "experiment.json", "failures.json"):
        if not is_whole(file.parent / name):
            remedy = "Repeat the experiment's command with --resume, which makes it again, or copy it again"
            raise UserError("is not as it was made", where=file.parent / name, remedy=remedy)
    table = _table(file)
    told = _json(file.parent / "experiment.json", dict) or {}
    failures = [
        (str(f.get("trial", "?")), str(f.get("reason", "?"))) if isinstance(f, dict) else ("?", str(f))
        for f in _json(file.parent / "failures.json", list) or []
    ]
    table = _checked(table, file, len(failures))
    sweeps = any(name.startswith(SETTING) for name in table.columns)
    kind = str(told.get("kind"))
    if kind not in ("ablation", "sweep"):
        kind = "sweep" if sweeps else "ablation"
    name = str(told.get("name") or file.parent.resolve().name)
    return Experiment(name, kind, file, table, tuple(failures), _own(told.get("strategies")))


def _table(file: Path) -> pl.DataFrame:
    """By pyarrow, which says what is wrong with a damaged file where polars panics."""
    try:
        rows = pq.read_metadata(file).num_rows
        if rows > MOST_ROWS:
            raise UserError(f"has more than {MOST_ROWS:,} rows", where=file, value=rows)
        table = pq.read_table(file, partitioning=None)  # pyright: ignore[reportArgumentType] None: no partitions
        odd = [field.name for field in table.schema if not _is_plain(field.type)]
        return pl.DataFrame(table.drop_columns(odd))
    except UserError:
        raise
    except (pl.exceptions.PolarsError, pa.ArrowException, OSError, ValueError) as error:
        value = first_line(error)[:80]
        raise UserError("is not a Parquet file that can be read", where=file, value=value) from None


def _is_plain(kind: pa.DataType) -> bool:
    """Whether its values are numbers or texts, as all that these tables are made of."""
    kind = kind.value_type if pa.types.is_dictionary(kind) else kind
    tests = (pa.types.is_integer, pa.types.is_floating, pa.types.is_boolean, pa.types.is_null, pa.types.is_decimal128)
    return any(test(kind) for test in (*tests, pa.types.is_string, pa.types.is_large_string))


def _own(told: object) -> frozenset[str]:
    """The strategies of experiment.json that are no baselines; of a table that stands alone those of that name."""
    if not isinstance(told, dict):
        return OWN
    return frozenset(name for name, way in told.items() if isinstance(way, dict) and way.get("baseline") is False)


def _json(path: Path, kind: type[Document]) -> Document | None:
    return read_json(path, kind) if path.exists() else None


def _checked(table: pl.DataFrame, file: Path, num_failures: int) -> pl.DataFrame:
    if "num_asked" not in table.columns and "num_labels" in table.columns:
        table = table.with_columns(num_asked="num_labels")  # people answered whatever was asked
    missing = [name for name in RESULT_KEYS if name not in table.columns]
    if missing:
        remedy = "It is not a table of `adde ablate` or `adde sweep`"
        raise UserError(f"lacks the columns {', '.join(missing)}", where=file, remedy=remedy)
    if table.is_empty():
        failed = f"Failed: {num_failures}, see failures.json beside it" if num_failures else "No trial is done yet"
        raise UserError("holds no rows", where=file, remedy=failed)
    try:
        table = table.with_columns(pl.col(name).cast(kind) for name, kind in RESULT_KEYS.items())
    except pl.exceptions.PolarsError as error:
        raise UserError("has a column of the wrong type", where=file, value=str(error).splitlines()[0]) from None
    if empty := [name for name in RESULT_KEYS if table[name].null_count()]:
        raise UserError(f"has empty cells in {', '.join(empty)}", where=file)
    if twice := table.filter(table.select("trial", "round").is_duplicated()).rows():
        raise UserError("has a round of a trial twice", where=file, value=twice[0][: len(RESULT_KEYS)])
    figures = [_figures(table[n], file) for n in table.columns if n not in RESULT_KEYS and not n.startswith(SETTING)]
    table = table.with_columns(f for f in figures if f is not None)
    return _restated(table).sort("dataset", "strategy", "seed", "trial", "round")


def _restated(table: pl.DataFrame) -> pl.DataFrame:
    """With M_div as `artifacts.m_div` has it today, whatever version measured it: what is compared is one thing."""
    terms = [name for name in (f"diversity.{term}" for term in IN_M_DIV) if name in table.columns]
    if not terms or "diversity.m_div" not in table.columns:
        return table
    now = pl.mean_horizontal(terms).round(6)
    return table.with_columns(pl.coalesce(now, pl.col("diversity.m_div")).alias("diversity.m_div"))


def _figures(column: pl.Series, file: Path) -> pl.Series | None:
    """A column of figures, NaN as null; None where it is none. Raises UserError: it should be one."""
    if "." not in column.name and not column.dtype.is_numeric():
        return None  # a note of somebody's
    try:
        figures = column.cast(pl.Float64).fill_nan(None)
    except pl.exceptions.PolarsError:
        raise UserError(f"{column.name} holds no figures", where=file, value=column.drop_nulls()[0]) from None
    if figures.is_infinite().any():
        row = figures.is_infinite().to_list().index(True)
        raise UserError(f"{column.name} holds an infinite figure, in row {row + 1}", where=file)
    return figures


def _apart(found: list[Experiment]) -> list[Experiment]:
    keys = ["dataset", "strategy", "seed"]
    ablations = [e for e in found if e.kind == "ablation"]
    for e in ablations:
        trials = e.table.select(*keys, "trial").unique()
        twice = trials.group_by(keys).len().filter(pl.col("len") > 1).sort(keys)
        if len(twice):
            what = "strategy {strategy} has several trials with seed {seed} on {dataset}".format(
                **twice.row(0, named=True)
            )
            raise UserError(what, where=e.path)
    clash: set[str] = set()
    for i, a in enumerate(ablations):
        for b in ablations[:i]:
            clash |= set(a.table.join(b.table, on=keys, how="semi")["strategy"])
    if clash and len({e.name for e in ablations}) < len(ablations):
        same = ", ".join(sorted(clash))
        raise UserError(
            f"experiments of one name hold the same trials of {same}", where=", ".join(str(e.path) for e in found)
        )
    named = pl.when(pl.col("strategy").is_in(sorted(clash))).then(
        pl.concat_str("strategy", pl.lit(" ("), "of", pl.lit(")"))
    )
    return [
        replace(
            e,
            table=e.table.with_columns(of=pl.lit(e.name)).with_columns(strategy=named.otherwise("strategy")).drop("of"),
            own=frozenset(f"{name} ({e.name})" if name in clash else name for name in e.own),
        )
        if e.kind == "ablation"
        else e
        for e in found
    ]
