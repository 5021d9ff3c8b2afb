"""Nobody uses the engine's tables before all of them are made."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

from studio.application import Studio
from studio.jobs.engine import Engine
from studio.jobs.engine_tables import has_tables
from studio.jobs.queue import engine_url
from studio.settings import Settings


def test_tables_are_there_once_the_last_migration_is_done(tmp_path: Path) -> None:
    settings = Settings(data=tmp_path)
    url = engine_url(settings)
    assert not has_tables(url)
    assert not list(tmp_path.glob("engine.sqlite*"))
    with Engine(Studio(settings)):
        pass
    assert has_tables(url)
    database = sqlite3.connect(tmp_path / "engine.sqlite")
    database.execute("UPDATE dbos_migrations SET version = version - 1")
    database.commit()
    database.close()
    assert not has_tables(url)


def test_pages_read_while_a_step_is_written(tmp_path: Path) -> None:
    """And a step waits for the disk once, not for each of a journal's parts."""
    with Engine(Studio(Settings(data=tmp_path))):
        pass
    with closing(sqlite3.connect(tmp_path / "engine.sqlite")) as database:
        assert database.execute("PRAGMA journal_mode").fetchone() == ("wal",)
