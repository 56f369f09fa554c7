"""What to ask a generator for: open gaps → requests, and for each sample of one where to aim it and what it holds."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from adde_ray.artifacts.run_dir import derive_rng
from adde_ray.labels import PRESENT

if TYPE_CHECKING:
    from adde_ray.methods.space.gaps import Gap
    from adde_ray.methods.synthesis.generators import FitData

CLASS_REACH = 1.5
"""Radii around the centre of a class gap that are aimed at. The radius spans the few samples there are, and more
of the same is worth little: 25 synthetic samples of rare digits raise f's macro-F1 by .006 at 1 (people would
confirm 99 % of them) and by .018 at 1.5 (94 %)."""


@dataclass(frozen=True)
class Request:
    """`count` samples of class row `label` around `point` (r,), within `radius`, for one gap, or none."""

    gap_id: str | None
    label: int
    point: np.ndarray
    radius: float
    count: int


def plan_requests(
    gaps: Sequence[Gap], *, per_round: int, classes: Sequence[str], known: Collection[int] | None = None
) -> list[Request]:
    """Spread `per_round` samples over the open gaps by severity (largest remainder), sorted by gap_id.

    Gaps without a class or a place are passed over: there is nothing to aim at. So are, when `known` gives the
    class rows with a labelled sample, gaps of other classes: no generator draws what nobody has shown it.
    """
    rows = {name: row for row, name in enumerate(classes)}
    aims = [
        (gap, rows[gap.label])
        for gap in sorted(gaps, key=lambda gap: gap.gap_id)
        if gap.status == "open" and gap.label is not None and gap.centroid is not None and len(gap.centroid) > 0
        if known is None or rows[gap.label] in known
    ]
    counts = _largest_remainder(np.array([gap.severity for gap, _ in aims], dtype=float), per_round)
    return [
        Request(
            gap_id=gap.gap_id,
            label=label,
            point=np.asarray(gap.centroid, dtype=np.float32),
            radius=float(gap.radius) * (CLASS_REACH if gap.kind == "class" else 1.0),
            count=int(count),
        )
        for (gap, label), count in zip(aims, counts, strict=True)
        if count > 0
    ]


def untargeted_requests(class_counts: np.ndarray, *, per_round: int, dims: int) -> list[Request]:
    """Spread `per_round` samples over the classes by their share of D_t, and within each over all of the space.

    class_counts: (C,) samples of each class. dims: of the space.
    """
    counts = _largest_remainder(class_counts.astype(float), per_round)
    everywhere = np.zeros(dims, dtype=np.float32)
    return [
        Request(gap_id=None, label=label, point=everywhere, radius=np.inf, count=int(count))
        for label, count in enumerate(counts)
        if count > 0 and class_counts[label] > 0
    ]


def aim(request: Request, points: np.ndarray, class_probs: np.ndarray, *, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Where to aim each sample of a request: (count, r) float32 within its radius, and (count, 2) rows it lies between.

    points (n, r), class_probs (n, C): the rows the generator learns from. Each aim is somewhere between two rows
    inside the gap, drawn by their probability of the class (as SMOTE does, Chawla et al. 2002): random directions
    from the centre would mostly leave the few along which real samples differ. Where no row inside can be of the
    class the aims do go in random directions, and the rows are -1.
    """
    rng = derive_rng(seed, "aim", request.gap_id, request.label)
    inside = np.linalg.norm(points - request.point, axis=1) <= request.radius
    weights = np.where(inside, class_probs[:, request.label].astype(np.float64), 0.0)
    share = rng.random((request.count, 1))
    if weights.sum() > 0:
        rows = rng.choice(len(points), (request.count, 2), p=weights / weights.sum())
        aims = points[rows[:, 0]] * share + points[rows[:, 1]] * (1 - share)
    else:
        rows = np.full((request.count, 2), -1)
        directions = rng.normal(size=(request.count, len(request.point)))
        directions /= np.maximum(np.linalg.norm(directions, axis=1, keepdims=True), 1e-12)
        aims = request.point + directions * request.radius * share
    return aims.astype(np.float32), rows


def to_hold(request: Request, between: np.ndarray, data: FitData) -> np.ndarray:
    """The classes each sample of a request is made of: (count,) class rows, or (count, C) of a multi-label task.

    between: (count, 2) rows of `data` each is aimed between. Of several classes those go together that do so in a real
    sample: the first of those two rows says what is there beside the class asked for.
    """
    if not data.multi:
        return np.full(request.count, request.label)
    found = (data.class_probs[between[:, 0]] >= PRESENT) & (between[:, :1] >= 0)
    found[:, request.label] = True
    return found.astype(np.float32)


def _largest_remainder(weights: np.ndarray, total: int) -> np.ndarray:
    """`total` in whole parts as near to proportional as can be; ties go to the greater weight, then to the first."""
    if len(weights) == 0:
        return np.zeros(0, dtype=int)
    shares = weights / weights.sum() if weights.sum() > 0 else np.full(len(weights), 1 / len(weights))
    # Rounded, so that equal weights have equal remainders whatever the last bit says.
    exact = np.round(shares * total, 9)
    counts = np.floor(exact).astype(int)
    order = np.lexsort((np.arange(len(weights)), -weights, -np.round(exact - counts, 9)))
    counts[order[: total - counts.sum()]] += 1
    return counts
