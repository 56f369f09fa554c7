"""The tables of the store as they are at `HEAD`. What changes them is a migration beside `versions/0001.py`."""

from __future__ import annotations

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    Float,
    ForeignKey,
    Index,
    Integer,
    MetaData,
    String,
    Table,
    Text,
    UniqueConstraint,
)

HEAD = "0002"
"""The newest migration."""

VERSION = "adde_version"
"""The table that holds the store's own."""

metadata = MetaData()

Key = BigInteger().with_variant(Integer, "sqlite")

rounds = Table(
    "adde_rounds",
    metadata,
    Column("run", String(64), primary_key=True),
    Column("round", Integer, primary_key=True),
    Column("closed", Float),  # seconds since 1970; null while it is open
)

tasks = Table(
    "adde_tasks",
    metadata,
    Column("task", Key, primary_key=True, autoincrement=True),
    Column("run", String(64), nullable=False),
    Column("round", Integer, nullable=False),
    Column("sample_id", String(64), nullable=False),
    Column("rank", Integer, nullable=False),
    Column("kind", String(8), nullable=False),
    Column("modality", String(8), nullable=False),
    Column("payload", Text, nullable=False),
    Column("suggested", Text),
    Column("confidence", Float),
    Column("origin", String(16), nullable=False),
    Column("why", Text, nullable=False),  # JSON
    Column("truth", Text),
    Column("hides_guess", Boolean, nullable=False),
    Column("published", Float, nullable=False),
    Column("withdrawn", Boolean, nullable=False),
    Column("seats", Integer, nullable=False),  # people who have it before them, or have answered
    Column("answered", Integer, nullable=False),  # people whose decision stands
    Column("wanted", Integer, nullable=False),  # opinions that are enough where overlap is adaptive
    UniqueConstraint("run", "round", "sample_id", name="adde_tasks_once"),
    Index("adde_tasks_next", "run", "round", "seats", "rank"),
    Index("adde_tasks_sample", "run", "sample_id"),
)

seats = Table(
    "adde_seats",
    metadata,
    Column("task", Key, ForeignKey("adde_tasks.task"), primary_key=True),
    Column("annotator", String(80), primary_key=True),
    Column("run", String(64), nullable=False),
    Column("state", String(8), nullable=False),  # held | later | answered | skipped | lapsed
    Column("until", Float, nullable=False),  # when what is held lapses
    Column("overlap", Integer, nullable=False),  # under which it was given; 0: adaptive
    Index("adde_seats_until", "run", "state", "until"),
    Index("adde_seats_mine", "run", "annotator", "state"),
)

answers = Table(
    "adde_answers",
    metadata,
    Column("number", Key, primary_key=True, autoincrement=True),  # in the order they came
    Column("answer_id", String(64), nullable=False),
    Column("run", String(64), nullable=False),
    Column("task", Key, ForeignKey("adde_tasks.task"), nullable=False),
    Column("annotator", String(80), nullable=False),
    Column("action", String(8), nullable=False),
    Column("label", Text),
    Column("flags", Text, nullable=False),  # JSON
    Column("comment", Text),
    Column("seconds", Float, nullable=False),
    Column("saw_guess", Boolean, nullable=False),
    Column("saw_why", Boolean, nullable=False),
    Column("replaces", String(64)),
    Column("when", Float, nullable=False),
    Column("after_close", Boolean, nullable=False),
    UniqueConstraint("run", "answer_id", name="adde_answers_once"),
    UniqueConstraint("run", "replaces", name="adde_answers_replaced_once"),
    Index("adde_answers_task", "task"),
    Index("adde_answers_mine", "run", "annotator", "number"),
)

people = Table(
    "adde_people",
    metadata,
    Column("run", String(64), primary_key=True),
    Column("name", String(80), primary_key=True),
    Column("role", String(16), nullable=False),
    Column("token", String(64), nullable=False),  # SHA-256, hex
    Column("invited", Float, nullable=False),
    Column("revoked", Float),
)

sessions = Table(
    "adde_sessions",
    metadata,
    Column("cookie", String(64), primary_key=True),  # SHA-256, hex
    Column("run", String(64), nullable=False),
    Column("name", String(80), nullable=False),
    Column("role", String(16), nullable=False),
    Column("local", Boolean, nullable=False),  # of whoever sits at this machine, without a token
    Column("until", Float, nullable=False),
    Index("adde_sessions_person", "run", "name"),
)

comments = Table(
    "adde_comments",
    metadata,
    Column("number", Key, primary_key=True, autoincrement=True),
    Column("run", String(64), nullable=False),
    Column("sample_id", String(64), nullable=False),
    Column("by", String(80), nullable=False),
    Column("text", Text, nullable=False),
    Column("when", Float, nullable=False),
    Index("adde_comments_sample", "run", "sample_id"),
)

classes = Table(
    "adde_classes",
    metadata,
    Column("run", String(64), primary_key=True),
    Column("name", String(200), primary_key=True),
    Column("by", String(80), nullable=False),
    Column("state", String(8), nullable=False),
    Column("into", Text),
    Column("settled_by", String(80)),
    Column("when", Float, nullable=False),
)

wanted = Table(
    "adde_wanted",
    metadata,
    Column("number", Key, primary_key=True, autoincrement=True),
    Column("run", String(64), nullable=False),
    Column("sample_id", String(64), nullable=False),
    Column("by", String(80), nullable=False),
    Column("reason", Text, nullable=False),
    Column("when", Float, nullable=False),
    Index("adde_wanted_run", "run"),
)
