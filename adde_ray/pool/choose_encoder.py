"""Which encoder "auto" stands for: ingest/ in → ingest/encoder.json out.

Where labels of two classes are there, a probe decides: every encoder at hand encodes labelled rows of seed set and val,
and the one is taken by whose features a head tells the classes best. Ties go to the preferred one. Test and ood have no
part in it.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
import polars as pl

from adde_ray.artifacts.encoder_choice import CHOICE, EncoderChoice, Tried
from adde_ray.artifacts.images import open_images
from adde_ray.artifacts.run_dir import RunDir, derive_rng, derive_seed, fingerprint, one_at_a_time, write_json
from adde_ray.artifacts.schema import Meta
from adde_ray.config import Config, Encoder
from adde_ray.errors import UserError
from adde_ray.methods import encoders
from adde_ray.methods.encoders import probe
from adde_ray.methods.encoders.at_hand import at_hand, label, wanting
from adde_ray.pool.pictures import larger_images, originals_of, reads_originals, side_for
from adde_ray.sources.originals import PLACES

ROWS, SLOW_ROWS, FIT_ROWS = 400, 200, 2_000
"""Labelled rows that encoders are compared on; where a transformer reads images; rows that they are fitted on."""

CHUNK = 64
"""Rows encoded between two looks at the clock."""

CHOICES = "choices"
"""In `run.cache`: what runs on the same data with the same encoders at hand have chosen."""

PRETRAINED = ("transformer", "efficientnet")

FITTED_ON = ("pool", "pool-sample", "seed")
"""Tables whose payloads encoders are fitted on."""


@dataclass
class Probed:
    """One encoder: its features of labelled rows, seconds that these took, or why it could not be had."""

    settings: Encoder
    features: np.ndarray = field(default_factory=lambda: np.zeros((0, 0), np.float32))
    seconds: float = 0.0
    problem: str | None = None
    scored: tuple[float, float, float] | None = None

    @property
    def tried(self) -> Tried:
        """What is kept of it."""
        figures = self.scored or (None, None, None)
        return Tried(label(self.settings), *figures, self.features.shape[1] or None, self.problem)


@dataclass(frozen=True)
class Comparison:
    """Encoders in order of preference, and the one to take. rows: labelled ones they were compared on, 0 = none."""

    probed: list[Probed]
    taken: Probed
    rows: int


def choose(config: Config, meta: Meta, tables: Mapping[str, pl.DataFrame], run: RunDir) -> Encoder:
    """The run's encoder by name, chosen unless it has been; the choice is kept. tables: ingest's, by split.

    Raises UserError: a named model that cannot be used.
    """
    path = run.root / CHOICE
    if not path.exists():
        shared = config.run.cache and config.run.cache.resolve() / CHOICES / f"{_mark(config, meta, tables)}.json"
        with one_at_a_time(shared.with_suffix(".lock") if shared else None):
            if shared and shared.exists():
                choice = EncoderChoice.read(shared)
            else:
                choice = decide(config, meta, tables)
                if shared:
                    write_json(shared, choice.as_json(), recorded=False)
        write_json(path, choice.as_json())
    return EncoderChoice.read(path).over(config.encoder)


def decide(config: Config, meta: Meta, tables: Mapping[str, pl.DataFrame]) -> EncoderChoice:
    """Compare the encoders at hand, or take the preferred one. Raises UserError: a named model cannot be used."""
    found = encoders_at_hand(config, meta, tables)
    slow = meta.modality == "image" and any(one.name == "transformer" for one in found)
    rows = (SLOW_ROWS if slow else ROWS) if len(found) > 1 else 0
    compared = compare(config, meta, tables, found, rows=rows)
    settings = {key: getattr(compared.taken.settings, key) for key in ("name", "model", "symmetry")}
    tried = tuple(one.tried for one in compared.probed)
    return EncoderChoice(settings, compared.taken.tried.name, compared.rows, tried, wanting(meta.modality, found))


def encoders_at_hand(config: Config, meta: Meta, tables: Mapping[str, pl.DataFrame]) -> list[Encoder]:
    """Settings of each, in order of preference."""
    side = None
    if meta.modality == "image":
        [first] = open_images(_known(meta, tables)[meta.modality][:1])
        side = min(first.size)
    return at_hand(config.encoder, meta.modality, side)


def compare(
    config: Config,
    meta: Meta,
    tables: Mapping[str, pl.DataFrame],
    found: list[Encoder],
    *,
    rows: int,
    seconds: float | None = None,
) -> Comparison:
    """Encode at most so many labelled rows with each encoder, and score what comes out.

    seconds: for all of it, about; what is not encoded by then is left out. Raises UserError: a named model cannot be
    used.
    """
    named = [_shown(tables[name], meta, "label") for name in ("seed", "val") if name in tables]
    if not named:
        return _preferred(config, meta, tables, found)
    labelled = pl.concat(named, how="diagonal_relaxed").drop_nulls("label")
    labels = meta.numbers(labelled["label"])
    fit = probe.usable(labels)
    if len(fit):
        fit = fit[probe.balanced(labels[fit], derive_rng(config.run.seed, "probe", "rows"))][:rows]
    if not len(probe.usable(labels[fit])):
        return _preferred(config, meta, tables, found)
    samples, known = labelled[fit], _fit_rows(config, meta, tables)
    share = None if seconds is None else seconds / len(found)
    probed = [_probe(config, meta, one, known, samples, share) for one in found]
    there = [one for one in probed if one.problem is None]
    labels = labels[fit][: min(len(one.features) for one in there)]
    use = probe.usable(labels)
    if not len(use):
        return Comparison(probed, there[0], 0)
    scores = probe.compare(
        [one.features[use] for one in there], labels[use], seed=derive_seed(config.run.seed, "probe")
    )
    for row, one in enumerate(there):
        one.scored = (float(scores.means[row]), *scores.interval(row))
    return Comparison(probed, there[scores.chosen()], len(use))


def _preferred(config: Config, meta: Meta, tables: Mapping[str, pl.DataFrame], found: list[Encoder]) -> Comparison:
    """Without a comparison: the first that can be had."""
    probed, samples = [Probed(one) for one in found], _known(meta, tables)[:1]
    for one in probed:
        if one.settings.name in PRETRAINED:
            one.problem = _probe(config, meta, one.settings, samples, samples, None).problem
        if one.problem is None:
            return Comparison(probed, one, 0)
    raise AssertionError("pixels, letters and vectors can always be had")


def _probe(
    config: Config, meta: Meta, settings: Encoder, known: pl.DataFrame, samples: pl.DataFrame, seconds: float | None
) -> Probed:
    """known: what it is fitted on. seconds: for fitting and encoding. Images are shown to it as a run shows them."""
    probed, began, parts = Probed(settings), time.monotonic(), []
    try:
        encoder = encoders.make(settings, meta.modality)
        originals = originals_of(config, settings, meta.modality)
        side = side_for(encoder, originals)

        def seen(rows: pl.DataFrame) -> pl.Series:
            return rows[meta.modality] if originals is None or side is None else larger_images(rows, originals, side)

        learned_from = seen(known) if settings.dims else known[meta.modality]
        encoder.fit(learned_from, seed=derive_seed(config.run.seed, "encoder"))
        fitted = time.monotonic()
        for start in range(0, len(samples), CHUNK):
            if parts and seconds is not None and time.monotonic() - began > seconds:
                break
            parts.append(encoder.encode(seen(samples[start : start + CHUNK])))
    except UserError as error:
        if settings.model is not None and settings.model == config.encoder.model:
            raise
        probed.problem = f"cannot be had: {error.what}"
        return probed
    probed.features, probed.seconds = np.concatenate(parts), time.monotonic() - fitted
    return probed


def _shown(table: pl.DataFrame, meta: Meta, *columns: str) -> pl.DataFrame:
    """What encoding a split's samples takes: the payload, and where its original was."""
    wanted = ("sample_id", *columns, meta.modality, *PLACES)
    return table.select(name for name in wanted if name in table.columns)


