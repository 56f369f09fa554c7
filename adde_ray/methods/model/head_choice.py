"""Which settings a linear head has: those it had before, unless rows it did not see speak clearly for others.

What is asked about is rare and odd, so few rows tell little: settings change one at a time, in an order, and only for
a difference beyond noise (`model_selection.favoured`).
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass, fields, replace
from typing import Any

import numpy as np

from adde_ray.config import Train
from adde_ray.methods.model.head import Fitter, Settings, folds_of, probabilities
from adde_ray.methods.model.losses import Loss
from adde_ray.methods.model.model_selection import favoured

REGULARISATIONS = ((1.0, 0.0), (3.0, 0.0), (0.1, 0.0), (1.0, 0.5), (3.0, 1.0))
"""Pairs of decay and flattening, the first where nothing speaks for another."""

PROTOTYPES = (0.0, 10.0, None)
"""How far weights are drawn towards prototypes, the first where nothing speaks for another."""

LEAST_ROWS = 8
"""Rows of D_t below which nothing is chosen: parts of them would say nothing."""

GROWTH = 1.5
"""Settings are looked at again when D_t has grown by this factor: each time costs several fits."""


@dataclass(frozen=True)
class Choice:
    """Settings of a round's head, and when they were chosen. `rows` of D_t there were then, 0 = not yet."""

    settings: Settings
    rows: int = 0

    def kept(self) -> dict:
        """As JSON."""
        return {**asdict(self.settings), "rows": self.rows}

    @classmethod
    def from_kept(cls, kept: dict) -> Choice:
        """The inverse; what else is kept beside is passed over."""
        own: dict[str, Any] = {field.name: kept[field.name] for field in fields(Settings)}
        own["loss"] = Loss(**kept["loss"])
        return cls(Settings(**own), kept["rows"])


@dataclass(frozen=True)
class HeldOut:
    """What heads say of rows they did not see: logits of D_t (n, C) and of val (v, C)."""

    dataset: np.ndarray
    val: np.ndarray


def first(config: Train, *, described: bool) -> Settings:
    """Where nothing is known yet."""
    decay, flatten, per_row = next(iter(_regularisations(config)))
    prototypes = PROTOTYPES[0] if described else None
    return Settings(decay, flatten, Loss.offered(config)[0], prototypes, per_row)


def choose(
    fitter: Fitter,
    before: Choice | None,
    config: Train,
    val: tuple[np.ndarray, np.ndarray],
    *,
    multi: bool,
    seed: int,
) -> tuple[Choice, HeldOut]:
    """The round's settings, and what heads of them say of rows held out.

    before: those of the round before. val: features (v, d) and labels.
    """
    now = before or Choice(first(config, described=fitter.described is not None))
    rows, folds = len(fitter.labels), folds_of(fitter.labels, seed=seed)
    known: dict[Settings, HeldOut] = {}

    def held_out(settings: Settings) -> HeldOut:
        if settings not in known:
            known[settings] = HeldOut(*fitter.held_out(settings, folds, val[0]))
        return known[settings]

    if rows >= max(LEAST_ROWS, GROWTH * now.rows):
        now = Choice(_chosen(fitter, now.settings, config, held_out, val[1], multi=multi, seed=seed), rows)
    return now, held_out(now.settings)


def _chosen(
    fitter: Fitter,
    settings: Settings,
    config: Train,
    held_out: Callable[[Settings], HeldOut],
    val_labels: np.ndarray,
    *,
    multi: bool,
    seed: int,
) -> Settings:
    both = np.concatenate([fitter.labels, val_labels])

    def favourite(offered: Iterable[Settings], *, by_val: bool = False) -> Settings:
        candidates = list(dict.fromkeys([settings, *offered]))
        said = [held_out(one) for one in candidates] if len(candidates) > 1 else []
        logits = [of.val if by_val else np.concatenate([of.dataset, of.val]) for of in said]
        proba = [probabilities(one, multi=multi) for one in logits]
        return candidates[favoured(proba, val_labels if by_val else both, seed=seed)] if said else settings

    settings = favourite(replace(settings, decay=d, flatten=f, per_row=p) for d, f, p in _regularisations(config))
    # Where labels are wrong, rows of D_t are no judges of how much to trust them.
    settings = favourite((replace(settings, loss=loss) for loss in Loss.offered(config)), by_val=len(val_labels) > 0)
    if fitter.described is not None:
        settings = favourite(replace(settings, prototypes=drawn) for drawn in PROTOTYPES)
    return settings


def _regularisations(config: Train) -> Sequence[tuple[float, float, bool]]:
    """Decay, flattening, and whether the decay is per row. What the config gives is not chosen."""
    given = config.weight_decay is not None
    decays = [config.weight_decay if config.weight_decay is not None else decay for decay, _ in REGULARISATIONS]
    flattened = [config.flatten if config.flatten is not None else flatten for _, flatten in REGULARISATIONS]
    return list(dict.fromkeys(zip(decays, flattened, itertools.repeat(given))))
