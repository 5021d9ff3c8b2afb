"""The library's part for re-use: drop a picture or a bundle, see what it was made from, go on from there."""

from __future__ import annotations

from dataclasses import replace
from html import escape
from typing import Any

import gradio as gr

from pipelines.errors import BadInput, OutOfDisk, StudioError
from studio.export.recall import Draft, Recalled, draft_of, recall
from studio.library.drafts import settings_there
from studio.library.uploads import MOST_BYTES, find_upload
from studio.ui.context import HIDDEN, Ui, actions, guarded, owner_of, pressed
from studio.ui.parts.html import drop, link, panel, table

__all__ = ["build_reuse", "recalled_draft", "recalled_token", "refused"]

_ACCEPT = ".png,.jpg,.jpeg,.webp,.zip"


def build_reuse(ui: Ui) -> None:
    zone = actions(drop(ui.t("recall.drop"), "recall", _ACCEPT, MOST_BYTES), "recall")
    found = actions("", "recalled")

    def act(event: gr.EventData, request: gr.Request) -> Any:
        data = pressed(event)
        if data.get("do") == "refused":
            raise refused(data.get("status"))
        owner, token = owner_of(request), data.get("upload", "")
        return _show(ui, _recall(ui, owner, token), token)

    zone.click(guarded(ui, act), None, [found], **HIDDEN)


def refused(status: str | None) -> StudioError:
    """Return what the upload's answer means."""
    if status == "413":
        return BadInput("too_large", most_gb=MOST_BYTES / 1e9)
    if status == "507":
        return OutOfDisk("out_of_disk")
    return BadInput("upload_incomplete")


def recalled_token(request: gr.Request) -> str:
    """Return the upload that a link fills the posts page with; "" where the page was opened by itself."""
    return str(dict(request.query_params).get("recalled", ""))


def recalled_draft(ui: Ui, owner: str, token: str) -> Draft | None:
    """Return what this upload fills the posts page with, as `draft_of`. Raises what `recall` raises."""
    draft = draft_of(_recall(ui, owner, token))
    if draft is None:
        return None
    return replace(draft, settings=settings_there(ui.studio.library, owner, draft.settings))


def _recall(ui: Ui, owner: str, token: str) -> Recalled:
    path = find_upload(ui.studio.settings, owner, token)
    return recall(ui.studio.library, path, owner, ui.studio.donors)


def _show(ui: Ui, found: Recalled, token: str) -> str:
    t = ui.t
    lines = [f"<strong>✓ {escape(t(f'recall.{found.source}', count=len(found.shots)))}</strong>"]
    for what, name, key in (("persona", found.persona, found.persona_id), ("scene", found.scene, found.scene_id)):
        if name:
            lost = "" if key else f' <span class="st-bad">({escape(t("recall.missing"))})</span>'
            lines.append(f"<div>{escape(t(f'recall.{what}'))}: {escape(t.word(name))}{lost}</div>")
    if found.settings:
        lines.append(f"<div class='st-soft'>{escape(_settings(ui, found.settings))}</div>")
    for lora in found.loras:
        state = t("recall.here", name=lora.known) if lora.known else t("recall.gone")
        scale = "" if lora.scale is None else f" {lora.scale:g}"
        lines.append(f"<div>{escape(t('recall.loras'))}: {escape(lora.name + scale)}: {escape(state)}</div>")
    rows = [
        [
            "" if shot.seed is None else str(shot.seed),
            escape(shot.prompt)
            + (f"<br>{escape(t('recall.negative'))}: {escape(shot.negative)}" * bool(shot.negative)),
            escape(_settings(ui, shot.settings)),
        ]
        for shot in found.shots
    ]
    lines.append(table([t("recall.seed"), t("recall.prompt"), t("recall.settings")], rows))
    if draft_of(found) is not None:
        url = f"{ui.url('posts')}?recalled={token}"
        lines.append(f"<p>{link(t('recall.open'), url, name='reuse')}</p>")
    return panel("".join(lines), "done")


def _settings(ui: Ui, settings: dict[str, str]) -> str:
    return " · ".join(f"{ui.t.setting(name)}: {value}" for name, value in settings.items())
