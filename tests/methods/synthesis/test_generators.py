from __future__ import annotations

import inspect
import subprocess
import sys

import numpy as np
import pytest
import torch
from safetensors.numpy import load, save
from sklearn.datasets import load_digits
from sklearn.decomposition import PCA
from sklearn.ensemble import ExtraTreesClassifier
from sklearn.linear_model import LogisticRegression

from adde_ray.artifacts.images import decode_images
from adde_ray.artifacts.schema import payload_series
from adde_ray.config import Generate
from adde_ray.errors import UserError
from adde_ray.methods.synthesis.generators import GENERATORS, MAKES, FitData, generator_for, to_payload

QUICK = Generate(steps=3, latent_dims=2)


def random_data(shape: tuple[int, ...], n: int = 12, num_classes: int = 3, dims: int = 4) -> FitData:
    rng = np.random.default_rng(0)
    arrays = rng.random((n, *shape), dtype=np.float32)
    probs = rng.dirichlet(np.ones(num_classes), n).astype(np.float32)
    return FitData(arrays, probs, rng.normal(size=(n, dims)).astype(np.float32))


SHAPES = {
    "vector": [(5,), (1,), (300,)],
    "image": [(1, 8, 8), (3, 9, 7), (1, 17, 33), (3, 64, 64), (1, 70, 40), (3, 1, 1)],
}
CASES = [
    (name, shape, n)
    for name in GENERATORS
    for modality in MAKES[name]
    for shape in SHAPES[modality]
    for n in (12, 1)
    if n > 1 or shape in ((5,), (1, 8, 8), (3, 64, 64))
]


@pytest.mark.parametrize(("name", "shape", "n"), CASES)
def test_contract_shape_range_seed(name, shape, n):
    generator, data = GENERATORS[name](QUICK), random_data(shape, n)
    classes, points = np.array([0, 2, 1, 1, 0]), np.zeros((5, 4), np.float32)
    state = torch.get_rng_state()
    np_state = np.random.get_state()[1].copy()
    first, second = generator.fit(data, seed=3), generator.fit(data, seed=3)
    assert first.keys() == second.keys()
    assert all(np.array_equal(first[key], second[key]) for key in first)
    made = generator.sample(first, classes, points, temperature=0.8, seed=5)
    assert made.shape == (5, *shape) and made.dtype == np.float32 and np.isfinite(made).all()
    assert made.min() >= data.arrays.min() and made.max() <= data.arrays.max()
    assert np.array_equal(made, generator.sample(second, classes, points, temperature=0.8, seed=5))
    assert torch.equal(state, torch.get_rng_state()), "drew from torch's global generator"
    assert np.array_equal(np_state, np.random.get_state()[1]), "drew from numpy's global generator"
    assert generator.sample(first, classes[:0], points[:0], temperature=0.8, seed=5).shape == (0, *shape)


@pytest.mark.parametrize("name", GENERATORS)
def test_contract_several_classes_at_once(name):
    generator, data = GENERATORS[name](QUICK), random_data((1, 8, 8))
    weights, points = generator.fit(data, seed=0), np.zeros((3, 4), np.float32)
    one, again, both = np.eye(3, dtype=np.float32)[[0, 0, 0]], np.array([0, 0, 0]), np.float32([[1, 0, 1]] * 3)
    made = [generator.sample(weights, c, points, temperature=1.0, seed=0) for c in (one, again, both)]
    assert np.array_equal(made[0], made[1]) and not np.array_equal(made[0], made[2])


@pytest.mark.parametrize("name", GENERATORS)
def test_contract_other_seeds_differ(name):
    generator, data = GENERATORS[name](QUICK), random_data((1, 8, 8))
    classes, points = np.array([0, 1]), np.zeros((2, 4), np.float32)
    weights, others = generator.fit(data, seed=0), generator.fit(data, seed=1)
    made = generator.sample(weights, classes, points, temperature=1.0, seed=0)
    assert not np.array_equal(made, generator.sample(others, classes, points, temperature=1.0, seed=0))
    assert not np.array_equal(made, generator.sample(weights, classes, points, temperature=1.0, seed=1))


@pytest.mark.parametrize("name", GENERATORS)
def test_contract_weights_survive_safetensors_and_read_only_memory(name):
    generator, data = GENERATORS[name](QUICK), random_data((3, 24, 24))
    weights = generator.fit(data, seed=0)
    kept = load(save(weights))
    for value in kept.values():
        value.setflags(write=False)
    frozen = FitData(*(np.array(a) for a in (data.arrays, data.class_probs, data.points)))
    for array in (frozen.arrays, frozen.class_probs, frozen.points):
        array.setflags(write=False)
    assert all(np.array_equal(weights[key], value) for key, value in generator.fit(frozen, seed=0).items())
    args = np.array([1]), np.zeros((1, 4), np.float32)
    assert np.array_equal(
        generator.sample(weights, *args, temperature=1.0, seed=0),
        generator.sample(kept, *args, temperature=1.0, seed=0),
    )


