"""A function over many items: the same results here and in workers; a worker that dies is replaced."""

import os
import signal
import sys
import threading
from pathlib import Path

import pytest
import ray

from adde_ray.errors import UserError
from adde_ray.workers import each


def square(number, plus):
    return number**2 + plus


def refuse(number):
    raise UserError("no such number", where="here", value=number, remedy="Take another")


def die_once(number, folder):
    flag = Path(folder) / "died"
    if number == 3 and not flag.exists():
        flag.touch()
        os.kill(os.getpid(), signal.SIGKILL)
    return number


def test_in_this_process_one_at_a_time_and_in_order():
    assert list(each(square, [1, 2, 3], 1, workers=0)) == [(0, 2), (1, 5), (2, 10)]
    assert list(each(square, [], 1, workers=0)) == []
    lazy = each(lambda _: threading.get_ident(), range(10**9), workers=0)
    assert next(lazy) == (0, threading.get_ident())


def test_in_workers(ray_cluster):
    ray.cloudpickle.register_pickle_by_value(sys.modules[__name__])
    assert dict(each(square, range(20), 1, workers=2)) == {n: n**2 + 1 for n in range(20)}
    assert list(each(square, [], 1, workers=None)) == []
    with pytest.raises(UserError, match=r"^here: no such number \(got 1\). Take another.$"):
        list(each(refuse, [1], workers=1))


def test_a_worker_that_dies(ray_cluster, tmp_path):
    ray.cloudpickle.register_pickle_by_value(sys.modules[__name__])
    assert dict(each(die_once, range(6), str(tmp_path), workers=2)) == {n: n for n in range(6)}
    assert (tmp_path / "died").exists()
