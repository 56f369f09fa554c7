"""People who fill in a table: rounds/NNN/review.csv, with pictures beside it."""

from __future__ import annotations

import polars as pl

from adde_ray.annotators.shown import shown
from adde_ray.artifacts.queries import read_asked
from adde_ray.artifacts.run_dir import RoundDir, RunDir
from adde_ray.config import Config
from adde_ray.dataset import Data
from adde_ray.review.read_review import read_round
from adde_ray.review.write_review import TABLE, WORKBOOK, write_review


class Spreadsheet:
    """People fill in rounds/NNN/review.csv; see `review.read_review`."""

    def __init__(self, config: Config, data: Data, run: RunDir):
        self._meta, self._source = data.meta, config.data

    def answer(self, query: pl.DataFrame, synthetic: pl.DataFrame, round_: RoundDir) -> pl.DataFrame | None:
        """DECISIONS once all rows of review.csv are answered; None until then."""
        meta, tables = self._meta, (round_.root / name for name in (TABLE, WORKBOOK))
        if not any(path.exists() for path in tables):  # what people have begun to answer stays as it is
            rows = shown(query, synthetic, read_asked(round_), meta.modality, self._source)
            write_review(round_.root, rows, meta.modality, meta.classes, multi=meta.multi)
        found = read_round(round_.root, query, meta.classes, t=round_.t, multi=meta.multi)
        return found[1].decisions if found and not found[1].open else None
