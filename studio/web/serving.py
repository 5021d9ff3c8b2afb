"""The server of the pages: uvicorn with limits, so that nobody holds it by connections that say little or nothing.

uvicorn 0.54 has no time limit for a request's head or body: 1010 half-sent heads held all of the usual 1024 open files
for as long as they liked, and asyncio wrote a line for each connection that it could not take. Here a connection that
is in the middle of a request has to go on with it, and when there are too many, the one that has waited longest without
a whole request gives way.
"""

from __future__ import annotations

import asyncio
import logging
import resource
import sys
import time
from collections import OrderedDict
from collections.abc import Callable
from contextlib import suppress
from typing import Any

import h11
import uvicorn
from uvicorn.config import LOGGING_CONFIG
from uvicorn.protocols.http.h11_impl import H11Protocol

__all__ = ["LimitedProtocol", "RareLines", "serve", "server_config"]

HEAD_S = 15.0  # for a request's head, from the connection's or the head's first byte
BODY_PAUSE_S = 30.0  # between two blocks of a body
BODY_GRACE_S, BODY_BYTES_PER_S = 60.0, 4_000.0  # a body that takes longer than this has to come at this rate on average
MOST_CONNECTIONS = 2_000
_SPARE_FILES = 200  # for databases, stored files and libraries
_SWITCH_S = 0.0005  # whoever listens to connections waits no longer than this for a thread that makes an answer
_WANTED_FILES = MOST_CONNECTIONS + _SPARE_FILES


class LimitedProtocol(H11Protocol):
    """A connection that ends when a request's head or body does not come, and when others need its place."""

    most = MOST_CONNECTIONS
    head_s, body_pause_s, body_grace_s = HEAD_S, BODY_PAUSE_S, BODY_GRACE_S
    _limit: asyncio.TimerHandle | None = None
    _limit_of: object = None
    _began = _heard = 0.0
    _came = 0

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self._await_head()
        if len(self.connections) > self.most:
            # this one is among them, so that somebody without a whole request always gives way; uploads last
            without = [one for one in self.connections if isinstance(one, LimitedProtocol) and one._can_give_way]
            last = min(without, key=lambda one: (one._limit_of is h11.SEND_BODY, one._began))
            self.connections.discard(last)  # now: others may come before it is told that it is lost
            last.transport.abort()

    @property
    def _can_give_way(self) -> bool:
        """Whether no request of it is being answered."""
        return self._limit is not None or self.timeout_keep_alive_task is not None

    def data_received(self, data: bytes) -> None:
        self._heard = time.monotonic()
        self._came += len(data)
        super().data_received(data)
        self._look()

    def on_response_complete(self) -> None:
        super().on_response_complete()
        self._look()

    def connection_lost(self, exc: Exception | None) -> None:
        self._forget()
        super().connection_lost(exc)

    def _look(self) -> None:
        """Set the time limit of what the client has to send now, if it has to send anything."""
        state = self.conn.their_state
        if self.transport.is_closing() or state in (h11.DONE, h11.MUST_CLOSE, h11.CLOSED, h11.ERROR):
            self._forget()
        elif state is h11.SEND_BODY:
            if self._limit is None or self._limit_of is not state:
                self._begin(state, self._check_body, self.body_pause_s)
        elif self.conn.trailing_data[0]:  # a head that has begun
            if self._limit is None or self._limit_of is not state:
                self._await_head()
        elif self._limit is not None and self._limit_of is not state:
            self._forget()  # kept alive and silent: uvicorn's own limit counts

    def _await_head(self) -> None:
        self._begin(h11.IDLE, self._give_up, self.head_s)

    def _begin(self, state: object, then: Callable[[], None], seconds: float) -> None:
        self._forget()
        self._limit_of, self._began = state, time.monotonic()
        self._heard, self._came = self._began, 0
        self._limit = self.loop.call_later(seconds, then)

    def _check_body(self) -> None:
        """End a body that stands still or trickles; else look again later."""
        if self.conn.their_state is not h11.SEND_BODY:
            self._forget()
            return
        now = time.monotonic()
        # what uvicorn holds back, because the app is slow to read, is not the client's fault
        held = self.flow.read_paused
        slow = now - self._began > self.body_grace_s and self._came < BODY_BYTES_PER_S * (now - self._began)
        if not held and (now - self._heard >= self.body_pause_s or slow):
            self._give_up()
            return
        self._limit = self.loop.call_later(max(1.0, self.body_pause_s / 4), self._check_body)

    def _give_up(self) -> None:
        self._forget()
        self.transport.abort()

    def _forget(self) -> None:
        if self._limit is not None:
            self._limit.cancel()
        self._limit = None


class RareLines(logging.Filter):
    """Lets a logger say the same thing `most` times in `window_s` seconds, and then once how often it was left out."""

    def __init__(self, most: int = 5, window_s: float = 60.0, clock: Callable[[], float] = time.monotonic) -> None:
        super().__init__()
        self._most, self._window_s, self._clock = most, window_s, clock
        self._said: OrderedDict[tuple[str, str], tuple[float, int]] = OrderedDict()

    def filter(self, record: logging.LogRecord) -> bool:
        key, now = (record.name, str(record.msg)[:200]), self._clock()
        began, count = self._said.get(key, (now, 0))
        if now - began >= self._window_s:
            if count > self._most:
                record.msg, record.args = f"{record.getMessage()} ({count - self._most} times more before)", ()
            began, count = now, 0
        self._said[key] = (began, count + 1)
        while len(self._said) > 200:
            self._said.popitem(last=False)
        return count < self._most


def server_config(site: Any, host: str, port: int, *, as_json: bool = False) -> uvicorn.Config:
    """Return the server's settings. Forwarded headers are read by the site, and only of named proxies. `as_json`: its
    log is what `studio.logs` made of it."""
    most = max(50, min(MOST_CONNECTIONS, _allow_files() - _SPARE_FILES))
    kind = type("Protocol", (LimitedProtocol,), {"most": most})
    return uvicorn.Config(
        site, host=host, port=port, log_level="warning", http=kind, ws="none", proxy_headers=False, backlog=128,
        log_config=None if as_json else LOGGING_CONFIG, server_header=False,
        h11_max_incomplete_event_size=32_768, timeout_keep_alive=5,
        timeout_graceful_shutdown=3,  # an open tab keeps a connection: Ctrl-C must not wait for it
    )  # fmt: skip


def serve(site: Any, host: str, port: int, *, as_json: bool = False) -> None:
    """Serve until Ctrl-C."""
    config = server_config(site, host, port, as_json=as_json)
    for name, most in (("uvicorn.error", 5), ("asyncio", 5), ("studio.login", 60)):
        logging.getLogger(name).addFilter(RareLines(most))
    sys.setswitchinterval(_SWITCH_S)
    with suppress(KeyboardInterrupt):  # as uvicorn.run does
        uvicorn.Server(config).run()


def _allow_files() -> int:
    """Open as many files as this machine lets us, up to what is wanted; how many that are."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = _WANTED_FILES if hard == resource.RLIM_INFINITY else min(_WANTED_FILES, hard)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        with suppress(ValueError, OSError):
            resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
            return wanted
    return wanted if soft == resource.RLIM_INFINITY else soft
