"""A linear head that fits any encoder: how it is fitted, what is known of its classes, what it says of rows held out.

Features are standardised (`standard`), and the penalty is that of one prior on the weights, whatever the encoder and
however many rows there are. Where classes are described, their prototypes are rows of their own, so that a class
without a sample has a place, and what the weights are drawn towards.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from scipy.special import expit, softmax

from adde_ray.methods.model.convex import Head, Problem, Rows, labelled, solve
from adde_ray.methods.model.losses import Loss
from adde_ray.methods.model.standard import Standard
from adde_ray.methods.stats.folds import spread

PSEUDO_WEIGHT = 0.3
"""How much a pseudo-labelled row counts, labelled ones counting 1."""

TRIAL_STEPS = 30
"""The solver's iterations for a head that is only to say something of rows held out."""

FOLDS = 4
"""Parts of D_t, each told by a head fitted to the others."""


@dataclass(frozen=True)
class Settings:
    """Of a head. decay: penalty times rows, or `per_row` the penalty itself. flatten: see `Standard.view`.

    prototypes: how far weights are drawn towards those of described classes; None: descriptions are not used.
    """

    decay: float = 1.0
    flatten: float = 0.0
    loss: Loss = field(default_factory=Loss)
    prototypes: float | None = None
    per_row: bool = False


@dataclass(frozen=True)
class Described:
    """Prototypes of classes in the space of the features."""

    features: np.ndarray  # (k, d) float32
    class_rows: np.ndarray  # (k,) int64, each class once


