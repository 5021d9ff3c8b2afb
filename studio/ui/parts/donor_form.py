"""The library's part for donors of one's own: drop a LoRA file, see what it is, record the consent, keep it."""

from __future__ import annotations

from datetime import UTC, datetime
from html import escape
from typing import Any

import gradio as gr

from personas.looks import LOOK_CATEGORIES
from pipelines.errors import BadInput
from pipelines.families.catalogue import family_name
from studio.domain.donor import DonorRequest
from studio.library.donor_files import check_unexpired, inspect_header
from studio.library.uploads import MOST_BYTES, find_upload
from studio.ui.context import HIDDEN, Ui, actions, guarded, owner_of
from studio.ui.parts.html import drop, panel
from studio.ui.parts.recall_form import refused

__all__ = ["build_adding"]


def build_adding(ui: Ui) -> None:
    t = ui.t
    zone = actions(drop(t("adding.drop"), "donor", ".safetensors", MOST_BYTES), "donor-drop")
    said = gr.HTML("", elem_id="donor-said", padding=False, apply_default_css=False, js_on_load=None)
    token = gr.State("")
    with gr.Group(visible=False, elem_id="donor-form") as form:
        category = gr.Radio(
            [(look.name_zh if t.language == "zh" else look.name_en, look.id) for look in LOOK_CATEGORIES],
            value="sweet", label=t("design.category"), elem_id="donor-category",
        )  # fmt: skip
        family = gr.Dropdown([], label=t("adding.family"), visible=False, elem_id="donor-family")
        with gr.Row():
            name = gr.Textbox("", label=t("adding.name"), max_length=60, elem_id="donor-name")
            trigger = gr.Textbox("", label=t("adding.trigger"), max_length=100)
            licence = gr.Textbox("", label=t("adding.licence"), max_length=100)
        with gr.Row():
            who = gr.Textbox(
                "", label=t("adding.who"), placeholder=t("adding.who_hint"), max_length=300, elem_id="donor-who"
            )
            scope = gr.Textbox(
                "", label=t("adding.scope"), placeholder=t("adding.scope_hint"), max_length=300, elem_id="donor-scope"
            )
            expires = gr.Textbox("", label=t("adding.expires"), placeholder="2028-12-31", max_length=30)
        agreed = gr.Checkbox(False, label=t("adding.agreed"), elem_id="donor-agreed")
        keep = gr.Button(t("adding.go"), variant="primary", elem_id="donor-keep")

    def look_at(event: gr.EventData, request: gr.Request) -> Any:
        data = dict(event._data or {})
        if data.get("do") == "refused":
            raise refused(data.get("status"))
        upload = str(data.get("upload", ""))
        path = find_upload(ui.studio.settings, owner_of(request), upload)
        found = inspect_header(path)
        ranks = ", ".join(str(rank) for rank in found.ranks)
        whose = family_name(found.family)
        good = f"✓ {t('adding.good', name=path.name, family=whose, layers=found.layers, ranks=ranks)}"
        told = panel(escape(good), "done") if found.family else panel(escape(t.error(found.ask(path.name))))
        choices = gr.Dropdown([(family_name(one), one) for one in found.families], value=None, visible=not found.family)
        title = "".join(c for c in found.title or path.stem if c not in '/\\<>:"|?*')[:60]
        return told, upload, gr.Group(visible=True), title, found.trigger, found.licence, choices

    def send(
        upload: str, look: str, called: str, word: str, terms: str, person: str, use: str, until: str, sure: bool,
        whose: str | None, request: gr.Request,
    ) -> Any:  # fmt: skip
        if not sure:
            raise BadInput("Nobody has said that this adult agreed.", "Tick the box if so.", "not_agreed")
        wish = DonorRequest.make(
            upload=upload, category=look, name=called, who=person, scope=use, owner=owner_of(request), expires=until,
            trigger=word, licence=terms, family=whose or "",
        )  # fmt: skip
        check_unexpired(wish, datetime.now(UTC).date())
        path = find_upload(ui.studio.settings, wish.owner, upload)
        found = inspect_header(path, wish.family)
        if not found.family:
            raise found.ask(path.name)
        ui.queue.put(wish)
        return panel(escape(t("adding.queued"))), gr.Group(visible=False), False

    zone.click(guarded(ui, look_at), None, [said, token, form, name, trigger, licence, family], **HIDDEN)
    keep.click(
        guarded(ui, send), [token, category, name, trigger, licence, who, scope, expires, agreed, family],
        [said, form, agreed], **HIDDEN,
    )  # fmt: skip
