"""Gaps: regions, classes and subgroups the dataset holds too little of.

A `Space`, the reference rows (all real samples), the dataset D_t and f's probabilities -> `Gap`s, which
become the rows of `schema.GAPS`. One round at a time; `gap_tracking` follows them from round to round.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, dataclass
from functools import cached_property
from typing import Any

import numpy as np
import polars as pl
import torch

from adde_ray.artifacts.schema import GAPS, UNLABELLED, Population, frame
from adde_ray.config import Diversity, Gaps
from adde_ray.config.run import GAP_KINDS, GapKind
from adde_ray.labels import PRESENT, holds
from adde_ray.methods.space.clustering import Space, neighbours
from adde_ray.methods.space.diversity import class_target, subgroup_targets
from adde_ray.methods.space.region_counts import RegionCounts, of_reference

SPARSE = 0.5
"""A cell is sparse when it holds less than this share of the labels its rows would have at the overall rate."""

ISOLATED = 1.25
"""A cluster is isolated when leaving it takes at least this many times the distance between its members (medians).
Measured: rare classes of digits and CLINC150 lie at 1.5 to 5, fragments of a common class at 1.0 to 1.2."""

NUM_ANCHORS = 5

OF_REGIONS: tuple[GapKind, ...] = ("density", "small_cluster")
"""Kinds of gaps that are a place in the space; the others are a class or a subgroup, wherever it lies."""

FAR = 0.01
"""Membership under which a sample is too far from a region to be looked up in it."""


@dataclass(frozen=True)
class Gap:
    """One under-represented region, class or subgroup: a row of `schema.GAPS`, where the fields are explained."""

    gap_id: str
    kind: GapKind
    label: str | None
    subgroup: str | None
    centroid: tuple[float, ...]
    radius: float
    density: float
    severity: float
    num_labelled: int
    num_pool: int
    status: str
    opened_round: int
    filled_round: int | None
    anchors: tuple[str, ...]
    num_synthesised: int = 0
    num_asked: int = 0
    num_confirmed: int = 0
    num_inside: int = 0
    in_words: str | None = None

    @property
    def is_open(self) -> bool:
        """Whether it is there still, to be filled."""
        return self.status == "open"


def to_frame(gaps: list[Gap]) -> pl.DataFrame:
    """`schema.GAPS`, one row a gap."""
    return frame([asdict(gap) for gap in gaps], GAPS)


def from_frame(table: pl.DataFrame) -> list[Gap]:
    """The inverse of `to_frame`, exactly. The first version took all it asked about for inside."""
    return [_from_row(row) for row in table.to_dicts()]


def _from_row(row: dict[str, Any]) -> Gap:
    tuples = {name: tuple(row[name]) for name in ("centroid", "anchors")}
    fields: dict[str, Any] = {"num_inside": row["num_asked"], **row, **tuples}
    return Gap(**fields)


def find_gaps(
    space: Space,
    reference: Population,
    dataset: Population,
    *,
    asked: np.ndarray,
    proba: np.ndarray,
    classes: tuple[str, ...],
    config: Gaps,
    diversity: Diversity,
    counts: RegionCounts | None = None,
) -> list[Gap]:
    """All gaps of this round, by kind and most severe first, not yet named (`gap_id` is empty).

    reference: the n real rows `space` was fitted on; its labels are not looked at. dataset: D_t, synthetic included.
    asked: (n,) bool, people have answered for this row. proba: (n, C) f's class probabilities.
    counts: what is counted where; needed when the reference is only a sample of the real rows.

    density        k-means cell with real rows, few labelled, and fewer than the overall rate of labels gives it
    small_cluster  small isolated HDBSCAN cluster with few labelled
    class          class that holds less than `tolerance` of its target share
    subgroup       the same for a value of a subgroup column
    `num_pool` counts the real rows inside that nobody was asked about (expected number for a class); a row people
    rejected counts against calling its region sparse, so that junk is not asked for again.
    Among equally severe gaps of a kind, those with the largest `num_pool` come first.
    """
    assert len(asked) == len(proba) == len(reference) == len(space.points)
    asked = np.asarray(asked, dtype=bool)
    counts = counts or of_reference(space, asked, np.isin(reference.ids, dataset.ids))
    context = GapContext(space, reference, dataset, asked, proba, classes, config, diversity, counts)
    return [gap for kind in GAP_KINDS if kind in config.kinds for gap in sorted(FINDERS[kind](context), key=_key)]


def open_gaps(gaps: list[Gap], config: Gaps) -> list[Gap]:
    """The open gaps to act on, at most `max_open`: the first of each kind, the second of each kind, …

    Within a kind the most severe come first, among equals those people were asked about least, inside or near: where
    questions miss a gap, others have their turn all the same. Then in the order given. What was synthesised for a gap,
    and never asked about, must not turn the query to others. The kinds alternate because many classes without a label,
    of which f knows nothing yet, would crowd out the regions where they can be found.
    """
    ranked = []
    for order, kind in enumerate(GAP_KINDS):
        of_kind = [gap for gap in gaps if gap.is_open and gap.kind == kind]
        of_kind.sort(key=lambda gap: (-gap.severity, gap.num_asked))
        ranked += [(rank, order, gap) for rank, gap in enumerate(of_kind)]
    return [gap for *_, gap in sorted(ranked, key=lambda entry: entry[:2])][: config.max_open]


def membership(
    points: np.ndarray,
    proba: np.ndarray,
    subgroups: dict[str, list[str | None]],
    gaps: list[Gap],
    classes: tuple[str, ...],
) -> np.ndarray:
    """(n, g) in [0, 1]: how much of each gap a sample would fill, times the gap's severity; 0 for filled gaps.

    points (n, r), proba (n, C), subgroups: column -> n values. Regions: 1 at the centroid, 1/2 at the radius,
    steep around it. Classes: p(class | x). Subgroups: 1 for those that belong.
    """
    share = np.zeros((len(points), len(gaps)), dtype=np.float32)
    regions = [column for column, gap in enumerate(gaps) if gap.is_open and gap.kind in OF_REGIONS]
    if regions:
        share[:, regions] = _kernels(points, [gaps[column] for column in regions])
    for column, gap in enumerate(gaps):
        if not gap.is_open:
            continue
        if gap.kind == "class":
            share[:, column] = proba[:, classes.index(gap.label)]
        elif gap.kind == "subgroup":
            for name, values in subgroups.items():
                share[:, column] += [value is not None and f"{name}={value}" == gap.subgroup for value in values]
        share[:, column] *= gap.severity
    return np.clip(share, 0, 1)


def home_gap(
    points: np.ndarray,
    proba: np.ndarray,
    membership: np.ndarray,
    gaps: list[Gap],
    space: Space,
    classes: tuple[str, ...],
    *,
    multi: bool = False,
) -> list[str | None]:
    """The id of the gap each sample lies in, by the rule by which a gap's labelled ones are counted; None in none.

    points (n, r) and proba (n, C) of the samples, and their `membership` (n, g): of several gaps it is the one a sample
    fills best. A sample lies in a class gap when f expects that class, as far as anybody knows before it is labelled.
    """
    inside = membership > 0  # all there is to a subgroup
    said = proba >= PRESENT if multi else holds(proba.argmax(axis=1), proba.shape[1])
    for column, gap in enumerate(gaps):
        if gap.kind == "class":
            inside[:, column] &= said[:, classes.index(gap.label)]
    for kind in OF_REGIONS:
        columns = [column for column, gap in enumerate(gaps) if gap.kind == kind]
        inside[:, columns] = _in_regions(points, membership[:, columns], [gaps[column] for column in columns], space)
    fits = np.where(inside, membership, 0)
    if not fits.shape[1]:
        return [None] * len(fits)
    ids = np.array([*(gap.gap_id for gap in gaps), None], dtype=object)
    return ids[np.where(fits.max(axis=1) > 0, fits.argmax(axis=1), -1)].tolist()


def _in_regions(points: np.ndarray, membership: np.ndarray, gaps: list[Gap], space: Space) -> np.ndarray:
    """(n, k) bool: which of n points lie in each of k regions of one kind, a cell or a cluster. membership: (n, k)."""
    inside = np.zeros(membership.shape, dtype=bool)
    near = np.flatnonzero((membership > FAR).any(axis=1))  # most of a pool is far from all of them
    if gaps and len(near):
        place_of = space.cell_of if gaps[0].kind == "density" else space.cluster_of
        inside[near] = place_of(points[near])[:, None] == homes(space, gaps)
    return inside


def homes(space: Space, gaps: list[Gap]) -> np.ndarray:
    """(g,) cell or cluster of regions of one kind."""
    centroids = np.array([gap.centroid for gap in gaps], dtype=np.float32)
    if gaps[0].kind == "density":
        return space.cell_of(centroids)
    members = np.flatnonzero(space.clusters >= 0)  # at its centre a cluster may be empty: its nearest row knows it
    return space.clusters[members[neighbours(space.points[members], centroids, 1)[1][:, 0]]]


def _kernels(points: np.ndarray, gaps: list[Gap]) -> np.ndarray:
    centroids = np.array([gap.centroid for gap in gaps], dtype=np.float32)
    # A region of equal rows has no extent: only float32 rounding may separate a member from it.
    rounding = 1e-5 * np.maximum(np.abs(centroids).max(axis=1, initial=0), 1e-30)
    radii = np.maximum([gap.radius for gap in gaps], rounding).astype(np.float32)
    # Plain differences: a product would lose the small distances of a tight region far from the origin.
    plain = "donot_use_mm_for_euclid_dist"
    distances = torch.cdist(torch.from_numpy(np.float32(points)), torch.from_numpy(centroids), compute_mode=plain)
    # The fourth power: in many dimensions all members lie near the radius, and the next cell not far beyond. Torch's
    # exp2 has another last bit for what does not fill a vector register, so not that one.
    return np.exp2(-(np.square(np.square(np.minimum(distances.numpy() / radii, 10)))))


# --- finding -------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class GapContext:
    """What finders look at: the arguments of `find_gaps`, and what several of them count."""

    space: Space
    reference: Population
    dataset: Population
    asked: np.ndarray
    proba: np.ndarray
    classes: tuple[str, ...]
    config: Gaps
    diversity: Diversity
    counts: RegionCounts

    @cached_property
    def labels(self) -> np.ndarray:
        """(n,) where the reference rows' labels stand: rows of D_t, which alone says what is labelled."""
        held = {sample_id: row for row, sample_id in enumerate(self.dataset.ids)}
        return np.array([held.get(sample_id, UNLABELLED) for sample_id in self.reference.ids], dtype=np.int64)

    @cached_property
    def holds(self) -> np.ndarray:
        """(m, C) which classes hold of the rows of D_t."""
        return holds(self.dataset.labels, len(self.classes))

    @cached_property
    def available(self) -> np.ndarray:
        """(n,) bool: reference rows that are not in D_t and nobody was asked about."""
        return (self.labels == UNLABELLED) & ~self.asked

    @cached_property
    def available_per_row(self) -> float:
        """Rows nobody was asked about for each such row of the reference: 1 unless that is a sample."""
        everywhere = self.counts.real.rows - self.counts.taken.rows
        return everywhere / max(np.count_nonzero(self.available), 1)

    @cached_property
    def small_clusters(self) -> dict[int, int]:
        """Cluster of each small_cluster gap -> answers inside, labelled or rejected."""
        space, config = self.space, self.config
        if "small_cluster" not in config.kinds or not space.num_clusters:
            return {}
        real = self.counts.real
        answered = self.labelled_in_clusters + self.counts.rejected.clusters
        few = (answered < config.min_labelled) & (real.clusters <= config.small_cluster_share * real.rows)
        return {c: int(answered[c]) for c in np.flatnonzero(few).tolist() if _isolated(space, c)}

    @cached_property
    def labelled_in_clusters(self) -> np.ndarray:
        """(c,) rows of D_t that lie in each cluster."""
        inside = self.space.cluster_of(self.dataset.points)
        return np.bincount(inside[inside >= 0], minlength=self.space.num_clusters)

    def gap(
        self,
        kind: GapKind,
        rows: np.ndarray,
        points: np.ndarray,
        *,
        density: float,
        severity: float,
        num_labelled: int,
        num_pool: int,
        label: str | None = None,
        subgroup: str | None = None,
        weights: np.ndarray | None = None,
    ) -> Gap:
        """A gap around `points` (m, r), weighted by `weights` (m,), not yet named. The rest: see `schema.GAPS`.

        rows: (k,) of the reference, from which its anchors are taken.
        """
        if not len(points):
            points = self.space.points
        points = points.astype(np.float64)
        centroid = np.average(points, axis=0, weights=weights).astype(np.float32)
        # Not smaller than a usual neighbourhood: one sample has no extent, and nothing else would count as inside.
        extent = np.quantile(np.linalg.norm(points - centroid, axis=1), 0.9)
        nearest = np.argsort(np.linalg.norm(self.space.points[rows] - centroid, axis=1), kind="stable")[:NUM_ANCHORS]
        return Gap(
            gap_id="",
            kind=kind,
            label=label,
            subgroup=subgroup,
            centroid=tuple(centroid.tolist()),
            radius=_as_kept(max(extent, np.median(self.space.knn_distance))),
            density=_as_kept(density),
            severity=_as_kept(severity),
            num_labelled=num_labelled,
            num_pool=num_pool,
            status="open",
            opened_round=-1,
            filled_round=None,
            anchors=tuple(self.reference.ids[row] for row in rows[nearest]),
        )

    def likeliest(self, rows: np.ndarray) -> str | None:
        """The class f sees most of in these rows; None where it sees no class more than any other."""
        mean = self.proba[rows].mean(axis=0) if len(rows) else np.zeros(0)
        if not len(mean) or not mean.max() > mean.min() + 1e-3:
            return None
        return self.classes[int(mean.argmax())]


