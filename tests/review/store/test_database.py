"""How a store is opened: its schema, its place, and what cannot be one."""

import subprocess
import sys
import threading
import uuid
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from asked import items
from sqlalchemy import create_engine, insert, text

from adde_ray.errors import UserError
from adde_ray.review.store import Person, Store, place, tables
from adde_ray.review.store.database import Database
from adde_ray.review.store.tables import HEAD, VERSION, metadata

MIGRATIONS = Path(sys.modules[Store.__module__].__file__).with_name("migrations")


@pytest.fixture(params=("sqlite", "postgresql"))
def empty(request, tmp_path) -> str:
    """The URL of a database that nothing is in."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path / 'empty.sqlite'}"
    url, name = request.getfixturevalue("postgres"), f"d{uuid.uuid4().hex}"
    engine = create_engine(url.replace("://", "+psycopg://"), isolation_level="AUTOCOMMIT")
    with engine.connect() as connection:
        connection.execute(text(f"CREATE DATABASE {name}"))
    engine.dispose()
    return url.rpartition("/")[0] + f"/{name}"


def test_the_newest_migration_is_the_one_that_is_looked_for():
    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS))
    config.set_main_option("path_separator", "os")
    assert ScriptDirectory.from_config(config).get_current_head() == HEAD


def test_the_migrations_make_the_tables_that_the_code_reads(empty):
    store = Store.open(empty, "run")
    options = {"version_table": VERSION, "compare_type": True}
    found = store._db.read(lambda c: compare_metadata(MigrationContext.configure(c, opts=options), metadata))
    assert found == []
    store.shut()


def test_a_store_of_a_newer_version_is_refused_in_one_line(empty):
    store = Store.open(empty, "run")
    store._db.write(lambda c: c.execute(text(f"UPDATE {VERSION} SET version_num = '9999'")))
    store.shut()
    with pytest.raises(UserError, match=r"newer version of adde_ray \(got '9999'\)"):
        Store.open(empty, "run")


def at_version(url: str, version: str) -> None:
    """A store as an earlier version made it."""
    store = Database(url, migrate=False)
    store.write(lambda connection: command.upgrade(store.migrations(connection), version))
    store.close()


def test_a_store_of_version_1_is_migrated_with_all_that_is_in_it(empty):
    at_version(empty, "0001")
    values = (
        "('run', 0, 'a', 0, 'new', 'text', 'hello', 'A', 0.5, 'real', '{}', NULL, '0', 1.0, '0', 1, 0, 1)"  # as it was
    )
    columns = (
        "run, round, sample_id, rank, kind, modality, payload, suggested, confidence, origin, why, truth, hides_guess, "
        "published, withdrawn, seats, answered, wanted"
    )
    old = Database(empty, migrate=False)
    old.write(lambda c: c.execute(text("INSERT INTO adde_rounds (run, round) VALUES ('run', 0)")))
    old.write(lambda c: c.execute(text(f"INSERT INTO adde_tasks ({columns}) VALUES {values}")))
    old.close()
    store = Store.open(empty, "run")
    assert [item.payload for _, item in store.items()] == ["hello"]
    assert store.signed_in(store.sign_in(Person("ann", "annotator"))).person.name == "ann"
    assert store._db.read(lambda c: c.execute(text(f"SELECT version_num FROM {VERSION}")).scalar()) == HEAD
    store.shut()


def test_what_fails_among_writes_of_one_transaction_fails_alone(empty):
    store = Store.open(empty, "run")
    together, kept = threading.Barrier(12), []

    def work(number: int) -> None:
        together.wait()

        def write(connection):
            connection.execute(insert(tables.rounds).values(run="run", round=number))
            if number % 3 == 0:
                raise UserError(f"no {number}")

        try:
            store._db.write(write)
            kept.append(number)
        except UserError as error:
            assert f"no {number}" in str(error)

    for _ in range(3):
        with ThreadPoolExecutor(12) as pool:
            list(pool.map(work, range(len(kept) * 100, len(kept) * 100 + 12)))
        assert store.rounds() == sorted(kept)
    store.shut()


def test_processes_that_open_an_empty_store_at_once_all_find_it_whole(empty):
    code = f"from adde_ray.review.store import Store; Store.open({empty!r}, 'run').shut()"
    begun = [subprocess.Popen([sys.executable, "-c", code], stderr=subprocess.PIPE) for _ in range(3)]
    assert [process.wait() for process in begun] == [0] * 3, [process.stderr.read() for process in begun]


@pytest.mark.parametrize("url", ["store", "mysql://x/y", "sqlite://", "nonsense://"])
def test_what_is_no_address_is_told(url):
    with pytest.raises(UserError, match=r"review\.store: no address of a store"):
        Store.open(url, "run")


def test_an_unreachable_database_is_one_line_without_its_password(tmp_path):
    with pytest.raises(UserError, match="the store cannot be used") as told:
        Store.open("postgresql://adde:secret@127.0.0.1:1/adde", "run")
    assert "secret" not in str(told.value)
    (tmp_path / "folder").mkdir()
    with pytest.raises(UserError, match="the store cannot be used"):
        Store.open(f"sqlite:///{tmp_path / 'folder'}", "run")


def test_a_run_keeps_its_name_wherever_its_folder_goes(tmp_path):
    (tmp_path / "run").mkdir()
    url, run = place(tmp_path / "run")
    store = Store.open(url, run)
    store.publish(items(2))
    store.shut()
    (tmp_path / "run").rename(tmp_path / "moved")
    url, again = place(tmp_path / "moved")
    assert again == run and len(run) == 16
    store = Store.open(url, again)
    assert len(store.items()) == 2
    store.shut()
    assert place(tmp_path / "moved", "postgresql://h/d") == ("postgresql://h/d", run)


def test_importing_the_records_loads_no_database():
    code = (
        "import sys, adde_ray.review.store as s; s.Item; print([m for m in ('sqlalchemy', 'ray') if m in sys.modules])"
    )
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True).stdout.strip() == "[]"


def test_without_the_extra_its_command_is_told(monkeypatch):
    from adde_ray import errors, review

    find = errors.importlib.util.find_spec
    monkeypatch.setattr(errors.importlib.util, "find_spec", lambda name: None if name == "alembic" else find(name))
    with pytest.raises(UserError, match=r'needs the package alembic .*pip install "adde_ray\[review\]"'):
        review.store.Store  # noqa: B018
