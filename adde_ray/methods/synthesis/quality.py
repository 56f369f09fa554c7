"""Which synthetic samples people get to see: quality control, and the quality term Q of what passes.

Features and f's probabilities of what a generator made → confidence, agreement, nn_ratio, status, reason (columns of
`schema.SYNTHETIC`); these → Q.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Protocol

import numpy as np
import polars as pl
from scipy.spatial.distance import cdist
from sklearn.dummy import DummyClassifier
from sklearn.ensemble import ExtraTreesClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.naive_bayes import GaussianNB
from sklearn.neighbors import KNeighborsClassifier, NearestNeighbors
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from adde_ray import config
from adde_ray.artifacts.run_dir import derive_rng
from adde_ray.config.registry import Registry
from adde_ray.labels import PRESENT

BEST_CONFIDENCE = 0.6
"""Q's peak before there are decisions to learn from: neither junk nor a sample that teaches f nothing."""

MAX_SCALE_ROWS = 1000
"""Real rows the median nearest-neighbour distance is taken over."""


def quality_control(
    features: np.ndarray,
    intended: np.ndarray,
    proba: np.ndarray,
    *,
    dataset_features: np.ndarray,
    dataset_labels: np.ndarray,
    real_features: np.ndarray,
    config: config.QualityControl,
    min_confidence: float,
    seed: int,
) -> dict[str, np.ndarray | list]:
    """Three filters over m synthetic samples; columns confidence, agreement, nn_ratio, status, reason.

    features (m, d), intended (m,) class rows, proba (m, C) of f. dataset: what the quality models learn from, with
    labels of either form (see `labels`). In a multi-label task the intended class is one of those that may hold.
    real_features: every real sample. A sample near a real one is a copy; of synthetics near one another only
    the one f is surest of is kept. min_confidence: `config.min_confidence` as adaptation has moved it.
    """
    m = len(features)
    confidence = proba[np.arange(m), intended].astype(np.float32)
    agreement = _agreement(features, intended, proba, dataset_features, dataset_labels, config.models, seed)
    scale = _nearest_neighbour_scale(real_features, seed)
    nn_ratio = _ratio(_nearest(features, real_features), scale)
    reasons = [
        "; ".join(
            _short("confidence", confidence[row], min_confidence)
            + _short("agreement", agreement[row], config.min_agreement)
            + _short("copy of a real sample: nearest-neighbour ratio", nn_ratio[row], config.near_copy)
        )
        for row in range(m)
    ]
    passed = [row for row in range(m) if not reasons[row]]
    # Not by position, so that the order candidates come in changes nothing.
    passed.sort(key=lambda row: (-confidence[row], intended[row], features[row].tobytes()))
    apart = _ratio(cdist(features[passed], features[passed]), scale)
    kept: list[int] = []  # rows of `apart`
    for place, row in enumerate(passed):
        ratio = apart[place, kept].min(initial=np.inf)
        found = _short("copy of another synthetic sample: nearest-neighbour ratio", ratio, config.near_copy)
        if found:
            reasons[row] = found[0]
        else:
            kept.append(place)
    return {
        "confidence": confidence,
        "agreement": agreement,
        "nn_ratio": nn_ratio,
        "status": ["rejected" if reason else "kept" for reason in reasons],
        "reason": [reason or None for reason in reasons],
    }


def quality_scores(
    confidence: np.ndarray,
    agreement: np.ndarray,
    nn_ratio: np.ndarray,
    past: pl.DataFrame | None,
    config: config.QualityControl,
) -> np.ndarray:
    """Q of m synthetic samples, (m,) in [0, 1]: the chance that people confirm it. Real samples have Q = 1.

    past: confidence, agreement, nn_ratio and confirmed (accepted or corrected) of synthetic samples decided on.
    Until there are `config.min_decisions` of them, and both outcomes, medium confidence scores best.
    """
    rows = np.column_stack([confidence, agreement, nn_ratio]).astype(np.float64).reshape(-1, 3)
    columns = ["confidence", "agreement", "nn_ratio", "confirmed"]
    # Sorted, so that the fit has the same bits whatever order decisions came in.
    past = None if past is None else past.select(columns).drop_nulls().sort(columns)
    if len(rows) == 0 or past is None or len(past) < config.min_decisions or past["confirmed"].n_unique() < 2:
        away = np.abs(rows[:, 0] - BEST_CONFIDENCE)
        return np.clip(1 - away / BEST_CONFIDENCE, 0.0, 1.0)
    model = make_pipeline(StandardScaler(), LogisticRegression(max_iter=1000))
    model.fit(past.select(columns[:3]).to_numpy(), past["confirmed"].to_numpy())
    return model.predict_proba(rows)[:, 1]


