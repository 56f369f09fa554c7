"""The database below the store: SQLite or PostgreSQL, opened, migrated, and written in whole transactions.

SQLite: a write-ahead log, synced at each commit, and `BEGIN IMMEDIATE` for whatever writes, so that writers queue
instead of failing. PostgreSQL: what writes locks the rows of the samples it touches, always in the same order.
"""

from __future__ import annotations

import contextlib
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from sqlalchemy import Connection, Engine, create_engine, event, inspect, text
from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import ArgumentError, DBAPIError

from adde_ray.errors import UserError, first_line, needed
from adde_ray.review.store.tables import HEAD, VERSION

if TYPE_CHECKING:
    from alembic.config import Config

T = TypeVar("T")

BUSY_SECONDS = 30
"""How long SQLite waits for another process's transaction."""

TRIES = 8
"""Of a transaction that PostgreSQL gave up for another's sake."""

GIVEN_UP = ("40001", "40P01")
"""PostgreSQL's codes for that: serialization failure, deadlock."""

MIGRATING = 0x0ADDE
"""PostgreSQL's advisory lock that a migration holds."""


class Unreachable(UserError):
    """The database does not answer, or cannot be written."""


class Together:
    """Writes of several threads in one transaction: SQLite has one writer at a time, and syncs the disk at each commit,
    which takes longer than all else. Whoever comes while a transaction is under way is part of the next.
    """

    MOST = 64
    """Writes in a transaction."""

    def __init__(self, transaction: Callable[[], contextlib.AbstractContextManager[Connection]]):
        self._transaction = transaction
        self._waiting: deque[Waiting] = deque()
        self._turn = threading.Lock()

    def write(self, work: Callable[[Connection], T]) -> T:
        """What `work` returns or raises, once its transaction is on the disk or given up."""
        mine = Waiting(work)
        self._waiting.append(mine)
        while not mine.done:
            with self._turn:
                if not mine.done:
                    self._write([self._waiting.popleft() for _ in range(min(self.MOST, len(self._waiting)))])
        if mine.error is not None:
            raise mine.error
        return mine.value

    def _write(self, batch: list[Waiting]) -> None:
        try:
            with self._transaction() as connection:
                for one in batch:
                    one.run(connection, alone=len(batch) == 1)
        except BaseException as error:  # nothing of it is kept
            for one in batch:
                one.error = one.error or error
            if not isinstance(error, Exception):
                raise
        finally:
            for one in batch:
                one.done = True


class Waiting:
    """One thread's work, and what came of it."""

    def __init__(self, work: Callable[[Connection], Any]):
        self._work = work
        self.done = False
        self.value: Any = None
        self.error: BaseException | None = None

    def run(self, connection: Connection, *, alone: bool) -> None:
        """alone: nobody else's work is in the transaction, which ends where this fails."""
        if alone:
            self.value = self._work(connection)
            return
        connection.exec_driver_sql("SAVEPOINT adde")
        try:
            self.value = self._work(connection)
        except Exception as error:
            self.error = error
            connection.exec_driver_sql("ROLLBACK TO adde")
        connection.exec_driver_sql("RELEASE adde")


