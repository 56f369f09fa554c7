"""How many threads numeric libraries use: small products are done sooner on one than on several that wait.

torch's number is one for each thread that asks, so it may be changed wherever work is done. A BLAS has one for the
whole process: `one_thread` is for the main thread alone.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from contextlib import AbstractContextManager
from functools import cache

import torch
from threadpoolctl import ThreadpoolController

SMALL = 4_000_000
"""Multiply-adds below which one thread is the fastest: more would wait for each other."""


@contextlib.contextmanager
def threads_for(work: float) -> Iterator[None]:
    """torch on one thread when there are fewer multiply-adds than `SMALL`."""
    before = torch.get_num_threads()
    if work >= SMALL or before == 1:
        yield
        return
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)


@contextlib.contextmanager
def threads_kept() -> Iterator[None]:
    """torch's number is as before in the end: numba, once it runs, changes it for all of OpenMP."""
    before = torch.get_num_threads()
    try:
        yield
    finally:
        torch.set_num_threads(before)


def one_thread() -> AbstractContextManager:
    """NumPy's libraries use one thread within."""
    return _libraries().limit(limits=1)


@cache
def _libraries() -> ThreadpoolController:
    return ThreadpoolController()  # looking for them takes longer than many a selection
