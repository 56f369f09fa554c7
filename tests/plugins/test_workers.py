"""Parts of one's own reach every kind of Ray worker, of a Ray that was there before and knows nothing of them."""

from __future__ import annotations

import numpy as np
import pytest

from adde_ray.artifacts.run_dir import RunDir
from adde_ray.config import Config
from adde_ray.loop import run

PARTS = """
from dataclasses import dataclass
from typing import Literal

import numpy as np
import polars as pl
from torch import nn

from adde_ray.artifacts.schema import payload_series
from adde_ray.config.data import Section
from adde_ray.methods.encoders import Raw
from adde_ray.methods.model.learner import Network, num_heads
from adde_ray.plugins import (
    register_diversity, register_encoder, register_gate, register_generator, register_learner, register_source
)
from adde_ray.sources import WHERE, Rows


class Lines(Section):
    source: Literal["lines"]
    chunks: int


@dataclass(frozen=True)
class Chunk:
    number: int
    num_rows: int = 60

    @property
    def name(self):
        return f"chunk{self.number}"

    def read(self):
        return table(self.name, self.num_rows, self.number), []


def table(name, n, seed):
    label = np.arange(n) % 2
    x = np.random.default_rng(seed).normal(size=(n, 3)) + 4 * label[:, None]
    return pl.DataFrame({
        "vector": payload_series(list(x.astype(np.float32)), "vector"),
        "label": [("a", "b")[c] for c in label],
        WHERE: [f"{name}:{row}" for row in range(n)],
    })


@register_source("lines", section=Lines)
def lines(config, *, seed):
    splits = {split: table(split, 12, 1000 + row) for row, split in enumerate(("seed", "val", "test"))}
    return Rows(splits, "vector", ("a", "b"), pool_chunks=tuple(map(Chunk, range(config.chunks))))


@register_encoder("doubled")
class Doubled(Raw):
    def encode(self, payloads):
        return 2 * super().encode(payloads)


class Body(nn.Module):
    def __init__(self, dims):
        super().__init__()
        self.layer = nn.Linear(dims, 5)

    def forward(self, x):
        return self.layer(x).tanh()


@register_learner("tanh")
def tanh(dims, classes, config):
    return Network(Body(dims), 5, classes, num_heads(config))


@register_diversity("first")
def first(batch):
    return np.clip(batch.proba[:, 0], 0, 1)


@register_gate("finite_mean", modalities=("vector",))
def finite_mean(rows, config):
    low = rows.list.mean() < -2.5
    return pl.DataFrame({"low": low}).select(pl.when("low").then(pl.lit("lies too low"))).to_series()


@register_generator("echo", modalities=("vector",))
class Echo:
    def __init__(self, config):
        pass

    def fit(self, data, *, seed):
        return {"arrays": data.arrays}

    def sample(self, weights, classes, points, *, temperature, seed):
        noise = np.random.default_rng(seed).normal(size=(len(classes), weights["arrays"].shape[1]))
        return (weights["arrays"][: len(classes)] + 0.2 * noise).astype(np.float32)
"""


@pytest.fixture
def config(place) -> Config:
    """Of a file in another folder than we are in, beside which the module lies."""
    folder = place.parent / "lab"
    folder.mkdir()
    (folder / "own_workers.py").write_text(PARTS)
    (folder / "run.toml").write_text(
        """
        plugins.modules = ["own_workers"]
        data = { source = "lines", chunks = 4 }
        gates.own = ["finite_mean"]
        encoder.name = "doubled"
        stream = { min_rows = 100, shard_rows = 64, workers = 2 }
        train = { learner = "tanh", steps = 10 }
        generate = { generator = "echo", actors = 1, per_round = 4 }
        select = { batch = 4, diversity = { first = 1.0 } }
        stop.labels = 8
        """
    )
    return Config.load(folder / "run.toml")


@pytest.mark.slow
def test_a_streamed_run_on_workers_is_the_same_as_in_one_process(config, tmp_path, ray_cluster):
    """Ray tasks read chunks and score with the learner's network, Ray Data encodes, an actor synthesises."""
    record = run(config, tmp_path / "with")
    alone = run(config.override("stream.workers=0", "generate.actors=0"), tmp_path / "without")
    assert record["dataset_fingerprint"] == alone["dataset_fingerprint"] and record["num_labels"] == 8
    made = RunDir.at(tmp_path / "with").round(0).read("synthetic.parquet")
    assert len(made) == 4 and set(made["generator"]) == {"echo"}
    assert record["set_aside"] == alone["set_aside"]


@pytest.mark.slow
def test_a_learner_trains_on_ray_train_workers(config, ray_cluster):
    from adde_ray.config import plugins
    from adde_ray.distributed.training import fit

    plugins.publish()
    rng = np.random.default_rng(0)
    features, labels = rng.normal(size=(24, 3)).astype(np.float32), np.arange(24) % 2
    one = config.override("train.workers=1").train
    weights = fit(features, labels, 2, one, seed=0)
    alone = fit(features, labels, 2, config.train, seed=0)
    assert "body.layer.weight" in weights
    np.testing.assert_allclose(weights["head.weight"], alone["head.weight"], atol=1e-5)
