"""Who may ask: only a page of this very site, by a name of this machine (other sites and rebound names are refused)."""

from __future__ import annotations

from urllib.parse import urlsplit

from starlette.datastructures import Headers
from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Receive, Scope, Send

__all__ = ["Guard"]

_HERE = ("127.0.0.1", "localhost", "[::1]", "testserver")
_HARMLESS = ("GET", "HEAD", "OPTIONS")


class Guard:
    """ASGI middleware: 403 for another Host, and for anything that changes something and comes from another site."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and not _allowed(Headers(scope=scope), scope["method"]):
            await PlainTextResponse("Not from here.", 403)(scope, receive, send)
            return
        await self._app(scope, receive, send)


def _allowed(headers: Headers, method: str) -> bool:
    host = headers.get("host", "")
    if urlsplit(f"//{host}").netloc.rsplit(":", 1)[0] not in _HERE and host not in _HERE:
        return False
    origin = headers.get("origin")
    if method in _HARMLESS:
        return True
    if headers.get("sec-fetch-site", "same-origin") not in ("same-origin", "none"):
        return False
    return origin is None or urlsplit(origin).netloc == host
