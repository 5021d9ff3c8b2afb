"""Isolation: of Gradio's own routes each person reaches only what is theirs, and only the routes that the pages use.

Gradio 6.31 checks that somebody is logged in, but gives any file of its cache to anybody who knows the path, takes
anybody's cached file as an input, and tells a session's events to whoever names the session. So: a session belongs to
the first who uses it, a cached file to those whom the server itself told its path (in an upload's answer or an event),
and a request that names another's is answered as if there were none. What one person makes it remember never pushes
out what is another's. Closed is also the route by which a painting field may send pictures while it is painted on: no
page uses it, and it keeps them for ever, in a list as long as a number in the form says.
"""

from __future__ import annotations

import json
import os
import re
from collections import OrderedDict
from collections.abc import Callable, Iterator
from typing import Any
from urllib.parse import parse_qs

from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import JSONResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from pipelines.errors import BadInput, StudioError
from studio.texts.texts import LANGUAGES
from studio.ui.parts.html import PAGES
from studio.web.login import OWNER
from studio.web.rates import Rates
from studio.web.refusals import answer_refusal

__all__ = ["GradioIsolation", "MOST_UPLOAD_BYTES"]

_MOUNT = re.compile(rf"/(?:{'|'.join(LANGUAGES)})(?:/(?P<rest>.*))?", re.DOTALL)
_API = "gradio_api/"
_FILE = "file="
_ROUTES = (
    "cancel", "heartbeat", "info", "queue", "reset", "startup-events", "theme.css", "upload", "upload_progress",
)  # fmt: skip
_ROOT = (*PAGES, "assets", "config", "favicon.ico", "manifest.json", "pwa_icon", "static", "svelte", "theme.css")
_MAX_BODY = 4 * 1024 * 1024
_MOST_PATHS = 200  # in one body: each is looked for on the disk
MOST_UPLOAD_BYTES = 400_000_000  # in one request, of several files
_MOST_FILES, _MOST_SESSIONS = 5_000, 1_000  # that are remembered of one person
_UPLOADS = (300, 600.0)  # so many in so many seconds
_BROUGHT = (4_000_000_000, 86_400.0)  # bytes, as long as Gradio keeps them


