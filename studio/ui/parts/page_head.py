"""Head of every page: the way through the pages, its title, and the tour."""

from __future__ import annotations

from typing import Any

import gradio as gr

from studio.ui.context import HIDDEN, Ui, actions, guarded, owner_of
from studio.ui.parts.html import head, nav
from studio.ui.parts.licence_notice import build_notice
from studio.ui.parts.running_line import build_running_line
from studio.ui.parts.tour import TOUR_PAGES, close_tour, tour_html
from studio.ui.parts.training_notice import build_training_notice

__all__ = ["open_page"]


def open_page(ui: Ui, page: str) -> None:
    """Begin a page; who is logged in, and what is being made, is said when it loads."""
    top = gr.HTML(nav(ui.t, page), padding=False, apply_default_css=False, js_on_load=None)
    build_running_line(ui)
    gr.HTML(head(ui.t, page), padding=False, apply_default_css=False, js_on_load=None)

    def greet(request: gr.Request) -> Any:
        if not ui.users.exist():
            return gr.skip()
        return nav(ui.t, page, owner_of(request))

    gr.on(None, greet, None, [top], **HIDDEN)
    build_notice(ui, page)
    build_training_notice(ui, page)
    if page in TOUR_PAGES:
        tour, shown, timer = actions("", "tour"), gr.State(""), gr.Timer(4.0)

        def follow(before: str, request: gr.Request) -> Any:
            html = tour_html(ui, owner_of(request))
            return (gr.skip(), before) if html == before else (html, html)

        def close(request: gr.Request) -> Any:
            return close_tour(ui, owner_of(request)), ""

        gr.on([timer.tick], guarded(ui, follow), [shown], [tour, shown], **HIDDEN)
        gr.on(None, guarded(ui, follow), [shown], [tour, shown], **HIDDEN)
        tour.click(guarded(ui, close), None, [tour, shown], **HIDDEN)
