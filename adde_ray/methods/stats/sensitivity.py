"""Which settings of a sweep mattered: settings by trial and an objective (n,) in → importance, partial dependence.

A random forest stands for the objective as a function of the settings. What it says counts only as far as it foretells
trials it has not seen, so that share is part of the answer.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import cast

import numpy as np
from sklearn.ensemble import RandomForestRegressor
from sklearn.inspection import partial_dependence, permutation_importance
from sklearn.model_selection import GroupKFold
from sklearn.utils import Bunch

FOLDS = 5
MIN_CONFIGS = 2 * FOLDS
"""Fewer different configs than this leave nothing to judge a forest by."""
REPEATS = 5
GRID = 20
"""Points of a partial dependence, where a setting had more values than this."""


@dataclass(frozen=True)
class Sensitivity:
    """explained: share of the objective's variance foretold in trials held out; 0 or less = nothing was learned.

    importance: by key, the share of the variance that goes through it, about 0 to 1: half of what the squared error
    grows by when its values are shuffled among trials held out (the total effect, after Jansen 1999).
    dependence: by key, its values and the objective expected there, over the other settings as they were drawn.
    """

    explained: float
    importance: dict[str, float]
    dependence: dict[str, tuple[list, list[float]]]


def sensitivity(settings: Mapping[str, Sequence], objective: Sequence[float], *, seed: int) -> Sensitivity | None:
    """Numbers, booleans and names, one value a trial; None with fewer than `MIN_CONFIGS` different configs.

    Trials of one config (its seeds) are held out together. A key with one value only is left out.
    """
    columns = {key: _Column(values) for key, values in settings.items()}
    columns = {key: column for key, column in columns.items() if len(column.values) > 1}
    y = np.asarray(objective, dtype=float)
    x = np.stack([column.codes for column in columns.values()], axis=1) if columns else np.empty((len(y), 0))
    configs, group = np.unique(x, axis=0, return_inverse=True)
    if len(configs) < MIN_CONFIGS or np.ptp(y) == 0:
        return None

    missed, lost = np.zeros(len(y)), np.zeros(x.shape[1])
    for train, test in GroupKFold(FOLDS, shuffle=True, random_state=seed).split(x, groups=group):
        forest = _forest(seed).fit(x[train], y[train])
        missed[test] = (y[test] - forest.predict(x[test])) ** 2
        shuffled = permutation_importance(
            forest, x[test], y[test], scoring="neg_mean_squared_error", n_repeats=REPEATS, random_state=seed
        )
        lost += cast("Bunch", shuffled).importances_mean * len(test)  # one scoring, so one bunch
    whole, scale = _forest(seed).fit(x, y), len(y) * y.var()
    dependence = {}
    for i, (key, column) in enumerate(columns.items()):
        grid = column.grid()
        found = partial_dependence(whole, x, [i], custom_values={i: grid}, kind="average", method="brute")
        dependence[key] = [column.named(code) for code in grid], found["average"][0].tolist()
    importance = dict(zip(columns, (lost / (2 * scale)).tolist(), strict=True))
    return Sensitivity(float(1 - missed.sum() / scale), importance, dependence)


class _Column:
    """A setting as numbers. Names are numbered by their order, and have no other."""

    def __init__(self, values: Sequence):
        self.is_number = all(isinstance(v, (int, float)) and not isinstance(v, bool) for v in values)
        self.values = sorted(set(values), key=None if self.is_number else str)
        place = {value: i for i, value in enumerate(self.values)}
        self.codes = np.array([v if self.is_number else place[v] for v in values], dtype=float)

    def grid(self) -> np.ndarray:
        codes = np.unique(self.codes)
        return codes if len(codes) <= GRID else np.unique(np.quantile(self.codes, np.linspace(0.02, 0.98, GRID)))

    def named(self, code: float) -> object:
        return float(code) if self.is_number else self.values[int(code)]


def _forest(seed: int) -> RandomForestRegressor:
    return RandomForestRegressor(n_estimators=100, min_samples_leaf=2, random_state=seed)
