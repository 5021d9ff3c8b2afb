"""Isolation: of Gradio's own routes each person reaches only what is theirs, and only the routes that the pages use.

Gradio 6.31 checks that somebody is logged in, but gives any file of its cache to anybody who knows the path, takes
anybody's cached file as an input, and tells a session's events to whoever names the session. So: a session belongs to
the first who uses it, a cached file to those whom the server itself told its path (in an upload's answer or an event),
and a request that names another's is answered as if there were none.
"""

from __future__ import annotations

import json
import os
import re
from collections import OrderedDict
from collections.abc import Iterator
from typing import Any
from urllib.parse import parse_qs

from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from studio.texts.texts import LANGUAGES
from studio.ui.parts.html import PAGES
from studio.web.login import OWNER

__all__ = ["GradioIsolation"]

_MOUNT = re.compile(rf"/(?:{'|'.join(LANGUAGES)})(?:/(?P<rest>.*))?", re.DOTALL)
_API = "gradio_api/"
_FILE = "file="
_ROUTES = (
    "api", "call", "cancel", "component_server", "heartbeat", "info", "openapi.json", "queue", "reset", "run",
    "startup-events", "theme.css", "upload", "upload_progress",
)  # fmt: skip
_ROOT = (*PAGES, "assets", "config", "favicon.ico", "manifest.json", "pwa_icon", "static", "svelte", "theme.css")
_FORMS = ("component_server", "upload")  # the only ones that read forms
_MAX_BODY = 16 * 1024 * 1024
_REMEMBERED = 20_000


class GradioIsolation:
    """ASGI middleware behind the authentication. It keeps in memory what belongs to whom, as Gradio its sessions."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app
        self._files: OrderedDict[str, set[str]] = OrderedDict()
        self._sessions: OrderedDict[str, str] = OrderedDict()

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
        if name not in _ROUTES or not mine or (is_form and name not in _FORMS):
            await _NOTHING(scope, receive, send)
            return
        if scope["method"] == "POST" and not is_form:
            body = await _read(receive)
            if body is None or not self._may_send(owner, body):
                await _NOTHING(scope, receive, send)
                return
            # what was checked is what Gradio reads, so that no other reading of the same bytes slips through
            data = json.dumps(body).encode() if body != b"" else b""
            MutableHeaders(scope=scope)["content-length"] = str(len(data))
            receive = _Again(data, receive)
        headers = MutableHeaders(scope=scope)
        if "accept-encoding" in headers:
            del headers["accept-encoding"]  # the answer must be read here
        await self._app(scope, receive, self._listen(owner, send, upload=name == "upload"))

    def _may_read(self, owner: str, path: str) -> bool:
        return owner in self._files.get(os.path.realpath(path), ())

    def _own_session(self, owner: str, session: str) -> bool:
        """The first who uses it has it."""
        self._sessions.setdefault(session, owner)
        self._sessions.move_to_end(session)
        while len(self._sessions) > _REMEMBERED:
            self._sessions.popitem(last=False)
        return self._sessions[session] == owner

    def _may_send(self, owner: str, body: Any) -> bool:
        session = body.get("session_hash") if isinstance(body, dict) else None
        if session is not None and not self._own_session(owner, str(session)):
            return False
        return all(self._may_read(owner, path) for path in _paths(body))

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
            real = os.path.realpath(path)
            self._files.setdefault(real, set()).add(owner)
            self._files.move_to_end(real)
        while len(self._files) > _REMEMBERED:
            self._files.popitem(last=False)


_NOTHING = JSONResponse({"detail": "Not Found"}, 404)


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


async def _read(receive: Receive) -> Any:
    """The JSON of a request; b"" for an empty one, None for what is too large or no JSON."""
    body = bytearray()
    while True:
        message = await receive()
        if message["type"] != "http.request":
            return None
        body += message.get("body", b"")
        if len(body) > _MAX_BODY:
            return None
        if not message.get("more_body"):
            return _parse(bytes(body)) if body else b""


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
