"""Which features tell the labels there are: features of several encoders and labels in, macro-F1 with intervals out.

Each encoder's score is that of a ridge head by repeated stratified cross-validation, its penalty chosen inside each
training part. Ridge has its held-out answers in closed form, also those with two parts held out, which is what
choosing inside takes: one decomposition an encoder does for all of it.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import combinations

import numpy as np
from scipy import stats

from adde_ray.labels import holds
from adde_ray.methods.stats.folds import spread
from adde_ray.methods.stats.paired_rows import resampled_macro_f1

FOLDS, REPEATS = 5, 3

PENALTIES = np.logspace(-5, -0.5, 6)
"""Per row, for features of mean square 1 around their mean."""

DRAWS = 300
"""Resamples of the rows."""

LEVEL, WORTH = 0.95, 0.01
"""Of the interval within which two encoders are as good as each other; and what is no difference whatever it says."""

_INTERCEPT = 10.0  # a constant feature so large that its weight is hardly penalised


@dataclass(frozen=True)
class Scores:
    """Macro-F1 of k encoders on the same rows. drawn: (k, DRAWS) of them, on resamples that all encoders share."""

    means: np.ndarray
    drawn: np.ndarray

    def interval(self, row: int, level: float = LEVEL) -> tuple[float, float]:
        """Of one encoder's macro-F1: which rows happened to be labelled."""
        half = float(stats.norm.ppf((1 + level) / 2) * self.drawn[row].std(ddof=1))
        return max(float(self.means[row]) - half, 0.0), min(float(self.means[row]) + half, 1.0)

    def chosen(self) -> int:
        """The first, they being in order of preference, that is not below the best beyond noise."""
        best = int(self.means.argmax())
        error = (self.drawn[best] - self.drawn).std(axis=1, ddof=1)
        noise = np.maximum(stats.norm.ppf((1 + LEVEL) / 2) * error, WORTH)
        return int(np.flatnonzero(self.means[best] - self.means <= noise)[0])


def usable(labels: np.ndarray) -> np.ndarray:
    """Rows to compare encoders on, of (n,) class rows or (n, C) targets: those of classes with two rows.

    None where fewer than two classes have them; of a multi-label task, where no class both holds and does not.
    """
    if labels.ndim == 2:
        known = ~np.isnan(labels)
        fit = (((labels == 1) & known).sum(axis=0) >= 2) & (((labels == 0) & known).sum(axis=0) >= 2)
        return np.flatnonzero(known.any(axis=1)) if fit.any() else np.zeros(0, int)
    names, counts = np.unique(labels[labels >= 0], return_counts=True)
    enough = names[counts >= 2]
    return np.flatnonzero(np.isin(labels, enough)) if len(enough) > 1 else np.zeros(0, int)


