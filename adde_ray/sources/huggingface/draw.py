"""Seed set and val drawn from a split that never is in memory: which of its labelled rows they are, and those rows.

Rows are drawn by what they hold (`sample_id`), so their order has no influence, nor has how the files are cut into
chunks. Only id, label and name of the labelled rows are held, while one chunk after another is read.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from heapq import nsmallest

import polars as pl

from adde_ray.artifacts.run_dir import derive_rng, fingerprint
from adde_ray.artifacts.schema import from_arrow
from adde_ray.config.data import CsvData
from adde_ray.errors import UserError
from adde_ray.labels import foreign, rarest
from adde_ray.sources.huggingface.chunks import HubChunk
from adde_ray.sources.rows import WHERE, draw, identify, why
from adde_ray.sources.tables.chunks import TableFile
from adde_ray.sources.tables.pool import chunks_of

LABELLED = {"sample_id": pl.String, "label": pl.String, WHERE: pl.String, "chunk": pl.UInt32}


def labelled_rows(files: Sequence[TableFile[HubChunk]], config: CsvData) -> pl.DataFrame:
    """LABELLED columns of every usable row with a label; `chunk` counts the chunks over all files."""
    files = [replace(file, chunks=tuple(replace(chunk, labelled=True) for chunk in file.chunks)) for file in files]
    found = [pl.DataFrame(schema=LABELLED)]
    for number, chunk in enumerate(chunks_of(files, config, pl.DataFrame())):
        table, _ = chunk.read()  # what cannot be used stays in the split, and is told of when that is read
        ids = identify(table[config.payload[0]])
        found.append(table.select(ids, "label", WHERE, pl.lit(number, LABELLED["chunk"]).alias("chunk")))
    return pl.concat(found)


def draw_splits(
    labelled: pl.DataFrame, config: CsvData, *, val_fraction: float | None, seed_per_class: int | None, seed: int
) -> pl.Series:
    """val, seed or pool for each of `labelled_rows`, null where a label is none of `config.classes`.

    Of each class a share goes to val unless there is one (None), and of the others `seed_per_class`, or all, to seed.
    """
    multi = config.label_separator is not None
    fitting = [x for x in labelled["label"].unique() if not foreign(x, config.classes, multi=multi)]
    rows = labelled.select("sample_id", "label").with_row_index("row").filter(pl.col("label").is_in(fitting))
    if multi:  # of several classes the rarest stands for all
        rows = rows.with_columns(pl.Series("label", rarest(rows["label"].to_list()), dtype=pl.String))
    split = pl.Series([None] * len(labelled), dtype=pl.String).scatter(rows["row"], "seed")
    if val_fraction is not None:
        drawn = draw(rows["sample_id"], rows["label"], {"val": val_fraction}, derive_rng(seed, "huggingface"))
        split.scatter(rows["row"], drawn)
        rows = rows.filter(drawn == "seed")
    if seed_per_class is not None:
        split.scatter(rows["row"], "pool")
        for of_class in rows.partition_by("label"):
            order = zip(_order(of_class["sample_id"], seed), of_class["row"], strict=True)
            split.scatter([row for _, row in nsmallest(seed_per_class, order)], "seed")
    return split


def _order(sample_ids: pl.Series, seed: int) -> Iterator[str]:
    return (fingerprint(seed, "seed set", sample_id) for sample_id in sample_ids)


def taken_out(
    files: Sequence[TableFile[HubChunk]], rows: pl.DataFrame
) -> tuple[list[pl.DataFrame], list[TableFile[HubChunk]]]:
    """Some of `labelled_rows` as their files have them, and the files without them. Raises UserError: they changed."""
    of_chunk = {number: tuple(names) for number, names in rows.group_by("chunk").agg(WHERE).iter_rows()}
    taken, left, number = [], [], 0
    for file in files:
        chunks = []
        for chunk in file.chunks:
            names = of_chunk.get(number, ())
            number += 1
            if names:
                taken.append(_named(chunk, names))
                chunk = replace(chunk, without=names)
            if chunk.num_rows:
                chunks.append(chunk)
        left.append(replace(file, chunks=tuple(chunks)))
    return taken, left


def _named(chunk: HubChunk, names: tuple[str, ...]) -> pl.DataFrame:
    try:
        table = chunk.read()[0].filter(pl.col(WHERE).is_in(names))
    except (UserError, OSError) as error:
        raise UserError(why(error), where=chunk.name, remedy="It could be read a moment ago: try again") from None
    if len(table) < len(names):
        raise UserError("has changed while it was read", where=chunk.name, remedy="Try again when it is written")
    # A few rows of a chunk would keep all of it in memory: polars' strings point into the text they came from.
    return from_arrow(table.to_arrow(compat_level=pl.CompatLevel.oldest()))
