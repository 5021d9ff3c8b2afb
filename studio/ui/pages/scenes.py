"""Scenes: a photo of a place, uploaded or one that comes with the studio, its landmark painted, and its crops."""

from __future__ import annotations

import tempfile
from collections.abc import Collection
from dataclasses import dataclass
from html import escape
from pathlib import Path
from typing import Any, Literal

import gradio as gr
import numpy as np
import numpy.typing as npt
from PIL import Image, ImageFilter

from pipelines.errors import BadPicture, StudioError
from pipelines.pictures import PICTURE_SUFFIXES, load_scene
from pipelines.shapes import SHAPES
from studio.domain.names import check_name
from studio.domain.scene import Scene, usual_crop
from studio.library.scene_packs import add_pack
from studio.library.scenes import add_bundled, add_scene, bundled_scenes, change_scene, get_mask, mask_share, scenes_of
from studio.library.uploads import MOST_BYTES, find_upload
from studio.ui.context import EACH, HIDDEN, Said, Ui, actions, guarded, owner_of, pressed
from studio.ui.parts.cautions import say_hidden, say_look
from studio.ui.parts.crop_form import CropForm, build_crops, say_landmark
from studio.ui.parts.html import button, card, drop, empty, grid, link, panel, picture, undo_card
from studio.ui.parts.page_head import open_page
from studio.ui.parts.painting import build_editor, on_canvas, paint_mask, painted_mask
from studio.ui.parts.recall_form import refused

__all__ = ["build", "show_scenes"]

Mask = npt.NDArray[np.bool_]
_HIDDEN = ["st-hidden"]


@dataclass(frozen=True)
class _Form:
    """`work` holds all that a photo needs, and is hidden before there is one: hidden, not absent, since an editor that
    comes later misses what was painted. `photo` is the path of an uploaded photo, `opened` the id of a scene that is
    changed.
    """

    upload: gr.File
    packs: gr.HTML
    work: gr.Column
    name: gr.Textbox
    editor: gr.ImageEditor
    crops: CropForm
    photo: gr.State
    opened: gr.State
    said: gr.HTML

    @property
    def outputs(self) -> list[Any]:
        return [self.work, self.editor, self.photo, self.opened, self.name, self.said, *self.crops.outputs]


