"""The database behind the records: a file of SQLite's, or PostgreSQL by a URL."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from sqlalchemy import Connection, Engine, create_engine, event, func, make_url, select
from sqlalchemy.exc import ArgumentError

__all__ = ["claim", "connect", "without_password"]

_BUSY_MS = 10_000  # how long a write waits for another process's
_WORKER = 7_336_214_902  # what the one worker of a database locks


def connect(place: Path | str) -> Engine:
    """Return SQLAlchemy's engine for a file of SQLite's or a URL; nothing is opened yet."""
    url = make_url(f"sqlite:///{place}" if isinstance(place, Path) else place)
    if url.drivername in ("postgres", "postgresql"):
        url = url.set(drivername="postgresql+psycopg")
    if url.get_backend_name() not in ("sqlite", "postgresql"):
        raise ArgumentError("neither SQLite nor PostgreSQL")
    engine = create_engine(url, pool_pre_ping=url.get_backend_name() != "sqlite")  # a server may have been restarted
    if engine.dialect.name == "sqlite":
        event.listen(engine, "connect", _set_pragmas)
    return engine


def without_password(url: str) -> str:
    """Return a database's URL as it may be shown and written down: without who comes in and by what."""
    return make_url(url).set(username=None, password=None).render_as_string()


def _set_pragmas(connection: Any, _: Any) -> None:
    cursor = connection.cursor()
    for pragma in ("journal_mode=WAL", "synchronous=FULL", "foreign_keys=ON", f"busy_timeout={_BUSY_MS}"):
        cursor.execute(f"PRAGMA {pragma}")
    cursor.close()


def claim(engine: Engine) -> Connection | None:
    """Take a server's database for this process's worker; None where another's has it, in whatever data folder.

    The database is free again when the connection is let go (`invalidate`: a pooled one would keep it) or its process
    ends. A file of SQLite's lies in a folder that is locked itself: it needs no claim.
    """
    connection = engine.connect().execution_options(isolation_level="AUTOCOMMIT")
    if connection.scalar(select(func.pg_try_advisory_lock(_WORKER))):
        return connection
    connection.close()
    return None
