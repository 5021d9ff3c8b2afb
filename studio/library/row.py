"""What every row of the records has, and ids made from content."""

from __future__ import annotations

import hashlib
import json
import time
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import JSON, Connection, DateTime, Dialect, String, TypeDecorator, event
from sqlalchemy.orm import DeclarativeBase, Mapped, Mapper, mapped_column, object_session

__all__ = ["Base", "Changing", "Facts", "content_id"]

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


class Changing:
    """A row that says when it last changed, in seconds since 1970 (`studio.library.changes`)."""

    changed: Mapped[float] = mapped_column(default=time.time, server_default="0")


@event.listens_for(Changing, "before_update", propagate=True)
def _note_change(mapper: Mapper[Any], connection: Connection, row: Any) -> None:
    session = object_session(row)
    if session is not None and session.is_modified(row):  # an older copy of the row brings the older moment
        row.changed = time.time()
