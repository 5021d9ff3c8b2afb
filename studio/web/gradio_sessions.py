"""What an open page costs the server, in memory and in time.

Gradio 6.31 copies the settings of every component of every page into each new session (state_holder.py,
`SessionState.__init__`), for links that bring a page's values back, which the studio has none of: .9 MB and 10 ms a
page that is opened, kept for the last 10 000 of them in each language; and the tables of all components and events, for
pages that make more of them while they are open. And it sums up the seconds of its last 10 000
events after each one (queueing.py, `compute_analytics_summary`), for a page that the studio does not show. Together
they were three quarters of what the pages' process did with fifty people at it. Both are left out here.

Each answer that sets more than a value makes the component anew for its session (blocks.py, `postprocess_data`); those
that are told the same are kept once for all sessions.
"""

from __future__ import annotations

import os
from collections import ChainMap, defaultdict, deque
from types import SimpleNamespace
from typing import Any

import gradio as gr
from fastapi import FastAPI
from gradio.blocks import BlocksConfig
from gradio.state_holder import SessionState, StateHolder
from starlette.routing import Mount

__all__ = ["MOST_SESSIONS", "keep_sessions_small", "sum_up_no_events"]

MOST_SESSIONS = 2000
"""Pages that are open at once, of one language; who looked at theirs longest ago has to load it again."""


_MOST_ALIKE = 32  # kept of one component; most have one or two


class _Told:
    """Components as they are after an update, each once for all sessions that were told the same."""

    def __init__(self, blocks: gr.Blocks) -> None:
        self._begin = blocks.default_config.blocks
        self._known: dict[int, deque[Any]] = defaultdict(lambda: deque(maxlen=_MOST_ALIKE))

    def find(self, key: int, component: Any) -> Any:
        """Return a component that is like `component`, which is kept where there is none yet."""
        if key not in self._begin:
            return component  # one that a session alone has
        known = self._known[key]
        for one in (self._begin.get(key), *known):
            if type(one) is type(component) and _settings(one) == _settings(component):
                return one
        known.append(component)
        return component


def _settings(component: Any) -> dict[str, Any]:
    """What a component was made with; its value is the browser's."""
    return {name: told for name, told in component.constructor_args.items() if name not in ("value", "render")}


class _Session(SessionState):
    """What one open page has been told that differs from what all are told, and its `gr.State`s."""

    def __init__(self, blocks: gr.Blocks, told: _Told) -> None:
        super().__init__(SimpleNamespace(default_config=SimpleNamespace(blocks={}), blocks={}))  # type: ignore[arg-type]
        begin, self.blocks_config = blocks.default_config, BlocksConfig(blocks)
        self.blocks_config.blocks = ChainMap({}, begin.blocks)  # type: ignore[assignment]
        self.blocks_config.fns = begin.fns  # no page makes events while it is open
        self._told = told

    def __setitem__(self, key: int, value: Any) -> None:
        if isinstance(self.blocks_config.blocks.get(key), gr.State):
            super().__setitem__(key, value)
            self.config_values.pop(key, None)
        else:
            self.blocks_config.blocks[key] = self._told.find(key, value)

    def _update_config(self, key: int) -> None:
        pass

    def _update_value_in_config(self, key: int, value: Any) -> None:
        pass


class _Sessions(StateHolder):
    def __init__(self, blocks: gr.Blocks) -> None:
        super().__init__()
        self._told = _Told(blocks)
        self.set_blocks(blocks)

    def __getitem__(self, session_id: str) -> SessionState:
        if session_id not in self.session_data:
            self.session_data[session_id] = _Session(self.blocks, self._told)
        return super().__getitem__(session_id)


def keep_sessions_small(site: FastAPI, blocks: gr.Blocks, path: str) -> None:
    """Let sessions of `blocks`, mounted in `site` at /path, hold what the studio needs of them. No page is open yet."""
    pages: Any = next(route.app for route in site.routes if isinstance(route, Mount) and route.path == f"/{path}")
    blocks.state_session_capacity = MOST_SESSIONS
    pages.state_holder = _Sessions(blocks)


def sum_up_no_events() -> None:
    """Let queues that are made from now on keep no statistics of their events."""
    os.environ["GRADIO_ANALYTICS_MAX_EVENTS"] = "1"
    os.environ["GRADIO_ANALYTICS_CACHE_FREQUENCY"] = str(10**12)
