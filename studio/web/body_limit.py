"""A limit on what is sent to /api: a body is JSON of at most 1 MiB, whose texts are texts. Files go to /uploads, which
has its own.
"""

from __future__ import annotations

import json

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from pipelines.errors import BadInput
from studio.web.refusals import answer_refusal

__all__ = ["MOST_BODY_BYTES", "BodyLimit"]

MOST_BODY_BYTES = 1 << 20


class BodyLimit:
    """ASGI middleware: 413 for a larger body under /api, whether it says its size or not; no more of it is kept.
    422 for half a surrogate pair, which JSON can name and nothing can keep or say."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or not scope["path"].startswith("/api/"):
            await self._app(scope, receive, send)
            return
        announced = Headers(scope=scope).get("content-length", "")
        messages: list[Message] = []
        size = int(announced) if announced.isdecimal() and len(announced) < 20 else 0
        held, more = 0, size <= MOST_BODY_BYTES
        while more:
            messages.append(message := await receive())
            held += len(message.get("body", b""))
            size = max(size, held)
            more = message["type"] == "http.request" and message.get("more_body", False) and held <= MOST_BODY_BYTES
        if size > MOST_BODY_BYTES:
            error = BadInput("body_too_large", most=f"{MOST_BODY_BYTES >> 20} MiB")
            await answer_refusal(error, Headers(scope=scope).get("accept-language", ""), 413)(scope, receive, send)
            return

        if not _is_text(b"".join(message.get("body", b"") for message in messages)):
            error = BadInput("body_half_letter")
            await answer_refusal(error, Headers(scope=scope).get("accept-language", ""), 422)(scope, receive, send)
            return

        async def again() -> Message:
            return messages.pop(0) if messages else await receive()

        await self._app(scope, again, send)


def _is_text(body: bytes) -> bool:
    """Whether a body is UTF-8 and what its JSON says can be written as such; what is no JSON is refused where it is
    read."""
    try:
        body.decode()
    except UnicodeDecodeError:
        return False
    if b"\\ud" not in body.lower():
        return True
    try:
        json.dumps(json.loads(body), ensure_ascii=False).encode()
    except UnicodeEncodeError:
        return False
    except (ValueError, RecursionError):
        pass
    return True
