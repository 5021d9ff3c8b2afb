"""The tables of version 0.1, which had no migrations: whatever of them is there already stays as it is."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None


def _table(name: str, *columns: sa.Column[object]) -> None:
    op.create_table(
        name,
        sa.Column("id", sa.String(64), primary_key=True),
        sa.Column("owner", sa.String(100), primary_key=True),
        sa.Column("created", sa.DateTime(timezone=True), nullable=False),
        *columns,
        if_not_exists=True,
    )


def _text(name: str, length: int | None = None, nullable: bool = False) -> sa.Column[object]:
    return sa.Column(name, sa.String(length), nullable=nullable)


def _facts() -> sa.Column[object]:
    return sa.Column("facts", sa.JSON(), nullable=False)


def upgrade() -> None:
    _table("donors", _text("name"), _text("category"), _facts())
    _table("recipes", _text("category"), sa.Column("seed", sa.Integer(), nullable=False), _facts())
    _table("candidates", _text("design", 64), _text("picture", 64), sa.Column("kept", sa.Boolean(), nullable=False),
           _facts())  # fmt: skip
    _table("personas", _text("name"), sa.Column("version", sa.Integer(), nullable=False), _text("design", 64),
           _text("lora", 64), _facts())  # fmt: skip
    _table("scenes", _text("name"), _text("photo", 64), _text("landmark", 64, nullable=True), _text("sha256", 64))
    _table("post_sets", _text("persona", 64), _text("scene", 64), _facts())
    _table("posts", _text("post_set", 64), sa.Column("number", sa.Integer(), nullable=False), _text("picture", 64),
           _facts())  # fmt: skip
    _table("bundles", _text("post_set", 64), _text("platform"), _text("path"), _text("sha256", 64))
    _table("exported", _text("manifest", 64), sa.Column("number", sa.Integer(), nullable=False))
    _table("jobs", _text("kind"), _text("state"), _text("error", nullable=True), _facts())
    _table("reports", _facts())
    _table("shelf", _text("kind"), _text("words"), _facts())
    _table("stops")
    _table("files")
    _table("marks", _facts())
    _table("users", _text("password"))
    _table("sessions", sa.Column("expires", sa.Double(), nullable=False))
    for table, column in (
        ("donors", "category"), ("candidates", "design"), ("personas", "name"), ("scenes", "name"),
        ("posts", "post_set"),
    ):  # fmt: skip
        op.create_index(f"ix_{table}_{column}", table, [column], if_not_exists=True)
    op.create_index("shelf_order", "shelf", ["owner", "kind", "created"], if_not_exists=True)
