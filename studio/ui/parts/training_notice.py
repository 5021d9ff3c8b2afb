"""What stands in the way of training a person, said on the pages that lead there, before anything is drawn for it."""

from __future__ import annotations

from html import escape

import gradio as gr

from studio.domain.training import training_refusal
from studio.ui.context import HIDDEN, Ui, guarded
from studio.ui.parts.html import link, panel

__all__ = ["build_training_notice"]

_PAGES = ("design", "select")


def build_training_notice(ui: Ui, page: str) -> None:
    """Lay the notice out where the caller is; on pages that lead to no training there is none."""
    if page not in _PAGES:
        return
    notice = gr.HTML("", padding=False, apply_default_css=False, js_on_load=None, elem_id="training-notice")
    gr.on(None, guarded(ui, lambda: _show(ui)), None, [notice], **HIDDEN)


def _show(ui: Ui) -> str:
    why = training_refusal(ui.studio.settings)
    if why is None:
        return ""
    t, more = ui.t, link(ui.t("notice.more"), ui.url("settings"), big=False)
    return panel(
        f"<p><strong>{escape(t('training.not_now'))}</strong></p><p>{escape(t.error(why))}</p>"
        f'<div class="st-row">{more}</div>',
        "warn",
    )
