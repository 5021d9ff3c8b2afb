"""Faces of the library's things, by which they are found."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0008"
down_revision = "0007"


def upgrade() -> None:
    op.create_table(
        "faces",
        sa.Column("id", sa.String(64), primary_key=True),
        sa.Column("owner", sa.String(100), primary_key=True),
        sa.Column("created", sa.DateTime(timezone=True), nullable=False),
        sa.Column("pack", sa.String(64), nullable=False),
        sa.Column("written", sa.Double(), nullable=False),
        sa.Column("face", sa.LargeBinary(), nullable=False),
        if_not_exists=True,
    )
    op.create_index("faces_written", "faces", ["owner", "pack", "written"], if_not_exists=True)
