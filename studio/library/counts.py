"""How often something happened since the studio was set up, on all of its machines together."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, cast

from sqlalchemy import CursorResult, select, update
from sqlalchemy.exc import IntegrityError

from studio.library.records import CountRecord, Records

__all__ = ["add_counts", "read_counts"]

_NOBODY = ""
_MOST_NAME = 64


def add_counts(records: Records, more: Mapping[str, float]) -> None:
    """Add to counts by their names; one that was not there begins at nothing. Raises SQLAlchemyError."""
    for name, amount in more.items():
        if not _add(records, name[:_MOST_NAME], amount):
            try:
                with records.transaction() as session:
                    session.add(CountRecord(id=name[:_MOST_NAME], owner=_NOBODY, value=amount))
            except IntegrityError:  # another process was quicker
                _add(records, name[:_MOST_NAME], amount)


def _add(records: Records, name: str, amount: float) -> bool:
    row = (CountRecord.id == name, CountRecord.owner == _NOBODY)
    with records.transaction() as session:
        changed = session.execute(update(CountRecord).where(*row).values(value=CountRecord.value + amount))
        return cast(CursorResult[Any], changed).rowcount > 0


def read_counts(records: Records) -> dict[str, float]:
    """Return all counts by their names."""
    with records.transaction() as session:
        return {row.id: row.value for row in session.scalars(select(CountRecord).order_by(CountRecord.id))}
