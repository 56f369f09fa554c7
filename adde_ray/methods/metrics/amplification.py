"""Whether the loop makes biases stronger: what it began with and what it has now in → signed numbers, > 0 = stronger.

Three things can grow: how lopsided the dataset is (imbalance), how unevenly f serves groups (gaps), and how far what
f says of a population is from what is true of it (the bias statistic over generations of models that learn from each
other's labels, Taori & Hashimoto 2022, "Data feedback loops").
"""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from adde_ray.methods.metrics.confusion import answers

GAPS = ("gap", "equalised_odds", "demographic_parity")
"""Of a `fairness.measure`. The last is not in the mean: where classes differ between groups, as they do between
regions, a model that learns to tell them comes to differ too, and that is no bias."""

IN_MEAN = ("gap", "equalised_odds")


def imbalance(counts: np.ndarray, target: np.ndarray) -> float:
    """[0, 1]: total variation distance of the shares of some counts (or masses) to target shares; 0 for no rows."""
    total = counts.sum()
    return float(0.5 * np.abs(counts / total - target).sum()) if total > 0 else 0.0


def misstatement(
    labels: np.ndarray, proba: np.ndarray, groups: list[str | None] | None = None, *, min_rows: int = 1
) -> float | None:
    """[0, 1]: how far the shares of the classes f says (within a group, the mean over the groups) are from the truth.

    Total variation distance; in a multi-label task the mean over the classes of how far their share is off. None
    without a group of `min_rows` rows. groups: n names, None where unknown; left out: all rows are one group.
    """
    known, true, said = answers(labels, proba)
    off = said.astype(np.float32) - true
    names = sorted({g for g in groups if g is not None}) if groups is not None else []
    row_of = {name: i for i, name in enumerate(names)}
    of_row = (
        np.zeros(len(labels), int)
        if groups is None
        else np.array([-1 if g is None else row_of[g] for g in groups], int)
    )
    found = []
    for group in range(len(names) if groups is not None else 1):
        rows = of_row == group
        if rows.sum() < max(min_rows, 1):
            continue
        away = np.abs(off[rows].sum(axis=0))
        one_each = labels.ndim == 1
        found.append(away.sum() / rows.sum() / 2 if one_each else (away / np.maximum(known[rows].sum(0), 1)).mean())
    return float(np.mean(found)) if found else None


def amplification(now: dict, first: dict, *, shown: str) -> dict:
    """Changes since the first round, in which f has learned from D_seed alone. All in [-1, 1], > 0 = amplified.

    now, first: of a round each
      imbalance     attribute -> {"dataset", "pool"}, see `imbalance`; the pool's may be missing
      fairness      split -> attribute -> `fairness.DIFFERENCES`
      misstatement  split -> attribute -> `misstatement`
    shown: the split that the means are of.

    imbalance: by attribute, that of D_t less that of D_seed (`seed`) and of the pool now (`pool`). gaps and
    misstatement: by split and attribute, now less first. mean_imbalance (against the seed set), mean_gaps,
    mean_misstatement: over the attributes; overall: the mean of those three that are there.
    """
    shares = {}
    for name, found in now["imbalance"].items():
        changes = {"seed": found["dataset"] - first["imbalance"][name]["dataset"]}
        if "pool" in found:
            changes["pool"] = found["dataset"] - found["pool"]
        shares[name] = _rounded(changes)
    gaps = {
        split: {
            name: _change(first["fairness"].get(split, {}).get(name, {}), record, GAPS) for name, record in of.items()
        }
        for split, of in now["fairness"].items()
    }
    said = {split: _change(first["misstatement"].get(split, {}), of, of) for split, of in now["misstatement"].items()}
    means = {
        "mean_imbalance": _mean(changes["seed"] for changes in shares.values()),
        "mean_gaps": _mean(
            found[name] for found in gaps.get(shown, {}).values() for name in IN_MEAN if name in found
        ),
        "mean_misstatement": _mean(said.get(shown, {}).values()),
    }  # fmt: skip
    means = {name: value for name, value in means.items() if value is not None}
    record = {"imbalance": shares, "gaps": gaps, "misstatement": said}
    return record | _rounded(means) | _rounded({"overall": float(np.mean(list(means.values())))} if means else {})


def _change(first: dict, now: dict, names: Iterable[str]) -> dict[str, float]:
    """Where both have a figure."""
    return _rounded({name: now[name] - first[name] for name in names if name in now and name in first})


def _mean(values: Iterable[float]) -> float | None:
    values = list(values)
    return float(np.mean(values)) if values else None


def _rounded(values: dict[str, float]) -> dict[str, float]:
    return {name: round(float(value), 6) for name, value in values.items()}