def _density(context: GapContext) -> Iterator[Gap]:
    space, num_cells = context.space, len(context.space.centroids)
    labelled = np.bincount(space.cell_of(context.dataset.points), minlength=num_cells)
    answered = labelled + context.counts.rejected.cells
    real, pool = context.counts.real.cells, context.counts.real.cells - context.counts.taken.cells
    expected = real * answered.sum() / real.sum()
    wanted = context.config.min_labelled
    sparse = (real >= wanted) & (answered < wanted) & (answered <= SPARSE * expected)
    in_small_cluster = np.isin(space.clusters, list(context.small_clusters))
    for cell in np.flatnonzero(sparse):
        rows = np.flatnonzero(space.cells == cell)
        if not len(rows) or in_small_cluster[rows].mean() > 0.5:  # that cluster is the gap already
            continue
        yield context.gap(
            "density",
            rows,
            space.points[rows],
            label=context.likeliest(rows[context.available[rows]]),
            density=labelled[cell] / real[cell],
            severity=1 - answered[cell] / max(expected[cell], 1e-9),
            num_labelled=int(labelled[cell]),
            num_pool=int(pool[cell]),
        )


def _small_cluster(context: GapContext) -> Iterator[Gap]:
    for cluster, answered in context.small_clusters.items():
        rows = np.flatnonzero(context.space.clusters == cluster)
        available = rows[context.available[rows]]
        if not len(available):
            continue
        labelled = int(context.labelled_in_clusters[cluster])
        real, taken = (part.clusters[cluster] for part in (context.counts.real, context.counts.taken))
        yield context.gap(
            "small_cluster",
            rows,
            context.space.points[rows],
            label=context.likeliest(available),
            density=labelled / max(real, 1),
            severity=1 - answered / context.config.min_labelled,
            num_labelled=labelled,
            num_pool=int(real - taken),
        )


