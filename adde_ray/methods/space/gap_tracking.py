"""Gaps followed from round to round: last round's gaps and those found now -> the same under lasting names.

A gap keeps its `gap_id`, the round it opened in, what it is in words and the tally of what was tried, also when the
embedding moves.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from adde_ray.config.run import GAP_KINDS, GapKind
from adde_ray.methods.space.gaps import OF_REGIONS, Gap

LETTERS: dict[GapKind, str] = {"density": "d", "small_cluster": "s", "class": "c", "subgroup": "g"}
"""First letter of a gap's id, by kind."""

TALLIES = ("num_synthesised", "num_asked", "num_confirmed", "num_inside")
"""What a gap counts over the rounds."""


def track(
    previous: list[Gap],
    found: list[Gap],
    *,
    round: int,
    ids: list[str],
    points: np.ndarray,
    tried: dict[str, tuple[int, ...]],
) -> list[Gap]:
    """`found` under lasting names, followed by the gaps that are filled.

    previous: all gaps of the round before. ids, points (n, r): the reference in the current space.
    tried: gap_id -> (synthesised, asked, confirmed, inside) since then, as `TALLIES`; added to the tallies.

    Classes and subgroups match by name. Regions match by where their anchors lie now, one to one, within the
    radius. An open gap that is not found any more is filled; a filled one that is found again reopens.
    """
    where = {sample_id: row for row, sample_id in enumerate(ids)}
    previous = [_relocate(_tally(gap, tried), where, points) for gap in sorted(previous, key=lambda gap: gap.gap_id)]
    sites = [_relocate(gap, where, points).centroid for gap in found]
    matches = _match([gap for gap in previous if gap.is_open], found, sites)
    rest = [gap if row not in matches else None for row, gap in enumerate(found)]
    matches |= _match([gap for gap in previous if not gap.is_open], rest, sites)
    named, counts = [], dict.fromkeys(GAP_KINDS, 0)
    for row, gap in enumerate(found):
        if row in matches:
            old = matches[row]
            tallies = {name: getattr(old, name) for name in TALLIES}
            kept = {"gap_id": old.gap_id, "opened_round": old.opened_round, "in_words": old.in_words}
            named.append(replace(gap, **kept, **tallies))
        else:
            counts[gap.kind] += 1
            gap_id = f"{LETTERS[gap.kind]}{round:03d}-{counts[gap.kind]:02d}"
            named.append(replace(gap, gap_id=gap_id, opened_round=round))
    kept = {gap.gap_id for gap in named}
    return named + [_fill(gap, round) for gap in previous if gap.gap_id not in kept]


def _match(previous: list[Gap], found: Sequence[Gap | None], sites: list[tuple[float, ...]]) -> dict[int, Gap]:
    """Row of `found` -> the previous gap it is."""
    from scipy.optimize import linear_sum_assignment
    from scipy.spatial.distance import cdist

    named = {(gap.kind, gap.label, gap.subgroup): gap for gap in previous if gap.kind not in OF_REGIONS}
    matches = {}
    for row, gap in enumerate(found):
        if gap and (gap.kind, gap.label, gap.subgroup) in named:
            matches[row] = named[gap.kind, gap.label, gap.subgroup]
    for kind in OF_REGIONS:
        regions = {row: gap for row, gap in enumerate(found) if gap and gap.kind == kind}
        rows = list(regions)
        olds = [gap for gap in previous if gap.kind == kind and rows and len(gap.centroid) == len(sites[rows[0]])]
        if not rows or not olds:
            continue
        radius = np.array([max(gap.radius, 1e-12) for gap in regions.values()])
        distances = cdist([sites[row] for row in rows], [gap.centroid for gap in olds]) / radius[:, None]
        # A pair too far apart costs more than all others together: as many as possible are matched.
        cost = np.where(distances <= 1, distances, 1.0 + len(rows) + len(olds))
        for i, j in zip(*linear_sum_assignment(cost), strict=True):
            if distances[i, j] <= 1:
                matches[rows[i]] = olds[j]
    return matches


def _relocate(gap: Gap, where: dict[str, int], points: np.ndarray) -> Gap:
    """The gap with its centroid at its anchors' mean in the current space; as it is where none is left."""
    rows = [where[anchor] for anchor in gap.anchors if anchor in where]
    if not rows:
        return gap
    return replace(gap, centroid=tuple(points[rows].mean(axis=0, dtype=np.float64).astype(np.float32).tolist()))


def _tally(gap: Gap, tried: dict[str, tuple[int, ...]]) -> Gap:
    more = tried.get(gap.gap_id, (0,) * len(TALLIES))
    return replace(gap, **{name: getattr(gap, name) + n for name, n in zip(TALLIES, more, strict=False)})


def _fill(gap: Gap, round: int) -> Gap:
    return replace(gap, status="filled", severity=0.0, filled_round=round) if gap.is_open else gap
