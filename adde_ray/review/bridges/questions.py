"""The query a run waits for, with what people are to look at."""

from __future__ import annotations

from pathlib import Path

import polars as pl

from adde_ray.artifacts.images import viewable
from adde_ray.artifacts.queries import payloads, read_asked
from adde_ray.artifacts.run_dir import RoundDir, RunDir, read_json
from adde_ray.artifacts.schema import Meta
from adde_ray.errors import UserError
from adde_ray.review import room
from adde_ray.review.bridges.base import Question, Questions
from adde_ray.review.store import place

IMAGES = (".png", ".jpg", ".jpeg", ".gif", ".webp", ".bmp")
"""How files end that tools take for images."""


def waiting(run: RunDir) -> Questions:
    """What people are asked now. Raises UserError: nobody is asked anything."""
    round_, meta = run.round(len(run.rounds())), _meta(run)
    query = round_.read("query.parquet")
    if query is None or meta is None or (round_.root / "decisions.parquet").exists():
        remedy = 'Start it with `adde run` and review.annotator = "file" or "page"'
        raise UserError("waits for nobody's answers", where=run.root, remedy=remedy)
    return Questions(
        title=run.config.run.name,
        run=place(run.root)[1],
        round=round_.t,
        modality=meta.modality,
        classes=meta.classes,
        multi=meta.multi,
        asked=tuple(_questions(round_, query, meta.modality, _hidden(round_))),
        earlier=earlier(run, round_.t),
    )


def earlier(run: RunDir, before: int) -> dict[str, str | None]:
    """Of each sample asked about in rounds < `before` the label that was taken; None where there is none."""
    found: dict[str, str | None] = {}
    for t in range(before):
        decisions = run.round(t).read("decisions.parquet", "sample_id", "label")
        found |= {} if decisions is None else dict(decisions.iter_rows())
    return found


def _meta(run: RunDir) -> Meta | None:
    path = run.root / "ingest" / "meta.json"
    return Meta.from_json(read_json(path)) if path.exists() else None


def _hidden(round_: RoundDir) -> set[str]:
    """The samples of which the page does not show what is suggested, so that its influence can be measured."""
    if round_.run.config.review.annotator != "page":
        return set()
    with room.room(round_.run) as store:
        return {item.sample_id for _, item in store.items(round_.t) if item.hides_guess}


def _questions(round_: RoundDir, query: pl.DataFrame, modality: str, hidden: set[str]) -> list[Question]:
    query, synthetic = query.sort("rank"), round_.read("synthetic.parquet")
    ids = query["sample_id"].to_list()
    if synthetic is None:
        synthetic = pl.DataFrame(schema={"sample_id": pl.String, modality: pl.Null})
    kept = payloads(ids, synthetic, read_asked(round_), modality)
    shown = {path.stem: path for path in (round_.root / "review").glob("*") if path.suffix.lower() in IMAGES}
    return [
        Question(
            row["sample_id"],
            row["rank"],
            *_payload(payload, shown.get(row["sample_id"])),
            row["suggested"],
            row["confidence"],
            row["origin"] or "real",
            row["sample_id"] in hidden,
        )
        for row, payload in zip(query.iter_rows(named=True), kept, strict=True)
    ]


def _payload(kept: str | bytes | pl.Series, shown: Path | None) -> tuple[str | list[float] | bytes, str]:
    """What people look at, and how its file ends: of an image the one made for them, where it is there."""
    if isinstance(kept, str):
        return kept, "txt"
    if not isinstance(kept, bytes):
        return list(kept), "txt"
    return (shown.read_bytes(), shown.suffix[1:].lower()) if shown else (viewable(kept), "png")
