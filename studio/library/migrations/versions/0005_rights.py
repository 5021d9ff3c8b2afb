"""What people said that may be done: exports that they label themselves, consents withdrawn and prolonged."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"


def upgrade() -> None:
    op.create_table(
        "rights",
        sa.Column("id", sa.String(64), primary_key=True),
        sa.Column("owner", sa.String(100), primary_key=True),
        sa.Column("created", sa.DateTime(timezone=True), nullable=False),
        sa.Column("kind", sa.String(), nullable=False),
        sa.Column("thing", sa.String(200), nullable=False),
        sa.Column("facts", sa.JSON(), nullable=False),
        if_not_exists=True,  # a database that was made of today's tables has them
    )
    op.create_index("rights_thing", "rights", ["thing"], if_not_exists=True)
