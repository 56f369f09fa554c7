"""Closeness to a vector, a place and a class, against plain arithmetic."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from adde_ray.config import Clustering, Train
from adde_ray.methods.model import learner
from adde_ray.methods.query.closeness import ROWS, Closeness, ToClasses, ToPlace, ToVector
from adde_ray.methods.space.clustering import fit_projection, fit_space

FEATURES = np.random.default_rng(0).normal(size=(2 * ROWS + 50, 12)).astype(np.float32)
SEEKS = {
    "vector": ToVector(FEATURES[3]),
    "place": ToPlace(lambda z: z, fit_projection(FEATURES, Clustering(dims=4), seed=0), np.ones(4)),
    "class": ToClasses(learner.Model(learner.build(12, 3, Train(), seed=0), 1.0), (1,)),
}


def test_of_a_vector_it_is_the_cosine():
    near = SEEKS["vector"](FEATURES)
    lengths = np.linalg.norm(FEATURES, axis=1)
    assert np.allclose(near, FEATURES @ FEATURES[3] / lengths / lengths[3], atol=1e-6)
    assert near.argmax() == 3 and near.max() <= 1
    assert np.allclose(ToVector(7 * FEATURES[3])(FEATURES), near, atol=1e-6)


def test_nothing_is_like_zeros_and_zeros_are_like_nothing():
    assert ToVector(FEATURES[0])(np.zeros((2, 12), np.float32)).tolist() == [0, 0]
    assert ToVector(np.zeros(12))(FEATURES[:2]).tolist() == [0, 0]


def test_of_a_place_it_is_the_distance_in_the_reduced_space():
    seek = SEEKS["place"]
    points = fit_space(FEATURES, Clustering(dims=4), seed=0).points
    assert np.allclose(seek.shown(seek(FEATURES)), np.linalg.norm(points - 1, axis=1), atol=1e-5)
    assert seek(FEATURES).argmax() == np.linalg.norm(points - 1, axis=1).argmin()


def test_of_a_class_it_is_its_probability():
    seek = SEEKS["class"]
    with torch.inference_mode():
        proba = torch.softmax(seek.model.network(torch.from_numpy(FEATURES)), dim=1).numpy()
    assert np.allclose(seek(FEATURES), proba[:, 1], atol=1e-5)


@pytest.mark.parametrize("seek", SEEKS.values(), ids=SEEKS)
@pytest.mark.parametrize("kind", [np.float16, np.float32])
def test_a_row_is_as_near_in_any_company(seek: Closeness, kind):
    features = FEATURES.astype(kind)
    near = seek(features)
    assert near.dtype == np.float32 and near.shape == (len(features),)
    cuts = [seek(part) for part in np.array_split(features, [1, 40, ROWS + 7])]
    assert np.array_equal(np.concatenate(cuts), near)
    assert seek(features[:0]).shape == (0,)


@pytest.mark.parametrize("rows", [1, 300, 25_000])
def test_the_projection_is_that_of_the_space(rows):
    z = np.random.default_rng(1).normal(size=(rows, 5)).astype(np.float32)
    space, alone = (fit(z, Clustering(dims=3, min_cluster_size=5), seed=4) for fit in (fit_space, fit_projection))
    assert np.array_equal(space.mean, alone.mean) and np.array_equal(space.components, alone.components)
    assert np.array_equal(space.reduce(z[:9]), alone.reduce(z[:9]))
