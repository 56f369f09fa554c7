from __future__ import annotations

import time

import numpy as np
import pytest
import torch

from adde_ray.artifacts.run_dir import derive_seed
from adde_ray.config import Generate
from adde_ray.distributed import actor_pool, generators
from adde_ray.distributed.generators import GeneratorPool
from adde_ray.errors import UserError
from adde_ray.methods.synthesis.draws import draws_for
from adde_ray.methods.synthesis.generators import FitData
from adde_ray.methods.synthesis.requests import Request


def config(actors: int = 1, **more) -> Generate:
    return Generate(**{"generator": "auto", "actors": actors, "steps": 20, "latent_dims": 2} | more)


@pytest.fixture(scope="module")
def data() -> FitData:
    rng = np.random.default_rng(0)
    return FitData(
        rng.random((40, 1, 8, 8), dtype=np.float32),
        np.eye(3, dtype=np.float32)[np.arange(40) % 3],
        rng.normal(size=(40, 4)).astype(np.float32),
    )


REQUESTS = [Request(f"gap-{i}", i % 3, np.full(4, i / 5, np.float32), 0.5, i + 1) for i in range(5)]


def synthesise(pool: GeneratorPool, data: FitData, requests: list[Request], *, temperature=0.8, seed: int):
    """As the loop does: arrays (m, …), the row of each one's request (m,), and the rows it lies between (m, 2)."""
    draws = draws_for(requests, data, temperature=temperature, seed=seed)
    arrays = pool.sample(data, draws.of_requests, seed=derive_seed(seed, "fit"))
    return np.concatenate(arrays), draws.request_rows, draws.between


@pytest.fixture(scope="module")
def expected(ray_cluster, data):
    """What one actor makes of REQUESTS."""
    with GeneratorPool(config(), "image") as pool:
        return synthesise(pool, data, REQUESTS, seed=7)


@pytest.fixture(scope="module")
def two(ray_cluster):
    """A pool of two actors, shared by tests as it is by rounds."""
    with GeneratorPool(config(actors=2), "image") as pool:
        yield pool


def test_every_request_is_served(expected):
    arrays, rows, between = expected
    assert arrays.shape == (15, 1, 8, 8) and arrays.dtype == np.float32
    assert rows.tolist() == [0] + [1] * 2 + [2] * 3 + [3] * 4 + [4] * 5
    assert len(np.unique(arrays, axis=0)) == 15, "samples of a gap differ"
    assert between.shape == (15, 2), "each lies between two rows of the data, or none"


@pytest.mark.slow
def test_the_number_of_actors_and_the_rounds_before_change_nothing(expected, two, data):
    synthesise(two, data, REQUESTS[:1], seed=1)
    arrays, rows, _ = synthesise(two, data, REQUESTS, seed=7)
    assert np.array_equal(arrays, expected[0]) and np.array_equal(rows, expected[1])
    other, *_ = synthesise(two, data, REQUESTS, seed=8)
    assert not np.array_equal(other, arrays)


def test_without_actors_this_process_does_the_same(expected, data):
    threads = torch.get_num_threads()
    with GeneratorPool(config(actors=0), "image") as pool:
        assert pool.name == "cvae" and not pool.needs_ray
        arrays, rows, between = synthesise(pool, data, REQUESTS, seed=7)
    assert pool._pool.actors == [] and torch.get_num_threads() == threads
    for mine, theirs in zip((arrays, rows, between), expected, strict=True):
        assert np.array_equal(mine, theirs)


def test_neither_order_nor_company_change_a_request(expected, two, data):
    arrays, rows, _ = synthesise(two, data, [REQUESTS[4], REQUESTS[2]], seed=7)
    assert rows.tolist() == [0] * 5 + [1] * 3
    assert np.array_equal(arrays[:5], expected[0][10:]) and np.array_equal(arrays[5:], expected[0][3:6])


@pytest.mark.parametrize("no_restart", [True, False])
def test_a_killed_actor_is_replaced(expected, two, data, no_restart):
    import ray

    for actor in two._pool.actors:
        ray.kill(actor, no_restart=no_restart)
    arrays, rows, _ = synthesise(two, data, REQUESTS, seed=7)
    assert np.array_equal(arrays, expected[0]) and np.array_equal(rows, expected[1])


def test_actors_killed_at_work(expected, two, data, monkeypatch):
    import ray

    killed = []
    original = generators._sampling

    def sampling(*args):
        job = original(*args)

        def deadly(actor):
            ref = job(actor)
            if len(killed) < 2:
                ray.kill(actor)
                killed.append(actor)
            return ref

        return deadly

    monkeypatch.setattr(generators, "_sampling", sampling)
    arrays, *_ = synthesise(two, data, REQUESTS, seed=7)
    assert len(killed) == 2 and np.array_equal(arrays, expected[0])
    killed.clear()
    monkeypatch.setattr(actor_pool, "MAX_DEATHS", 1)
    with pytest.raises(UserError, match=r"died 1 times.*generate.max_fit_rows"):
        synthesise(two, data, REQUESTS, seed=7)


def test_an_actor_without_room_holds_nothing_up(expected, two, data):
    import ray

    ray.kill(two._pool.actors[0])
    two._pool.actors[0] = ray.remote(generators._Actor).options(num_cpus=1000).remote(two.name, config())
    arrays, *_ = synthesise(two, data, REQUESTS, seed=7)
    assert np.array_equal(arrays, expected[0])


def test_errors_of_the_generator_are_not_retried(two, data):
    with pytest.raises(TypeError, match="NoneType"):
        synthesise(two, data, REQUESTS, temperature=None, seed=7)


def test_starting_does_not_wait_and_closing_gives_back(ray_cluster, monkeypatch):
    import ray

    free = settled_cpus()
    monkeypatch.setattr(ray, "cluster_resources", lambda: {"CPU": 1.0})
    pool = GeneratorPool(config(actors=2), "vector")
    began = time.perf_counter()
    pool.start()
    pool.start()
    assert time.perf_counter() - began < 2.0 and len(pool._pool.actors) == 2
    ray.get([actor.ready.remote() for actor in pool._pool.actors])
    assert settled_cpus() == pytest.approx(free - 0.5), "together they reserve half of the one CPU"
    pool.close()
    assert settled_cpus() == pytest.approx(free)


def settled_cpus() -> float:
    """CPUs that are free. Ray's view of them lags a little, so: once they have been the same for a second."""
    import ray

    readings: list[float] = []
    while len(readings) < 100 and (len(readings) < 6 or len(set(readings[-6:])) > 1):
        readings.append(ray.available_resources().get("CPU", 0.0))
        time.sleep(0.2)
    return readings[-1]


def test_nothing_to_do(ray_cluster, data):
    for pool in (
        GeneratorPool(config(generator="none"), "image"),
        GeneratorPool(config(), "text"),
        GeneratorPool(config(max_share=0.0), "image"),
    ):
        with pool:
            assert pool.name is None and pool._pool.actors == []
    pool = GeneratorPool(config(), "image")
    assert pool._pool.actors == []


def test_a_gpu_that_is_not_there(ray_cluster):
    with pytest.raises(UserError, match=r"generate.gpu: the Ray cluster has no GPU"):
        GeneratorPool(config(gpu=True), "image").start()
