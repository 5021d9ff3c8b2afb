"""The server of the pages: who says little or nothing holds nothing, and the log stays short."""

from __future__ import annotations

import logging
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
import uvicorn

from studio.web.serving import LimitedProtocol, RareLines, server_config


async def site(scope: Any, receive: Any, send: Any) -> None:
    """Reads the body and says "yes"; /early answers at once."""
    if scope["type"] != "http":
        return
    while scope["path"] != "/early":
        message = await receive()
        if message["type"] != "http.request" or not message.get("more_body"):
            break
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"3")]})
    await send({"type": "http.response.body", "body": b"yes"})


@contextmanager
def serving(**limits: Any) -> Iterator[int]:
    """The server in a thread, with these limits; its port."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    config = server_config(site, "127.0.0.1", port)
    kind = config.http
    assert isinstance(kind, type)
    assert issubclass(kind, LimitedProtocol)
    for name, value in limits.items():
        setattr(kind, name, value)
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    try:
        deadline = time.monotonic() + 30
        while not server.started and time.monotonic() < deadline:
            time.sleep(0.02)
        yield port
    finally:
        server.should_exit = True
        thread.join(10)


_OPENED: list[socket.socket] = []


@pytest.fixture(autouse=True)
def _close_all() -> Iterator[None]:
    yield
    while _OPENED:
        _OPENED.pop().close()


def say(port: int, data: bytes) -> socket.socket:
    sent = socket.create_connection(("127.0.0.1", port), timeout=20)
    _OPENED.append(sent)
    sent.sendall(data)
    return sent


def trickle(one: socket.socket) -> None:
    for _ in range(60):
        one.sendall(b"x")
        time.sleep(0.2)


def is_answered(one: socket.socket) -> bool:
    heard = b""
    while not heard.endswith(b"yes") and (block := one.recv(4096)):
        heard += block
    return heard.startswith(b"HTTP/1.1 200")


def is_closed(one: socket.socket, seconds: float) -> bool:
    """Whether the server ends the connection in this time."""
    one.settimeout(seconds)
    try:
        while one.recv(4096):
            pass
    except TimeoutError:
        return False
    except OSError:
        return True
    return True


ASK = b"GET / HTTP/1.1\r\nHost: x\r\n\r\n"


def test_a_head_that_does_not_come_ends_the_connection() -> None:
    with serving(head_s=0.3) as port:
        began = time.monotonic()
        for start in (b"", b"G", b"GET / HTTP/1.1\r\nHost: x\r\nX-Slow: 1\r\n"):
            assert is_closed(say(port, start), 10), start
        whole = say(port, ASK)
        assert is_answered(whole)
        whole.sendall(b"GET / HT")  # kept alive, and half of another
        assert is_closed(whole, 10)
        assert time.monotonic() - began > 1.0


def test_a_body_that_stands_still_or_trickles_ends_the_connection() -> None:
    head = b"POST %s HTTP/1.1\r\nHost: x\r\nContent-Length: 1000\r\n\r\n"
    with serving(body_pause_s=0.5, body_grace_s=1.0) as port:
        for path in (b"/", b"/early"):
            assert is_closed(say(port, head % path + b"x"), 10), path
        slow = say(port, head % b"/")
        with pytest.raises(OSError, match=r"."):
            trickle(slow)
        swift = say(port, head % b"/" + b"x" * 500)
        swift.sendall(b"x" * 500)
        assert is_answered(swift)


def test_of_too_many_connections_those_without_a_request_give_way() -> None:
    with serving(most=20) as port:
        held = [say(port, b"GET / HTTP/1.1\r\n") for _ in range(60)]
        for _ in range(5):
            asked = say(port, ASK)
            assert is_answered(asked)
        assert sum(is_closed(one, 0.05) for one in held) >= 40


def test_there_are_no_websockets() -> None:
    asked = b"GET / HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n"
    with serving() as port:
        assert is_answered(say(port, asked))  # as any other request


def test_a_line_that_repeats_is_left_out() -> None:
    now = 0.0
    rare = RareLines(most=3, window_s=60, clock=lambda: now)

    def log(text: str) -> logging.LogRecord | None:
        record = logging.LogRecord("uvicorn.error", logging.WARNING, "x", 1, text, (), None)
        return record if rare.filter(record) else None

    assert sum(log("Invalid HTTP request received.") is not None for _ in range(1000)) == 3
    assert log("another") is not None
    now = 61.0
    again = log("Invalid HTTP request received.")
    assert again is not None
    assert "997 times more before" in again.getMessage()
