"""Several workers on one database: which live, and which of them holds which job."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"


def _table(name: str, *columns: sa.Column[object]) -> None:
    op.create_table(
        name,
        sa.Column("id", sa.String(64), primary_key=True),
        sa.Column("owner", sa.String(100), primary_key=True),
        sa.Column("created", sa.DateTime(timezone=True), nullable=False),
        *columns,
        if_not_exists=True,  # a database that was made of today's tables has them
    )


def upgrade() -> None:
    _table(
        "workers",
        sa.Column("beat", sa.Double(), nullable=False),
        sa.Column("facts", sa.JSON(), nullable=False),
    )
    _table(
        "holds",
        sa.Column("worker", sa.String(64), nullable=False),
        sa.Column("token", sa.String(32), nullable=False),
        sa.Column("takeovers", sa.Integer(), nullable=False),
    )
