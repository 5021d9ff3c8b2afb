"""Whether the durable engine's tables are there. A worker makes them when it begins; pages only use them."""

from __future__ import annotations

from pathlib import Path

from dbos._migration import get_migration_versions, get_sqlite_migration_versions
from sqlalchemy import create_engine, make_url

from studio.library.database import connect

__all__ = ["has_tables"]


def has_tables(url: str) -> bool:
    """Return whether all of the engine's tables are as this version of it wants them; nothing is made.

    A worker that begins changes them one migration after the other, each for itself: with fewer than all, what a page
    puts into the queue may name a column that is not there yet.
    """
    place = make_url(url)
    is_file = place.get_backend_name() == "sqlite"
    if is_file and not Path(str(place.database)).is_file():
        return False
    engine = create_engine(place) if is_file else connect(url)
    try:
        has, wants = get_sqlite_migration_versions(engine) if is_file else get_migration_versions(engine, "dbos", True)
    finally:
        engine.dispose()
    return has >= wants
