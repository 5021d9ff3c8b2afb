"""Seeds reach 2³² − 1, more than PostgreSQL's INTEGER holds."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"


def upgrade() -> None:
    with op.batch_alter_table("recipes") as table:
        table.alter_column("seed", existing_type=sa.Integer(), existing_nullable=False, type_=sa.BigInteger())
