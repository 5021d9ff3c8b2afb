"""Where one is logged in, and out of all other places: on the settings page, where people log in."""

from __future__ import annotations

from html import escape
from typing import Any

import gradio as gr

from studio.library.users import SessionSaid
from studio.ui.context import HIDDEN, Ui, actions, guarded, owner_of, pressed, session_of, toast
from studio.ui.parts.html import button, table
from studio.ui.parts.job_list import show_moment

__all__ = ["build_sessions", "show_sessions"]


def build_sessions(ui: Ui) -> None:
    """Lay the list out where the caller is; where nobody has to log in there is none."""
    part = actions("", "sessions")

    def load(request: gr.Request) -> str:
        return _show(ui, request)

    def act(event: gr.EventData, request: gr.Request) -> Any:
        if pressed(event).get("do") == "end-sessions":
            count = ui.users.log_out_everywhere(owner_of(request), session_of(request))
            toast(ui.t("sessions.ended", count=count))
        return _show(ui, request)

    gr.on(None, guarded(ui, load), None, [part], **HIDDEN)
    part.click(guarded(ui, act), None, [part], **HIDDEN)


def _show(ui: Ui, request: gr.Request) -> str:
    if not ui.users.exist():
        return ""
    return show_sessions(ui, ui.users.sessions(owner_of(request), session_of(request)))


def show_sessions(ui: Ui, found: list[SessionSaid]) -> str:
    """Return the logins as HTML, with the button that ends all but this one where there are others."""
    t = ui.t
    rows = [
        [
            f"<strong>{escape(t('sessions.this'))}</strong>" if one.is_this else escape(t("sessions.other")),
            escape(one.address or "–"),
            show_moment(one.since),
            show_moment(one.seen),
        ]
        for one in found
    ]
    names = [t(f"sessions.{name}") for name in ("which", "address", "since", "seen")]
    others = any(not one.is_this for one in found)
    end = f"<p>{button(t('sessions.end'), 'end-sessions')}</p>" if others else ""
    head = f"<h2>{escape(t('sessions.title'))}</h2><p class='st-soft'>{escape(t('sessions.what'))}</p>"
    return f'{head}<div class="st-stacked">{table(names, rows)}</div>{end}'
