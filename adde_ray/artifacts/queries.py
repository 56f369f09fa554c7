"""What people were asked about, round by round: the pool's rows in each query, kept with the round.

What the pool has been asked for once is never looked for again: the dataset, its features, the review and the export
are made from these rows, however large the pool is.
"""

from __future__ import annotations

import numpy as np
import polars as pl

from adde_ray.artifacts.damage import AMENDED
from adde_ray.artifacts.run_dir import RoundDir, RunDir, write_table
from adde_ray.artifacts.schema import Split, payload_series

ASKED = "asked.parquet"
"""In rounds/t/: the pool's rows in the query, sorted by sample_id, with all their columns and `FEATURES`."""

FEATURES = "adde:features"
"""No user's column is called that."""


def keep_asked(split: Split, round_: RoundDir) -> None:
    """Write the round's `asked.parquet`."""
    features = pl.Series(FEATURES, split.features, dtype=pl.Array(pl.Float32, split.features.shape[1]))
    write_table(round_.root / ASKED, split.table.with_columns(features.cast(pl.List(pl.Float32))))


def read_asked(round_: RoundDir) -> Split:
    """The pool's rows in the query of a round that has one, sorted by sample_id."""
    table = round_.read(ASKED)
    assert table is not None, "a query never stands there without what it asks about"
    return _split(table)


def _split(table: pl.DataFrame) -> Split:
    dims = int(table[FEATURES].list.len().to_numpy().max(initial=0))
    features = np.array(table[FEATURES].to_list(), dtype=np.float32).reshape(len(table), dims)
    return Split(table.drop(FEATURES), features)


def asked_rows(run: RunDir, before: int) -> list[Split]:
    """`read_asked` of the rounds < `before` that asked."""
    tables = [run.round(t).read(ASKED) for t in range(before)]
    return [_split(table) for table in tables if table is not None]


def asked_before(run: RunDir, t: int) -> set[str]:
    """Ids of every sample people were asked about in rounds < t, synthetic ones included."""
    queries = [run.round(r).read("query.parquet", "sample_id") for r in range(t)]
    return {i for query in queries if query is not None for i in query["sample_id"]}


OUT_OF_FOLD = "model/out_of_fold.parquet"
"""In rounds/t/; see `out_of_fold`."""


def out_of_fold(round_: RoundDir) -> pl.DataFrame | None:
    """sample_id, proba: calibrated probabilities of each row of D_t by heads that did not see it; None where no such
    head was asked."""
    return round_.read(OUT_OF_FOLD)


def last_labels(decisions: pl.DataFrame) -> pl.DataFrame:
    """sample_id, label: what people said last of each sample, null where they confirmed nothing."""
    return decisions.group_by("sample_id").agg(pl.col("label").last())


def last_decisions(run: RunDir, before: int) -> pl.DataFrame:
    """sample_id, asked_in (the round), label (null: out of the dataset) of every decision of rounds < `before`, with
    what people had changed by then."""
    empty = pl.DataFrame(schema={"sample_id": pl.String, "asked_in": pl.Int64, "label": pl.String})
    found = empty
    for t in range(before):
        round_ = run.round(t)
        if (changed := round_.read(AMENDED, "sample_id", "label", "round")) is not None:
            now = changed.select("sample_id", "label", asked_in=pl.col("round") - 1)
            found = pl.concat([found.join(now, on="sample_id", how="anti"), now.select(found.columns)])
        if (decisions := round_.read("decisions.parquet", "sample_id", "label")) is not None:
            said = last_labels(decisions).with_columns(asked_in=pl.lit(t, pl.Int64))
            found = pl.concat([found, said.sort("sample_id").select(found.columns)])
    return found


def payloads(sample_ids: list[str], synthetic: pl.DataFrame, asked: Split, modality: str) -> pl.Series:
    """The payload column of a query's samples: `asked` has the pool's, SYNTHETIC rows the synthetic ones."""
    found = dict(synthetic.select("sample_id", modality).iter_rows())
    found |= dict(asked.table.select("sample_id", modality).iter_rows())
    return payload_series([found[i] for i in sample_ids], modality)


def features_of(sample_ids: list[str], synthetic: pl.DataFrame, asked: Split) -> np.ndarray:
    """(n, d) features of a query's n >= 1 samples, from where `payloads` has them."""
    found = dict(synthetic.select("sample_id", "features").iter_rows())
    found |= dict(zip(asked.ids, asked.features, strict=True))
    return np.array([found[i] for i in sample_ids], dtype=np.float32)
