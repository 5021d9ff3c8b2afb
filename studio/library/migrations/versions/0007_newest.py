"""All kinds of things of an owner in their order, so that a page of a million is as quick as one of a kind."""

from __future__ import annotations

from alembic import op

revision = "0007"
down_revision = "0006"


def upgrade() -> None:
    op.create_index("shelf_newest", "shelf", ["owner", "created"], if_not_exists=True)
