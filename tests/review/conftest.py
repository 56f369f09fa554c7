"""What tests of the store share: each runs on SQLite and on PostgreSQL."""

from __future__ import annotations

import itertools
from collections.abc import Iterator

import databases
import pytest

DATABASES = ("sqlite", "postgresql")

_runs = itertools.count()


@pytest.fixture(scope="session")
def postgres() -> Iterator[str]:
    """The URL of a PostgreSQL that all tests share."""
    if databases.binaries() is None:
        pytest.skip("needs PostgreSQL")
    with databases.postgresql("fsync=off") as url:
        yield url


@pytest.fixture(params=DATABASES)
def address(request, tmp_path) -> tuple[str, str]:
    """(URL, run) of a store that nothing is in."""
    run = f"run-{next(_runs)}"
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path / 'store.sqlite'}", run
    return request.getfixturevalue("postgres"), run


class Clock:
    """Stands still until it is told to go on."""

    def __init__(self):
        self.seconds = 1_000_000.0

    def __call__(self) -> float:
        return self.seconds


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def store(address, clock):
    from adde_ray.review.store import Store

    opened = Store.open(*address, clock=clock)
    yield opened
    opened.shut()
