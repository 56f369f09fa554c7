"""A convnet keeps the encoders' contract; whether it learns is a matter of whole runs."""

import json

import numpy as np
import pytest
import tiny
import torch

from adde_ray.artifacts.images import encode_images
from adde_ray.config import Encoder, Train
from adde_ray.methods.encoders import finetune, make
from adde_ray.methods.encoders.finetune import Recipe

GREY = tiny.pictures(7)[0]
RGB = encode_images(np.random.default_rng(0).random((7, 3, 12, 12)))


def convnet(images, seed=0, **settings):
    made = make(Encoder(name="convnet", **settings), "image")
    made.fit(images, seed=seed)
    return made


@pytest.mark.parametrize("images", [GREY, RGB], ids=["grey", "rgb"])
def test_features_are_finite_of_unit_length_and_seeded(images):
    made = convnet(images)
    z = made.encode(images)
    assert z.shape == (7, 128) and z.dtype == np.float32 and np.allclose(np.linalg.norm(z, axis=1), 1, atol=1e-5)
    assert np.array_equal(convnet(images).encode(images), z) and not np.array_equal(
        convnet(images, 1).encode(images), z
    )
    assert np.allclose(convnet(images, batch_size=2).encode(images[[3, 0, 6]]), z[[3, 0, 6]], atol=1e-5)
    assert made.encode(images[:0]).shape == (0, 128)


def test_building_leaves_the_global_generator_alone():
    torch.manual_seed(3)
    expected = torch.rand(1)
    torch.manual_seed(3)
    convnet(GREY)
    assert torch.rand(1) == expected


def test_state_and_trained_weights_come_back():
    made = convnet(GREY)
    arrays, state = made.save()
    recipe = Recipe(Encoder(name="convnet"), "image", arrays, json.loads(json.dumps(state)))
    again = recipe.build(Train(mode="full"))
    assert np.array_equal(again.encode(GREY), made.encode(GREY))
    weights = {name: p.detach().numpy() * 1.5 + 0.1 for name, p in finetune.trained(again).items()}
    assert weights.keys() == arrays.keys()
    tuned = recipe.build(Train(mode="full"), weights)
    assert not np.allclose(tuned.encode(GREY), made.encode(GREY), atol=1e-2)
    assert finetune.learning_rate(Train(mode="full"), scratch=again.scratch) == finetune.FROM_SCRATCH
