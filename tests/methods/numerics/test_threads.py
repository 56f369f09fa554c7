from concurrent.futures import ThreadPoolExecutor

import pytest
import torch
from threadpoolctl import threadpool_info

from adde_ray.methods.numerics.threads import SMALL, one_thread, threads_for


@pytest.fixture(autouse=True)
def two():
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    yield
    torch.set_num_threads(before)


def test_small_work_is_done_on_one_and_what_was_set_comes_back():
    with threads_for(SMALL - 1):
        assert torch.get_num_threads() == 1
    with threads_for(SMALL):
        assert torch.get_num_threads() == 2
    with pytest.raises(ZeroDivisionError), threads_for(0):
        1 / 0  # noqa: B018
    assert torch.get_num_threads() == 2


def test_a_thread_sets_its_own_number_alone():
    """Shards are scored by threads of one torch thread each, while the main thread keeps what it had."""
    with ThreadPoolExecutor(1, initializer=torch.set_num_threads, initargs=(1,)) as pool:
        assert pool.submit(torch.get_num_threads).result() == 1 and torch.get_num_threads() == 2
        with threads_for(0):
            assert pool.submit(torch.get_num_threads).result() == 1
        assert torch.get_num_threads() == 2


def test_numpys_library_uses_one():
    def blas():
        return [found["num_threads"] for found in threadpool_info() if found["user_api"] == "blas"]

    before = blas()
    with one_thread(), one_thread():
        assert blas() == [1] * len(before)
    assert blas() == before
