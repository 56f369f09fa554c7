"""How evenly f serves groups of samples: the values of a subgroup column, or regions of the latent space.

Groups (n values), labels and calibrated probabilities of a held-out split in → one record.

The definitions are fairlearn's, class by class against the rest, and a test holds them to it. The counting is one
product of matrices for all groups and classes: fairlearn makes a table for each class, which takes 40 ms each, with
ten classes and three splits a second a round.
"""

from __future__ import annotations

import numpy as np

from adde_ray.methods.metrics.confusion import answers, weighted

MIN_ROWS = 10
"""A rate stands on at least this many rows. Smaller groups are left out, and counted."""

DIFFERENCES = ("gap", "equalised_odds", "worst_equalised_odds", "demographic_parity")
"""What of a record is the better the smaller."""


def measure(groups: list[str | None], labels: np.ndarray, proba: np.ndarray, classes: tuple[str, ...]) -> dict:
    """What f does to each group of rows. groups: n names, None where a row's group is not known.

    accuracy, rows      by group of at least `MIN_ROWS` rows; accuracy as in `evaluate`
    left_out            rows of smaller groups, and of none
    And from two such groups on:
    worst_group         the name of the one with the lowest accuracy
    worst_accuracy      [0, 1] its accuracy
    gap                 [0, 1] accuracy over all groups together, minus the worst group's
    demographic_parity  [0, 1] largest difference between two groups in the share f says is of a class; the mean over
                        the classes
    parity_of_truth     [0, 1] the same of the labels: what a model without any error would have
    equalised_odds      [0, 1] largest difference between two groups in a class's true or false positive rate,
                        whichever is larger; the mean over the classes of which at least two groups have `MIN_ROWS`
                        rows within and without; absent where there is no such class
    worst_class, worst_equalised_odds  the class where that is largest, and how large

    The mean, since the maximum over many classes is the one with the fewest rows, and moves by chance.
    """
    names = sorted({g for g in groups if g is not None})
    row_of = {name: i for i, name in enumerate(names)}
    member = np.zeros((len(names), len(groups)), dtype=np.float32)
    for row, group in enumerate(groups):
        if group is not None:
            member[row_of[group], row] = 1
    known, true, said = answers(labels, proba)
    sizes = (member @ known.any(axis=1)).astype(int)
    kept = np.flatnonzero(sizes >= MIN_ROWS)
    member, sizes = member[kept], sizes[kept]
    right = (member @ _right(known, true, said)).astype(int)
    record = {
        "accuracy": {names[g]: _rounded(r / n) for g, r, n in zip(kept, right, sizes, strict=True)},
        "rows": {names[g]: int(n) for g, n in zip(kept, sizes, strict=True)},
        "left_out": len(groups) - int(sizes.sum()),
    }
    if len(kept) < 2:
        return record
    worst = int((right / sizes).argmin())
    all_right = right.sum() / sizes.sum()
    record |= {
        "worst_group": names[kept[worst]],
        "worst_accuracy": _rounded(right[worst] / sizes[worst]),
        "gap": _rounded(all_right - right[worst] / sizes[worst]),
    }
    rows, (hits, positives, predicted) = member @ known.astype(np.float32), weighted(member, true, said)
    for name, counts in (("demographic_parity", predicted), ("parity_of_truth", positives)):
        if len(found := _spread(counts, rows)[1]):
            record[name] = _rounded(found.mean())
    odds = [_spread(hits, positives), _spread(predicted - hits, rows - positives)]
    both = odds[0][0] & odds[1][0]
    if both.any():
        larger = np.maximum(*(found[both[measured]] for measured, found in odds))
        at = int(larger.argmax())
        record |= {
            "equalised_odds": _rounded(larger.mean()),
            "worst_class": classes[np.flatnonzero(both)[at]],
            "worst_equalised_odds": _rounded(larger[at]),
        }
    return record


def _right(known: np.ndarray, true: np.ndarray, said: np.ndarray) -> np.ndarray:
    """(n,) float: 1 where all that is known is right, and something is."""
    return ((true == said).all(axis=1) & known.any(axis=1)).astype(np.float32)


def _spread(hits: np.ndarray, rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(C,) bool: classes with at least two groups of `MIN_ROWS` rows; and theirs alone, the largest less the smallest
    rate among these. hits, rows: (G, C) counts."""
    enough = rows >= MIN_ROWS
    rate = hits / np.maximum(rows, 1)
    measured = enough.sum(axis=0) >= 2
    high, low = np.where(enough, rate, -np.inf).max(axis=0), np.where(enough, rate, np.inf).min(axis=0)
    return measured, (high - low)[measured]


def _rounded(value: float) -> float:
    return round(float(value), 6)
