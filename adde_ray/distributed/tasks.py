"""The same function over many items: in this process, or as Ray tasks on whatever machines there are.

Besides, what groups items into work of one size, and what stops a run's actors.
"""

from __future__ import annotations

import itertools
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TYPE_CHECKING, Any, TypeVar

if TYPE_CHECKING:
    from ray.actor import ActorHandle

    Actor = ActorHandle[Any]

Item = TypeVar("Item")
Result = TypeVar("Result")

MAX_RETRIES = 3
"""A task whose worker or machine died is run again this many times."""

IN_FLIGHT = 2
"""Tasks submitted for each worker: one runs, the next waits for it to end."""


def each(
    function: Callable[..., Result], items: Iterable[Item], *common: object, workers: int | None
) -> Iterator[tuple[int, Result]]:
    """(row, function(item, *common)) of every item, in whatever order they are done; items are taken as they are due.

    workers: 0 = in this process, on as many threads as torch has; None = as many as the Ray cluster has CPUs. `common`
    travels to each machine once. Raises what `function` raises.
    """
    if workers == 0:
        yield from _here(function, items, common)
        return
    import ray

    cpus = ray.cluster_resources().get("CPU", 1.0)
    workers = workers or max(int(cpus), 1)
    # At most half of the CPUs, as every part of a run: generators keep the other half, and would wait for ever.
    task: Any = ray.remote(num_cpus=min(1.0, 0.5 * cpus / workers), max_retries=MAX_RETRIES)(_alone(function))
    shared = [ray.put(value) for value in common]
    left, running = iter(enumerate(items)), {}
    try:
        while True:
            for row, item in left:
                running[task.remote(item, *shared)] = row
                if len(running) >= IN_FLIGHT * workers:
                    break
            if not running:
                return
            [done], _ = ray.wait(list(running), num_returns=1)
            yield running.pop(done), _value(done)
    finally:
        for reference in running:
            ray.cancel(reference, force=False)


def together(items: Iterable[Item], size: Callable[[Item], int], *, at_most: int) -> Iterator[list[Item]]:
    """Items in order, together as long as their sizes add up to no more than `at_most`; a larger one by itself."""
    group: list[Item] = []
    held = 0
    for item in items:
        if group and held + size(item) > at_most:
            yield group
            group, held = [], 0
        group.append(item)
        held += size(item)
    if group:
        yield group


def stop(actors: Sequence[Actor]) -> None:
    """End actors and give their resources back; where Ray has been shut down, they are gone already."""
    if not actors:
        return
    import ray

    if ray.is_initialized():
        for actor in actors:
            ray.kill(actor)


def _here(function: Callable[..., Result], items: Iterable[Item], common: tuple) -> Iterator[tuple[int, Result]]:
    """In order. Several items at a time, each on one thread, rather than one on several: what of their work is not a
    large product would leave the others idle."""
    import torch

    threads, left = torch.get_num_threads(), enumerate(items)
    first = list(itertools.islice(left, 2))
    if len(first) < 2 or threads == 1:
        for row, item in itertools.chain(first, left):
            yield row, function(item, *common)
        return
    left = itertools.chain(first, left)
    with ThreadPoolExecutor(threads, initializer=torch.set_num_threads, initargs=(1,)) as pool:
        try:
            running: deque[tuple[int, Future]] = deque()
            for row, item in left:
                running.append((row, pool.submit(function, item, *common)))
                if len(running) == threads:
                    done, future = running.popleft()
                    yield done, future.result()
            for done, future in running:
                yield done, future.result()
        finally:
            torch.set_num_threads(threads)  # which a thread's own number sets for products everywhere


def _alone(function: Callable[..., Result]) -> Callable[..., Result]:
    """On one torch thread: several workers share the machine, and threads that wait for each other slow them all."""

    def run(*arguments: object) -> Result:
        import torch

        torch.set_num_threads(1)
        return function(*arguments)

    return run


def _value(reference: Any) -> Any:
    import ray
    from ray.exceptions import RayTaskError

    try:
        return ray.get(reference)
    except RayTaskError as error:
        # The cause has the type callers catch; Ray's wrapper has its traceback.
        raise error.cause from error
