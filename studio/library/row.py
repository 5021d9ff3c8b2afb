"""What every row of the records has, and ids made from content."""

from __future__ import annotations

import hashlib
import json
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import JSON, DateTime, Dialect, String, TypeDecorator
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

__all__ = ["Base", "Facts", "content_id"]

Facts = dict[str, Any]
"""JSON that a row keeps of its thing, as whoever made it wrote it."""


def content_id(value: Any) -> str:
    """16 hex digits of the SHA-256 of a JSON value: same content, same id."""
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()[:16]


class _Moment(TypeDecorator[datetime]):
    """A moment, in UTC: SQLite keeps no zone, and PostgreSQL tells it in the session's."""

    impl = DateTime(timezone=True)
    cache_ok = True

    def process_result_value(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        if value is None:
            return None
        return value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)


class Base(DeclarativeBase):
    """A row of an owner. `id` is unique per owner: two people may hold the same content without seeing each other's."""

    type_annotation_map = {Facts: JSON}

    id: Mapped[str] = mapped_column(String(64), primary_key=True)
    owner: Mapped[str] = mapped_column(String(100), primary_key=True)
    created: Mapped[datetime] = mapped_column(_Moment, default=lambda: datetime.now(UTC))
