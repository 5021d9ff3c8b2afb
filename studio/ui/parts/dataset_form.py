"""The data set page's form: bring photos, say who agreed, and have them looked through."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from html import escape
from typing import Any

import gradio as gr

from pipelines.errors import BadInput
from pipelines.file_names import file_name
from studio.domain.dataset import DatasetRequest
from studio.library.uploads import MOST_BYTES, find_upload
from studio.ui.context import HIDDEN, Pressed, Said, Ui, actions, guarded, owner_of, pressed
from studio.ui.parts.consent_fields import build_consent, build_look
from studio.ui.parts.html import drop, panel
from studio.ui.parts.recall_form import refused

__all__ = ["ESTIMATE_FIRST", "build_bringing"]

ESTIMATE_FIRST = 1  # of a model's tokens: it is asked of five pictures, and the rest is estimated
_ACCEPT = "image/*,.txt,.caption,.zip,.tar"


@dataclass(frozen=True)
class _Form:
    """`fields` are components by the request's fields."""

    group: gr.Group
    fields: Mapping[str, Any]
    agreed: gr.Checkbox
    by_model: gr.Checkbox
    go: gr.Button


def build_bringing(ui: Ui) -> None:
    """Lay out the form; what it asks for is queued."""
    t = ui.t
    zones = f"{drop(t('dataset.drop'), 'photos', _ACCEPT, MOST_BYTES, many='files')}"
    zones += drop(t("dataset.drop_folder"), "photos", "", MOST_BYTES, many="folder")
    zone = actions(f'<div class="st-drops">{zones}</div>', "dataset-drop")
    told = gr.HTML("", elem_id="dataset-said", padding=False, apply_default_css=False, js_on_load=None)
    form = _lay_out(ui)
    fields = form.fields

    def look_at(event: gr.EventData, request: gr.Request) -> Any:
        data = pressed(event)
        if data.get("do") == "refused":
            raise refused(data.get("status"))
        path = find_upload(ui.studio.settings, owner_of(request), data.get("upload", ""))
        chosen = ui.studio.caption_endpoint
        return {
            told: panel(escape(_say_brought(ui, data, path.stat().st_size)), "done"),
            form.group: gr.Group(visible=True),
            fields["upload"]: data["upload"],
            fields["name"]: _name_of(data, ui),
            fields["outside"]: gr.Checkbox(visible=chosen is not None and not chosen.is_here),
            form.by_model: gr.Checkbox(visible=chosen is not None),
        }

    def send(said: Said, request: gr.Request) -> Any:
        if not said[form.agreed]:
            raise BadInput("not_agreed")
        ui.queue.put(_read(form, said, owner_of(request)))
        return {told: panel(escape(t("dataset.queued"))), form.group: gr.Group(visible=False), form.agreed: False}

    seen = [told, form.group, form.by_model, fields["upload"], fields["name"], fields["outside"]]
    zone.click(guarded(ui, look_at), None, seen, **HIDDEN)
    inputs = {*fields.values(), form.agreed, form.by_model}
    form.go.click(guarded(ui, send), inputs, [told, form.group, form.agreed], **HIDDEN)


def _read(form: _Form, said: Said, owner: str) -> DatasetRequest:
    """Return the request that the components say. Raises BadInput."""
    told = {name: said[part] for name, part in form.fields.items()}
    outside, by_model = bool(told.pop("outside")), bool(said[form.by_model])
    return DatasetRequest.make(
        owner=owner, adult=True, outside=outside, writer="endpoint" if by_model else "measured",
        most_tokens=ESTIMATE_FIRST if by_model else 0, **{name: str(value or "") for name, value in told.items()},
    )  # fmt: skip


def _lay_out(ui: Ui) -> _Form:
    t = ui.t
    fields: dict[str, Any] = {"upload": gr.State("")}
    with gr.Group(visible=False, elem_id="dataset-form") as group:
        fields["name"] = gr.Textbox("", label=t("dataset.name"), max_length=60, elem_id="dataset-name")
        fields["category"] = build_look(ui, "dataset")
        fields |= build_consent(ui, "dataset")
        agreed = gr.Checkbox(False, label=t("dataset.agreed"), elem_id="dataset-agreed")
        by_model = gr.Checkbox(
            False, label=t("dataset.by_model"), info=t("dataset.by_model_what"), visible=False, elem_id="dataset-model"
        )
        fields["outside"] = gr.Checkbox(False, label=t("dataset.outside"), visible=False, elem_id="dataset-outside")
        go = gr.Button(t("dataset.go"), variant="primary", elem_id="dataset-go")
    return _Form(group, fields, agreed, by_model, go)


def _say_brought(ui: Ui, data: Pressed, size: int) -> str:
    count, size_mb = int(data.get("count") or 1), f"{size / 1e6:.1f}"
    if count > 1:
        return ui.t("dataset.brought", count=count, size=size_mb)
    return ui.t("dataset.brought_one", name=data.get("file", ""), size=size_mb)


def _name_of(data: Pressed, ui: Ui) -> str:
    """What the set is called at first: as the folder or the file."""
    called = data.get("called") or data.get("file", "").rpartition(".")[0]
    return file_name(called if called not in ("", "photos") else ui.t("dataset.photos"))[:60].strip(" .")
