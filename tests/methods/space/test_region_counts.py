"""Counts of a pool in blocks are those of the pool, and gaps found by them those of a reference that is all of it."""

import numpy as np
from toy import CLASSES, Toy

from adde_ray.config import Diversity, Gaps
from adde_ray.methods.space import region_counts
from adde_ray.methods.space.gaps import find_gaps
from adde_ray.methods.space.region_counts import RegionCounts


def test_blocks_add_up_to_the_whole():
    toy = Toy()
    whole = region_counts.count(toy.space, toy.space.points)
    parts = region_counts.total(
        toy.space, (region_counts.count(toy.space, p) for p in np.array_split(toy.space.points, 7))
    )
    assert whole.rows == parts.rows == len(toy.ids) and whole.cells.sum() == whole.rows
    assert np.array_equal(whole.cells, parts.cells) and np.array_equal(whole.clusters, parts.clusters)
    assert np.array_equal(whole.cells, np.bincount(toy.space.cells, minlength=len(toy.space.centroids)))


def test_a_reference_speaks_for_itself():
    toy = Toy()
    taken, labelled = (np.isin(np.arange(len(toy.ids)), rows) for rows in ([1, 2, 60, 61], [1, 60]))
    found = region_counts.of_reference(toy.space, taken, labelled)
    assert (found.real.rows, found.taken.rows, found.rejected.rows) == (len(toy.ids), 4, 2)


def test_gaps_of_a_sample_are_counted_over_the_pool():
    """The same gaps are found when the pool is ten times what the reference shows of it, with ten times the rows."""
    toy, labelled = Toy(), [0, 1, 2, 3, 4, 60, 61, 62, 63, 64]
    everything = np.arange(len(toy.ids))
    once = toy.find(labelled)
    counted = region_counts.count(toy.space, toy.space.points)
    tenfold = region_counts.total(toy.space, [counted] * 10)
    taken = region_counts.count(toy.space, toy.space.points[labelled])
    found = find_gaps(
        toy.space,
        toy.population(everything, []),
        toy.population(np.array(labelled), labelled),
        asked=np.isin(everything, labelled),
        proba=toy.proba,
        classes=CLASSES,
        config=Gaps(),
        diversity=Diversity(),
        counts=RegionCounts(tenfold, taken, region_counts.total(toy.space, [])),
    )
    named = {(g.kind, g.label, g.centroid): g.num_pool for g in once}
    tens = {(g.kind, g.label, g.centroid): g.num_pool for g in found}
    assert named.keys() <= tens.keys() and len(once) > 2
    for key, number in named.items():
        assert 8 * number <= tens[key] <= 11 * (number + 4), key
