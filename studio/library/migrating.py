"""Brings a database's tables to today's, at the studio's start; nothing happens where they are.

Pages, workers and commands may start at once: the first one changes the tables, in one transaction; the others wait.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from sqlalchemy import Connection, Engine, inspect, text

from pipelines.errors import BadInput

__all__ = ["NEWEST", "migrate"]

NEWEST = "0008"
_FOLDER = Path(__file__).parent / "migrations"
_LOCK = 7_336_214_901  # any number that no other program on the server locks with


def migrate(engine: Engine) -> None:
    """Let the tables be today's, empty or with all that was in them.

    Raises BadInput where a newer studio made them, OperationalError where another process holds them too long.
    """
    if _revision(engine) == NEWEST:  # alembic takes a quarter of a second to import, and every command comes by
        return
    from alembic import command
    from alembic.config import Config
    from alembic.script import ScriptDirectory

    config = Config()
    config.set_main_option("script_location", str(_FOLDER))
    with _alone(engine) as connection:
        known = _version_of(connection)
        if known is not None and known not in {
            step.revision for step in ScriptDirectory(str(_FOLDER)).walk_revisions()
        }:
            raise BadInput("records_newer", revision=known)
        config.attributes["connection"] = connection
        command.upgrade(config, "head")


def _revision(engine: Engine) -> str | None:
    with engine.connect() as connection:
        return _version_of(connection)


def _version_of(connection: Connection) -> str | None:
    if not inspect(connection).has_table("alembic_version"):
        return None
    return connection.scalar(text("select version_num from alembic_version"))


@contextmanager
def _alone(engine: Engine) -> Iterator[Connection]:
    """A transaction that no other process migrates beside; all or nothing."""
    if engine.dialect.name != "sqlite":
        with engine.begin() as connection:
            connection.execute(text("select pg_advisory_xact_lock(:key)"), {"key": _LOCK})
            yield connection
        return
    # the driver's own transactions leave out what changes tables
    with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        connection.exec_driver_sql("BEGIN IMMEDIATE")
        try:
            yield connection
        except BaseException:
            connection.exec_driver_sql("ROLLBACK")
            raise
        connection.exec_driver_sql("COMMIT")
