"""Check of a request's origin: a page of this site, by a name of this machine (no other site, no rebound name)."""

from __future__ import annotations

from collections.abc import Sequence
from ipaddress import ip_address
from urllib.parse import urlsplit

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Receive, Scope, Send

from pipelines.errors import BadInput
from studio.web.refusals import answer_refusal

__all__ = ["OriginCheck"]

_HERE = ("127.0.0.1", "localhost", "[::1]", "testserver")
_HARMLESS = ("GET", "HEAD", "OPTIONS")


class OriginCheck:
    """ASGI middleware: 403 for another Host, and for what another site asks for.

    `names` are more names of this machine. Where it is not only `local`, its addresses count as names, too: a rebound
    name is never an address.
    """

    def __init__(self, app: ASGIApp, names: Sequence[str] = (), local: bool = True) -> None:
        self._app, self._names, self._local = app, (*_HERE, *(name.casefold() for name in names)), local

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and not self._allowed(Headers(scope=scope), scope["method"]):
            headers = Headers(scope=scope)
            error = BadInput("asked_from_elsewhere", host=headers.get("host", "")[:100])
            await answer_refusal(error, headers.get("accept-language", ""), 403)(scope, receive, send)
            return
        await self._app(scope, receive, send)

    def _allowed(self, headers: Headers, method: str) -> bool:
        host = headers.get("host", "")
        if not self._is_here(host.casefold()):
            return False
        origin = headers.get("origin")
        if origin is not None and urlsplit(origin).netloc != host:
            return False
        return method in _HARMLESS or headers.get("sec-fetch-site", "same-origin") in ("same-origin", "none")

    def _is_here(self, host: str) -> bool:
        name = host.rsplit(":", 1)[0] if not host.endswith("]") else host
        if name in self._names or host in self._names:
            return True
        try:
            return not self._local and ip_address(name.strip("[]")) is not None
        except ValueError:
            return False
