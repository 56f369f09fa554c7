"""Earlier labels to look at again: confident learning (Northcutt et al. 2021) over what heads say of unseen rows.

Of cleanlab (extra `review`). A multi-label task goes class by class, so that a class nobody knew of a sample says
nothing of it; a sample is as doubtful as its most doubtful class.
"""

from __future__ import annotations

import numpy as np
import polars as pl

from adde_ray.errors import needed

SCHEMA = {
    "row": pl.Int64,  # of what was given
    "quality": pl.Float64,  # in [0, 1], small = doubtful
    "issue": pl.Boolean,  # confident learning counts it among the errors
    "class_row": pl.Int64,  # the class it may be instead; multi-label: the class that is in doubt
}


def second_look(labels: np.ndarray, proba: np.ndarray) -> pl.DataFrame:
    """SCHEMA, the label most worth another look first; rows without a label are left out.

    labels: (n,) class rows, or (n, C) targets of a multi-label task, NaN where not known. proba: (n, C) calibrated
    probabilities of heads that did not see the row. Raises UserError: cleanlab is not installed.
    """
    needed("cleanlab", extra="review", where="second look", value="cleanlab")
    found = _single(labels, proba) if labels.ndim == 1 else _multi(labels, proba)
    return found.sort("issue", "quality", "row", descending=[True, False, False])


def _single(labels: np.ndarray, proba: np.ndarray) -> pl.DataFrame:
    labels = np.asarray(labels, dtype=np.int64)
    kept = np.flatnonzero(labels >= 0)
    issue, quality = _doubts(labels[kept], proba[kept])
    others = np.where(np.arange(proba.shape[1]) == labels[kept, None], -1.0, proba[kept])
    best = others.argmax(axis=1) if len(kept) else kept
    return pl.DataFrame({"row": kept, "quality": quality, "issue": issue, "class_row": best}, schema=SCHEMA)


def _multi(labels: np.ndarray, proba: np.ndarray) -> pl.DataFrame:
    quality, issue = np.full(labels.shape, np.inf), np.zeros(labels.shape, dtype=bool)
    for c in range(labels.shape[1]):
        kept = np.flatnonzero(~np.isnan(labels[:, c]))
        two = np.stack([1 - proba[kept, c], proba[kept, c]], axis=1)
        issue[kept, c], quality[kept, c] = _doubts(labels[kept, c].astype(np.int64), two)
    rows = np.flatnonzero(np.isfinite(quality).any(axis=1))
    # The class in doubt is an issue's, where there is one.
    most = np.where(issue[rows], quality[rows] - 1, quality[rows]).argmin(axis=1) if len(rows) else rows
    return pl.DataFrame(
        {"row": rows, "quality": quality[rows, most], "issue": issue[rows, most], "class_row": most}, schema=SCHEMA
    )


def _doubts(labels: np.ndarray, proba: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Of each row, whether it is an issue, and its quality: cleanlab's normalised margin, rounded."""
    from cleanlab.filter import find_label_issues
    from cleanlab.rank import get_label_quality_scores

    if not len(labels):
        return np.zeros(0, dtype=bool), np.zeros(0)
    proba = np.asarray(proba, dtype=np.float64)
    quality = np.round(get_label_quality_scores(labels, proba, method="normalized_margin"), 9)
    if len(np.unique(labels)) < 2:  # among labels of one class nothing can be counted
        return np.zeros(len(labels), dtype=bool), quality
    # Both ways of confident learning: rows off the diagonal of the confident joint, and each class's share of errors.
    issue = find_label_issues(labels, proba, filter_by="both", n_jobs=1)
    return np.asarray(issue, dtype=bool), quality
