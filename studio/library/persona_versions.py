"""Versions of a name's personas: each number once, however many processes and machines count at the same time."""

from __future__ import annotations

from sqlalchemy import false, func, select, text, update

from studio.library.records import PersonaRecord, Records

__all__ = ["keep_version"]


def keep_version(records: Records, row: PersonaRecord) -> int:
    """Keep a persona's row under the next number of its owner's name, and return that; one that is there already keeps
    its own. The row's `version` is not asked for.
    """
    with records.transaction() as session:
        if session.get_bind().dialect.name == "sqlite":
            # a write, if of nothing, takes the lock before we look
            session.execute(update(PersonaRecord).where(false()).values(version=0))
        else:
            named = f"persona version {row.owner} {row.name}"
            session.execute(text("select pg_advisory_xact_lock(hashtextextended(:named, 0))"), {"named": named})
        known = session.get(PersonaRecord, (row.id, row.owner))
        if known is not None:
            row.version = known.version
        else:
            of = select(func.max(PersonaRecord.version)).where(
                PersonaRecord.owner == row.owner, PersonaRecord.name == row.name
            )
            row.version = (session.scalar(of) or 0) + 1
        session.merge(row)
        return row.version
