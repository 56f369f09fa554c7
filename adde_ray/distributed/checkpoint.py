"""The latest state of a fit, held beside the driver: what workers that come after lost ones go on from.

Weights, optimiser and schedule in → the same out. Ray Train's own checkpoints need storage that all machines share;
an actor that outlives the workers does not.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import torch

from adde_ray.config import Train
from adde_ray.distributed.tasks import stop

if TYPE_CHECKING:
    from torch.optim import Optimizer
    from torch.optim.lr_scheduler import LRScheduler

    from adde_ray.distributed.tasks import Actor


class Checkpoint:
    """Runs in a process of its own, on the driver's machine."""

    def __init__(self):
        self._state: dict | None = None

    def put(self, state: dict) -> None:
        """Keep this state instead of the one before."""
        self._state = state

    def get(self) -> dict | None:
        """The latest state; None before the first."""
        return self._state


@contextlib.contextmanager
def held_checkpoint(config: Train) -> Iterator[Actor | None]:
    """A checkpoint for as long as a fit lasts; None where no worker can be lost."""
    if config.workers == 0:
        yield None
        return
    import ray
    from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

    # A soft wish is not heard of an actor that needs no resources: Ray would put it on any machine, and lose it there.
    here = NodeAffinitySchedulingStrategy(ray.get_runtime_context().get_node_id(), soft=False)
    remote: Any = ray.remote(Checkpoint).options(num_cpus=0, scheduling_strategy=here)
    checkpoint: Actor = remote.remote()
    try:
        yield checkpoint
    finally:
        stop([checkpoint])


def keep(
    checkpoint: Actor,
    step: int,
    weights: dict[str, torch.Tensor],
    optimiser: Optimizer,
    schedule: LRScheduler,
) -> None:
    """Hand over what a fit is after `step` steps."""
    import ray

    state = {"step": step, "weights": weights, "optimiser": optimiser.state_dict(), "schedule": schedule.state_dict()}
    # Waiting holds a step up for a moment, and states from queueing up in memory.
    ray.get(checkpoint.put.remote(_on_cpu(state)))


def take_up(checkpoint: Actor, weights: dict[str, torch.Tensor], optimiser: Optimizer, schedule: LRScheduler) -> int:
    """Put the kept state, if there is one, into these. Returns the steps that are done."""
    import ray

    state: Any = ray.get(checkpoint.get.remote())
    if state is None:
        return 0
    with torch.no_grad():
        for name, value in weights.items():
            value.copy_(state["weights"][name])
    optimiser.load_state_dict(state["optimiser"])
    schedule.load_state_dict(state["schedule"])
    return state["step"]


def _on_cpu(tree: Any) -> Any:
    if isinstance(tree, dict):
        return {key: _on_cpu(value) for key, value in tree.items()}
    if isinstance(tree, list):
        return [_on_cpu(value) for value in tree]
    return tree.detach().cpu() if isinstance(tree, torch.Tensor) else tree
