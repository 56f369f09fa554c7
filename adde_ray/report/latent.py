"""The latent map: every sample as a point of one fixed plane, with what happened to it in each round.

The plane is fitted once, on the frozen encoder's features of the pool, the seed set and all synthetic rows, so
a point stays where it is while the slider moves. Positions are kept once; a round is only lists of rows.
"""

from __future__ import annotations

import warnings

import numpy as np
import polars as pl

from adde_ray import labels as codec
from adde_ray.artifacts.run_dir import derive_rng, derive_seed
from adde_ray.errors import INSTALL, installed
from adde_ray.report.read import RunRecord, final_labels, outcomes, read_features

MAX_POINTS = 5000  # more would be slow to lay out and to draw
MIN_UMAP = 10  # fewer rows have no neighbourhoods to speak of
PCA_DIMS = 32

# Tol's "muted" scheme and an orange: distinct with any colour vision. The last is for what has no colour of its own.
CLASS_COLOURS = (
    *("#CC6677", "#332288", "#DDCC77", "#117733", "#88CCEE", "#EE7733", "#44AA99", "#882255", "#999933", "#AA4499"),
)
OTHER = "#6b7078"
NO_CLASS = "#111111"  # of a multi-label task: none of its classes holds
STATES = ("accepted", "corrected", "rejected", "flagged", "undecided", "waiting")


def latent_map(record: RunRecord) -> dict | None:
    """Points, classes and rounds for the page's map; None when there are no features to lay out.

    `ids` (n): sample_ids. `x`, `y` (n): positions. `label` (n): row of `classes`, -1 when not in the dataset; of
    several classes the rarest, and `names` (n) has them all.
    `entered` (n): first round it is in the dataset, -1 = never. `synthetic` (n): 0 or 1. `rounds`: per round
    `query` (rows), `states` (rows of STATES), `kept` and `dropped` (rows of synthetics that passed or not).
    """
    table = _rows(record)
    if table.is_empty():
        return None
    total = len(table)
    table = _sample(record, table)
    points, method = project(_features(table), derive_seed(_seed(record), "report", "map"))
    row = {sample_id: i for i, sample_id in enumerate(table["sample_id"])}
    labels, several = final_labels(record), record.meta.multi
    # A point has one colour: of several classes that of the rarest.
    stands = dict(zip(labels, codec.rarest(list(labels.values())), strict=True)) if several else labels
    entered = dict(zip(record.dataset["sample_id"], record.dataset["round"], strict=True))
    class_row: dict[str | None, int] = {name: i for i, name in enumerate(record.meta.classes)}
    return {
        "ids": table["sample_id"].to_list(),
        "x": [round(float(v), 3) for v in points[:, 0]],
        "y": [round(float(v), 3) for v in points[:, 1]],
        "label": [class_row.get(stands.get(i), len(class_row) if several and i in stands else -1) for i in row],
        "entered": [entered.get(i, -1) for i in row],
        "synthetic": [int(split == "synthetic") for split in table["split"]],
        "rounds": [_round(r, row, labels) for r in record.rounds],
        "states": STATES,
        "classes": [*record.meta.classes, *[codec.NONE] * several],
        "colours": [*_colours(record), *[NO_CLASS] * several],
        "names": [codec.in_words(labels.get(i)) for i in row] if several else None,
        "total": total,
        "method": method,
    }


def project(features: np.ndarray, seed: int) -> tuple[np.ndarray, str]:
    """(n, d) features to (n, 2) positions, and the method: UMAP (McInnes et al. 2018), or PCA when rows are few or UMAP
    is not installed."""
    n = len(features)
    reduced = _pca(features, PCA_DIMS, seed)
    spread = len(np.unique(reduced.round(6), axis=0)) if n else 0
    if n < MIN_UMAP or spread < MIN_UMAP:
        return _pad(reduced, 2), "PCA"
    if not installed("umap"):
        return _pad(reduced, 2), f"PCA (UMAP, which keeps neighbours together, takes {INSTALL.format('map')})"
    import umap
    from sklearn.neighbors import NearestNeighbors

    k = min(15, n)
    # Exact neighbours by matrix product: faster here than compiling the approximate search, which takes 10 s and more.
    distances, neighbours = NearestNeighbors(n_neighbors=k, algorithm="brute").fit(reduced).kneighbors(reduced)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # no search index, so no new points can be placed: none are
        points = umap.UMAP(
            n_neighbors=k,
            n_epochs=200,
            min_dist=0.2,
            init="pca" if reduced.shape[1] >= 2 else "random",
            random_state=seed,
            n_jobs=1,
            precomputed_knn=(neighbours, distances.astype(np.float32)),
        ).fit_transform(reduced)
    return np.nan_to_num(points), "UMAP"


