"""Where a set begins: a scene pack fills place, shots and the captions' voice."""

from __future__ import annotations

from typing import Any

import gradio as gr

from studio.domain.scene import Scene
from studio.domain.scene_pack import ScenePack
from studio.library.scene_packs import add_bundled_pack, bundled_packs
from studio.library.scenes import pack_of
from studio.texts.texts import LANGUAGES
from studio.ui.context import HIDDEN, LATEST, Said, Ui, guarded, owner_of
from studio.ui.parts.posts_form import Form
from studio.ui.parts.shots_form import write_table
from studio.ui.parts.shots_table import Table
from studio.ui.parts.text_form import keep_voice

__all__ = ["connect_start", "lay_out_start", "start_from"]

_BUNDLED, _OWN = "pack:", "scene:"


def lay_out_start(ui: Ui) -> gr.Dropdown:
    return gr.Dropdown(
        _choices(ui, ""), value="", label=ui.t("packs.start"), info=ui.t("packs.start_what"), elem_id="start-from"
    )


def connect_start(ui: Ui, start: gr.Dropdown, form: Form) -> gr.events.Dependency:
    """Let a choice fill the form; the event is returned."""

    def load(request: gr.Request) -> Any:
        return gr.Dropdown(_choices(ui, owner_of(request)), value="")

    def choose(key: str, request: gr.Request) -> Any:
        return start_from(ui, form, key, owner_of(request))

    outputs = [form.scene, form.text.voice, *form.shots.inputs]
    gr.on(None, guarded(ui, load), None, [start], **HIDDEN)
    return start.input(guarded(ui, choose), [start], outputs, **LATEST)


def start_from(ui: Ui, form: Form, key: str, owner: str) -> Said:
    """Return what the components say of a pack; nothing for the choice of none. Raises BadInput."""
    scene, pack = _find(ui, key, owner)
    if scene is None:
        return {form.scene: gr.skip()}
    told: Said = {
        form.scene: gr.Dropdown([(ui.t.word(s.name), s.id) for s in ui.scenes(owner)], value=scene.id),
    }
    if shots := pack.plan_shots():
        told |= write_table(ui, form.shots, Table(shots))
    if pack.voice:
        keep_voice(ui, owner, pack.voice)
        told[form.text.voice] = pack.voice
    return told


def _find(ui: Ui, key: str, owner: str) -> tuple[Scene | None, ScenePack]:
    library = ui.studio.library
    if key.startswith(_BUNDLED):
        return add_bundled_pack(library, key.removeprefix(_BUNDLED), owner, ui.t.language)
    own = next((s for s in ui.scenes(owner) if s.id == key.removeprefix(_OWN)), None)
    kept = None if own is None else pack_of(library, owner, own.id)
    return (None, ScenePack()) if own is None or kept is None else (own, kept)


def _choices(ui: Ui, owner: str) -> list[tuple[str, str]]:
    """None, those that come along, and the owner's own scenes that came with shots."""
    rows = [(ui.t("packs.none"), "")]
    rows += [(row.names[ui.t.language], _BUNDLED + row.id) for row in bundled_packs()]
    known = [None, *(row.spoken(language) for row in bundled_packs() for language in LANGUAGES)]
    own = [s for s in ui.scenes(owner) if pack_of(ui.studio.library, owner, s.id) not in known] if owner else []
    return rows + [(ui.t.word(scene.name), _OWN + scene.id) for scene in own]
