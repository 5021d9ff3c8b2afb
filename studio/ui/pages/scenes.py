"""Scenes: a photo of a place, uploaded or one that comes with the studio, and its landmark painted by hand."""

from __future__ import annotations

import tempfile
from html import escape
from pathlib import Path
from typing import Any

import gradio as gr
from PIL import Image

from pipelines.errors import BadPicture, StudioError
from pipelines.pictures import PICTURE_SUFFIXES, load_scene
from studio.domain.names import check_name
from studio.library.scenes import add_bundled, add_scene, bundled_scenes
from studio.ui.context import EACH, HIDDEN, Ui, actions, guarded, owner_of, pressed
from studio.ui.parts.html import button, card, empty, grid, picture
from studio.ui.parts.page_head import open_page
from studio.ui.parts.painting import EDITOR_PX, build_editor, painted_mask

__all__ = ["build"]


def build(ui: Ui) -> None:
    t = ui.t
    open_page(ui, "scenes")
    mine = actions("", "mine")
    photo_path = gr.State("")
    with gr.Row():
        with gr.Column(scale=1):
            upload = gr.File(
                label=t("scenes.upload"), file_count="single", file_types=[*PICTURE_SUFFIXES],
                elem_id="upload", height=150,
            )  # fmt: skip
            name = gr.Textbox("", label=t("scenes.name"), placeholder=t("scenes.name_hint"), elem_id="name")
            save = gr.Button(t("scenes.save"), variant="primary", elem_id="save")
            said = gr.HTML("", elem_id="said", js_on_load=None)
        with gr.Column(scale=2):
            editor = build_editor(ui, "scenes.paint", "editor", height=520, brush=36)
    offered = actions(_offer(ui), "offered")

    def show(request: gr.Request) -> str:
        return _mine(ui, owner_of(request))

    def open_photo(path: str | None) -> Any:
        if not path:
            return None, "", "", ""
        try:
            image = Image.fromarray(load_scene(path).image)
        except StudioError as error:
            # said beside the field: an error raised at the image editor leaves it redrawing itself for ever
            why = f'<div class="st-panel failed" role="alert">{escape(t.error(error))}</div>'
            return gr.skip(), "", gr.skip(), why
        image.thumbnail((EDITOR_PX, EDITOR_PX))
        return {"background": image, "layers": [], "composite": None}, path, Path(path).stem[:40], ""

    def keep(path: str, painted: Any, called: str, request: gr.Request) -> Any:
        if not path:
            raise BadPicture("no_photo")
        mask = painted_mask(painted)
        with tempfile.TemporaryDirectory() as folder:
            file = None
            if mask is not None:
                file = Path(folder) / "mask.png"
                Image.fromarray(mask).save(file)
            add_scene(ui.studio.library, Path(path), file, check_name(called), owner_of(request))
        note = t("scenes.saved_mask" if mask is not None else "scenes.saved")
        return show(request), f'<div class="st-panel done" role="status">✓ {escape(note)}</div>'

    def take(event: gr.EventData, request: gr.Request) -> str:
        add_bundled(ui.studio.library, pressed(event).get("place", ""), owner_of(request))
        return show(request)

    def act(event: gr.EventData, request: gr.Request) -> str:
        data = pressed(event)
        if data.get("do") == "trash":
            ui.mark(owner_of(request), f"scene:{data['scene']}", trashed=True)
        return show(request)

    gr.on(None, guarded(ui, show), None, [mine], **HIDDEN)
    upload.upload(guarded(ui, open_photo), [upload], [editor, photo_path, name, said], **HIDDEN)
    save.click(guarded(ui, keep), [photo_path, editor, name], [mine, said], **HIDDEN)
    offered.click(guarded(ui, take), None, [mine], **EACH)
    mine.click(guarded(ui, act), None, [mine], **EACH)


def _mine(ui: Ui, owner: str) -> str:
    t = ui.t
    scenes = ui.scenes(owner)
    if not scenes:
        return empty(t("scenes.empty"))
    cards = []
    for scene in scenes:
        what = t("scenes.with_landmark" if scene.landmark else "scenes.without_landmark")
        label = f"<strong>{escape(t.word(scene.name))}</strong><span class='st-soft'>{escape(what)}</span>"
        cards.append(card(picture(scene.photo, scene.name), [label, button(t("trash"), "trash", scene=scene.id)]))
    return f"<h2>{escape(t('scenes.mine'))}</h2>{grid(cards)}"


def _offer(ui: Ui) -> str:
    t = ui.t
    cards = [
        card(
            f'<img src="/places/{place}" alt="{escape(t.word(place))}" loading="lazy">',
            [button(t("scenes.take", name=t.word(place)), "take", place=place)],
        )
        for place in bundled_scenes()
    ]
    return f"<h2>{escape(t('scenes.offered'))}</h2>{grid(cards)}"
