"""Nobody comes in without a login; who asks is found once, here, for every route behind it."""

from __future__ import annotations

from urllib.parse import quote

from starlette.concurrency import run_in_threadpool
from starlette.datastructures import Headers
from starlette.responses import RedirectResponse, Response
from starlette.types import ASGIApp, Receive, Scope, Send

from pipelines.errors import BadInput
from studio.web.login import OWNER, Logins
from studio.web.refusals import answer_refusal

__all__ = ["Authentication"]

_OPEN = ("/login", "/logout", "/health", "/metrics", "/manifest.json", "/language/en", "/language/zh")


class Authentication:
    """ASGI middleware: a page becomes the login's form, anything else 401, where nobody is logged in and has to be."""

    def __init__(self, app: ASGIApp, logins: Logins) -> None:
        self._app, self._logins = app, logins

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "websocket":  # there are none
            await send({"type": "websocket.close", "code": 1008})
            return
        if scope["type"] == "http":
            scope[OWNER] = await run_in_threadpool(self._logins.owner_of, scope)
            if scope[OWNER] is None and scope["path"] not in _OPEN:
                await _ask(scope)(scope, receive, send)
                return
        await self._app(scope, receive, send)


def _ask(scope: Scope) -> Response:
    if scope["method"] in ("GET", "HEAD") and "text/html" in Headers(scope=scope).get("accept", ""):
        return RedirectResponse(f"/login?next={quote(scope['path'], safe='/')}", 303, {"Cache-Control": "no-store"})
    return answer_refusal(BadInput("login_needed"), Headers(scope=scope).get("accept-language", ""), 401)
