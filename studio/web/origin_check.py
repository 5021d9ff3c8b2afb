"""Check of a request's origin: a page of this site, by a name of this machine (no other site, no rebound name)."""

from __future__ import annotations

from collections.abc import Sequence
from ipaddress import ip_address
from urllib.parse import urlsplit

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from pipelines.errors import BadInput
from studio.web.refusals import answer_refusal

__all__ = ["OriginCheck"]

_HERE = ("127.0.0.1", "localhost", "[::1]")
_HARMLESS = ("GET", "HEAD", "OPTIONS")
_OWN = ("same-origin", "none")


class OriginCheck:
    """ASGI middleware: 403 for another Host, and for what another site asks for; 400 for a body of two lengths.

    Another site may lead a person here by a link, and nothing else: neither may it show what is here in a picture, nor
    learn from an answer that a studio runs. `names` are more names of this machine. Where it is not only `local`, its
    addresses count as names, too: a rebound name is never an address.
    """

    def __init__(self, app: ASGIApp, names: Sequence[str] = (), local: bool = True) -> None:
        self._app, self._names, self._local = app, (*_HERE, *(name.casefold() for name in names)), local

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        headers = Headers(scope=scope)
        if "content-length" in headers and "transfer-encoding" in headers:  # RFC 9112, 6.1: may hide a second request
            answer = answer_refusal(BadInput("body_of_two_lengths"), headers.get("accept-language", ""), 400)
            await answer(scope, receive, _closing(send))
        elif not self._allowed(headers, scope["method"]):
            error = BadInput("asked_from_elsewhere", host=headers.get("host", "")[:100])
            await answer_refusal(error, headers.get("accept-language", ""), 403)(scope, receive, send)
        else:
            await self._app(scope, receive, send)

    def _allowed(self, headers: Headers, method: str) -> bool:
        host = headers.get("host", "")
        if not self._is_here(host.casefold()):
            return False
        origin = headers.get("origin")
        if origin is not None and _place_of(origin) != host.casefold():
            return False
        if headers.get("sec-fetch-site", "same-origin") in _OWN:
            return True
        is_link = (
            headers.get("sec-fetch-mode") == "navigate" and headers.get("sec-fetch-dest", "document") == "document"
        )
        return method in _HARMLESS and is_link

    def _is_here(self, host: str) -> bool:
        name = host.rsplit(":", 1)[0] if not host.endswith("]") else host
        if name in self._names or host in self._names:
            return True
        try:
            return not self._local and ip_address(name.strip("[]")) is not None
        except ValueError:
            return False


def _place_of(origin: str) -> str:
    """Return host and port of an origin, "" for what is none ("null")."""
    try:
        return urlsplit(origin).netloc.casefold()
    except ValueError:
        return ""


def _closing(send: Send) -> Send:
    """Let the connection end with this answer."""

    async def say(message: Message) -> None:
        if message["type"] == "http.response.start":
            message = {**message, "headers": [*message["headers"], (b"connection", b"close")]}
        await send(message)

    return say
