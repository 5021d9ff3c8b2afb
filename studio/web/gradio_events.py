"""Events of a page that outlive the stream which they are told by.

Gradio's page closes its stream of events as soon as it has heard of all that it knows to be under way, and opens
another one for the next. What it has just asked for, and was not answered yet, is no part of that: on a busy machine
the press arrives before the stream's end is noticed. Gradio 6.31 takes that end for the page's own (routes.py,
`queue_data_helper`; queueing.py, `clean_events`), and drops all that the page has under way: a press that is never
answered, a timer that never ticks again. Here it goes on, and is told by the next stream.
"""

from __future__ import annotations

from collections import OrderedDict
from typing import Any

import gradio as gr

__all__ = ["keep_events"]

_MOST_PAGES = 2000


class _Newest(OrderedDict[str, Any]):
    """The pages' last ones, by page; deleting one is what a stream's end does, and does nothing."""

    def __setitem__(self, page: str, value: Any) -> None:
        while page not in self and len(self) >= _MOST_PAGES:
            super().__delitem__(next(iter(self)))
        super().__setitem__(page, value)

    def __delitem__(self, page: str) -> None:
        pass


def keep_events(blocks: gr.Blocks) -> None:
    """Let the end of a stream drop nothing that its page has under way. `blocks` has its queue."""
    queue = blocks._queue

    async def drop_nothing(*, session_hash: str | None = None, event_id: str | None = None) -> None:
        """Answer to a stream's end, the only thing that Gradio calls it for."""

    queue.clean_events = drop_nothing  # type: ignore[method-assign]
    queue.pending_messages_per_session = _Newest()  # type: ignore[assignment]
    queue.pending_event_ids_session = _Newest()
