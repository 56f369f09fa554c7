"""What selection is worth, without a second run: labels bought in → labels with which random selection is as good out.

Macro-F1 on val of f in every round, and of a few models that learned from the seed set and rows drawn by chance alone,
are taken for one learning curve that selection runs through faster or slower: random selection with `stretch` times the
labels is as good. The curve is an inverse power law (Figueroa et al. 2012), and its many points by selection carry
what the few random ones cannot: how it goes on. How far the stretch itself changes along the way was measured by
rehearsals on data that no benchmark uses, and is by far the largest part of the interval.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass

import numpy as np
from scipy import stats

from adde_ray.methods.metrics.confusion import answers
from adde_ray.methods.stats.paired_rows import resampled_macro_f1

LEVEL = 0.9
"""Of the interval."""

DRAWS = 50
"""Resamples of val: what they are to show, their spread, is a small part of the interval."""

MIN_DRAWN = 4
"""Random answers under which nothing is said."""

STRETCHES = np.exp(np.linspace(np.log(0.1), np.log(10), 41))
"""Those tried."""

SCALES, POWERS = np.geomspace(2, 3000, 24), (0.5, 1.0)
"""Labels on which the curve bends, and the powers it falls by, that are tried."""

DRIFT = 0.9
"""Standard deviation of the logarithm of the stretch at the end, given the one that is fitted."""

PRIOR = 1.5
"""Standard deviation of that logarithm before anything is known: mostly between a twentieth and twenty times."""


@dataclass(frozen=True)
class Worth:
    """f with `labels` bought is as good as random selection with `as_random` labels, which lies in [low, high].

    high is `pool`, all there is to draw from, where it may be more. drawn: random answers that say so.
    """

    labels: int
    as_random: int
    low: int
    high: int
    pool: int
    drawn: int

    def kept(self) -> dict[str, int]:
        """As metrics.json has it."""
        return asdict(self)


@dataclass(frozen=True)
class Curve:
    """(p,) labels bought, and of each the (v, C) probabilities of the rows of val by the model that they gave."""

    labels: np.ndarray
    proba: list[np.ndarray]


def worth(val: np.ndarray, selected: Curve, drawn: Curve, *, num_pool: int, seed: int) -> Worth | None:
    """None where there are fewer than MIN_DRAWN random answers, or no round has asked yet.

    val: labels of its rows, as numbers. selected: of every round, this one last. drawn: of rows drawn by chance, all of
    them and parts of them, and nothing else but the seed set.
    """
    most, bought = int(drawn.labels.max(initial=0)), int(selected.labels.max(initial=0))
    if most < MIN_DRAWN or bought == 0 or len(val) == 0:
        return None
    said = [answers(val, proba) for proba in (*selected.proba, *drawn.proba)]
    again = np.random.default_rng(seed).multinomial(len(val), np.full(len(val), 1 / len(val)), size=DRAWS)
    weights = np.concatenate([np.ones((1, len(val))), again])
    f1 = np.stack(resampled_macro_f1(weights, said[0][1], [one for _, _, one in said]), axis=1)
    logs = np.log([stretch(selected.labels, drawn.labels, row) for row in f1])
    error = float(logs[1:].var()) + DRIFT**2
    trust = 1 / (1 / error + 1 / PRIOR**2)
    middle, half = trust * float(logs[1:].mean()) / error, float(stats.norm.ppf((1 + LEVEL) / 2)) * np.sqrt(trust)
    found, low, high = (int(min(round(bought * np.exp(x)), num_pool)) for x in (middle, middle - half, middle + half))
    return Worth(bought, found, low, high, num_pool, most)


def stretch(selected: np.ndarray, drawn: np.ndarray, figures: np.ndarray) -> float:
    """Of STRETCHES the one by which selected and random labels fall best onto one curve, by least squares.

    selected: (p,) labels of selection's points. drawn: (r,) of random's, of which more labels count more. figures:
    (p + r,), better when larger.
    """
    weight = np.concatenate([np.ones(len(selected)), drawn / drawn.max()])
    labels = np.concatenate([np.outer(STRETCHES, selected), np.tile(drawn, (len(STRETCHES), 1))], axis=1)
    weight, best = weight / weight.sum(), np.full(len(STRETCHES), np.inf)
    mean = weight @ figures
    for power in POWERS:
        rise = 1 - (1 + labels[:, None] / SCALES[:, None]) ** -power  # (stretches, scales, points), from 0 to 1
        off = rise - (rise @ weight)[..., None]
        slope = np.maximum(off @ (weight * (figures - mean)) / np.maximum(off**2 @ weight, 1e-12), 0)
        # The curve may not end above 1: where it would, it counts as badly as it is above.
        above = np.maximum(mean - slope * (rise @ weight) + slope - 1, 0)
        left = (figures - mean - slope[..., None] * off) ** 2 @ weight + above**2
        best = np.minimum(best, left.min(axis=1))
    return float(STRETCHES[np.round(best, 9).argmin()])


def sentence(kept: dict, drawn: int) -> str:
    """What `Worth.kept` comes to in one sentence without its full stop; {}: nothing can be said yet.

    drawn: random answers there are.
    """
    if not kept:
        return f"what selection is worth cannot be told yet: {drawn} random answer{'' if drawn == 1 else 's'}"
    found = Worth(**kept)
    end = f"all {found.pool:,} of the pool" if found.high >= found.pool else f"{found.high:,}"
    interval = f"[{found.low:,}, {end}]"
    as_good = f"as good as random with {found.as_random:,} labels would be {interval}"
    if found.low > found.labels:
        return f"{as_good}: {found.as_random - found.labels:,} saved"
    if found.high < found.labels:
        return f"random would have been better here: {found.labels:,} labels are {as_good}"
    return (
        f"what selection is worth cannot be told yet: random would be as good with {found.as_random:,} labels "
        f"{interval}, {found.labels:,} were bought; {found.drawn} random answer{'' if found.drawn == 1 else 's'}"
    )
