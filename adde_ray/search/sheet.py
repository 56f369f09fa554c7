"""A contact sheet: what was found, as one HTML file that loads nothing, each sample with its picture or text.

Of images the originals are shown where they can be found, as in a review.
"""

from __future__ import annotations

import re
from pathlib import Path

import polars as pl

from adde_ray.artifacts.run_dir import RunDir, atomic, fingerprint
from adde_ray.errors import Halted, UserError
from adde_ray.labels import SEPARATOR, in_words
from adde_ray.search.kept import Kept
from adde_ray.sources import ORIGINALS
from adde_ray.sources.images.views import View
from adde_ray.sources.originals import Original, find
from adde_ray.web import page
from adde_ray.web.pictures import show

SIDE = 192
"""Pixels of the longer side of a picture."""

SMALL = 64
"""Pixels a side below which a picture is magnified pixel by pixel."""

FOLDER = "find"
"""Of a run's sheets, in its folder."""


def place_of(run: RunDir, told: str) -> Path:
    """Where the sheet of a search is kept: the same for the same search."""
    name = "-".join(re.findall(r"[a-z0-9]+", told.lower()))[:60].strip("-")
    return run.root / FOLDER / f"{name}-{fingerprint(told)[:6]}.html".removeprefix("-")


def write_sheet(out: Path, kept: Kept, table: pl.DataFrame, example: pl.DataFrame | None, **lead: object) -> None:
    """Write the page. table: see `Found.table`. example: a row with a payload. lead: `told`, `measure` and `notes` of
    the search. Raises UserError when it cannot be written.
    """
    shown = pictures(kept, table)
    tiles = [_tile(row, shown.get(row["sample_id"]), kept) for row in table.iter_rows(named=True)]
    like = None if example is None else show(example[kept.meta.modality][0], kept.meta.modality, side=SIDE)
    text = page.assemble("search", charts=None, data={}, run=kept.run.root.name, tiles=tiles, like=like, **lead)
    try:
        with atomic(out, recorded=False) as temporary:
            temporary.write_text(text, encoding="utf-8")
    except Halted as error:
        raise UserError(error.what, where=out, remedy="Name another place with --out") from None


def pictures(kept: Kept, table: pl.DataFrame) -> dict[str, dict]:
    """sample_id → what is shown of it, see `pictures.show`; and whether it is `small`."""
    modality, source = kept.meta.modality, kept.config.data
    own = dict(table.select("sample_id", modality).iter_rows())
    payloads = dict(own)
    if modality == "image" and source.source in ORIGINALS:
        finder = ORIGINALS[source.source](source)
        for sample_id, found in find(finder, table):
            view = finder.view(found.data) if isinstance(found, Original) else None
            if isinstance(view, View):
                payloads[sample_id] = view.data
    shown = {sample_id: show(payload, modality, side=SIDE) for sample_id, payload in payloads.items()}
    for sample_id, payload in own.items():
        if isinstance(payload, bytes) and payloads[sample_id] is payload:
            shown[sample_id]["small"] = int.from_bytes(payload[16:20]) < SMALL  # the width of a PNG
    return shown


def _tile(row: dict, shown: dict | None, kept: Kept) -> dict:
    suggested = in_words(row["suggested"])
    if suggested and kept.meta.multi:
        suggested = suggested.replace(SEPARATOR, f" {SEPARATOR} ")  # room to break
    return {**row, "shown": shown or {}, "suggested": suggested}