def build(ui: Ui) -> None:
    pulse = open_page(ui, "scenes")
    mine = actions("", "mine")
    form, save = _lay_out(ui)
    offered = actions(_offer(ui), "offered")

    gone = gr.State(())

    def show(request: gr.Request) -> str:
        return show_scenes(ui, owner_of(request))

    def open_photo(path: str | None) -> Any:
        if not path:
            return {form.work: gr.Column(elem_classes=_HIDDEN), form.photo: "", form.opened: "", form.said: ""}
        try:
            image = load_scene(path).image
        except StudioError as error:
            # said beside the field: an error raised at the image editor leaves it redrawing itself for ever
            why = f'<div class="st-panel failed" role="alert">{escape(ui.t.error(error))}</div>'
            return {form.photo: "", form.opened: "", form.said: why}
        told: Said = {form.photo: path, form.opened: "", form.name: Path(path).stem[:40], form.said: ""}
        told[form.work] = gr.Column(elem_classes=[])
        return {form.editor: _background(image, None), **told, **form.crops.show(ui, image)}

    def keep(said: Said, request: gr.Request) -> Any:
        kept = _keep(ui, form, said, owner_of(request))
        return {mine: show(request), **_opened(ui, form, kept), form.said: _say_kept(ui, kept)}

    def take(event: gr.EventData, request: gr.Request) -> str:
        add_bundled(ui.studio.library, pressed(event).get("place", ""), owner_of(request))
        return show(request)

    def unpack(event: gr.EventData, request: gr.Request) -> Any:
        data, owner = pressed(event), owner_of(request)
        if data.get("do") == "refused":
            raise refused(data.get("status"))
        path = find_upload(ui.studio.settings, owner, data.get("upload", ""))
        scene, pack = add_pack(ui.studio.library, path, owner)
        said = panel(escape(ui.t("packs.kept", name=ui.t.word(scene.name), count=len(pack.shots))), "done")
        return {mine: show(request), form.said: said}

    def act(here: tuple[str, ...], event: gr.EventData, request: gr.Request) -> Any:
        data, owner = pressed(event), owner_of(request)
        do, key = data.get("do"), data.get("scene", "")
        scene = next((s for s in ui.scenes(owner) if s.id == key), None)
        if do == "open" and scene is not None:
            return {
                **_opened(ui, form, scene),
                form.said: panel(escape(ui.t("scenes.opened", name=ui.t.word(scene.name)))),
            }
        if do == "trash" and scene is not None:
            ui.mark(owner, f"scene:{key}", trashed=True)
            here = (*here, key)
        elif do == "restore" and key in here:
            ui.mark(owner, f"scene:{key}", trashed=False)
        return {mine: show_scenes(ui, owner, here), gone: here}

    inputs = {form.photo, form.opened, form.editor, form.name, *form.crops.inputs}
    gr.on(None, guarded(ui, show), None, [mine], **HIDDEN)
    form.upload.upload(guarded(ui, open_photo), [form.upload], form.outputs, show_progress_on=[form.said], **HIDDEN)
    save.click(guarded(ui, keep), inputs, [mine, *form.outputs], show_progress_on=[mine], **HIDDEN)
    offered.click(guarded(ui, take), None, [mine], **EACH)
    mine.click(guarded(ui, act), [gone], [mine, gone, *form.outputs], show_progress_on=[mine], **EACH)
    form.packs.click(guarded(ui, unpack), None, [mine, form.said], **EACH)
    pulse.connect()


def _lay_out(ui: Ui) -> tuple[_Form, gr.Button]:
    t = ui.t
    with gr.Row(equal_height=True):
        upload = gr.File(
            label=t("scenes.upload"), file_count="single", file_types=[*PICTURE_SUFFIXES], elem_id="upload", height=130
        )  # fmt: skip
        packs = actions(drop(t("packs.drop"), "pack", ".zip", MOST_BYTES), "packs")
    said = gr.HTML("", elem_id="said", js_on_load=None)
    with gr.Column(elem_classes=_HIDDEN, elem_id="scene-work") as work:
        editor = build_editor(ui, "scenes.paint", "editor", height=520, brush=36)
        crops = build_crops(ui)
        with gr.Row(equal_height=True, elem_classes="st-sticky"):
            name = gr.Textbox(
                "", label=t("scenes.name"), placeholder=t("scenes.name_hint"), elem_id="name", min_width=140
            )  # fmt: skip
            save = gr.Button(t("scenes.save"), variant="primary", elem_id="save", min_width=120)
    form = _Form(upload, packs, work, name, editor, crops, gr.State(""), gr.State(""), said)
    return form, save


def _keep(ui: Ui, form: _Form, said: Said, owner: str) -> Scene:
    """Keep the uploaded photo as a new scene, or what was changed of an opened one."""
    library, crops, called = ui.studio.library, form.crops.read(said), check_name(ui.t.word_back(str(said[form.name])))
    photo = said[form.crops.photo]
    painted = None if photo is None else painted_mask(said[form.editor], (photo[2], photo[1]))
    with tempfile.TemporaryDirectory() as folder:
        file = None
        if painted is not None:
            file = Path(folder) / "mask.png"
            Image.fromarray(painted).save(file)
        scene = next((s for s in ui.scenes(owner) if s.id == said[form.opened]), None)
        if scene is not None:
            mask = _changed_mask(said[form.crops.mask], painted, file)
            return change_scene(library, scene, owner, name=called, mask=mask, crops=crops)
        if not said[form.photo]:
            raise BadPicture("no_photo")
        return add_scene(library, Path(said[form.photo]), file, called, owner, crops)