class Fitter:
    """What heads are fitted to."""

    def __init__(
        self,
        standard: Standard,
        features: np.ndarray,
        labels: np.ndarray,
        num_classes: int,
        *,
        described: Described | None = None,
        factor: np.ndarray | None = None,
        steps: int = 200,
    ):
        """D_t: features (n, d), and labels (n,) as class rows or (n, C) as targets; n may be 0.

        factor: (n,) how much each row counts besides its class. steps: the solver's iterations at most.
        """
        self.standard, self.features, self.labels, self.num_classes = standard, features, labels, num_classes
        self.described, self.factor, self.steps = described, factor, steps
        self._seen: dict[float, tuple[np.ndarray, np.ndarray]] = {}
        self._tried: dict[tuple[float, int], Head] = {}

    def fit(self, settings: Settings, rows: np.ndarray | None = None, *, pseudo: Rows | None = None) -> Head:
        """The head on standardised features of these rows of D_t, all by default; see `problem` and `folded`."""
        return solve(self.problem(settings, rows, pseudo=pseudo), steps=self.steps)

    def problem(self, settings: Settings, rows: np.ndarray | None = None, *, pseudo: Rows | None = None) -> Problem:
        """What a head of these settings solves, in their view of the features.

        rows: of D_t, all by default. pseudo: more rows, as `pseudo_labelled` gives them.
        """
        x, labels = self._x(settings.flatten), self.labels
        factor = np.ones(len(x)) if self.factor is None else self.factor
        if rows is not None:
            x, labels, factor = x[rows], labels[rows], factor[rows]
        prototypes, class_rows = self._prototypes(settings)
        labels = np.concatenate([labels, self._targets(class_rows)])
        factor = np.concatenate([factor, np.ones(len(prototypes))])
        known = labelled(np.concatenate([x, prototypes]), labels, self.num_classes, settings.loss, factor)
        if pseudo is not None:
            known = known + pseudo
        decay = settings.decay if settings.per_row else settings.decay / max(float(known.weights.sum()), 1.0)
        return Problem(known, settings.loss, decay, self._toward(settings))

    def logits(self, head: Head, settings: Settings, features: np.ndarray) -> np.ndarray:
        """(m, C) by a head of these settings, of features (m, d) as they are."""
        return head.logits(self.standard.view(settings.flatten).of(features))

    def folded(self, head: Head, settings: Settings) -> Head:
        """The head on features as they are."""
        return Head(*self.standard.view(settings.flatten).fold(head.weight, head.bias))

    def held_out(self, settings: Settings, folds: np.ndarray, others: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Logits of D_t (n, C), each row's by a head that did not see it; and of other features (m, d), the mean over
        these heads. folds: (n,) the part each row belongs to."""
        said, beside = np.zeros((len(self.features), self.num_classes), np.float32), []
        other = self.standard.view(settings.flatten).of(others)
        for part in np.unique(folds).tolist():
            problem, key = self.problem(settings, np.flatnonzero(folds != part)), (settings.flatten, part)
            # Settings that are tried one after the other have heads that are near each other.
            head = solve(problem, steps=min(self.steps, TRIAL_STEPS), start=self._tried.get(key))
            self._tried[key] = head
            said[folds == part] = head.logits(self._x(settings.flatten)[folds == part])
            beside.append(head.logits(other))
        return said, np.mean(beside, axis=0) if beside else np.zeros((len(others), self.num_classes), np.float32)

    def pseudo_labelled(self, head: Head, settings: Settings, pool: np.ndarray, per_class: int) -> Rows | None:
        """The `per_class` rows of pool features (p, d) that the head is surest of, of each class that it predicts.

        They are no part of any dataset; each counts `PSEUDO_WEIGHT` of a labelled row (Lee 2013).
        """
        if not len(pool) or not per_class:
            return None
        x = self.standard.view(settings.flatten).of(pool)
        proba = softmax(head.logits(x).astype(np.float64), axis=1)
        said, sure = proba.argmax(axis=1), np.round(proba.max(axis=1), 9)
        rows = np.concatenate([_first(said == c, -sure, per_class) for c in range(self.num_classes)])
        return labelled(x[rows], said[rows], self.num_classes, settings.loss, PSEUDO_WEIGHT)

    def _x(self, flatten: float) -> np.ndarray:
        return self._views(flatten)[0]

    def _views(self, flatten: float) -> tuple[np.ndarray, np.ndarray]:
        """D_t and the prototypes by a view, made once."""
        if flatten not in self._seen:
            self._seen[flatten] = self._view(flatten)
        return self._seen[flatten]

    def _view(self, flatten: float) -> tuple[np.ndarray, np.ndarray]:
        view = self.standard.view(flatten)
        dims = self.features.shape[1] if view.matrix.ndim == 0 else view.matrix.shape[1]
        if self.described is None:
            return view.of(self.features), np.zeros((0, dims), np.float32)
        prototypes = view.of(self.described.features)
        # Words lie elsewhere than samples: what tells classes apart is how they differ from each other.
        prototypes = prototypes - prototypes.mean(axis=0) if len(prototypes) > 1 else prototypes
        lengths = np.linalg.norm(prototypes, axis=1, keepdims=True)
        return view.of(self.features), np.divide(prototypes, lengths, where=lengths > 1e-9, out=prototypes)

    def _prototypes(self, settings: Settings) -> tuple[np.ndarray, np.ndarray]:
        """Of described classes (k, dims), and their class rows; none where the settings pass over them."""
        prototypes = self._views(settings.flatten)[1]
        if self.described is None or settings.prototypes is None:
            return prototypes[:0], np.zeros(0, np.int64)
        return prototypes, self.described.class_rows

    def _targets(self, class_rows: np.ndarray) -> np.ndarray:
        """Labels of prototypes; in a multi-label task nothing is said of the other classes."""
        if self.labels.ndim == 1:
            return class_rows
        targets = np.full((len(class_rows), self.num_classes), np.nan, dtype=self.labels.dtype)
        targets[np.arange(len(class_rows)), class_rows] = 1
        return targets

    def _toward(self, settings: Settings) -> Head:
        prototypes, class_rows = self._prototypes(settings)
        head = Head.zero(self.num_classes, self._x(settings.flatten).shape[1])
        head.weight[class_rows] = (settings.prototypes or 0.0) * prototypes
        return head


def folds_of(labels: np.ndarray, *, seed: int) -> np.ndarray:
    """(n,) the part in 0 … `FOLDS` - 1 of each row, each class spread over all; fewer parts of fewer rows."""
    return spread(labels, max(min(FOLDS, len(labels)), 1), np.random.default_rng(seed))


def rehearsal(of_seed: np.ndarray, share: float) -> np.ndarray:
    """(n,) how much each row counts, so that those of the seed set are at least this share of all."""
    old, new = int(of_seed.sum()), int((~of_seed).sum())
    factor = share * new / ((1 - share) * old) if old else 1.0
    return np.where(of_seed, max(factor, 1.0), 1.0)


def probabilities(logits: np.ndarray, *, multi: bool) -> np.ndarray:
    """(n, C) of logits."""
    return expit(logits) if multi else softmax(logits, axis=1)


def _first(members: np.ndarray, keys: np.ndarray, number: int) -> np.ndarray:
    """Rows of the `number` smallest keys among the members."""
    rows = np.flatnonzero(members)
    return rows[np.argsort(keys[rows], kind="stable")[:number]]
