"""How much room points take up: points (n, d) in → the volume of their convex hull, or of their alpha shape, out."""

from __future__ import annotations

import math

import numpy as np

MAX_ROWS = 2_000
"""An alpha shape is made of at most this many points."""

ALPHA_ROWS, HELD = 50, 0.95
"""`alpha_for` looks at so many points, and asks that their shape holds this share of them. By all points alpha would be
so small that a dataset of some hundred samples has no volume at all: every sample would stand alone."""


def hull_volume(points: np.ndarray) -> float:
    """Of the convex hull; 0 where points are too few to have one, or flat."""
    from scipy.spatial import ConvexHull, QhullError

    if len(points) <= points.shape[1]:
        return 0.0
    if points.shape[1] == 1:
        return float(np.ptp(points))
    try:
        return float(ConvexHull(points.astype(np.float64)).volume)
    except QhullError:  # flat
        return 0.0


def alpha_volume(points: np.ndarray, alpha: float) -> float:
    """Of the alpha shape (Edelsbrunner & Mücke 1994): the Delaunay simplices whose circumscribed sphere has a radius of
    at most alpha. Unlike the convex hull it leaves out the room between groups. 0 where there is no simplex."""
    _, radii, volumes = _simplices(points)
    return float(volumes[radii <= alpha * (1 + 1e-9)].sum())


def alpha_for(points: np.ndarray) -> float:
    """The smallest alpha whose shape of ALPHA_ROWS of the points, every k-th, holds HELD of them; 0 of flat points."""
    points = thinned(points, ALPHA_ROWS)
    corners, radii, _ = _simplices(points)
    if not len(radii):
        return 0.0
    smallest = np.full(len(points), np.inf)
    np.minimum.at(smallest, corners.ravel(), np.repeat(radii, corners.shape[1]))
    held = np.sort(smallest[np.isfinite(smallest)])  # duplicates of a corner are none
    return float(held[math.ceil(HELD * len(held)) - 1])


def thinned(points: np.ndarray, most: int) -> np.ndarray:
    """At most so many of the rows, every k-th."""
    return points[:: -(-len(points) // most) or 1]


def _simplices(points: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """(s, d + 1) corners, (s,) radius of the circumscribed sphere and (s,) volume of each Delaunay simplex."""
    from scipy.spatial import Delaunay, QhullError

    points = np.asarray(points, dtype=np.float64)
    n, d = points.shape
    if n <= d or not d:
        return np.zeros((0, d + 1), np.int64), np.zeros(0), np.zeros(0)
    if d == 1:
        order = np.argsort(points[:, 0], kind="stable")
        lengths = np.diff(points[order, 0])
        return np.stack([order[:-1], order[1:]], axis=1)[lengths > 0], lengths[lengths > 0] / 2, lengths[lengths > 0]
    try:
        corners = Delaunay(points).simplices
    except QhullError:  # flat
        return np.zeros((0, d + 1), np.int64), np.zeros(0), np.zeros(0)
    edges = points[corners[:, 1:]] - points[corners[:, :1]]
    squares = (edges**2).sum(axis=2)
    volumes = np.abs(np.linalg.det(edges)) / math.factorial(d)
    # Slivers have next to no volume, and a sphere that is all but infinite.
    solid = volumes > 1e-12 * squares.max(axis=1) ** (d / 2)
    centres = np.linalg.solve(2 * edges[solid], squares[solid][..., None])[..., 0]
    return corners[solid], np.linalg.norm(centres, axis=1), volumes[solid]
