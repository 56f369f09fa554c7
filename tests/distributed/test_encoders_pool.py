"""Warm encoder actors: what they give is what this process gives, with each round's weights, whoever dies."""

import os
import signal

import numpy as np
import polars as pl
import pytest
import tiny
import torch

from adde_ray.config import Encoder, Train
from adde_ray.distributed import encoders
from adde_ray.distributed.encoders import EncoderPool
from adde_ray.methods.encoders.finetune import Recipe, trained

CONFIG = Train(mode="lora", workers=2)


def test_few_rows_or_no_workers_need_no_actors():
    assert not EncoderPool(Train(mode="lora")).serves(10**9)
    assert EncoderPool(CONFIG).serves(encoders.FEW) and not EncoderPool(CONFIG).serves(encoders.FEW - 1)
    with EncoderPool(CONFIG) as pool:
        pool.rest()


def weights(recipe: Recipe, seed: int) -> dict[str, np.ndarray]:
    drawn = torch.Generator().manual_seed(seed)
    shapes = {name: p.shape for name, p in trained(recipe.build(CONFIG)).items()}
    return {name: (0.1 * torch.randn(shape, generator=drawn)).numpy() for name, shape in shapes.items()}


@pytest.mark.timeout(120)
def test_actors_stay_warm_take_new_weights_and_are_replaced(tmp_path, ray_cluster):
    import ray

    recipe = Recipe(
        Encoder(name="transformer", model=str(tiny.bert(tmp_path / "bert"))), "text", {}, {"revision": None}
    )
    payloads = pl.Series("text", tiny.texts(100)[0])
    with EncoderPool(CONFIG) as pool:
        for seed in range(2):
            given = weights(recipe, seed)
            alone = recipe.build(CONFIG, given).encode(payloads)
            np.testing.assert_allclose(pool.encode(recipe, given, payloads, 16), alone, atol=1e-5)
            if seed == 0:
                actors = list(pool._pool.actors)
                where = actors[0].__ray_call__.remote(lambda self: os.getpid())
                os.kill(ray.get(where), signal.SIGKILL)
        assert pool._pool.actors[0] != actors[0] and pool._pool.actors[1] == actors[1]
