"""How the durable engine is set up: what is closed on purpose (see docs/decisions), and what goes into its log."""

from __future__ import annotations

import logging
import sqlite3
import sys
from contextlib import closing, suppress
from typing import TextIO

from dbos import DBOS, DBOSClient, DBOSConfig, DBOSConfiguredInstance, DBOSPortableJSONSerializer
from sqlalchemy import make_url

from pipelines.errors import StudioError
from studio.jobs.dispatch import own_queue
from studio.jobs.queue import APPLICATION_VERSION, QUEUE, engine_url
from studio.settings import Settings

__all__ = ["end_engine", "make_client", "prepare_engine", "registry_forget", "start_queue"]


def prepare_engine(settings: Settings, executor: str, version: str = APPLICATION_VERSION) -> None:
    """Configure the engine of this process; its workflows are registered next, and it is launched after that.

    It listens to one queue, which nobody else listens to.
    """
    _keep_log_ahead(settings)
    config = DBOSConfig(
        name="persona-studio",
        system_database_url=engine_url(settings),
        application_version=version,
        executor_id=executor,
        serializer=DBOSPortableJSONSerializer(),
        log_level="ERROR",
        enable_otlp=False,
    )
    DBOS(config=config)
    DBOS.listen_queues([own_queue(executor)])
    _set_up_logging()


def _keep_log_ahead(settings: Settings) -> None:
    """Let pages read the engine's file while it is written, and each step wait for the disk once instead of four times.
    SQLite notes it in the file; a database that is busy stays as it is until the next start.
    """
    place = make_url(engine_url(settings))
    if place.get_backend_name() == "sqlite":
        with suppress(sqlite3.OperationalError), closing(sqlite3.connect(str(place.database), timeout=10)) as file:
            file.execute("PRAGMA journal_mode=WAL")


def make_client(settings: Settings) -> DBOSClient:
    """Return a client of the engine: what a workflow asks the engine itself becomes one of its steps."""
    return DBOSClient(
        system_database_url=engine_url(settings),
        serializer=DBOSPortableJSONSerializer(),
        application_name="persona-studio",
    )


def start_queue(executor: str, place: str) -> None:
    """Begin to listen, one job at a time, and forget the queues of this place's earlier processes."""
    for queue in DBOS.list_queues():
        if queue.name.startswith(f"{QUEUE}-{place}."):
            DBOS.delete_queue(queue.name)
    DBOS.register_queue(
        own_queue(executor), worker_concurrency=1, polling_interval_sec=0.2, on_conflict="always_update"
    )


def end_engine(executor: str) -> None:
    """Stop the engine of this process, and its queue."""
    with suppress(Exception):  # a server that is gone, too
        DBOS.delete_queue(own_queue(executor))
    DBOS.destroy(destroy_registry=False)


def _set_up_logging() -> None:
    """Keep foreseen errors out of the engine's log, and let the rest go where standard error is at that time."""
    log = logging.getLogger("dbos")
    log.addFilter(_unforeseen)
    for handler in [h for h in log.handlers if type(h) is logging.StreamHandler]:
        ours = _StandardError(handler.level)
        ours.setFormatter(handler.formatter)
        log.removeHandler(handler)
        log.addHandler(ours)


class _StandardError(logging.StreamHandler[TextIO]):
    """A handler for whatever standard error is now; the engine's own keeps what it was when it was imported."""

    def __init__(self, level: int) -> None:
        logging.Handler.__init__(self, level)  # as logging's own last resort: there is no stream to keep

    @property
    def stream(self) -> TextIO:  # type: ignore[override]
        return sys.stderr


def _unforeseen(record: logging.LogRecord) -> bool:
    """An error in the user's words is said to the user; the log is for those that nobody foresaw."""
    return not (record.exc_info and isinstance(record.exc_info[1], StudioError))


def registry_forget(instance: DBOSConfiguredInstance) -> None:
    """Let another engine in this process register its own jobs (tests open several studios in a row)."""
    from dbos._dbos import _get_or_create_dbos_registry

    instances = _get_or_create_dbos_registry().instance_info_map
    for key in [key for key, value in instances.items() if value is instance]:
        del instances[key]
