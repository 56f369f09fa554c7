"""How diverse the dataset is, against what is out there and against the user's targets: M_div and its terms.

A `Space`, the reference rows (all real samples) and the dataset D_t -> a dict of finite floats.
"""

from __future__ import annotations

import itertools
from collections import Counter

import numpy as np
import polars as pl

from adde_ray.artifacts.m_div import mean_of
from adde_ray.artifacts.schema import Population
from adde_ray.config import Diversity
from adde_ray.errors import UserError
from adde_ray.labels import holds
from adde_ray.methods.space.clustering import Space, neighbours
from adde_ray.methods.space.volume import MAX_ROWS, alpha_for, alpha_volume, hull_volume, thinned

MAX_VENDI_ROWS = 2_000
"""The reference's Vendi score is taken from at most this many of its rows."""


def measure(
    space: Space,
    reference: Population,
    dataset: Population,
    z_reference: np.ndarray,
    z_dataset: np.ndarray,
    *,
    classes: tuple[str, ...],
    config: Diversity,
) -> dict[str, float]:
    """The diversity metrics of a dataset of m rows. All are finite; those of an empty dataset are 0.

    space: fitted on the rows of `reference`. z_reference (n, d), z_dataset (m, d): embeddings.

    coverage            [0, 1]  share of reference rows with a dataset row among their 5 nearest neighbours' radius
    coverage_entropy    [0, 1]  entropy of the dataset over the k-means cells, 1 = spread evenly
    cluster_entropy     [0, 1]  entropy of the dataset over the HDBSCAN clusters (soft membership)
    hull_volume         [0, 1]  volume of the convex hull, or of the alpha shape, over that of the reference
    vendi               [0, m]  effective number of different samples
    vendi_share         [0, 1]  vendi over that of the reference
    class_representation, subgroup_representation  [0, 1]  1 - total variation distance to the target shares
    min_inter_cluster, max_intra_cluster  >= 0  smallest distance between two clusters' centroids, largest distance
                                of a row to its cluster's centroid, in the reduced space
    m_div               [0, 1]  mean of those in `artifacts.m_div.IN_M_DIV`; the others are measured beside it

    `subgroup_representation` is absent when there are no subgroups. Raises UserError on a bad target.
    """
    step = (
        -(-len(z_reference) // MAX_VENDI_ROWS) or 1
    )  # rows come sorted by a content hash: every k-th is a fair sample
    vendi, vendi_reference = (vendi_score(z, center=space.mean) for z in (z_dataset, z_reference[::step]))
    inter, intra = _cluster_distances(dataset.points, space.cluster_of(dataset.points))
    hull, hull_reference = _volumes(dataset.points, space.points, config)
    held = holds(dataset.labels, len(classes)).sum(axis=0)
    metrics = {
        "coverage": coverage(space, dataset.points),
        "coverage_entropy": _cell_entropy(space, dataset.points),
        "cluster_entropy": _cluster_entropy(space, dataset.points),
        "hull_volume": min(hull / hull_reference, 1.0) if hull_reference > 0 else 0.0,
        "min_inter_cluster": inter,
        "max_intra_cluster": intra,
        "vendi": vendi,
        "vendi_share": min(vendi / vendi_reference, 1.0) if vendi_reference > 0 else 0.0,
        "class_representation": _representation(held, class_target(classes, config)),
    }
    by_column = []
    for column, target in subgroup_targets(reference, dataset, config).items():
        values = dataset.subgroups.get(column, [])
        counts = np.array([sum(v == value for v in values) for value in target])
        by_column.append(_representation(counts, np.array(list(target.values()))))
    if by_column:
        metrics["subgroup_representation"] = float(np.mean(by_column))
    m_div = mean_of(metrics)
    assert m_div is not None
    metrics["m_div"] = m_div
    assert all(np.isfinite(value) for value in metrics.values()), metrics
    return metrics


def coverage(space: Space, points: np.ndarray) -> float:
    """[0, 1]: share of the reference rows whose nearest dataset row is no farther than their fifth neighbour.

    The coverage of Naeem et al. 2020, "Reliable fidelity and diversity metrics", of the reference by the dataset.
    """
    if not len(points):
        return 0.0
    distances = neighbours(points, space.points, 1)[0][:, 0]
    return float(np.mean(distances <= space.knn_distance + space.tolerance))


def vendi_score(z: np.ndarray, *, center: np.ndarray) -> float:
    """[1, m]: the Vendi score (Friedman & Dieng 2023) of z (m, d), cosine kernel around `center`; 0 for m = 0."""
    from scipy.linalg import eigvalsh

    if not len(z):
        return 0.0
    z = np.asarray(z, dtype=np.float64) - center
    norms = np.linalg.norm(z, axis=1, keepdims=True)
    # A row at the very centre points nowhere: one more dimension makes all such rows alike, and unlike the rest.
    central = norms < 1e-6 * max(float(np.abs(center).max(initial=0)), float(norms.max()), 1e-30)
    z = np.hstack([np.where(central, 0, z / np.where(central, 1, norms)), central])
    # The kernel's non-zero eigenvalues are those of the smaller of the two Gram matrices: no sampling needed.
    gram = (z @ z.T if len(z) <= z.shape[1] else z.T @ z) / len(z)
    return float(np.clip(np.exp(_entropy(eigvalsh(gram))), 1, len(z)))


def class_target(classes: tuple[str, ...], config: Diversity) -> np.ndarray:
    """(C,) target shares, summing to 1. Classes not named in `class_target` share what the named ones leave.

    In a multi-label task they are shares of all classes that hold, over all samples.
    """
    return np.array(list(_target(classes, config.class_target, where="diversity.class_target").values()))


def subgroup_targets(reference: Population, dataset: Population, config: Diversity) -> dict[str, dict[str, float]]:
    """Column -> value -> target share, over the values that occur anywhere or have a target."""
    targets = {}
    for column in sorted(reference.subgroups.keys() | dataset.subgroups.keys()):
        named = config.subgroup_target.get(column, {})
        seen = {*reference.subgroups.get(column, []), *dataset.subgroups.get(column, [])}
        if values := tuple(sorted({value for value in seen if value is not None} | named.keys())):
            targets[column] = _target(values, named, where=f"diversity.subgroup_target.{column}")
    return targets


LABEL = "label"
"""The class as an attribute, beside the subgroup columns."""

Combinations = dict[tuple[str, str], Counter]
"""Two attributes -> how many rows have each pair of their values, where both are known."""


def combinations(attributes: pl.DataFrame) -> Combinations:
    """Counts of each pair of attributes. attributes: one column each, as strings; null = not known."""
    found = {}
    for a, b in itertools.combinations(sorted(attributes.columns), 2):
        counts = attributes.select(a, b).drop_nulls().group_by(a, b).len()
        found[a, b] = Counter({(x, y): n for x, y, n in counts.iter_rows()})
    return found


def grid_coverage(known: Combinations, held: Combinations, *, most: int = 10) -> dict:
    """Of the combinations of attributes that are `known` to occur, which the dataset holds.

    num: how many occur. covered: share of them the dataset has a sample of, in [0, 1]. largest_empty: at most `most`
    of those it has none of, the commonest first: the two values (`of`), and the share of the rows with both
    attributes known that have them. {} where no two attributes are known together.
    """
    empty, num = [], 0
    for pair, counts in known.items():
        num += len(counts)
        for values, rows in counts.items():
            if not held.get(pair, {}).get(values):
                empty.append((rows / counts.total(), dict(zip(pair, values, strict=True))))
    if not num:
        return {}
    empty.sort(key=lambda found: (-found[0], sorted(found[1].items())))
    largest = [{"of": of, "share": round(share, 6)} for share, of in empty[:most]]
    return {"num": num, "covered": round(1 - len(empty) / num, 6), "largest_empty": largest}


def _target(names: tuple[str, ...], named: dict[str, float], *, where: str) -> dict[str, float]:
    for name, share in named.items():
        if name not in names:
            raise UserError("is not one of the classes", where=where, value=name, remedy=f"Known: {', '.join(names)}")
        if not 0 <= share < float("inf"):
            raise UserError("a share must be 0 or more", where=f"{where}.{name}", value=share)
    rest = [name for name in names if name not in named]
    left = max(1 - sum(named.values()), 0)
    shares = {name: named.get(name, left / len(rest) if rest else 0) for name in names}
    total = sum(shares.values())
    if names and total <= 0:
        raise UserError("the target shares are all 0", where=where)
    return {name: share / total for name, share in shares.items()}


def _representation(counts: np.ndarray, target: np.ndarray) -> float:
    return float(1 - 0.5 * np.abs(counts / counts.sum() - target).sum()) if counts.sum() else 0.0


def _entropy(shares: np.ndarray) -> float:
    shares = shares[shares > 1e-12]
    return float(-(shares * np.log(shares)).sum())


def _share_of_entropy(mass: np.ndarray, num_places: int) -> float:
    if num_places < 2 or mass.sum() <= 0:
        return 0.0
    return float(np.clip(_entropy(mass / mass.sum()) / np.log(num_places), 0, 1))


def _cell_entropy(space: Space, points: np.ndarray) -> float:
    # Cells without a reference row cannot be reached.
    reachable = len(np.unique(space.cells))
    return _share_of_entropy(np.bincount(space.cell_of(points)).astype(float), reachable)


def _cluster_entropy(space: Space, points: np.ndarray) -> float:
    # A noise row counts where it belongs softly, through the membership of its nearest reference row.
    if not len(points):
        return 0.0
    return _share_of_entropy(space.membership[space.nearest(points)[0]].sum(axis=0, dtype=float), space.num_clusters)


def _volumes(points: np.ndarray, reference: np.ndarray, config: Diversity) -> tuple[float, float]:
    points, reference = points[:, : config.hull_dims], reference[:, : config.hull_dims]
    if config.hull == "convex":
        return hull_volume(points), hull_volume(reference)
    alpha = alpha_for(reference)
    return alpha_volume(thinned(points, MAX_ROWS), alpha), alpha_volume(thinned(reference, MAX_ROWS), alpha)


def _cluster_distances(points: np.ndarray, clusters: np.ndarray) -> tuple[float, float]:
    from scipy.spatial.distance import pdist

    found, rows = np.unique(clusters[clusters >= 0], return_inverse=True)
    if not len(found):
        return 0.0, 0.0
    points = points[clusters >= 0].astype(np.float64)
    centroids = np.stack([points[rows == i].mean(axis=0) for i in range(len(found))])
    intra = float(np.linalg.norm(points - centroids[rows], axis=1).max())
    return (float(pdist(centroids).min()) if len(found) > 1 else 0.0), intra
