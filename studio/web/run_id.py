"""The id of this process, in every answer: a page that another one sent knows that its session is gone."""

from __future__ import annotations

import secrets

from starlette.datastructures import MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

__all__ = ["RUN", "RunId"]

RUN = secrets.token_hex(8)


class RunId:
    """ASGI middleware: the header X-Studio-Run."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def say(message: Message) -> None:
            if message["type"] == "http.response.start":
                MutableHeaders(scope=message)["X-Studio-Run"] = RUN
            await send(message)

        await self._app(scope, receive, say if scope["type"] == "http" else send)
