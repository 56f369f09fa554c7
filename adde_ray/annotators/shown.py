"""What people are to look at: a query's samples with their payloads, of images the originals where they still are."""

from __future__ import annotations

from collections.abc import Iterator

import polars as pl

from adde_ray.artifacts.images import num_bands, viewable
from adde_ray.artifacts.queries import payloads
from adde_ray.artifacts.schema import Split
from adde_ray.config.data import AnyData
from adde_ray.sources import ORIGINALS
from adde_ray.sources.images.views import View
from adde_ray.sources.originals import Finder, Original, find

VIEW = {"sample_id": pl.String, "original": pl.Binary, "extension": pl.String, "view": pl.String, "why": pl.String}
"""What is shown of a sample's original, or why nothing is."""


def shown(query: pl.DataFrame, synthetic: pl.DataFrame, asked: Split, modality: str, source: AnyData) -> pl.DataFrame:
    """The query with the payload column, `file` where it is known; of images with `extension` and `view` as well.

    asked: the pool's rows in the query. source: the section of the config that says how originals are found.
    """
    found = query.with_columns(payloads(query["sample_id"].to_list(), synthetic, asked, modality))
    return with_views(found, asked.table, modality, source)


def with_views(rows: pl.DataFrame, known: pl.DataFrame, modality: str, source: AnyData) -> pl.DataFrame:
    """Rows with a payload column, as people are to see them. known: those of a split among them, with all columns."""
    if "file" in known.columns and "file" not in rows.columns:
        rows = rows.join(known.select("sample_id", "file"), on="sample_id", how="left", maintain_order="left")
    rows = as_kept(rows, modality)
    if modality != "image" or (originals := ORIGINALS.get(source.source)) is None:
        return rows
    views = pl.DataFrame(_views(originals(source), known), schema=VIEW, orient="row")
    rows = rows.join(views, on="sample_id", how="left", maintain_order="left")
    smaller = pl.format("as the model sees it: the original {}", "why")
    return rows.with_columns(
        pl.coalesce("original", "image").alias("image"),
        pl.coalesce("view", smaller, pl.lit("as it was made")).alias("view"),
    )


def as_kept(rows: pl.DataFrame, modality: str) -> pl.DataFrame:
    """Rows with a payload column; of images what the run keeps, as browsers show it, and as `all_bands` those that
    have more bands than can be shown at once."""
    if modality != "image":
        return rows
    banded = pl.Series([num_bands(image) > 0 for image in rows["image"]], dtype=pl.Boolean)
    return rows.with_columns(
        pl.col("image").map_elements(viewable, return_dtype=pl.Binary),
        pl.when(banded).then("image").alias("all_bands"),
    )


def _views(finder: Finder, rows: pl.DataFrame) -> Iterator[tuple[str | bytes | None, ...]]:
    """VIEW columns of each row."""
    for sample_id, found in find(finder, rows):
        view = finder.view(found.data) if isinstance(found, Original) else found
        if isinstance(view, View):
            kind = "original" if view.is_original else "picture of the original"
            yield sample_id, view.data, view.extension, kind, None
        else:
            yield sample_id, None, None, None, view
