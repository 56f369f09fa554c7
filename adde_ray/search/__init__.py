"""`adde find`: the pool's nearest to words, an example or a gap, as a sheet of pictures, and into the next query."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import polars as pl

from adde_ray import labels
from adde_ray.artifacts.run_dir import TUNED, RunDir
from adde_ray.artifacts.wishes import add_wishes, read_wishes
from adde_ray.errors import UserError
from adde_ray.pool.nearest import Near, nearest
from adde_ray.search.kept import Kept
from adde_ray.search.sheet import place_of, write_sheet
from adde_ray.search.sought import Sought, by_example, by_gap, by_words
from adde_ray.stages.train import load


@dataclass(frozen=True)
class Found:
    """table: sample_id, `measure` (similarity, distance or probability), suggested and confidence (by f, null where no
    model is kept), wished (whether it was asked for), and the pool's columns with the payload; the nearest first.
    page: its sheet. notes: what a user may want to know, one sentence each."""

    told: str
    measure: str
    table: pl.DataFrame
    page: Path
    notes: list[str] = field(default_factory=list)


def find(
    run: RunDir | str | Path,
    words: str | None = None,
    *,
    like: str | Path | None = None,
    gap: str | None = None,
    number: int = 30,
    ask: int = 0,
    out: str | Path | None = None,
) -> Found:
    """The `number` samples of a run's pool nearest to words, to a file or sample (`like`) or to a gap; one of these.

    Looked through is what nobody has been asked about. ask: so many of them come first in the next query. out: where
    the sheet is written, default RUN/find/….html. Raises UserError for anything the user can mend.
    """
    run = run if isinstance(run, RunDir) else RunDir.at(run)
    if sum(given is not None for given in (words, like, gap)) != 1:
        raise UserError("give words, --like or --gap, one of them", remedy='As in adde find RUN "rust on bolts"')
    if ask and (done := run.rounds()) and done[-1].manifest["stop_reason"]:
        raise UserError("has ended, and asks about nothing more", where=run.root, remedy="Leave --ask out")
    kept = Kept.of(run)
    if words is not None:
        sought = by_words(words, kept)
    else:
        sought = by_example(str(like), kept) if like is not None else by_gap(str(gap), kept)
    without = kept.taken | sought.without
    near = nearest(sought.shards, sought.closeness, max(number, ask), without=without, only=sought.only)
    if near.table.is_empty():
        raise UserError("the pool holds nothing that could be asked about", where=run.root, remedy="Look elsewhere")
    ids = near.table["sample_id"].to_list()
    notes = [*sought.notes, *(_ask(run, kept, ids[:ask], sought) if ask else [])]
    table = _table(near, sought, kept)
    page = Path(out) if out is not None else place_of(run, sought.told)
    found = Found(sought.told, sought.closeness.measure, table, page, notes)
    write_sheet(page, kept, table, sought.example, told=found.told, measure=found.measure, notes=notes)
    return found


def _table(near: Near, sought: Sought, kept: Kept) -> pl.DataFrame:
    """`Found.table`."""
    ids, measure = near.table["sample_id"].to_list(), sought.closeness.measure
    aligned = len(sought.shards) == len(kept.shards)
    rows = kept.take(ids, near.table["shard"].to_list() if aligned else range(len(kept.shards)))
    wished = set(read_wishes(kept.run)["sample_id"])
    suggested, confidence = _suggested(rows[kept.meta.modality], near.features, kept)
    known = pl.DataFrame(
        {
            "sample_id": ids,
            measure: sought.closeness.shown(near.table["closeness"].to_numpy()),
            "suggested": pl.Series(suggested, dtype=pl.String),
            "confidence": pl.Series(confidence, dtype=pl.Float32),
            "wished": [i in wished for i in ids],
        }
    )
    return known.join(rows.drop(set(known.columns[1:]) & set(rows.columns)), on="sample_id", maintain_order="left")


def _suggested(
    payloads: pl.Series, features: np.ndarray, kept: Kept
) -> tuple[Sequence[str | None], Sequence[float | None] | np.ndarray]:
    """The class the last round's model suggests for each sample, and how sure it is."""
    if kept.modelled is None:
        return [None] * len(payloads), [None] * len(payloads)
    model = load(kept.modelled, kept.config.train)
    if model.tuned:  # it reads features of its own
        features = kept.encode.tuned(kept.config.train, kept.modelled.root / TUNED)(payloads)
    return labels.likeliest(model.proba(features), kept.meta.classes, multi=kept.meta.multi)


def _ask(run: RunDir, kept: Kept, sample_ids: list[str], sought: Sought) -> list[str]:
    """Wish for these, and say what comes of it."""
    new = add_wishes(run, sample_ids, sought.told)
    waiting = len(set(read_wishes(run)["sample_id"]) - kept.taken)
    before = f", {len(sample_ids) - new} were asked for before" if new < len(sample_ids) else ""
    notes = [f"{new} of these come first in the next query{before}"]
    t = len(run.rounds())
    if (run.round(t).root / "query.parquet").exists():
        notes.append(f"the query of round {t} is out already: they come in the one after it")
    if waiting > (batch := kept.config.select.batch):
        notes.append(f"{waiting} are asked for and a query takes {batch}: the rest come in those after it")
    return notes


__all__ = ["Found", "find"]
