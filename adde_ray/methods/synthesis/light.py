"""Synthetic samples as a search light: they look for real ones before anybody is asked about them.

A candidate made for a gap shows what is wanted there. Where the pool has a sample near it, that one is asked about in
its place: it is real, and its label costs the same (`pool.look_for`). Only where there is none, people see the
synthetic one. Where they rejected what lies nearest, nothing is shown and nothing looked for.

Distances are those between the encoder's features, by which quality control tells copies: they are the same however
few labels f has seen, and with the linear head they are the embedding.
"""

from __future__ import annotations

import numpy as np

from adde_ray.artifacts.run_dir import derive_seed
from adde_ray.methods.numerics.matmul import nearest
from adde_ray.methods.query import local_scale


def reach(real: np.ndarray, *, seed: int) -> float:
    """The distance within which samples are near each other: that of a real sample, of (n, d), to its 10th neighbour,
    usually. Who lies there would be part of the same surroundings."""
    return local_scale.unit(real, seed=derive_seed(seed, "light"))


def dim(
    judged: dict[str, np.ndarray | list],
    features: np.ndarray,
    *,
    asked: np.ndarray,
    rejected: np.ndarray,
    reach: float,
) -> dict[str, np.ndarray | list]:
    """The columns of quality control for m samples (m, d), in which what lies near a rejected sample is rejected, too.

    asked: (n, d) what people were asked about, real and synthetic. rejected: (n,) bool. Of what was asked about the
    nearest alone counts, so what people confirm nearer by brightens the place again. Real samples of the pool are
    offered as ever: what was rejected may say more of the generator than of the place.
    """
    if not len(features) or not rejected.any():
        return judged
    rows, distance = nearest(features, asked)
    reasons = [
        f"near a sample that people rejected: distance {away:.3g}" if dark and reason is None else reason
        for reason, dark, away in zip(judged["reason"], rejected[rows] & (distance <= reach), distance, strict=True)
    ]
    return judged | {"reason": reasons, "status": ["rejected" if reason else "kept" for reason in reasons]}
