"""The settings' part for a language model that writes captions: address, name, and a key that is never shown."""

from __future__ import annotations

from html import escape
from typing import Any

import gradio as gr

from pipelines.errors import BadInput, StudioError
from studio.domain.choice import CaptionEndpoint
from studio.library.users import check_administrator
from studio.ui.context import HIDDEN, Said, Ui, guarded, owner_of
from studio.ui.parts.html import panel
from studio.ui.parts.sections import build_section, show_tile

__all__ = ["build_endpoint"]


def build_endpoint(ui: Ui) -> None:
    """Lay the part out where the caller is, folded, and connect it. Off until somebody fills it in."""
    t = ui.t
    section = build_section(ui, "endpoint")
    with section.body:
        gr.HTML(f"<p class='st-soft'>{escape(t('settings.captions_what'))}</p>", js_on_load=None)
        with gr.Row():
            url = gr.Textbox(
                "", label=t("settings.captions_url"), placeholder="https://api.example.com/v1", max_length=1000,
                elem_id="endpoint-url",
            )  # fmt: skip
            model = gr.Textbox("", label=t("settings.captions_model"), max_length=200, elem_id="endpoint-model")
            key = gr.Textbox(
                "", label=t("settings.captions_key"), type="password", max_length=1000, elem_id="endpoint-key",
                placeholder=t("settings.captions_key_what"),
            )  # fmt: skip
        with gr.Row():
            save = gr.Button(t("settings.captions_save"), elem_id="endpoint-save")
            off = gr.Button(t("settings.captions_off"), elem_id="endpoint-off")
        state = gr.HTML("", js_on_load=None, padding=False, elem_id="endpoint-state")

    def show() -> Any:
        known = _known(ui)
        return {
            url: "" if known is None else known.url, model: "" if known is None else known.model, key: "",
            state: panel(escape(_state(ui, known))), section.tile: show_tile(ui, "endpoint", _state(ui, known)),
        }  # fmt: skip

    def write(said: Said, request: gr.Request) -> Any:
        check_administrator(ui.users, ui.studio.settings.owner, owner_of(request))
        if not (said[url] or "").strip() or not (said[model] or "").strip():
            raise BadInput("endpoint_incomplete")
        known = _known(ui)
        # a key that is not typed anew stays, but only for the address that it was given for
        kept = known.key if known is not None and known.url == said[url].strip() else ""
        endpoint = CaptionEndpoint.make(
            url=said[url].strip(), model=said[model].strip(), key=(said[key] or "").strip() or kept
        )  # fmt: skip
        ui.studio.saved.write_captions(endpoint)
        return show()

    def forget(request: gr.Request) -> Any:
        check_administrator(ui.users, ui.studio.settings.owner, owner_of(request))
        ui.studio.saved.write_captions(None)
        return show()

    outputs = [url, model, key, state, section.tile]
    gr.on(None, guarded(ui, show), None, outputs, **HIDDEN)
    save.click(guarded(ui, write), {url, model, key}, outputs, **HIDDEN)
    off.click(guarded(ui, forget), None, outputs, **HIDDEN)


def _known(ui: Ui) -> CaptionEndpoint | None:
    try:
        return ui.studio.caption_endpoint
    except StudioError:
        return None


def _state(ui: Ui, known: CaptionEndpoint | None) -> str:
    if known is None:
        return ui.t("settings.captions_is_off")
    return ui.t("settings.captions_on" if known.key else "settings.captions_keyless", model=known.model)