def _agreement(
    features: np.ndarray,
    intended: np.ndarray,
    proba: np.ndarray,
    dataset_features: np.ndarray,
    dataset_labels: np.ndarray,
    names: Sequence[str],
    seed: int,
) -> np.ndarray:
    """(m,) share of f and the quality models that predict the intended class."""
    if dataset_labels.ndim == 2:
        return _agreement_by_class(features, intended, proba, dataset_features, dataset_labels, names, seed)
    votes = [proba.argmax(axis=1) == intended]
    for name in names:
        build = QUALITY_MODELS[name]
        if len(features) == 0 or len(dataset_labels) == 0:
            votes.append(np.zeros(len(features), dtype=bool))
            continue
        nothing_to_tell_apart = np.ptp(dataset_labels) == 0 or not np.ptp(dataset_features, axis=0).any()
        model = DummyClassifier() if nothing_to_tell_apart else build(dataset_labels, seed)
        votes.append(model.fit(dataset_features, dataset_labels).predict(features) == intended)
    return np.mean(votes, axis=0).astype(np.float32)


def _agreement_by_class(
    features: np.ndarray,
    intended: np.ndarray,
    proba: np.ndarray,
    dataset_features: np.ndarray,
    dataset_labels: np.ndarray,
    names: Sequence[str],
    seed: int,
) -> np.ndarray:
    """The same in a multi-label task: whether a class holds is a question by itself, to which the rows know the answer
    of which it is known."""
    agreement = np.zeros(len(features), dtype=np.float32)
    for c in np.unique(intended):
        rows, known = intended == c, ~np.isnan(dataset_labels[:, c])
        p = proba[rows, c]
        two = np.column_stack([p < PRESENT, p >= PRESENT])
        holds = dataset_labels[known, c].astype(np.int64)
        ones = np.ones(len(p), dtype=np.int64)
        agreement[rows] = _agreement(features[rows], ones, two, dataset_features[known], holds, names, seed)
    return agreement


def _nearest_neighbour_scale(real: np.ndarray, seed: int) -> float:
    """Median distance of a real sample to its nearest neighbour, exact duplicates left out; 0 when there is none."""
    if len(real) < 2:
        return 0.0
    rows = np.arange(len(real))
    if len(rows) > MAX_SCALE_ROWS:
        rows = np.sort(derive_rng(seed, "scale").choice(rows, MAX_SCALE_ROWS, replace=False))
    _, neighbours = NearestNeighbors(n_neighbors=2, algorithm="brute").fit(real).kneighbors(real[rows])
    distances = np.linalg.norm(real[rows][:, None] - real[neighbours], axis=2).max(axis=1)
    distances = distances[distances > 0]  # duplicates say nothing about the usual distance
    return float(np.median(distances)) if len(distances) else 0.0


def _nearest(features: np.ndarray, others: np.ndarray) -> np.ndarray:
    """(m,) distance to the nearest of `others`; infinite when there are none."""
    if len(features) == 0 or len(others) == 0:
        return np.full(len(features), np.inf)
    rows = NearestNeighbors(n_neighbors=1, algorithm="brute").fit(others).kneighbors(features, return_distance=False)
    # Taken again from the difference: the fast product form leaves copies at a small distance.
    return np.linalg.norm(features - others[rows[:, 0]], axis=1).astype(np.float64)


def _ratio(distance: np.ndarray, scale: float) -> np.ndarray:
    """Distance in units of `scale`, at most 100. Without a scale only exact copies are near: 0, else 1."""
    ratio = distance / scale if scale > 0 else (distance > 0).astype(np.float64)
    return np.minimum(ratio, 100.0).astype(np.float32)


def _short(what: str, value: float, threshold: float) -> list[str]:
    return [f"{what} {value:.2f} < {threshold:.2f}"] if value < threshold else []


# --- models built differently from f -------------------------------------------------------------------


class QualityModel(Protocol):
    """A scikit-learn classifier."""

    def fit(self, X: np.ndarray, y: np.ndarray) -> QualityModel:
        """Learn from X (m, d) with class rows y (m,). Returns itself."""
        ...

    def predict(self, X: np.ndarray) -> np.ndarray:
        """(n,) class rows of X (n, d)."""
        ...


def _knn(labels: np.ndarray, seed: int) -> QualityModel:
    rarest = np.unique(labels, return_counts=True)[1].min()
    return KNeighborsClassifier(n_neighbors=int(min(5, rarest)), weights="distance")


def _trees(labels: np.ndarray, seed: int) -> QualityModel:
    return ExtraTreesClassifier(60, class_weight="balanced", n_jobs=1, random_state=seed)


def _bayes(labels: np.ndarray, seed: int) -> QualityModel:
    # Uniform priors and a wide variance: a class with one sample has none of its own.
    num = len(np.unique(labels))
    return GaussianNB(priors=np.full(num, 1 / num), var_smoothing=0.05)


QUALITY_MODELS: Registry[Callable[[np.ndarray, int], QualityModel]] = Registry(
    "quality model", {"knn": _knn, "trees": _trees, "bayes": _bayes}, where="quality_control.models"
)