@pytest.mark.parametrize("name", GENERATORS)
def test_contract_degenerate_data(name):
    data = FitData(np.ones((6, 4), np.float32), np.ones((6, 1), np.float32), np.zeros((6, 2), np.float32))
    generator = GENERATORS[name](QUICK)
    made = generator.sample(
        generator.fit(data, seed=0), np.array([0]), np.array([[9.0, -9.0]], np.float32), temperature=5.0, seed=0
    )
    assert np.array_equal(made, np.ones((1, 4), np.float32)), "a dimension that never varies stays what it is"


def one_sample() -> np.ndarray:
    torch.set_num_threads(1)
    generator, data = GENERATORS["cvae"](QUICK), random_data((3, 24, 24))
    return generator.sample(
        generator.fit(data, seed=0), np.array([1]), np.zeros((1, 4), np.float32), temperature=1.0, seed=0
    )


def test_same_bits_in_a_fresh_process():
    source = f"""
from __future__ import annotations
import numpy as np, torch
from adde_ray.config import Generate
from adde_ray.methods.synthesis.generators import GENERATORS, FitData
QUICK = {QUICK!r}
{inspect.getsource(random_data)}
{inspect.getsource(one_sample)}
print(one_sample().tobytes().hex())
"""
    other = subprocess.run([sys.executable, "-c", source], capture_output=True, text=True, check=True)
    threads = torch.get_num_threads()
    try:
        assert other.stdout.strip() == one_sample().tobytes().hex()
    finally:
        torch.set_num_threads(threads)


@pytest.fixture(scope="module")
def digits():
    """A round in the middle of a run: 6 labels each of five classes, 2 each of five rare ones, and a pool."""
    bunch = load_digits()
    flat, labels = (bunch.data / 16).astype(np.float32), bunch.target
    rng = np.random.default_rng(0)
    labelled, pool = [], []
    for c in range(10):
        rows = rng.permutation(np.flatnonzero(labels == c))
        num = 6 if c < 5 else 2
        labelled += rows[:num].tolist()
        pool += rows[num : 60 if c < 5 else 10].tolist()
    f = LogisticRegression(class_weight="balanced", max_iter=500).fit(flat[labelled], labels[labelled])
    rows = labelled + pool
    probs = np.concatenate([np.eye(10, dtype=np.float32)[labels[labelled]], f.predict_proba(flat[pool])])
    points = PCA(16, random_state=0).fit_transform(flat[rows]).astype(np.float32)
    data = FitData(flat[rows].reshape(-1, 1, 8, 8), probs.astype(np.float32), points)
    centres = np.stack([points[: len(labelled)][labels[labelled] == c].mean(axis=0) for c in range(10)])
    judge = ExtraTreesClassifier(100, random_state=0).fit(flat, labels)
    return data, centres, judge


def test_cvae_draws_what_it_is_asked_for(digits):
    data, centres, judge = digits
    generator = GENERATORS["cvae"](Generate())
    weights = generator.fit(data, seed=0)
    classes = np.repeat(np.arange(10), 12)
    points = centres[classes] + np.random.default_rng(1).normal(size=(120, 16)).astype(np.float32) * 0.1
    made = generator.sample(weights, classes, points, temperature=0.8, seed=0)
    right = judge.predict(made.reshape(120, -1)) == classes
    assert right[classes < 5].mean() > 0.9
    assert right[classes >= 5].mean() > 0.8, "classes with two labels"


def test_cvae_class_counts_where_the_point_leaves_it_open(digits):
    data, centres, judge = digits
    generator = GENERATORS["cvae"](Generate())
    weights = generator.fit(data, seed=0)
    between = np.repeat((centres[:1] + centres[1:2]) / 2, 20, axis=0)
    for c in (0, 1):
        made = generator.sample(weights, np.full(20, c), between, temperature=0.5, seed=0)
        assert (judge.predict(made.reshape(20, -1)) == c).mean() > 0.6


def test_cvae_temperature_spreads_the_samples(digits):
    data, centres, _ = digits
    generator = GENERATORS["cvae"](Generate())
    weights = generator.fit(data, seed=0)
    point = np.repeat(centres[:1], 20, axis=0)
    spread = [
        generator.sample(weights, np.zeros(20, int), point, temperature=t, seed=0).std(axis=0).mean()
        for t in (0.2, 0.8, 1.5)
    ]
    assert spread[0] < 0.5 * spread[1] < spread[1] < spread[2]


def test_generator_for():
    assert generator_for("auto", "image") == generator_for("auto", "vector") == "cvae"
    assert generator_for("auto", "text") is None
    assert generator_for("none", "image") is None
    with pytest.raises(UserError, match=r"unknown name .*cvae.*none"):
        generator_for("vae", "image")
    with pytest.raises(UserError, match="data is text"):
        generator_for("cvae", "text")


def test_payloads_round_trip():
    arrays = random_data((3, 5, 4)).arrays
    payloads = to_payload(arrays, "image")
    assert payloads == to_payload(arrays.copy(), "image")
    assert np.abs(decode_images(payload_series(payloads, "image")) - arrays).max() <= 0.5 / 255 + 1e-6
    vectors = to_payload(arrays.reshape(len(arrays), -1).astype(np.float64), "vector")
    assert len(vectors) == len(arrays) and vectors[0].dtype == np.float32 and vectors[0].shape == (60,)
    assert to_payload(arrays[:0], "image") == []
