"""People who fill in a table: rounds/NNN/review.csv, with pictures beside it."""

from __future__ import annotations

from collections.abc import Iterator

import polars as pl

from adde_ray.artifacts.images import viewable
from adde_ray.artifacts.queries import payloads, read_asked
from adde_ray.artifacts.run_dir import RoundDir, RunDir
from adde_ray.artifacts.schema import Split
from adde_ray.config import Config
from adde_ray.dataset import Data
from adde_ray.review.read_review import read_round
from adde_ray.review.write_review import TABLE, WORKBOOK, write_review
from adde_ray.sources import ORIGINALS
from adde_ray.sources.images.views import View
from adde_ray.sources.originals import Finder, Original, find

VIEW = {"sample_id": pl.String, "original": pl.Binary, "extension": pl.String, "view": pl.String, "why": pl.String}
"""What is shown of a sample's original, or why nothing is."""


class Spreadsheet:
    """People fill in rounds/NNN/review.csv; see `review.read_review`."""

    def __init__(self, config: Config, data: Data, run: RunDir):
        self._meta, self._source = data.meta, config.data

    def answer(self, query: pl.DataFrame, synthetic: pl.DataFrame, round_: RoundDir) -> pl.DataFrame | None:
        """DECISIONS once all rows of review.csv are answered; None until then."""
        tables = (round_.root / name for name in (TABLE, WORKBOOK))
        if not any(path.exists() for path in tables):  # what people have begun to answer stays as it is
            shown = self._shown(query, synthetic, read_asked(round_))
            write_review(round_.root, shown, self._meta.modality, self._meta.classes, multi=self._meta.multi)
        found = read_round(round_.root, query, self._meta.classes, t=round_.t, multi=self._meta.multi)
        return found[1].decisions if found and not found[1].open else None

    def _shown(self, query: pl.DataFrame, synthetic: pl.DataFrame, asked: Split) -> pl.DataFrame:
        """The query with what people are to look at: of images the originals where they still are."""
        modality = self._meta.modality
        shown = query.with_columns(payloads(query["sample_id"].to_list(), synthetic, asked, modality))
        if "file" in asked.table.columns:
            shown = shown.join(asked.table.select("sample_id", "file"), on="sample_id", how="left")
        if modality != "image":
            return shown
        shown = shown.with_columns(pl.col("image").map_elements(viewable, return_dtype=pl.Binary))
        if (originals := ORIGINALS.get(self._source.source)) is None:
            return shown
        views = pl.DataFrame(_views(originals(self._source), asked.table), schema=VIEW, orient="row")
        shown = shown.join(views, on="sample_id", how="left", maintain_order="left")
        smaller = pl.format("as the model sees it: the original {}", "why")
        return shown.with_columns(
            pl.coalesce("original", "image").alias("image"),
            pl.coalesce("view", smaller, pl.lit("as it was made")).alias("view"),
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
