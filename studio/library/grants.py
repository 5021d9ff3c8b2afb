"""Grants: which stored files an owner may see. They follow the typed keys of results and requests, never words."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime

from sqlalchemy import select

from pipelines.errors import BadInput
from studio.library.records import FileRecord, Records

__all__ = ["check_readable", "grant", "may_read"]


def grant(records: Records, owner: str, keys: Iterable[str]) -> None:
    """Let the owner see these stored files. A file that is granted again is as new as the first time: somebody has
    just chosen it."""
    now = datetime.now(UTC)
    records.keep(*(FileRecord(id=key, owner=owner, created=now) for key in sorted(set(keys))))


def may_read(records: Records, owner: str, key: str) -> bool:
    """Return whether the owner may see the stored file."""
    return records.get(FileRecord, key, owner) is not None


def check_readable(records: Records, owner: str, keys: Iterable[str]) -> None:
    """Raise BadInput `file_not_yours`, as for a file that does not exist, where the owner may not see one of them."""
    wanted = sorted(set(keys))
    with records.transaction() as session:
        query = select(FileRecord.id).where(FileRecord.owner == owner, FileRecord.id.in_(wanted))
        missing = set(wanted) - set(session.scalars(query))
    if missing:
        raise BadInput("file_not_yours", key=min(missing)[:12])
