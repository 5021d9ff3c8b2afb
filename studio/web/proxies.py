"""Proxies before the studio: what they say of who asks is believed of named ones alone.

A client can write X-Forwarded-For itself, and a proxy on this machine makes a studio without users public. So headers
of proxies count only where they come from an address of the setting `trusted_proxies`; where nobody has to log in, a
request that went through a proxy is refused.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Receive, Scope, Send
from uvicorn.middleware.proxy_headers import ProxyHeadersMiddleware

from pipelines.errors import BadInput
from studio.web.refusals import answer_refusal

__all__ = ["Proxies"]

FORWARDED = (
    "cf-connecting-ip", "forwarded", "true-client-ip", "via", "x-forwarded-for", "x-forwarded-host", "x-forwarded-port",
    "x-forwarded-proto", "x-forwarded-server", "x-real-ip",
)  # fmt: skip
_LOG = logging.getLogger(__name__)


class Proxies:
    """ASGI middleware before all others. `alone` says whether nobody has to log in; `trusted` are addresses and
    networks of proxies."""

    def __init__(self, app: ASGIApp, trusted: tuple[str, ...], alone: Callable[[], bool]) -> None:
        self._app, self._alone = app, alone
        through: Any = ProxyHeadersMiddleware(app, list(trusted))  # type: ignore[arg-type]
        self._trusted, self._through = through.trusted_hosts, through
        self._warned = False

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        headers = Headers(scope=scope)
        forwarded = next((name for name in FORWARDED if name in headers), None)
        if forwarded is None:
            await self._app(scope, receive, send)
            return
        if self._alone():
            error = BadInput("asked_through_proxy", header=forwarded)
            await answer_refusal(error, headers.get("accept-language", ""), 403)(scope, receive, send)
            return
        peer = (scope.get("client") or ("",))[0]
        if peer in self._trusted:
            await self._through(scope, receive, send)
            return
        if not self._warned:
            self._warned = True
            _LOG.warning(
                "A proxy at %s is not named in PERSONA_STUDIO_TRUSTED_PROXIES: all who come through it count as one, "
                "and cookies are not marked as for HTTPS.", peer or "an unknown address",
            )  # fmt: skip
        await self._app(scope, receive, send)
