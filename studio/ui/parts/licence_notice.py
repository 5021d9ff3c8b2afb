"""What the backbone's licence forbids, said at the head of the pages that would do it, until a person has read it."""

from __future__ import annotations

from collections.abc import Mapping
from html import escape

import gradio as gr

from pipelines.models.licences import Use
from studio.domain.licences import LicenceWarning
from studio.jobs.licences import backbone_warnings
from studio.texts.licences import say_warning
from studio.ui.context import HIDDEN, Ui, actions, guarded, owner_of
from studio.ui.parts.html import button, link

__all__ = ["build_notice"]

_USES: Mapping[str, tuple[Use, ...]] = {
    "design": ("running",),
    "select": ("running", "fine_tuning"),
    "consolidate": ("running", "fine_tuning"),
    "posts": ("running", "outputs"),
}


def build_notice(ui: Ui, page: str) -> None:
    """Lay the notice out where the caller is; on pages that draw nothing there is none."""
    if page not in _USES:
        return
    notice = actions("", "licence-notice")

    def show(request: gr.Request) -> str:
        return _show(ui, owner_of(request), page)

    def close(request: gr.Request) -> str:
        owner = owner_of(request)
        with ui.turn:
            for warning in _unread(ui, owner, page):
                if not warning.forbids:
                    ui.mark(owner, _mark(warning), read=True)
        return _show(ui, owner, page)

    gr.on(None, guarded(ui, show), None, [notice], **HIDDEN)
    notice.click(guarded(ui, close), None, [notice], **HIDDEN)


def _unread(ui: Ui, owner: str, page: str) -> list[LicenceWarning]:
    """Return the warnings that nobody said they had read; one that forbids stays."""
    marks = ui.marks(owner)
    found = backbone_warnings(ui.studio, _USES[page])
    return [one for one in found if one.forbids or not marks.get(_mark(one), {}).get("read")]


def _mark(warning: LicenceWarning) -> str:
    return f"licence:{warning.model} {warning.permission} {' '.join(warning.uses)}"[:64]


def _show(ui: Ui, owner: str, page: str) -> str:
    t, parts = ui.t, []
    for warning in _unread(ui, owner, page):
        strong = warning.forbids
        words = escape(say_warning(t, warning))
        said = f"<strong>{words}</strong>" if strong else words
        close = "" if strong else button(t("notice.understood"), "understood", key=warning.permission)
        more = link(t("notice.more"), ui.url("settings"), big=False)
        kind, role = ("failed", "alert") if strong else ("warn", "status")
        parts.append(
            f'<div class="st-panel {kind}" role="{role}"><p>{said}</p><div class="st-row">{close}{more}</div></div>'
        )
    return "".join(parts)
