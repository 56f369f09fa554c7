"""Who is signed in."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    """Sessions, which outlive the server."""
    op.create_table(
        "adde_sessions",
        sa.Column("cookie", sa.String(64), primary_key=True),
        sa.Column("run", sa.String(64), nullable=False),
        sa.Column("name", sa.String(80), nullable=False),
        sa.Column("role", sa.String(16), nullable=False),
        sa.Column("local", sa.Boolean(), nullable=False),
        sa.Column("until", sa.Float(), nullable=False),
    )
    op.create_index("adde_sessions_person", "adde_sessions", ["run", "name"])
