"""A PostgreSQL server of a test's own (Debian's package `postgresql`); tests skip loudly without it."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from sqlalchemy import Engine, create_engine

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


class Postgres:
    """A server that listens on a socket in its folder."""

    def __init__(self, folder: Path, tools: Path) -> None:
        self.folder, self._tools = folder, tools

    def url(self, database: str = "postgres") -> str:
        return f"postgresql://postgres@/{database}?host={self.folder}"

    def new_database(self) -> str:
        """Return the URL of an empty database."""
        name = f"studio_{uuid4().hex[:12]}"
        self.run("createdb", "-h", str(self.folder), "-U", "postgres", name)
        return self.url(name)

    def run(self, tool: str, *arguments: str) -> None:
        """Call one of the server's programs as a user that may (root may not). Raises CalledProcessError."""
        command = [str(self._tools / tool), *arguments]
        if os.geteuid() == 0:
            command = ["runuser", "-u", "postgres", "--", *command]
        subprocess.run(command, check=True, capture_output=True, cwd=self.folder)

    def restart(self) -> None:
        self.run(
            "pg_ctl", "restart", "-D", str(self.folder / "data"), "-m", "fast", "-w", "-l", str(self.folder / "log")
        )


@contextmanager
def start_postgres() -> Iterator[Postgres]:
    """Start a server, and end it. Skips the test where there is none."""
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"))
    initdb = shutil.which("initdb") or (str(found[-1]) if found else None)
    if initdb is None:
        pytest.skip("SKIPPED LOUDLY: no PostgreSQL here (apt-get install postgresql)")
    folder = Path(tempfile.mkdtemp(prefix="pg-"))  # a socket's path is short
    if os.geteuid() == 0:
        shutil.chown(folder, "postgres")
    server = Postgres(folder, Path(initdb).resolve().parent)
    data = str(folder / "data")
    try:
        server.run("initdb", "-D", data, "-U", "postgres", "-A", "trust", "-E", "UTF8", "--locale=C.UTF-8", "-N")
        options = f"-c listen_addresses='' -c unix_socket_directories='{folder}' -c timezone=Asia/Shanghai"
        server.run("pg_ctl", "start", "-D", data, "-w", "-l", str(folder / "log"), "-o", options)
        try:
            yield server
        finally:
            server.run("pg_ctl", "stop", "-D", data, "-m", "immediate", "-w")
    finally:
        shutil.rmtree(folder, ignore_errors=True)