def balanced(labels: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """All n rows in an order of which every first part has as many rows of a class as of the others, while there are.

    Two of a class come together: one alone tells nothing. Any order where several classes may hold.
    """
    order = rng.permutation(len(labels))
    if labels.ndim == 1:
        order = order[np.argsort(_rank_in_class(labels[order]) // 2, kind="stable")]
    return order


def compare(features: list[np.ndarray], labels: np.ndarray, *, seed: int) -> Scores:
    """Scores of k encoders' (n, d) features of the same n rows.

    labels: (n,) class rows, at least two rows of each of two classes or more, or (n, C) targets of a multi-label task:
    there a class is said to hold of as many rows as it holds of.
    """
    rng = np.random.default_rng(seed)
    if labels.ndim == 1:
        labels = np.unique(labels, return_inverse=True)[1]
    num = labels.shape[1] if labels.ndim == 2 else int(labels.max()) + 1
    truth, known = holds(labels, num), np.ones((len(labels), num), bool) if labels.ndim == 1 else ~np.isnan(labels)
    folds = np.stack([spread(labels, FOLDS, rng) for _ in range(REPEATS)])
    draws = rng.multinomial(len(labels), np.full(len(labels), 1 / len(labels)), size=DRAWS).astype(float)
    draws = np.concatenate([np.ones((1, len(labels))), draws])
    found = []
    for x in features:
        held_out = held_out_scores(x, labels, folds)
        said = [_said(one, labels, truth, known) & known for one in held_out]
        found.append(np.mean(resampled_macro_f1(draws, truth & known, said), axis=0))
    scores = np.stack(found)
    return Scores(scores[:, 0], scores[:, 1:])


def held_out_scores(features: np.ndarray, labels: np.ndarray, folds: np.ndarray) -> np.ndarray:
    """(R, n, C) scores of classes, each row's by a ridge head fitted without its fold. folds: (R, n) of `FOLDS`.

    The penalty of a fold is the one with the least squared error on the other folds, each fitted without both.
    """
    num = labels.shape[1] if labels.ndim == 2 else int(labels.max()) + 1
    targets = holds(labels, num).astype(float)
    weights = np.ones(len(labels))
    if labels.ndim == 1:  # each class as heavy as every other
        counts = np.bincount(labels, minlength=num)
        weights = (len(labels) / (np.count_nonzero(counts) * counts))[labels]
    root = np.sqrt(weights)[:, None]
    values, vectors = _decomposed(features, root)
    y = root * targets
    projected = vectors.T @ y
    found = np.zeros((len(folds), *targets.shape))
    errors = np.zeros((len(PENALTIES), len(folds), FOLDS))
    alone = np.zeros((len(PENALTIES), *found.shape))
    for p, penalty in enumerate(PENALTIES * len(labels)):
        kept = values / (values + penalty)
        residual = y - (vectors * kept) @ projected
        hat = (vectors * kept) @ vectors.T
        for r, fold in enumerate(folds):
            parts = [np.flatnonzero(fold == f) for f in range(FOLDS)]
            for a, b in combinations(range(FOLDS), 2):
                both = np.concatenate([parts[a], parts[b]])
                left = _left_out(hat, residual, both)
                errors[p, r, a] += np.square(left[len(parts[a]) :]).sum()  # on b, without a and b
                errors[p, r, b] += np.square(left[: len(parts[a])]).sum()
            for part in parts:
                alone[p, r, part] = (y[part] - _left_out(hat, residual, part)) / root[part]
    best = errors.argmin(axis=0)
    for r, fold in enumerate(folds):
        found[r] = alone[best[r][fold], r, np.arange(len(labels))]
    return found


def _left_out(hat: np.ndarray, residual: np.ndarray, rows: np.ndarray) -> np.ndarray:
    """Residuals of rows by a fit without them, from those of the fit on all."""
    return np.linalg.solve(np.eye(len(rows)) - hat[np.ix_(rows, rows)], residual[rows])


def _decomposed(features: np.ndarray, root: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Squared singular values (k,) and left vectors (n, k) of the weighted features with a constant one."""
    x = np.asarray(features, dtype=np.float64)
    x = x - x.mean(axis=0)
    scale = np.sqrt(np.square(x).sum(axis=1).mean())
    x = root * np.column_stack([x / (scale if scale > 0 else 1.0), np.full(len(x), _INTERCEPT)])
    if len(x) <= x.shape[1]:
        values, vectors = np.linalg.eigh(x @ x.T)
        return np.maximum(values, 0), vectors
    values, right = np.linalg.eigh(x.T @ x)
    some = values > 1e-10 * values[-1]
    return values[some], (x @ right[:, some]) / np.sqrt(values[some])


def _said(scores: np.ndarray, labels: np.ndarray, truth: np.ndarray, known: np.ndarray) -> np.ndarray:
    """(n, C) bool: the class of the largest score, or of each class as many rows as it holds of."""
    if labels.ndim == 1:
        return holds(scores.argmax(axis=1), scores.shape[1])
    ranks = np.where(known, -scores, np.inf).argsort(axis=0, kind="stable").argsort(axis=0, kind="stable")
    return ranks < (truth & known).sum(axis=0)


def _rank_in_class(labels: np.ndarray) -> np.ndarray:
    """(n,) how many rows of the same class come before each."""
    order = np.argsort(labels, kind="stable")
    ordered = labels[order]
    starts = np.searchsorted(ordered, ordered)
    ranks = np.empty(len(labels), int)
    ranks[order] = np.arange(len(labels)) - starts
    return ranks
