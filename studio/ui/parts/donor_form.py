"""The library's part for donors of one's own: drop a LoRA file, see what it is, record the consent, keep it."""

from __future__ import annotations

import datetime
from collections.abc import Mapping
from dataclasses import dataclass
from html import escape
from typing import Any

import gradio as gr

from pipelines.errors import BadInput
from pipelines.families.catalogue import family_name
from pipelines.file_names import file_name
from studio.domain.donor import DonorRequest
from studio.library.donor_files import check_unexpired, inspect_header
from studio.library.uploads import MOST_BYTES, find_upload
from studio.ui.context import HIDDEN, Said, Ui, actions, guarded, owner_of, pressed
from studio.ui.parts.consent_fields import build_consent, build_look
from studio.ui.parts.html import drop, panel
from studio.ui.parts.recall_form import refused

__all__ = ["build_adding"]


@dataclass(frozen=True)
class _Form:
    """`fields` are components by the request's fields; `token` is the state of `upload`."""

    group: gr.Group
    fields: Mapping[str, Any]
    agreed: gr.Checkbox
    keep: gr.Button


def read_donor(form: _Form, said: Said, owner: str) -> DonorRequest:
    """Return the request that the components say. Raises BadInput."""
    told = {name: str(said[part] or "") for name, part in form.fields.items()}
    return DonorRequest.make(owner=owner, adult=bool(said[form.agreed]), **told)


def build_adding(ui: Ui) -> None:
    t = ui.t
    zone = actions(drop(t("adding.drop"), "donor", ".safetensors", MOST_BYTES, t("adding.drop_kind")), "donor-drop")
    told = gr.HTML("", elem_id="donor-said", padding=False, apply_default_css=False, js_on_load=None)
    form = _lay_out(ui)
    fields = form.fields

    def look_at(event: gr.EventData, request: gr.Request) -> Any:
        data = pressed(event)
        if data.get("do") == "refused":
            raise refused(data.get("status"))
        upload = data.get("upload", "")
        path = find_upload(ui.studio.settings, owner_of(request), upload)
        found = inspect_header(path)
        whose, ranks = family_name(found.family), ", ".join(str(rank) for rank in found.ranks)
        parts = t("adding.good_parts", layers=found.layers, ranks=ranks)
        good = f'<span title="{escape(parts)}">✓ {escape(t("adding.good", name=path.name, family=whose))}</span>'
        choices = [(family_name(one), one) for one in found.families]
        return {
            told: panel(good, "done") if found.family else panel(escape(t.error(found.ask(path.name)))),
            form.group: gr.Group(visible=True),
            fields["upload"]: upload,
            fields["name"]: file_name(found.title or path.stem)[:60].strip(" ."),
            fields["trigger"]: found.trigger,
            fields["licence"]: found.licence,
            fields["family"]: gr.Dropdown(choices, value=None, visible=not found.family),
        }

    def send(said: Said, request: gr.Request) -> Any:
        if not said[form.agreed]:
            raise BadInput("not_agreed")
        asked = read_donor(form, said, owner_of(request))
        check_unexpired(asked, datetime.date.today())
        path = find_upload(ui.studio.settings, asked.owner, asked.upload)
        found = inspect_header(path, asked.family)
        if not found.family:
            raise found.ask(path.name)
        ui.queue.put(asked)
        return {told: panel(escape(t("adding.queued"))), form.group: gr.Group(visible=False), form.agreed: False}

    seen = [told, form.group, *(fields[name] for name in ("upload", "name", "trigger", "licence", "family"))]
    zone.click(guarded(ui, look_at), None, seen, **HIDDEN)
    form.keep.click(guarded(ui, send), {*fields.values(), form.agreed}, [told, form.group, form.agreed], **HIDDEN)


def _lay_out(ui: Ui) -> _Form:
    t = ui.t
    fields: dict[str, Any] = {"upload": gr.State("")}
    with gr.Group(visible=False, elem_id="donor-form") as group:
        fields["category"] = build_look(ui, "donor")
        fields["family"] = gr.Dropdown([], label=t("adding.family"), visible=False, elem_id="donor-family")
        with gr.Row():
            fields["name"] = gr.Textbox("", label=t("adding.name"), max_length=60, elem_id="donor-name")
            fields["trigger"] = gr.Textbox("", label=t("adding.trigger"), max_length=100)
            fields["licence"] = gr.Textbox("", label=t("adding.licence"), max_length=100)
        fields |= build_consent(ui, "donor")
        agreed = gr.Checkbox(False, label=t("adding.agreed"), elem_id="donor-agreed")
        keep = gr.Button(t("adding.go"), variant="primary", elem_id="donor-keep")
    return _Form(group, fields, agreed, keep)
