"""When jobs, marks and drafts last changed, so that open pages ask little; when a login was last seen; counts."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"


def _column(table: str, column: sa.Column[object]) -> None:
    """A database that was made of today's tables has it."""
    if column.name not in {one["name"] for one in sa.inspect(op.get_bind()).get_columns(table)}:
        op.add_column(table, column)


def upgrade() -> None:
    for table in ("jobs", "marks", "drafts"):
        _column(table, sa.Column("changed", sa.Double(), nullable=False, server_default="0"))
    for table in ("jobs", "marks"):
        op.create_index(f"{table}_changed", table, ["owner", "changed"], if_not_exists=True)
    _column("sessions", sa.Column("seen", sa.Double(), nullable=False, server_default="0"))
    _column("sessions", sa.Column("address", sa.String(64), nullable=False, server_default=""))
    op.create_table(
        "counts",
        sa.Column("id", sa.String(64), primary_key=True),
        sa.Column("owner", sa.String(100), primary_key=True),
        sa.Column("created", sa.DateTime(timezone=True), nullable=False),
        sa.Column("value", sa.Double(), nullable=False),
        if_not_exists=True,
    )
