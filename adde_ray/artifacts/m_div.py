"""M_div, one figure for how diverse the dataset is: a round's diversity metrics in, their mean out."""

from __future__ import annotations

from collections.abc import Mapping

IN_M_DIV = ("class_representation", "vendi_share", "subgroup_representation")
"""`m_div` is the mean of those that are there. All lie in [0, 1] and rise as the dataset becomes more diverse. Which
they are was chosen by their rank correlation with quality (docs/decisions.md)."""

BESIDE = ("coverage", "coverage_entropy", "cluster_entropy", "hull_volume")
"""In [0, 1] as well, and measured beside M_div: they say little of quality."""


def mean_of(terms: Mapping[str, float]) -> float | None:
    """[0, 1], to six digits as metrics.json keeps its terms; None where there is none of `IN_M_DIV`."""
    known = [round(float(terms[name]), 6) for name in IN_M_DIV if name in terms]
    return round(sum(known) / len(known), 6) if known else None


def restated(record: dict) -> dict:
    """A record of metrics.json with the M_div that its terms have today.

    Rounds of runs that an older version began recorded a mean of other terms. Rules and curves that put rounds side by
    side would else take the change of terms for one of the dataset.
    """
    terms = record.get("diversity", {})
    now = mean_of(terms)
    return record if now is None else record | {"diversity": terms | {"m_div": now}}
