"""Candidates to choose from, and a selector's picks among them."""

from __future__ import annotations

import numpy as np

from adde_ray.methods.query.selectors import SELECTORS, Candidates


def candidates(n=40, m=12, e=4, classes=5, seed=0) -> Candidates:
    rng = np.random.default_rng(seed)
    return Candidates(
        score=np.random.default_rng(3).permutation(n) / max(n, 1),
        embedding=rng.normal(size=(n, e)).astype(np.float32),
        proba=rng.dirichlet(np.ones(classes), n).astype(np.float32),
        dataset_embedding=rng.normal(size=(m, e)).astype(np.float32),
    )


def of_score(score, embedding) -> Candidates:
    embedding = np.array(embedding, dtype=np.float32)
    n = len(score)
    return Candidates(np.array(score, dtype=float), embedding, np.full((n, 2), 0.5), np.zeros((0, embedding.shape[1])))


def pick(name, c, size, seed=0, redundancy=0.5) -> list[int]:
    return SELECTORS[name](c, size, redundancy=redundancy, rng=np.random.default_rng(seed)).tolist()


def mixture(n=600, m=30, e=16, seed=0) -> Candidates:
    """Overlapping groups, some rows twice: distances of every size, and ties."""
    rng = np.random.default_rng(seed)
    z = rng.normal(size=(12, e))[rng.integers(12, size=n + m)] + 0.4 * rng.normal(size=(n + m, e))
    z[n // 2 : n // 2 + 20] = z[:20]
    proba = rng.dirichlet(np.full(7, 0.3), n).astype(np.float32)
    return Candidates(np.round(rng.random(n), 6), z[:n].astype(np.float32), proba, z[n:].astype(np.float32))


def groups() -> Candidates:
    """Eight groups of 42 to 60 rows in the plane, three of them with a sample in the dataset; all score alike."""
    rng = np.random.default_rng(0)
    centres = np.array([[0, 0], [9, 1], [1, 8], [8, 9], [17, 3], [3, 17], [16, 12], [12, 18]])
    sizes = [46, 44, 60, 52, 48, 56, 42, 50]
    z = np.concatenate([c + np.round(rng.normal(size=(k, 2)), 2) for c, k in zip(centres, sizes, strict=True)])
    z = z[rng.permutation(len(z))].astype(np.float32)
    dataset = (centres[:3] + np.array([[0.5, 0.25], [-0.75, 0.5], [0.25, -1]])).astype(np.float32)
    return Candidates(np.ones(len(z)), z, np.full((len(z), 8), 1 / 8, np.float32), dataset)
