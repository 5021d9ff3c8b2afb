"""A PostgreSQL server of one's own (Debian's package `postgresql`), for measurements and tests."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from uuid import uuid4

__all__ = ["Postgres", "find_postgres", "serve_postgres"]


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

    def restart(self, how: str = "fast") -> None:
        """`how` is pg_ctl's mode: "immediate" is as after a loss of power."""
        self.run("pg_ctl", "restart", "-D", str(self.folder / "data"), "-m", how, "-w", "-l", str(self.folder / "log"))


def find_postgres() -> Path | None:
    """Return the folder of the server's programs; None where it is not installed."""
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"))
    initdb = shutil.which("initdb") or (str(found[-1]) if found else None)
    return None if initdb is None else Path(initdb).resolve().parent


@contextmanager
def serve_postgres(tools: Path) -> Iterator[Postgres]:
    """Start a server, and end it. Its clock's zone is not ours, so that nobody takes the one for the other."""
    folder = Path(tempfile.mkdtemp(prefix="pg-"))  # a socket's path is short
    if os.geteuid() == 0:
        shutil.chown(folder, "postgres")
    server = Postgres(folder, tools)
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