class _Owners:
    """What is whose: each person's last ones, `most` of them."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._held: dict[str, OrderedDict[str, None]] = {}

    def holds(self, owner: str, key: str) -> bool:
        return key in self._held.get(owner, ())

    def add(self, owner: str, key: str) -> list[str]:
        """Remember it as the newest; those that were forgotten for it."""
        mine = self._held.setdefault(owner, OrderedDict())
        mine[key] = None
        mine.move_to_end(key)
        return [mine.popitem(last=False)[0] for _ in range(len(mine) - self._most)]


class GradioIsolation:
    """ASGI middleware behind the authentication. It keeps in memory what belongs to whom, as Gradio its sessions.

    `check_room` raises where an owner may not bring so many bytes.
    """

    def __init__(self, app: ASGIApp, check_room: Callable[[str, int], None] = lambda owner, size: None) -> None:
        self._app, self._check_room = app, check_room
        self._files = _Owners(_MOST_FILES)
        self._sessions: dict[str, str] = {}
        self._sessions_of = _Owners(_MOST_SESSIONS)
        self._uploads, self._brought = Rates(*_UPLOADS), Rates(*_BROUGHT)
        self._most_upload = MOST_UPLOAD_BYTES

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        found = _MOUNT.fullmatch(scope["path"]) if scope["type"] == "http" else None
        if found is None:
            await self._app(scope, receive, send)
            return
        rest, owner = found["rest"] or "", str(scope[OWNER])
        if not rest.startswith(_API):
            known = rest == "" or rest.split("/")[0] in _ROOT
            await (self._app if known else _NOTHING)(scope, receive, send)
            return
        route = rest.removeprefix(_API)
        if route.startswith(_FILE):
            mine = self._may_read(owner, route.removeprefix(_FILE))
            await (self._app if mine else _NOTHING)(scope, receive, send)
            return
        name, is_form = route.split("/")[0], _is_form(scope)
        mine = all(self._own_session(owner, session) for session in _named_sessions(scope, route))
        if name not in _ROUTES or not mine or is_form is not (scope["method"] == "POST" and name == "upload"):
            await _NOTHING(scope, receive, send)
            return
        headers = MutableHeaders(scope=scope)
        if "accept-encoding" in headers:
            del headers["accept-encoding"]  # the answer must be read here
        send = self._listen(owner, send, upload=name == "upload")
        if name == "upload":
            await self._upload(owner, scope, receive, send)
            return
        if scope["method"] == "POST":
            body = await _read(receive)
            value = None if body is None else _parse(body) if body else b""
            if value is None or not self._may_send(owner, value):
                await _NOTHING(scope, receive, send)
                return
            # what was checked is what Gradio reads, so that no other reading of the same bytes slips through
            data = json.dumps(value).encode() if body else b""
            headers["content-length"] = str(len(data))
            receive = _Again(data, receive)
        await self._app(scope, receive, send)

    async def _upload(self, owner: str, scope: Scope, receive: Receive, send: Send) -> None:
        """Let files in, as many bytes as one may bring."""
        headers = Headers(scope=scope)
        said = headers.get("content-length", "")
        announced = int(said) if said.isdecimal() and len(said) < 20 else 0
        try:
            if not self._uploads.allows(owner):
                raise BadInput("too_many_requests")
            if announced > self._most_upload:
                raise BadInput("body_too_large", most=f"{self._most_upload // 10**6} MB")
            if not self._brought.allows(owner, announced or self._most_upload):
                raise BadInput("too_many_uploads", most_gb=_BROUGHT[0] / 1e9)
            self._check_room(owner, announced)
        except StudioError as error:
            status = {"too_many_requests": 429, "too_many_uploads": 429, "body_too_large": 413}.get(error.code, 507)
            await _refuse(error, headers, status)(scope, receive, send)
            return
        came = 0

        async def counted() -> Message:
            nonlocal came
            message = await receive()
            came += len(message.get("body", b""))
            # who did not say how much would come, or more than was said, hears nothing of it
            return {"type": "http.disconnect"} if came > (announced or self._most_upload) else message

        await self._app(scope, counted, send)

    def _may_read(self, owner: str, path: str) -> bool:
        if self._files.holds(owner, path):
            return True
        try:
            return self._files.holds(owner, os.path.realpath(path))
        except ValueError:  # with a NUL in it, it is no path
            return False

    def _own_session(self, owner: str, session: str) -> bool:
        """The first who uses it has it."""
        if len(session) > 200 or self._sessions.setdefault(session, owner) != owner:
            return False
        for forgotten in self._sessions_of.add(owner, session):
            self._sessions.pop(forgotten, None)
        return True

    def _may_send(self, owner: str, body: Any) -> bool:
        session = body.get("session_hash") if isinstance(body, dict) else None
        if session is not None and not self._own_session(owner, str(session)):
            return False
        paths = set(_paths(body))
        return len(paths) <= _MOST_PATHS and all(self._may_read(owner, path) for path in paths)

    def _listen(self, owner: str, send: Send, upload: bool) -> Send:
        heard = bytearray()

        async def tell(message: Message) -> None:
            if message["type"] == "http.response.body":
                heard.extend(message.get("body", b""))
                if not message.get("more_body") or heard.endswith(b"\n\n"):
                    self._told(owner, bytes(heard), upload)
                    heard.clear()
            await send(message)

        return tell

    def _told(self, owner: str, heard: bytes, upload: bool) -> None:
        paths: list[str] = []
        if upload:
            said = _parse(heard)
            paths = [path for path in said if isinstance(path, str)] if isinstance(said, list) else []
        elif b"gradio.FileData" in heard:
            for line in heard.splitlines():
                paths += _paths(_parse(line.removeprefix(b"data: ")), only_files=True)
        for path in paths:
            self._files.add(owner, os.path.realpath(path))


_NOTHING = JSONResponse({"detail": "Not Found"}, 404)


def _refuse(error: StudioError, headers: Headers, status: int) -> Response:
    return answer_refusal(error, headers.get("accept-language", ""), status)


class _Again:
    """A body that was read already, and then what the client says."""

    def __init__(self, body: bytes, receive: Receive) -> None:
        self._body: bytes | None = body
        self._receive = receive

    async def __call__(self) -> Message:
        if self._body is None:
            return await self._receive()
        body, self._body = self._body, None
        return {"type": "http.request", "body": body, "more_body": False}


async def _read(receive: Receive) -> bytes | None:
    """The body of a request; None for one that is larger than 4 MiB, or was not sent whole."""
    body = bytearray()
    while True:
        message = await receive()
        if message["type"] != "http.request":
            return None
        body += message.get("body", b"")
        if len(body) > _MAX_BODY:
            return None
        if not message.get("more_body"):
            return bytes(body)


def _parse(data: bytes) -> Any:
    try:
        return json.loads(data)
    except (ValueError, RecursionError):
        return None


def _paths(value: Any, only_files: bool = False) -> Iterator[str]:
    """All that a JSON value names as "path"; `only_files`: what the server sends as files, and no word of a user."""
    waiting = [value]
    while waiting:
        one = waiting.pop()
        if isinstance(one, dict):
            path = one.get("path")
            meta = one.get("meta")
            is_file = isinstance(meta, dict) and meta.get("_type") == "gradio.FileData"
            if isinstance(path, str) and (is_file or not only_files):
                yield path
            waiting.extend(one.values())
        elif isinstance(one, list):
            waiting.extend(one)


def _named_sessions(scope: Scope, route: str) -> list[str]:
    """In the address; one in a body is looked for when it is read."""
    query = parse_qs(scope["query_string"].decode("latin-1"))
    return [*query.get("session_hash", ()), *(route.split("/")[1:2] if route.startswith("heartbeat/") else ())]


def _is_form(scope: Scope) -> bool:
    return Headers(scope=scope).get("content-type", "").strip().lower().startswith("multipart/form-data")
