"""The database behind the records: a file of SQLite's, or PostgreSQL by a URL."""

from __future__ import annotations

import time
from collections.abc import Callable
from functools import wraps
from pathlib import Path
from typing import Any, ParamSpec, TypeVar

from sqlalchemy import ColumnElement, Double, Engine, cast, create_engine, event, func, literal, make_url
from sqlalchemy.exc import ArgumentError, OperationalError

__all__ = ["connect", "over_restarts", "seconds_now", "without_password"]

_BUSY_MS = 10_000  # how long a write waits for another process's
_RESTART_S = 15.0
_FROZEN_S = 60  # after which a server takes its locks back from a process that stands still inside of a transaction
P = ParamSpec("P")
T = TypeVar("T")


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


def over_restarts(method: Callable[P, T]) -> Callable[P, T]:
    """Let a method of what has an `engine` be called again while a server is being restarted; what fails for another
    reason fails then, too."""

    @wraps(method)
    def patient(*given: P.args, **named: P.kwargs) -> T:
        deadline = time.monotonic() + _RESTART_S
        while True:
            try:
                return method(*given, **named)
            except OperationalError:
                records: Any = given[0]
                if records.engine.dialect.name == "sqlite" or time.monotonic() > deadline:
                    raise
            time.sleep(0.5)

    return patient