def _class(context: GapContext) -> Iterator[Gap]:
    target = class_target(context.classes, context.diversity)
    held = context.holds.sum(axis=0)
    expected = context.proba[context.available].sum(axis=0) * context.available_per_row
    for row in np.flatnonzero(_short(held, target, context.config.tolerance)):
        real = np.flatnonzero(np.isin(context.labels, np.flatnonzero(context.holds[:, row])))
        points, weights, p = context.dataset.points[context.holds[:, row]], None, context.proba[:, row]
        # f's best guesses stand in for samples nobody has found. Only where it has none, the class is nowhere.
        likely = np.argsort(-p, kind="stable")[: round(len(p) ** 0.5)] if p.max() > p.min() else np.arange(len(p))
        if not len(points):
            points, weights = context.space.points[likely], (p[likely] if p[likely].sum() > 0 else None)
        held_share = held[row] / max(held.sum(), 1) / target[row]
        yield context.gap(
            "class",
            real if len(real) else likely,
            points,
            weights=weights,
            label=context.classes[row],
            density=held_share,
            severity=1 - held_share,
            num_labelled=int(held[row]),
            num_pool=round(float(expected[row])),
        )


def _subgroup(context: GapContext) -> Iterator[Gap]:
    for column, target in subgroup_targets(context.reference, context.dataset, context.diversity).items():
        real, held = (
            np.array(part.subgroups.get(column, [None] * len(part)), dtype=object)
            for part in (context.reference, context.dataset)
        )
        counts = np.array([np.count_nonzero(held == value) for value in target])
        shares = np.array(list(target.values()))
        for row in np.flatnonzero(_short(counts, shares, context.config.tolerance)):
            value, held_share = list(target)[row], counts[row] / max(counts.sum(), 1) / shares[row]
            rows = np.flatnonzero(real == value)
            yield context.gap(
                "subgroup",
                rows,
                context.space.points[rows] if len(rows) else context.dataset.points[held == value],
                subgroup=f"{column}={value}",
                density=held_share,
                severity=1 - held_share,
                num_labelled=int(counts[row]),
                num_pool=round(float(context.available[rows].sum() * context.available_per_row)),
            )


def _as_kept(value: float) -> float:
    """What a file keeps of it: a resumed run must see the same number."""
    return float(np.float32(value))


def _short(counts: np.ndarray, target: np.ndarray, tolerance: float) -> np.ndarray:
    # The margin is for rounding: a class at exactly its tolerance is not short.
    return (target > 0) & (counts < tolerance * target * max(counts.sum(), 1) - 1e-9)


def _isolated(space: Space, cluster: int) -> bool:
    inside = space.clusters == cluster
    members = space.points[inside]
    some = members[:: -(-len(members) // 50)]  # enough for a median
    to_outside = neighbours(space.points[~inside], some, 1)[0]
    return bool(np.median(to_outside) >= ISOLATED * np.median(neighbours(members, some, 2)[0][:, 1]))


def _key(gap: Gap) -> tuple:
    return -gap.severity, -gap.num_pool, gap.label or "", gap.subgroup or "", gap.anchors


FINDERS = {"density": _density, "small_cluster": _small_cluster, "class": _class, "subgroup": _subgroup}
