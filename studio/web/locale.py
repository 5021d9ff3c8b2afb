"""Gradio's own words ("Drop file here") in the page's language, whatever the browser's is.

Gradio 6.31 asks `navigator.language` before it runs what an app may put on its page, so the answer has to be in
the page that the server sends.
"""

from __future__ import annotations

from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from studio.texts.texts import LOCALES

__all__ = ["Locale"]

_SCRIPT = "<head><script>Object.defineProperty(navigator,'language',{get:()=>'%s'})</script>"


class Locale:
    """ASGI middleware around the pages of every language."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        asked = scope["type"] == "http" and scope["method"] == "GET"
        locale = LOCALES.get(scope["path"].lstrip("/").split("/")[0]) if asked else None
        if locale is None:
            await self._app(scope, receive, send)
            return
        start: Message | None = None

        async def say(message: Message) -> None:
            nonlocal start
            if message["type"] == "http.response.start" and message["status"] == 200:
                headers = Headers(raw=message["headers"])
                if headers.get("content-type", "").startswith("text/html") and "content-encoding" not in headers:
                    start = message
                    return
            elif start is not None and message["type"] == "http.response.body":
                body = message.get("body", b"").replace(b"<head>", (_SCRIPT % locale).encode(), 1)
                body = body.replace(b'lang="en"', f'lang="{locale}"'.encode(), 1)
                headers_out = MutableHeaders(raw=start["headers"])
                if message.get("more_body"):
                    del headers_out["content-length"]
                else:
                    headers_out["content-length"] = str(len(body))
                await send(start)
                start, message = None, {**message, "body": body}
            await send(message)

        await self._app(scope, receive, say)