def _known(meta: Meta, tables: Mapping[str, pl.DataFrame]) -> pl.DataFrame:
    """Samples that encoders are fitted on, of pool and seed set."""
    there = [_shown(tables[name], meta) for name in FITTED_ON if name in tables]
    return pl.concat(there, how="diagonal_relaxed").sort("sample_id")


def _fit_rows(config: Config, meta: Meta, tables: Mapping[str, pl.DataFrame]) -> pl.DataFrame:
    known = _known(meta, tables)
    most = ROWS if config.encoder.dims else FIT_ROWS  # components are fitted on features of all of them
    rows = derive_rng(config.run.seed, "probe", "fit").permutation(len(known))[:most]
    return known[np.sort(rows)]


def _mark(config: Config, meta: Meta, tables: Mapping[str, pl.DataFrame]) -> str:
    """Of all that the choice depends on."""
    found = [one.model_dump(mode="json") for one in encoders_at_hand(config, meta, tables)]
    labels = [tables[name].select("sample_id", "label").rows() for name in ("seed", "val") if name in tables]
    ids = [tables[name]["sample_id"].to_list() for name in FITTED_ON if name in tables]
    files = [meta.source] if meta.modality == "image" and reads_originals(config) else []
    return fingerprint(found, meta.modality, config.run.seed, labels, ids, *files)
