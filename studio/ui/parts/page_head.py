"""Head of every page: the way through the pages, its title, and the tour."""

from __future__ import annotations

from typing import Any

import gradio as gr

from studio.ui.context import HIDDEN, Ui, actions, guarded, owner_of
from studio.ui.parts.html import head, nav
from studio.ui.parts.licence_notice import build_notice
from studio.ui.parts.machine_state import build_disk_notice
from studio.ui.parts.pulse import Pulse
from studio.ui.parts.running_line import build_running_line
from studio.ui.parts.tour import TOUR_PAGES, close_tour, tour_html
from studio.ui.parts.training_notice import build_training_notice

__all__ = ["open_page"]


def open_page(ui: Ui, page: str) -> Pulse:
    """Begin a page; who is logged in, and what is being made, is said when it loads. Return the page's pulse, which is
    to be connected when all of the page is laid out.
    """
    pulse = Pulse(ui)
    top = gr.HTML(nav(ui.t, page), padding=False, apply_default_css=False, js_on_load=None)
    build_running_line(ui, pulse)
    gr.HTML(head(ui.t, page), padding=False, apply_default_css=False, js_on_load=None)

    def greet(request: gr.Request) -> Any:
        if not ui.users.exist():
            return gr.skip()
        return nav(ui.t, page, owner_of(request))

    gr.on(None, greet, None, [top], **HIDDEN)
    build_disk_notice(ui, pulse)
    build_notice(ui, page)
    build_training_notice(ui, page)
    if page in TOUR_PAGES:
        tour = actions("", "tour")

        def close(request: gr.Request) -> str:
            return close_tour(ui, owner_of(request))

        pulse.shows(lambda said, request: {tour: tour_html(ui, owner_of(request))}, [tour], at_load=True)
        tour.click(guarded(ui, close), None, [tour], **HIDDEN)
    return pulse
