"""A small world in which one knows where the gaps are."""

from __future__ import annotations

import numpy as np
from sklearn.datasets import make_blobs

from adde_ray.artifacts.schema import Population
from adde_ray.config import Clustering, Diversity, Gaps
from adde_ray.config.run import GAP_KINDS
from adde_ray.methods.space.clustering import Space, fit_space
from adde_ray.methods.space.gap_tracking import track
from adde_ray.methods.space.gaps import Gap, find_gaps

CLASSES = ("a", "b", "c", "d")
CENTERS = 20 * np.eye(4, 6)


class Toy:
    """Three blobs of 56 rows and a small one of 8, one class each; `labelled` are the dataset's rows."""

    def __init__(self, sizes=(56, 56, 56, 8), **subgroups):
        z, truth = make_blobs(list(sizes), centers=CENTERS, cluster_std=1.0, random_state=0)
        self.z, self.truth = z.astype(np.float32), truth
        self.ids = [f"{row:032x}" for row in range(len(z))]
        self.space = fit_space(self.z, Clustering(), seed=0)
        self.subgroups = subgroups
        self.proba = np.eye(4)[truth] * 0.9 + 0.025

    def of_class(self, label: str, count: int) -> list[int]:
        return np.flatnonzero(self.truth == CLASSES.index(label))[:count].tolist()

    def population(self, rows, known) -> Population:
        labels = np.where(np.isin(rows, known), self.truth[rows], -1)
        subgroups = {name: [values[row] for row in rows] for name, values in self.subgroups.items()}
        return Population([self.ids[row] for row in rows], self.space.points[rows], labels, subgroups)

    def find(self, labelled, rejected=(), proba=None, diversity=None, **config) -> list[Gap]:
        everything = np.arange(len(self.ids))
        return find_gaps(
            self.space,
            self.population(everything, []),
            self.population(np.array(labelled, dtype=int), labelled),
            asked=np.isin(everything, [*labelled, *rejected]),
            proba=self.proba if proba is None else proba,
            classes=CLASSES,
            config=Gaps(**config),
            diversity=diversity or Diversity(),
        )

    def track(self, previous, found, round=0, space: Space | None = None, **tried) -> list[Gap]:
        return track(previous, found, round=round, ids=self.ids, points=(space or self.space).points, tried=tried)


def kinds(found: list[Gap]) -> dict[str, list[Gap]]:
    return {kind: [gap for gap in found if gap.kind == kind] for kind in GAP_KINDS}