class Database:
    """Opens with `Database(url)`, and is brought to the newest schema unless `migrate` is false.

    Raises UserError: unknown kind, unreachable, or of a newer schema.
    """

    def __init__(self, url: str, *, migrate: bool = True):
        self._url = _parse(url)
        self.shown = self._url.database if self.is_sqlite else self._url.render_as_string(hide_password=True)
        self._together = Together(self._transaction)
        self._engine = _sqlite(self._url) if self.is_sqlite else _postgresql(self._url)
        try:
            if migrate:
                self._migrate()
        except BaseException:
            self._engine.dispose()
            raise

    @property
    def is_sqlite(self) -> bool:
        """Whether it is a file of this machine's."""
        return self._url.get_backend_name() == "sqlite"

    def read(self, work: Callable[[Connection], T]) -> T:
        """What `work` finds, all of it at one moment. Raises Unreachable."""
        with self._reached(), self._engine.connect() as connection, connection.begin():
            return work(connection)

    def write(self, work: Callable[[Connection], T]) -> T:
        """`work` in one transaction: all of it is kept, on the disk, or nothing. It may be called several times.

        Raises Unreachable.
        """
        if self.is_sqlite:
            return self._together.write(work)
        for attempt in range(TRIES):
            try:
                with self._transaction() as connection:
                    return work(connection)
            except DBAPIError as error:
                if getattr(error.orig, "sqlstate", None) not in GIVEN_UP or attempt == TRIES - 1:
                    with self._reached():
                        raise
                time.sleep(0.01 * 2**attempt)
        raise AssertionError("the last try returns or raises")

    @contextlib.contextmanager
    def _transaction(self) -> Iterator[Connection]:
        with self._reached(), self._engine.connect() as opened:
            connection = opened.execution_options(adde_writes=True)
            with connection.begin():
                yield connection

    def alone(self, connection: Connection, who: str) -> None:
        """Until the transaction ends, nobody else is past this with the same `who`. On SQLite nobody ever is."""
        if not self.is_sqlite:
            connection.execute(text("SELECT pg_advisory_xact_lock(hashtextextended(:who, 0))"), {"who": who})

    def insert(self, table: Any) -> Any:
        """The dialect's INSERT, which can say what to do with a row that is there already."""
        from sqlalchemy.dialects import postgresql, sqlite

        return sqlite.insert(table) if self.is_sqlite else postgresql.insert(table)

    def close(self) -> None:
        """Give connections back."""
        self._engine.dispose()

    @contextlib.contextmanager
    def _reached(self) -> Iterator[None]:
        try:
            yield
        except DBAPIError as error:
            if type(error).__name__ != "OperationalError":
                raise
            raise Unreachable(
                f"the store cannot be used: {first_line(error.orig or error)}",
                where=self.shown,
                remedy="See that the database is there, can be written and has room",
            ) from None

    # --- its schema ------------------------------------------------------------------------------------------

    def _migrate(self) -> None:
        if self.read(_version) != HEAD:
            self.write(self._upgrade)

    def _upgrade(self, connection: Connection) -> None:
        from alembic import command
        from alembic.script import ScriptDirectory

        if not self.is_sqlite:
            connection.execute(text(f"SELECT pg_advisory_xact_lock({MIGRATING})"))
        config = self.migrations(connection)
        version = _version(connection)  # another process may have been first
        known = [revision.revision for revision in ScriptDirectory.from_config(config).walk_revisions()]
        if version is not None and version not in known:
            raise UserError(
                "the store was made by a newer version of adde_ray",
                where=self.shown,
                value=version,
                remedy="Update adde_ray",
            )
        command.upgrade(config, "head")

    def migrations(self, connection: Connection) -> Config:
        """The migrations, as alembic's commands take them, to be carried out on a connection."""
        from alembic.config import Config

        config = Config()
        config.set_main_option("script_location", str(Path(__file__).with_name("migrations")).replace("%", "%%"))
        config.set_main_option("path_separator", "os")
        config.attributes["connection"] = connection
        return config


def _version(connection: Connection) -> str | None:
    if not inspect(connection).has_table(VERSION):
        return None
    return connection.execute(text(f"SELECT version_num FROM {VERSION}")).scalar()


def _parse(url: str) -> URL:
    remedy = "Leave review.store out for a file in the run's folder, or give postgresql://USER@HOST/DATABASE"
    try:
        parsed = make_url(url)
    except ArgumentError:
        raise UserError("no address of a store", where="review.store", value=url, remedy=remedy) from None
    backend = parsed.get_backend_name()
    if backend not in ("sqlite", "postgresql") or (backend == "sqlite" and not parsed.database):
        raise UserError(
            "no address of a store",
            where="review.store",
            value=parsed.render_as_string(hide_password=True),
            remedy=remedy,
        )
    if backend == "postgresql":
        needed("psycopg", extra="review", where="review.store", value=parsed.render_as_string(hide_password=True))
        parsed = parsed.set(drivername="postgresql+psycopg")
    return parsed


def _sqlite(url: URL) -> Engine:
    engine = create_engine(url, pool_size=8, max_overflow=40, connect_args={"check_same_thread": False})

    @event.listens_for(engine, "connect")
    def _connect(raw: Any, _: object) -> None:
        raw.isolation_level = None  # transactions begin below, not where the driver thinks fit
        for pragma in (
            f"busy_timeout = {BUSY_SECONDS * 1000}",
            "journal_mode = WAL",
            "synchronous = FULL",  # an answer that was acknowledged outlives the machine's power, too
            "foreign_keys = ON",
        ):
            raw.execute(f"PRAGMA {pragma}")

    @event.listens_for(engine, "begin")
    def _begin(connection: Connection) -> None:
        writes = connection.get_execution_options().get("adde_writes")
        connection.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")

    return engine


def _postgresql(url: URL) -> Engine:
    return create_engine(url, pool_size=8, max_overflow=40, pool_pre_ping=True, connect_args={"connect_timeout": 10})
