"""Ours keep the contracts of their kinds."""

from my_lab import parts

from adde_ray import testing


def test_the_selector():
    testing.check_selector(parts.spaced)


def test_the_diversity_term():
    testing.check_diversity(parts.typicality)


def test_the_generator():
    testing.check_generator(parts.Blend, modalities=("image", "vector"))


def test_the_source():
    testing.check_source(parts.rings, parts.RingsData(source="rings"))
