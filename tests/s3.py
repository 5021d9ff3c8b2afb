"""An S3 server of a test's own; tests skip loudly without one (see `benchmarks.s3`)."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from benchmarks.s3 import KEY, SECRET, SERVERS, S3Server, has_s3, serve_s3

__all__ = ["KEY", "SECRET", "SERVERS", "S3Server", "start_s3"]


@contextmanager
def start_s3(kind: str, folder: Path) -> Iterator[S3Server]:
    """Start a server, and end it. Skips the test where there is none."""
    if not has_s3(kind):
        program = {"moto": "moto_server", "rclone": "rclone"}[kind]
        pytest.skip(f"SKIPPED LOUDLY: no {program} that serves S3 here (see benchmarks/s3.py)")
    with serve_s3(kind, folder) as server:
        yield server
