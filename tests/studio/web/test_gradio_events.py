"""What a page asks for is answered, also when the stream that would tell of it ends before."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager

import httpx

from studio.web.gradio_events import _MOST_PAGES, _Newest

_SERVER = """
import socket, sys, time
import gradio as gr, uvicorn
from fastapi import FastAPI
from studio.web.gradio_events import keep_events

with gr.Blocks(analytics_enabled=False) as blocks:
    said = gr.Textbox()
    gr.Button().click(lambda: time.sleep(1) or "answered", None, said)
if sys.argv[1] == "kept":
    keep_events(blocks)
app = gr.mount_gradio_app(FastAPI(), blocks, "/page", ssr_mode=False)
port = socket.create_server(("127.0.0.1", 0))
print(port.getsockname()[1], flush=True)
uvicorn.Server(uvicorn.Config(app, log_level="error")).run([port])
"""


@contextmanager
def _page(how: str) -> Iterator[str]:
    """A page whose only press takes a second, on a server of its own; where its events are asked for."""
    environment = os.environ | {"GRADIO_ANALYTICS_ENABLED": "False", "HF_HUB_OFFLINE": "1"}
    command = [sys.executable, "-c", _SERVER, how]
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, env=environment
    ) as server:
        try:
            assert server.stdout is not None
            yield f"http://127.0.0.1:{int(server.stdout.readline())}/page/gradio_api/queue"
        finally:
            server.send_signal(signal.SIGKILL)


def _press_and_look_away(url: str) -> str:
    """Press; end the stream while the press is answered; what the next stream tells."""
    told = ""
    with httpx.Client(timeout=60) as page:
        page.post(f"{url}/join", json={"data": [], "fn_index": 0, "session_hash": "mine"}).raise_for_status()
        with page.stream("GET", f"{url}/data", params={"session_hash": "mine"}) as stream:
            next(stream.iter_lines())
        time.sleep(0.4)  # until the server has noticed
        try:
            with page.stream("GET", f"{url}/data", params={"session_hash": "mine"}, timeout=6) as stream:
                for line in stream.iter_lines():
                    told += line
        except httpx.TransportError:  # as Gradio ends it where it knows nothing of the page
            pass
    return told


def test_a_press_is_answered_by_the_next_stream() -> None:
    with _page("kept") as url:
        told = _press_and_look_away(url)
        assert json.dumps({"data": ["answered"]}, separators=(",", ":"))[:-1] in told
        assert "close_stream" in told


def test_gradio_by_itself_drops_it() -> None:
    """Once it does not, the mend can go."""
    with _page("as it is") as url:
        assert "answered" not in _press_and_look_away(url)


def test_only_so_many_pages_are_remembered() -> None:
    newest = _Newest()
    for number in range(_MOST_PAGES + 5):
        newest[str(number)] = number
    del newest["7"]
    assert len(newest) == _MOST_PAGES
    assert "4" not in newest
    assert newest["7"] == 7
