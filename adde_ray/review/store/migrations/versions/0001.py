"""What is asked, who has it, what was answered; people, comments, proposed classes, what is wanted again."""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None

Key = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    """The first version."""
    op.create_table(
        "adde_rounds",
        sa.Column("run", sa.String(64), primary_key=True),
        sa.Column("round", sa.Integer(), primary_key=True),
        sa.Column("closed", sa.Float()),
    )
    op.create_table(
        "adde_tasks",
        sa.Column("task", Key, primary_key=True, autoincrement=True),
        sa.Column("run", sa.String(64), nullable=False),
        sa.Column("round", sa.Integer(), nullable=False),
        sa.Column("sample_id", sa.String(64), nullable=False),
        sa.Column("rank", sa.Integer(), nullable=False),
        sa.Column("kind", sa.String(8), nullable=False),
        sa.Column("modality", sa.String(8), nullable=False),
        sa.Column("payload", sa.Text(), nullable=False),
        sa.Column("suggested", sa.Text()),
        sa.Column("confidence", sa.Float()),
        sa.Column("origin", sa.String(16), nullable=False),
        sa.Column("why", sa.Text(), nullable=False),
        sa.Column("truth", sa.Text()),
        sa.Column("hides_guess", sa.Boolean(), nullable=False),
        sa.Column("published", sa.Float(), nullable=False),
        sa.Column("withdrawn", sa.Boolean(), nullable=False),
        sa.Column("seats", sa.Integer(), nullable=False),
        sa.Column("answered", sa.Integer(), nullable=False),
        sa.Column("wanted", sa.Integer(), nullable=False),
        sa.UniqueConstraint("run", "round", "sample_id", name="adde_tasks_once"),
    )
    op.create_index("adde_tasks_next", "adde_tasks", ["run", "round", "seats", "rank"])
    op.create_index("adde_tasks_sample", "adde_tasks", ["run", "sample_id"])
    op.create_table(
        "adde_seats",
        sa.Column("task", Key, sa.ForeignKey("adde_tasks.task"), primary_key=True),
        sa.Column("annotator", sa.String(80), primary_key=True),
        sa.Column("run", sa.String(64), nullable=False),
        sa.Column("state", sa.String(8), nullable=False),
        sa.Column("until", sa.Float(), nullable=False),
        sa.Column("overlap", sa.Integer(), nullable=False),
    )
    op.create_index("adde_seats_until", "adde_seats", ["run", "state", "until"])
    op.create_index("adde_seats_mine", "adde_seats", ["run", "annotator", "state"])
    op.create_table(
        "adde_answers",
        sa.Column("number", Key, primary_key=True, autoincrement=True),
        sa.Column("answer_id", sa.String(64), nullable=False),
        sa.Column("run", sa.String(64), nullable=False),
        sa.Column("task", Key, sa.ForeignKey("adde_tasks.task"), nullable=False),
        sa.Column("annotator", sa.String(80), nullable=False),
        sa.Column("action", sa.String(8), nullable=False),
        sa.Column("label", sa.Text()),
        sa.Column("flags", sa.Text(), nullable=False),
        sa.Column("comment", sa.Text()),
        sa.Column("seconds", sa.Float(), nullable=False),
        sa.Column("saw_guess", sa.Boolean(), nullable=False),
        sa.Column("saw_why", sa.Boolean(), nullable=False),
        sa.Column("replaces", sa.String(64)),
        sa.Column("when", sa.Float(), nullable=False),
        sa.Column("after_close", sa.Boolean(), nullable=False),
        sa.UniqueConstraint("run", "answer_id", name="adde_answers_once"),
        sa.UniqueConstraint("run", "replaces", name="adde_answers_replaced_once"),
    )
    op.create_index("adde_answers_task", "adde_answers", ["task"])
    op.create_index("adde_answers_mine", "adde_answers", ["run", "annotator", "number"])
    op.create_table(
        "adde_people",
        sa.Column("run", sa.String(64), primary_key=True),
        sa.Column("name", sa.String(80), primary_key=True),
        sa.Column("role", sa.String(16), nullable=False),
        sa.Column("token", sa.String(64), nullable=False),
        sa.Column("invited", sa.Float(), nullable=False),
        sa.Column("revoked", sa.Float()),
    )
    op.create_table(
        "adde_comments",
        sa.Column("number", Key, primary_key=True, autoincrement=True),
        sa.Column("run", sa.String(64), nullable=False),
        sa.Column("sample_id", sa.String(64), nullable=False),
        sa.Column("by", sa.String(80), nullable=False),
        sa.Column("text", sa.Text(), nullable=False),
        sa.Column("when", sa.Float(), nullable=False),
    )
    op.create_index("adde_comments_sample", "adde_comments", ["run", "sample_id"])
    op.create_table(
        "adde_classes",
        sa.Column("run", sa.String(64), primary_key=True),
        sa.Column("name", sa.String(200), primary_key=True),
        sa.Column("by", sa.String(80), nullable=False),
        sa.Column("state", sa.String(8), nullable=False),
        sa.Column("into", sa.Text()),
        sa.Column("settled_by", sa.String(80)),
        sa.Column("when", sa.Float(), nullable=False),
    )
    op.create_table(
        "adde_wanted",
        sa.Column("number", Key, primary_key=True, autoincrement=True),
        sa.Column("run", sa.String(64), nullable=False),
        sa.Column("sample_id", sa.String(64), nullable=False),
        sa.Column("by", sa.String(80), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("when", sa.Float(), nullable=False),
    )
    op.create_index("adde_wanted_run", "adde_wanted", ["run"])