def _rows(record: RunRecord) -> pl.DataFrame:
    # sample_id, split (pool, seed, synthetic), features; sorted, each sample once.
    parts = [read_features(record.root)]
    for r in record.rounds:
        if r.synthetic is not None and len(r.synthetic):
            made = r.synthetic.select("sample_id", pl.lit("synthetic").alias("split"), "features")
            parts.append(made.with_columns(pl.col("features").cast(pl.List(pl.Float32))))
    table = pl.concat(parts).filter(pl.col("features").list.len() > 0)
    if len(table):
        # Of lengths that differ only the commonest can be stacked.
        lengths = table["features"].list.len()
        table = table.filter(lengths == lengths.mode().sort()[0])
    return table.unique("sample_id", keep="first").sort("sample_id")


def _sample(record: RunRecord, table: pl.DataFrame) -> pl.DataFrame:
    # At most MAX_POINTS rows, with all that is in the dataset or was asked about.
    if len(table) <= MAX_POINTS:
        return table
    musts = set(record.dataset["sample_id"])
    for r in record.rounds:
        musts.update([] if r.query is None else r.query["sample_id"])
    must = table["sample_id"].is_in(list(musts)).to_numpy()
    rest = np.flatnonzero(~must)
    rng = derive_rng(_seed(record), "report", "sample")
    drawn = rng.choice(rest, size=max(0, min(len(rest), MAX_POINTS - int(must.sum()))), replace=False)
    return table[np.sort(np.concatenate([np.flatnonzero(must), drawn])).tolist()]


def _features(table: pl.DataFrame) -> np.ndarray:
    values = np.array(table["features"].to_list(), dtype=np.float32).reshape(len(table), -1)
    return np.nan_to_num(values)


def _round(r, row: dict[str, int], labels: dict[str, str]) -> dict:
    asked = [(row[i], STATES.index(o["state"])) for i, o in outcomes(r, labels).items() if i in row]
    made = [] if r.synthetic is None else zip(r.synthetic["sample_id"], r.synthetic["status"], strict=True)
    made = [(row[i], status) for i, status in made if i in row]
    return {
        "t": r.t,
        "query": [i for i, _ in asked],
        "states": [state for _, state in asked],
        "kept": [i for i, status in made if status != "rejected"],
        "dropped": [i for i, status in made if status == "rejected"],
    }


def _colours(record: RunRecord) -> list[str]:
    # One colour a class while they last; of more classes only the commonest have one.
    names = record.meta.classes
    if len(names) <= len(CLASS_COLOURS):
        return list(CLASS_COLOURS[: len(names)])
    counts = codec.count(record.dataset["label"], names, multi=record.meta.multi)
    ranked = sorted(names, key=lambda c: (-counts.get(c, 0), c))[: len(CLASS_COLOURS)]
    colour = dict(zip(ranked, CLASS_COLOURS, strict=True))
    return [colour.get(c, OTHER) for c in names]


def _pca(features: np.ndarray, dims: int, seed: int) -> np.ndarray:
    from sklearn.decomposition import PCA

    n, d = features.shape
    if n < 2 or not np.ptp(features, axis=0).any():  # nothing varies: PCA would divide by zero
        return np.zeros((n, min(dims, max(d, 1))), dtype=np.float32)
    return PCA(min(dims, n, d), random_state=seed).fit_transform(features)


def _pad(points: np.ndarray, dims: int) -> np.ndarray:
    return np.pad(points[:, :dims], ((0, 0), (0, max(0, dims - points.shape[1]))))


def _seed(record: RunRecord) -> int:
    return int(record.config.get("run", {}).get("seed", 0))