def _changed_mask(before: Mask | None, painted: Any, file: Path | None) -> Path | Literal["keep", "none"]:
    """What becomes of an opened scene's mask; the editor shows it smaller, and that alone is no change."""
    if file is None:
        return "none"
    if before is None:
        return file
    shown = painted_mask({"layers": [paint_mask(before)]}, (before.shape[1], before.shape[0]))
    different = np.zeros(painted.shape[:2], bool) if shown is None else shown[..., 0] >= 128
    different ^= painted[..., 0] >= 128
    # where the editor's rescaling moved an edge by a pixel or two, nobody painted
    inner = Image.fromarray(different.astype(np.uint8) * 255).filter(ImageFilter.MinFilter(3))
    return "keep" if inner.getbbox() is None else file


def _opened(ui: Ui, form: _Form, scene: Scene) -> Said:
    """Return what the components say of a kept scene: its mask and crops can be corrected."""
    image = ui.studio.store.get_picture(scene.photo)
    mask = None if scene.landmark is None else get_mask(ui.studio.library, scene.landmark)
    return {
        form.work: gr.Column(elem_classes=[]),
        form.editor: _background(image, mask),
        form.photo: "",
        form.opened: scene.id,
        form.name: ui.t.word(scene.name),
        **form.crops.show(ui, image, scene.crops, mask),
    }


def _background(image: npt.NDArray[np.uint8], mask: Mask | None) -> dict[str, Any]:
    """A photo as the editor shows it, with what was painted."""
    layers = [] if mask is None else [paint_mask(mask)]
    return {"background": on_canvas(Image.fromarray(image)), "layers": layers, "composite": None}


def _say_kept(ui: Ui, scene: Scene) -> str:
    """That it is kept, and what each shape shows of the fixed object where that is not all."""
    lines = [ui.t("scenes.saved_mask" if scene.landmark else "scenes.saved")]
    if scene.landmark is not None:
        mask = get_mask(ui.studio.library, scene.landmark)
        for shape in SHAPES:
            box = next((crop.box for crop in scene.crops if crop.shape == shape), None)
            share = mask_share(mask, box or usual_crop(shape, *mask.shape))
            if share <= 0.99:
                lines.append(f"{shape}: {say_landmark(ui, share)}")
    said = "<br>".join(map(escape, lines))
    return f'<div class="st-panel done" role="status">✓ {said}</div>{say_look(ui, scene) or say_hidden(ui, scene)}'


def show_scenes(ui: Ui, owner: str, gone: Collection[str] = ()) -> str:
    """Return the owner's scenes as HTML; an undo stands where those of `gone` went to the trash."""
    t, kept = ui.t, {scene.id for scene in ui.scenes(owner)}
    cards = []
    for scene in scenes_of(ui.studio.library, owner):
        if scene.id not in kept:
            cards += [undo_card(t, t.word(scene.name), scene=scene.id)] if scene.id in gone else []
            continue
        what = t("scenes.with_landmark" if scene.landmark else "scenes.without_landmark")
        if scene.crops:
            what += " · " + t("scenes.cropped", shapes=", ".join(crop.shape for crop in scene.crops))
        label = f"<strong>{escape(t.word(scene.name))}</strong><span class='st-soft'>{escape(what)}</span>"
        buttons = button(t("scenes.open"), "open", scene=scene.id, seek="scene-work")
        buttons += link(t("packs.share"), f"/api/scenes/{scene.id}/pack", big=False, download=True)
        buttons += button(t("trash"), "trash", quiet=True, scene=scene.id)
        cards.append(card(picture(scene.photo, t.word(scene.name)), [label, f"<div class='st-row'>{buttons}</div>"]))
    return f"<h2>{escape(t('scenes.mine'))}</h2>{grid(cards)}" if cards else empty(t("scenes.empty"))


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
