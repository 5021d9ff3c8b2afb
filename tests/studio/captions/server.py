"""A local server that speaks as an OpenAI-compatible one, with the misbehaviour that a test asks for."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

__all__ = ["Reply", "Server", "completion", "serve", "suggestion"]


@dataclass
class Reply:
    status: int = 200
    body: bytes = b""
    headers: dict[str, str] = field(default_factory=dict)
    wait_s: float = 0.0


Script = Callable[[int, dict[str, Any]], Reply]


@dataclass
class Server:
    """`asked` are the bodies that were posted, `seen` their paths and headers; `released` ends waiting."""

    url: str
    asked: list[dict[str, Any]] = field(default_factory=list)
    seen: list[tuple[str, dict[str, str]]] = field(default_factory=list)
    released: threading.Event = field(default_factory=threading.Event)


def completion(text: str, tokens: int | None = 100) -> Reply:
    usage = {} if tokens is None else {"usage": {"total_tokens": tokens}}
    told = {"choices": [{"index": 0, "message": {"role": "assistant", "content": text}}]} | usage
    return Reply(body=json.dumps(told).encode())


def suggestion(count: int, **changed: Any) -> str:
    told: dict[str, Any] = {
        "title": "白色T恤", "body": "咖啡馆里的一组图。", "tags": ["#穿搭", "白色 T恤"],
        "captions": [f"第{'一二三四五六七八九'[i]}张，白色T恤。" for i in range(count)],
    }  # fmt: skip
    return json.dumps(told | changed, ensure_ascii=False)


@contextmanager
def serve(script: Script) -> Iterator[Server]:
    """`script` answers by the number of the question (from 0) and its body."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            number = len(server.asked)
            server.asked.append(body)
            server.seen.append((self.path, dict(self.headers)))
            reply = script(number, body)
            if reply.wait_s:
                server.released.wait(reply.wait_s)
            try:
                self.send_response(reply.status)
                for name, value in reply.headers.items():
                    self.send_header(name, value)
                self.send_header("Content-Length", str(len(reply.body)))
                self.end_headers()
                self.wfile.write(reply.body)
            except OSError:
                pass  # whoever asked did not wait

        def log_message(self, format: str, *args: Any) -> None:
            return

    httpd = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    httpd.daemon_threads = True
    server = Server(f"http://127.0.0.1:{httpd.server_address[1]}/v1")
    thread = threading.Thread(target=httpd.serve_forever, daemon=True)
    thread.start()
    try:
        yield server
    finally:
        server.released.set()
        httpd.shutdown()
        httpd.server_close()
        thread.join(5)
