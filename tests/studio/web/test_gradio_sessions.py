"""What the server keeps of an open page is small, and a page whose session was let go can still be used."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from typing import Any

# A page with a state: a press counts in it, and shows the count as a component that is made anew.
_PAGES = """
import json, sys
import gradio as gr
from fastapi import FastAPI
from fastapi.testclient import TestClient
from studio.web import gradio_sessions

gradio_sessions.MOST_SESSIONS = 2
if sys.argv[1] == "small":
    gradio_sessions.sum_up_no_events()
with gr.Blocks(analytics_enabled=False) as blocks:
    count, shown = gr.State(0), gr.Textbox()
    gr.Button().click(lambda n: (n + 1, gr.update(value=str(n + 1), label=f"{n + 1}")), count, [count, shown])
app = gr.mount_gradio_app(FastAPI(), blocks, "/page", ssr_mode=False)
if sys.argv[1] == "small":
    gradio_sessions.keep_sessions_small(app, blocks, "page")
said = []
with TestClient(app) as client:
    for session in sys.argv[2]:
        join = {"data": [None], "fn_index": 0, "session_hash": session}
        client.post("/page/gradio_api/queue/join", json=join).raise_for_status()
        with client.stream("GET", "/page/gradio_api/queue/data", params={"session_hash": session}) as stream:
            for line in stream.iter_lines():
                told = json.loads(line.removeprefix("data:")) if line else {}
                if told.get("msg") == "process_completed":
                    said.append(told["output"]["data"][1]["value"])
                    break
sessions = blocks.state_holder.session_data
print(json.dumps({
    "said": said, "kept": {name: list(one.state_data.values()) for name, one in sessions.items()},
    "copied": sum(len(one.config_values) for one in sessions.values()),
    "parts": len({id(one.blocks_config.blocks[shown._id]) for one in sessions.values()}),
    "tables": len({id(one.blocks_config.fns) for one in sessions.values()}),
    "summed": len(blocks._queue.cached_event_analytics_summary["functions"]),
}))
"""


def _press(how: str, sessions: str) -> dict[str, Any]:
    """Press once in each session, in this order; what was answered, and what the server keeps."""
    environment = os.environ | {"GRADIO_ANALYTICS_ENABLED": "False", "HF_HUB_OFFLINE": "1"}
    command = [sys.executable, "-W", "ignore", "-c", _PAGES, how, sessions]
    run = subprocess.run(command, capture_output=True, text=True, env=environment, timeout=240, check=False)
    assert run.returncode == 0, run.stderr
    answer: dict[str, Any] = json.loads(run.stdout.splitlines()[-1])
    return answer


def test_sessions_hold_what_differs_and_no_more() -> None:
    found = _press("small", "aab")
    sizes = {"copied": 0, "parts": 2, "tables": 1, "summed": 0}
    assert found == {"said": ["1", "2", "1"], "kept": {"a": [2], "b": [1]}, **sizes}


def test_sessions_that_were_told_the_same_share_it() -> None:
    assert _press("small", "ab")["parts"] == 1


def test_the_page_that_was_looked_at_longest_ago_begins_anew() -> None:
    found = _press("small", "aabcba")
    assert found["said"] == ["1", "2", "1", "1", "2", "1"]
    assert found["kept"] == {"b": [2], "a": [1]}


def test_gradio_itself_still_copies_and_sums_up() -> None:
    """Else what is left out here is no longer there, and this room can go."""
    found = _press("as it is", "aab")
    assert found["said"] == ["1", "2", "1"]
    assert found["copied"]
    assert found["summed"]
