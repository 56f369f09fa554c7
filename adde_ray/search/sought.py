"""What is looked for → how near samples are to it, and through which features: words, an example, or a gap."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import polars as pl

from adde_ray.artifacts.descriptions import knows_descriptions
from adde_ray.artifacts.run_dir import RoundDir, derive_seed
from adde_ray.errors import UserError
from adde_ray.errors import nearest as similar
from adde_ray.methods.model.learner import Model
from adde_ray.methods.query.closeness import Closeness, ToClasses, ToPlace, ToVector
from adde_ray.methods.space import gaps
from adde_ray.methods.space.clustering import fit_projection
from adde_ray.methods.space.gaps import Gap
from adde_ray.pool.nearest import Filter
from adde_ray.pool.shards import Batch, FileShard
from adde_ray.report.read import gap_name
from adde_ray.search.examples import read_example
from adde_ray.search.kept import Kept
from adde_ray.sources.rows import listing
from adde_ray.sources.storage.files import AnyPath, at
from adde_ray.stages.train import load

TWO_TOWERS = "openai/clip-vit-base-patch32"
"""A model that reads images and words, as people are told of one."""


@dataclass(frozen=True)
class Sought:
    """told: what it is, in words. shards: the pool with the features that are looked through. only: which rows may be
    found. without: sample_ids that may not. example: the row of a sample that is shown beside what is found."""

    told: str
    closeness: Closeness
    shards: tuple[FileShard, ...]
    only: Filter | None = None
    without: frozenset[str] = frozenset()
    example: pl.DataFrame | None = None
    notes: list[str] = field(default_factory=list)


def by_words(words: str, kept: Kept) -> Sought:
    """Samples that words speak of. Raises UserError: no words, or the encoder reads none or knows none of them."""
    if not words.strip():
        raise UserError("no words to look for", remedy='Give some, as in adde find RUN "rust on bolts"')
    found, name = kept.encode.texts([words]), kept.encode.settings.name
    if found is None:
        remedy = "Look for what is like an example: --like FILE, or --like SAMPLE_ID"
        if kept.meta.modality == "image":
            remedy += f"; or begin a run whose encoder reads words too: encoder.model = {TWO_TOWERS!r}, say"
        raise UserError("the run's encoder reads no words", where="encoder.name", value=name, remedy=remedy)
    if not found.any():
        remedy = "Use words that occur in the run's texts"
        raise UserError("the run's encoder knows nothing of these words", value=words, remedy=remedy)
    return Sought(f"“{' '.join(words.split())}”", ToVector(found[0]), kept.shards)


def by_example(like: str, kept: Kept) -> Sought:
    """Samples like a file, or like a sample of the run. Raises UserError: there is no such, or it cannot be read."""
    path = at(like)
    there = not isinstance(path, Path) or path.exists()
    if not there and re.fullmatch(r"[0-9a-f]{32}", like) and (sample := kept.sample(like)):
        return Sought(f"like {like}", ToVector(sample[0]), kept.shards, without=frozenset([like]), example=sample[1])
    if not there:
        remedy = "Give the path of a file, or a whole sample_id from a sheet or a table of the run"
        raise UserError("no such file, and no sample of this run", where="--like", value=like, remedy=remedy)
    return _like_file(path, kept)


def _like_file(path: AnyPath, kept: Kept) -> Sought:
    payload = read_example(path, kept)
    vector = kept.encode(payload)[0]
    if not vector.any():
        raise UserError("the run's encoder sees nothing in it", where=path, remedy="Give another example")
    return Sought(f"like {path.name}", ToVector(vector), kept.shards, example=payload.to_frame())


def by_gap(gap_id: str, kept: Kept) -> Sought:
    """Samples in the place of a gap, as the last round that looked for gaps has it. Of a class that no labelled sample
    shows the place of, those that f thinks likeliest, or where f was not told what the class is described by, those
    nearest to its description. Raises UserError: there is no such gap."""
    round_ = next((r for r in kept.rounds if (r.root / "gaps.parquet").exists()), None)
    if round_ is None:
        raise UserError("has found no gaps yet", where=kept.run.root, remedy="Let the run analyse its first round")
    table = round_.read("gaps.parquet")
    assert table is not None, "it exists"
    found = {gap.gap_id: gap for gap in gaps.from_frame(table)}
    if gap_id not in found:
        opened = [gap.gap_id for gap in found.values() if gap.is_open] or list(found)
        remedy = f"{similar(gap_id, found)}Choose one of: {listing(opened)}" if found else "Leave --gap out"
        raise UserError("no such gap", where=round_.root / "gaps.parquet", value=gap_id, remedy=remedy)
    return _at_gap(found[gap_id], round_, kept, gap_name(table.filter(gap_id=gap_id).to_dicts()[0]))


def _at_gap(gap: Gap, round_: RoundDir, kept: Kept, name: str) -> Sought:
    model = load(round_, kept.config.train)
    shards = kept.shards_of(round_) if model.tuned else kept.shards
    told, notes = f"gap {gap.gap_id}, {name}", list[str]()
    if gap.in_words:
        notes.append(f"what sets it apart: {gap.in_words}")
    unseen = kept.meta.classes.index(str(gap.label)) if gap.kind == "class" and not gap.num_labelled else None
    if unseen is not None and (described := _described(unseen, model, round_, kept)) is not None:
        notes.append("no sample of this class is labelled: these are nearest to what it is described by")
        return Sought(told, ToVector(described), kept.shards, notes=notes)
    if model.tuned and kept.config.train.reembed == "shortlist":
        notes.append(f"looked through what round {round_.t} has encoded again, not through all of the pool")
    if unseen is not None:
        return Sought(told, ToClasses(model, (unseen,)), shards, notes=notes)
    z = model.embed(kept.reference(round_, tuned=model.tuned))
    projection = fit_projection(z, kept.config.clustering, seed=derive_seed(kept.config.run.seed, "space"))
    closeness = ToPlace(model.embed, projection, np.array(gap.centroid, dtype=np.float32))
    return Sought(told, closeness, shards, only=_of_subgroup(gap), notes=notes)


def _described(class_row: int, model: Model, round_: RoundDir, kept: Kept) -> np.ndarray | None:
    """(d,) the prototype of a class; None where it has none, or f has learned from it and knows better."""
    knows = not model.tuned and knows_descriptions(round_)
    if knows or kept.prototypes is None or not kept.prototypes.known[class_row]:
        return None
    return kept.prototypes.vectors[class_row]


def _of_subgroup(gap: Gap) -> Filter | None:
    """Of a subgroup's gap, which rows belong to it, where the features' file says so."""
    if gap.subgroup is None:
        return None
    column, _, value = gap.subgroup.partition("=")

    def belongs(batch: Batch) -> np.ndarray:
        if column not in batch.subgroups.columns:
            return np.ones(len(batch), dtype=bool)
        return (batch.subgroups[column].cast(pl.String) == value).fill_null(False).to_numpy()

    return belongs
