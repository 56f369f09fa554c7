"""Selectors that cluster first, and take something from each: candidates -> rows of the batch, best first."""

from __future__ import annotations

import numpy as np
from threadpoolctl import threadpool_limits

from adde_ray.methods.query.selectors.candidates import Candidates, as_bytes
from adde_ray.methods.space.clustering import sample_rows

MAX_CLUSTERS, MIN_CLUSTER = 500, 5
"""typiclust: clusters at most, and rows of the smallest one taken from while there are others. As in the paper."""

NEIGHBOURS = 20
"""typiclust: fellows in a cluster to whom a typical row is near; at most half of the cluster. As in the paper."""

MAX_FIT_ROWS = 20_000
"""k-means learns from at most this many rows; the others go to the nearest centre."""

UNCERTAIN = 10
"""cluster_margin: candidates looked at for each row of the batch."""

MAX_LINKED = 5_000
"""cluster_margin: rows clustered at most; linkage is quadratic."""


def typiclust(candidates: Candidates, size: int, *, redundancy: float, rng: np.random.Generator) -> np.ndarray:
    """The most typical candidate of each cluster, whatever the score (TypiClust: Hacohen et al. 2022).

    Candidates and dataset are clustered together into as many clusters as the dataset will have samples. Those with
    the fewest samples of the dataset come first, of these the largest, in turns. Typical is what lies nearest to its
    fellows in the mean.
    """
    size = min(size, len(candidates))
    if size == 0:
        return np.arange(0)
    candidates, order = candidates.by_content()
    z = np.concatenate([candidates.embedding, candidates.dataset_embedding])
    wanted = min(len(candidates.dataset_embedding) + size, MAX_CLUSTERS)
    cluster = kmeans(z, wanted, seed=int(rng.integers(2**31)))
    labelled = np.bincount(cluster[len(candidates) :], minlength=wanted)
    total = np.bincount(cluster, minlength=wanted)
    turns = np.lexsort((-total, labelled))
    left = {c: np.flatnonzero(cluster[: len(candidates)] == c) for c in turns.tolist()}
    chosen: list[int] = []
    for large in (True, False):
        taken_from = [c for c in left if (total[c] >= MIN_CLUSTER) == large]
        while len(chosen) < size and (taken_from := [c for c in taken_from if len(left[c])]):
            for c in taken_from[: size - len(chosen)]:
                best = _most_typical(candidates.embedding[left[c]])
                chosen.append(left[c][best])
                left[c] = np.delete(left[c], best)
    return order[chosen]


def cluster_margin(candidates: Candidates, size: int, *, redundancy: float, rng: np.random.Generator) -> np.ndarray:
    """One of each cluster of the highest scores, small clusters first, in turns (Cluster-Margin: Citovsky et al. 2021).

    It is theirs where the score is margin (alpha = 1), but for two things. They link all of the pool once, which is
    quadratic; here the `UNCERTAIN` times `size` best are linked, by the same average, into `size` clusters. And of a
    cluster the best comes first, where they draw.
    """
    ranked = np.argsort(-candidates.score, kind="stable")
    looked_at = ranked[: min(UNCERTAIN * size, MAX_LINKED)]
    if len(looked_at) < 2:
        return ranked[:size]
    from scipy.cluster.hierarchy import fcluster, linkage

    z = candidates.embedding[looked_at].astype(np.float64)
    z /= np.abs(z).max() or 1.0  # squares of any float32 fit
    cluster = fcluster(linkage(z, "average"), t=size, criterion="maxclust") - 1
    members = np.bincount(cluster)
    best = np.full(len(members), len(looked_at))  # place of each cluster's best
    np.minimum.at(best, cluster, np.arange(len(looked_at)))
    by_cluster = np.lexsort((np.arange(len(looked_at)), cluster))
    turn = np.empty(len(looked_at), dtype=int)  # how many of its cluster come before it
    turn[by_cluster] = np.arange(len(looked_at)) - np.repeat(np.cumsum(members) - members, members)
    order = np.lexsort((best[cluster], members[cluster], turn))
    return np.concatenate([looked_at[order], ranked[len(looked_at) :]])[:size]


def kmeans(z: np.ndarray, clusters: int, *, seed: int) -> np.ndarray:
    """(n,) cluster of each row of z (n, e), from 0 to at most `clusters` - 1; k-means++, then Lloyd's iterations.

    Equal seeds give the same clusters of rows in the same order, on however many threads.
    """
    from sklearn.cluster import KMeans

    z = z - z.mean(axis=0, dtype=np.float64)
    z = (z / (np.abs(z).max() or 1.0)).astype(np.float32)
    rows = sample_rows(len(z), MAX_FIT_ROWS, np.random.default_rng(seed))
    clusters = min(clusters, len(np.unique(as_bytes(z[rows]))))
    # With more threads, sums are taken in whatever order they are done. `one_thread` may not know scikit-learn's own.
    with threadpool_limits(1):
        found = KMeans(clusters, n_init=1, max_iter=50, random_state=seed)  # pyright: ignore[reportArgumentType] a number too
        found.fit(z[rows])
        return np.asarray(found.labels_ if len(rows) == len(z) else found.predict(z))


def _most_typical(z: np.ndarray) -> int:
    """The row of z (n, e) nearest in the mean to its neighbours."""
    if len(z) < 3:  # each is as near to the other as that one is to it
        return 0
    from sklearn.neighbors import NearestNeighbors

    z = z.astype(np.float64)
    z -= z.mean(axis=0)
    scale = np.abs(z).max() or 1.0
    near = NearestNeighbors(n_neighbors=min(NEIGHBOURS, len(z) // 2), algorithm="brute").fit(z / scale)
    return int(np.argmin(np.round(near.kneighbors()[0].mean(axis=1), 9)))
