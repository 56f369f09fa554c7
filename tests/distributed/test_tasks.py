"""A function over many items: the same results here and in workers; a worker that dies is replaced."""

import os
import signal
import sys
from pathlib import Path

import pytest
import ray
import torch

from adde_ray.distributed.tasks import each
from adde_ray.errors import UserError


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


def test_in_this_process_in_order_and_as_they_are_due():
    before = torch.get_num_threads()
    assert list(each(square, [1, 2, 3], 1, workers=0)) == [(0, 2), (1, 5), (2, 10)]
    assert list(each(square, [], 1, workers=0)) == []
    taken = []
    lazy = each(lambda n: n, (taken.append(n) or n for n in range(10**9)), workers=0)
    assert next(lazy) == (0, 0) and next(lazy) == (1, 1) and len(taken) <= 2 + before
    lazy.close()
    with pytest.raises(ZeroDivisionError):
        list(each(lambda n: 1 // n, [2, 1, 0, 1], workers=0))
    assert torch.get_num_threads() == before


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
