"""The database behind the records: a file of SQLite's, or PostgreSQL by a URL."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from sqlalchemy import ColumnElement, Double, Engine, cast, create_engine, event, func, literal, make_url
from sqlalchemy.exc import ArgumentError

__all__ = ["connect", "seconds_now", "without_password"]

_BUSY_MS = 10_000  # how long a write waits for another process's
_FROZEN_S = 60  # after which a server takes its locks back from a process that stands still inside of a transaction


def connect(place: Path | str) -> Engine:
    """Return SQLAlchemy's engine for a file of SQLite's or a URL; nothing is opened yet."""
    url = make_url(f"sqlite:///{place}" if isinstance(place, Path) else place)
    if url.drivername in ("postgres", "postgresql"):
        url = url.set(drivername="postgresql+psycopg")
    if url.get_backend_name() not in ("sqlite", "postgresql"):
        raise ArgumentError("neither SQLite nor PostgreSQL")
    if url.get_backend_name() == "sqlite":
        engine = create_engine(url)
        event.listen(engine, "connect", _set_pragmas)
        return engine
    engine = create_engine(url, pool_pre_ping=True)  # a server may have been restarted
    event.listen(engine, "connect", _set_patience)
    return engine


def without_password(url: str) -> str:
    """Return a database's URL as it may be shown and written down: without who comes in and by what."""
    return make_url(url).set(username=None, password=None).render_as_string()


def _set_pragmas(connection: Any, _: Any) -> None:
    cursor = connection.cursor()
    for pragma in ("journal_mode=WAL", "synchronous=FULL", "foreign_keys=ON", f"busy_timeout={_BUSY_MS}"):
        cursor.execute(f"PRAGMA {pragma}")
    cursor.close()


def _set_patience(connection: Any, _: Any) -> None:
    with connection.cursor() as cursor:
        cursor.execute(f"SET idle_in_transaction_session_timeout = '{_FROZEN_S}s'")
    connection.commit()


def seconds_now(engine: Engine) -> ColumnElement[float]:
    """Return the moment, in seconds since 1970, as an expression of the database's own clock: all machines that work on
    it agree on that one.
    """
    if engine.dialect.name == "sqlite":
        return (func.julianday("now") - literal(2440587.5)) * literal(86400.0)
    return cast(func.date_part("epoch", func.clock_timestamp()), Double)
