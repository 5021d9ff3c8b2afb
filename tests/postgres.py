"""A PostgreSQL server of a test's own (Debian's package `postgresql`); tests skip loudly without it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from sqlalchemy import Engine, create_engine

from benchmarks.postgres import Postgres, find_postgres, serve_postgres

__all__ = ["Postgres", "closed_engines", "start_postgres"]


@contextmanager
def closed_engines(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Close every connection of records that are opened inside of the block."""
    made: list[Engine] = []

    def make(*given: Any, **how: Any) -> Engine:
        made.append(create_engine(*given, **how))
        return made[-1]

    monkeypatch.setattr("studio.library.database.create_engine", make)
    yield
    for engine in made:
        engine.dispose()


@contextmanager
def start_postgres() -> Iterator[Postgres]:
    """Start a server, and end it. Skips the test where there is none."""
    tools = find_postgres()
    if tools is None:
        pytest.skip("SKIPPED LOUDLY: no PostgreSQL here (apt-get install postgresql)")
    with serve_postgres(tools) as server:
        yield server
