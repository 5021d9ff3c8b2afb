"""The first-run tour: design → train → post, as far as this person is, until they close it."""

from __future__ import annotations

from html import escape
from typing import TYPE_CHECKING

from studio.ui.parts.html import button, panel

if TYPE_CHECKING:
    from studio.ui.context import Ui

__all__ = ["MARK", "TOUR_PAGES", "close_tour", "tour_html"]

MARK = "tour:first"
TOUR_PAGES = ("design", "select", "consolidate", "posts")
_STEPS = (("design", "design"), ("consolidate", "select"), ("export", "posts"))  # what must exist, where it is made


def tour_html(ui: Ui, owner: str) -> str:
    """The steps with the next one marked; "" once it was closed."""
    t = ui.t
    if ui.said(owner, MARK).get("closed"):
        return ""
    done = [bool(ui.queue.jobs(owner, 1, kind=kind, state="done")) for kind, _ in _STEPS]
    now = done.index(False) if False in done else len(_STEPS)
    steps = ""
    for number, (_, page) in enumerate(_STEPS):
        said = escape(t(f"tour.{number + 1}"))
        if number == now:
            steps += f'<li aria-current="step"><a href="{ui.url(page)}"><strong>{said}</strong></a></li>'
        else:
            steps += f'<li class="{"over" if number < now else ""}">{"✓ " if number < now else ""}{said}</li>'
    title = t("tour.title") if now < len(_STEPS) else t("tour.done")
    body = f'<strong>{escape(title)}</strong><ol class="st-steps">{steps}</ol>{button(t("tour.close"), "close-tour")}'
    return panel(body, "st-tour done" if now == len(_STEPS) else "st-tour")


def close_tour(ui: Ui, owner: str) -> str:
    ui.mark(owner, MARK, closed=True)
    return ""
