"""A fit by Ray Train workers on a Ray cluster that shrinks under it and grows again; `test_elastic.py` runs it.

In a process of its own, with a cluster of its own. Its nodes are simulated (`ray.cluster_utils`): real raylets on this
machine. The driver's has room for one worker, the other for both. The checkpoint holds the fit up at two steps, so that
what happens to the cluster happens there, however fast or busy the machine is.

Prints one JSON object: the workers there are at the first of these steps, at the second and after it, and how far the
weights end from those of a fit in this process.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from queue import Queue

import numpy as np
import psutil
import ray
from ray.cluster_utils import Cluster

from adde_ray.config import Train
from adde_ray.distributed import checkpoint
from adde_ray.distributed import training as fitting

SHRINK, GROW = 100, 200
"""Steps at which the large node goes, and comes again."""

CONFIG = Train(batch_size=33, steps=300, checkpoint_steps=10)


class Brake(checkpoint.Checkpoint):
    """A checkpoint that lets nobody past a step until it is told to."""

    def __init__(self):
        super().__init__()
        self._until = SHRINK

    async def put(self, state: dict) -> None:
        super().put(state)
        while state["step"] >= self._until:
            await asyncio.sleep(0.02)

    def let_go(self, until: float) -> None:
        self._until = until


def main() -> None:
    rng = np.random.default_rng(0)
    labels = rng.choice(3, 101)
    samples = (rng.normal(size=(101, 6)) + labels[:, None]).astype(np.float32), labels, 3
    alone = fitting.fit(*samples, CONFIG, seed=7)

    elastic = CONFIG.model_copy(update={"workers": 2, "min_workers": 1})
    cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 1})
    try:
        large = cluster.add_node(num_cpus=3)
        ray.init(address=cluster.address, log_to_driver=False)
        with ThreadPoolExecutor(1) as thread, brakes() as waiting:
            fit = thread.submit(fitting.fit, *samples, elastic, seed=7)
            brake = waiting.get()
            try:
                told = shrink_and_grow(cluster, large, brake, fit)
            finally:
                ray.get(brake.let_go.remote(float("inf")))
            survived = fit.result()
    finally:
        ray.shutdown()
        cluster.shutdown()
    away = max(float((survived[name] - alone[name]).abs().max()) for name in alone)
    print(json.dumps({"workers": told, "away": away}))


def shrink_and_grow(cluster: Cluster, large: object, brake, fit: Future) -> list[int]:
    """Take the large node away and add one. The number of workers before, in between and after."""

    def await_(holds: Callable[[], bool]) -> None:
        while not holds():
            assert not fit.done(), fit.result()
            time.sleep(0.05)

    def held_up_at(step: int) -> bool:
        return (state := ray.get(brake.get.remote())) is not None and state["step"] >= step

    await_(lambda: held_up_at(SHRINK))
    told = [num_workers()]
    cluster.remove_node(large)
    await_(lambda: ray.cluster_resources().get("CPU") == 1)
    look_again()
    ray.get(brake.let_go.remote(GROW))
    await_(lambda: held_up_at(GROW))
    told.append(num_workers())
    cluster.add_node(num_cpus=3)
    look_again()
    await_(lambda: num_workers() == 2)
    return [*told, num_workers()]


@contextlib.contextmanager
def brakes() -> Iterator[Queue]:
    """Checkpoints are brakes, each handed out as it starts. Room for more workers is looked for at once."""
    waiting, original = Queue(), fitting.held_checkpoint

    @contextlib.contextmanager
    def held_checkpoint(config: Train) -> Iterator:
        with original(config) as brake:
            waiting.put(brake)
            yield brake

    checkpoint.Checkpoint, fitting.held_checkpoint, fitting.RESIZE_S = Brake, held_checkpoint, 1.0
    yield waiting


def look_again() -> None:
    """Ray looks at its nodes every 20 s to say how many workers there is room for; here now."""
    coordinator = ray.get_actor("AutoscalingCoordinator", namespace="AutoscalingCoordinator")
    ray.get(coordinator.get_reserved_resources.remote("nobody", recompute=True))


def num_workers() -> int:
    """Processes of Ray Train's workers on this cluster."""
    found = 0
    for process in psutil.Process().children(recursive=True):
        with contextlib.suppress(psutil.NoSuchProcess):
            found += "RayTrainWorker" in " ".join(process.cmdline())
    return found


if __name__ == "__main__":
    main()
