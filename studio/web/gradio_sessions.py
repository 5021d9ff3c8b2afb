"""What an open page costs the server, in memory and in time.

Gradio 6.31 copies the settings of every component of every page into each new session (state_holder.py,
`SessionState.__init__`), for links that bring a page's values back, which the studio has none of: .9 MB and 10 ms a
page that is opened, kept for the last 10 000 of them in each language. And it sums up the seconds of its last 10 000
events after each one (queueing.py, `compute_analytics_summary`), for a page that the studio does not show. Together
they were three quarters of what the pages' process did with fifty people at it. Both are left out here.
"""

from __future__ import annotations

import os
from types import SimpleNamespace
from typing import Any

import gradio as gr
from fastapi import FastAPI
from gradio.state_holder import SessionState, StateHolder
from starlette.routing import Mount

__all__ = ["MOST_SESSIONS", "keep_sessions_small", "sum_up_no_events"]

MOST_SESSIONS = 2000
"""Pages that are open at once, of one language; who looked at theirs longest ago has to load it again."""


class _Session(SessionState):
    """What one open page has been told that differs from what all are told, and its `gr.State`s."""

    def __init__(self, blocks: gr.Blocks) -> None:
        super().__init__(SimpleNamespace(default_config=blocks.default_config, blocks={}))  # type: ignore[arg-type]

    def __setitem__(self, key: int, value: Any) -> None:
        if isinstance(self.blocks_config.blocks.get(key), gr.State):
            super().__setitem__(key, value)
            self.config_values.pop(key, None)
        else:
            self.blocks_config.blocks[key] = value

    def _update_config(self, key: int) -> None:
        pass

    def _update_value_in_config(self, key: int, value: Any) -> None:
        pass


class _Sessions(StateHolder):
    def __getitem__(self, session_id: str) -> SessionState:
        if session_id not in self.session_data:
            self.session_data[session_id] = _Session(self.blocks)
        return super().__getitem__(session_id)


def keep_sessions_small(site: FastAPI, blocks: gr.Blocks, path: str) -> None:
    """Let sessions of `blocks`, mounted in `site` at /path, hold what the studio needs of them. No page is open yet."""
    pages: Any = next(route.app for route in site.routes if isinstance(route, Mount) and route.path == f"/{path}")
    blocks.state_session_capacity = MOST_SESSIONS
    pages.state_holder = _Sessions()
    pages.state_holder.set_blocks(blocks)


def sum_up_no_events() -> None:
    """Let queues that are made from now on keep no statistics of their events."""
    os.environ["GRADIO_ANALYTICS_MAX_EVENTS"] = "1"
    os.environ["GRADIO_ANALYTICS_CACHE_FREQUENCY"] = str(10**12)
