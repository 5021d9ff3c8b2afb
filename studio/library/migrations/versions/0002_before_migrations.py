"""What came after version 0.1 and before there were migrations; studios in between have some of it."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"


def _table(name: str, *columns: sa.Column[object]) -> None:
    op.create_table(
        name,
        sa.Column("id", sa.String(64), primary_key=True),
        sa.Column("owner", sa.String(100), primary_key=True),
        sa.Column("created", sa.DateTime(timezone=True), nullable=False),
        *columns,
        if_not_exists=True,
    )


def _json(name: str) -> sa.Column[object]:
    return sa.Column(name, sa.JSON(), nullable=False)


def _text(name: str, length: int | None = None) -> sa.Column[object]:
    return sa.Column(name, sa.String(length), nullable=False)


def upgrade() -> None:
    if "crops" not in {column["name"] for column in sa.inspect(op.get_bind()).get_columns("scenes")}:
        op.add_column("scenes", sa.Column("crops", sa.JSON(), nullable=True))
    _table("requests", _json("facts"))
    _table("ranks", sa.Column("rank", sa.Double(), nullable=False))
    _table("albums", _text("name"))
    _table("members", _text("of"), _text("thing"))
    _table("job_files", _json("keys"), _json("made"))
    _table("drafts", _json("facts"), _json("keys"))
    _table("tastes", _text("scope", 80), _json("facts"))
    _table("times", _text("kind"), _text("backbone"), sa.Column("seconds", sa.Double(), nullable=False), _json("facts"))
    for name, table, columns in (
        ("jobs_order", "jobs", ["owner", "kind", "created"]), ("jobs_state", "jobs", ["state"]),
        ("members_of", "members", ["owner", "of"]), ("members_thing", "members", ["owner", "thing"]),
        ("tastes_scope", "tastes", ["owner", "scope", "created"]),
        ("times_order", "times", ["kind", "backbone", "created"]),
    ):  # fmt: skip
        op.create_index(name, table, columns, if_not_exists=True)
