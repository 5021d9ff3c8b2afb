"""The goods of a set: a product's photo, cut out when it arrives, how it is shown and where it stands."""

from __future__ import annotations

from dataclasses import dataclass
from html import escape
from pathlib import Path
from typing import Any

import gradio as gr
from PIL import Image

from personas.shots import Shot
from pipelines.errors import BadInput
from pipelines.pictures import PICTURE_SUFFIXES
from pipelines.shapes import CanvasShape, Shape, shape_ratio
from studio.domain.limits import limits_of
from studio.domain.platforms import find_platform
from studio.domain.posts import Box, PostRequest, SetSettings, check_box
from studio.domain.scene import Goods, Scene, usual_crop
from studio.library.scenes import add_goods
from studio.ui.context import HIDDEN, LATEST, Facts, Said, Ui, actions, guarded, owner_of, pressed
from studio.ui.parts.html import file_url, panel
from studio.workflows.shown import stand

__all__ = ["UNNAMED", "GoodsForm", "build_goods", "read_goods", "write_goods"]

_STANDS: dict[str, Box | None] = {
    "shot": None, "right": (0.62, 0.5, 0.96, 0.98), "left": (0.04, 0.5, 0.38, 0.98),
    "middle": (0.33, 0.5, 0.67, 0.98), "large": (0.2, 0.3, 0.8, 0.98),
}  # fmt: skip
_OWN: Box = (0.6, 0.5, 0.9, 1.0)
_HIDDEN = ["st-hidden"]
_SIDES = ("left", "top", "right", "bottom")
_MOST_NAME = 80
UNNAMED = "a product"
"""What goods are called that nobody named."""
_USUAL: Shape = "3:4"


@dataclass(frozen=True)
class GoodsForm:
    """The components; `goods` is a state of Goods or None, `own` the column of `box`."""

    goods: gr.State
    name: gr.Textbox
    shown_as: gr.Radio
    stands: gr.Dropdown
    box: tuple[gr.Slider, ...]
    own: gr.Column
    stage: gr.HTML
    remove: gr.Button

    @property
    def inputs(self) -> set[Any]:
        return {self.goods, self.name, self.shown_as, self.stands, *self.box}

    @property
    def outputs(self) -> set[Any]:
        return self.inputs | {self.own, self.stage, self.remove}


def read_goods(form: GoodsForm, said: Said) -> Facts:
    """Return fields of PostRequest from what the components say."""
    goods: Goods | None = said[form.goods]
    if goods is None:
        return {}
    called = " ".join(str(said[form.name] or "").split())[:_MOST_NAME] or UNNAMED
    named = goods.model_copy(update={"name": called})
    return {"goods": named, "goods_as": str(said[form.shown_as]), "goods_box": _box(form, said)}


def write_goods(ui: Ui, form: GoodsForm, settings: SetSettings, where: Scene | None) -> Said:
    """Return what the components say of a set's goods, which are shown in the scene."""
    goods, own = settings.goods, settings.goods_box
    stands = next((name for name, box in _STANDS.items() if box == own), "own")
    return {
        form.goods: goods,
        form.name: "" if goods is None or goods.name == UNNAMED else goods.name,
        form.shown_as: settings.goods_as,
        form.stands: stands,
        form.own: _own_column(stands == "own"),
        form.stage: _show_stage(ui, where, goods, own, settings.shape),
        form.remove: gr.Button(visible=goods is not None),
        **dict(zip(form.box, own or _OWN, strict=True)),
    }


def build_goods(ui: Ui, scene: gr.Dropdown, platform: gr.Dropdown) -> GoodsForm:
    """Lay the components out where the caller is and connect them with each other."""
    form, upload = _lay_out(ui)

    def show(said: Said, request: gr.Request) -> Any:
        where = next((s for s in ui.scenes(owner_of(request)) if s.id == said[scene]), None)
        goods, shape = said[form.goods], find_platform(said[platform]).shape or ""
        return {
            form.own: _own_column(said[form.stands] == "own"),
            form.stage: _show_stage(ui, where, goods, _box(form, said), shape),
            form.remove: gr.Button(visible=goods is not None),
        }

    def load(said: Said, request: gr.Request) -> Any:
        path = said[upload]
        found = add_goods(ui.studio.library, Path(path), UNNAMED, owner_of(request)) if path else None
        return {form.goods: found, **show(said | {form.goods: found}, request)}

    def remove(said: Said, request: gr.Request) -> Any:
        return {upload: None, form.goods: None, **show(said | {form.goods: None}, request)}

    def drag(said: Said, event: gr.EventData, request: gr.Request) -> Any:
        """The product was put elsewhere on the picture: there it stands in all posts."""
        data = pressed(event)
        left, top, width, height = (float(data[side]) for side in ("left", "top", "width", "height"))
        sides = (left, top, min(1.0, left + width), min(1.0, top + height))
        told: Said = {form.stands: "own", **dict(zip(form.box, sides, strict=True))}
        return told | show(said | told, request)

    inputs: set[Any] = {form.goods, form.stands, *form.box, scene, platform}
    shown = [form.own, form.stage, form.remove]
    gr.on([upload.upload, upload.clear], guarded(ui, load), inputs | {upload}, [form.goods, *shown], **HIDDEN)
    form.remove.click(guarded(ui, remove), inputs, [upload, form.goods, *shown], **HIDDEN)
    form.stage.click(guarded(ui, drag), inputs, [form.stands, *form.box, *shown], **HIDDEN)
    moved = [form.stands.input, scene.input, platform.input, *(side.release for side in form.box)]
    gr.on(moved, guarded(ui, show), inputs, shown, **LATEST)
    return form


def _lay_out(ui: Ui) -> tuple[GoodsForm, gr.File]:
    t = ui.t
    with gr.Row():
        with gr.Column(scale=1):
            stage = actions("", "stage")
            remove = gr.Button(t("goods.remove"), visible=False, size="sm", elem_id="goods-remove")
        with gr.Column(scale=1):
            upload = gr.File(
                label=t("goods.upload"), file_count="single", file_types=[*PICTURE_SUFFIXES],
                elem_id="goods", height=130,
            )  # fmt: skip
            name = gr.Textbox(
                "", label=t("goods.name"), placeholder=t("goods.name_hint"), max_length=_MOST_NAME,
                elem_id="goods-name",
            )  # fmt: skip
            shown_as = gr.Radio(
                [(t(f"goods.{way}"), way) for way in limits_of(PostRequest, "goods_as").choices], value="pixels",
                label=t("goods.as"), elem_id="goods-as",
            )  # fmt: skip
            stands = gr.Dropdown(
                [(t(f"stands.{name}"), name) for name in (*_STANDS, "own")], value="shot", label=t("goods.stands"),
                elem_id="stands",
            )  # fmt: skip
            with gr.Column(elem_classes=_HIDDEN) as own:
                box = tuple(
                    gr.Slider(0, 1, value=value, step=0.01, label=t(f"side.{side}"), elem_id=f"side-{side}")
                    for side, value in zip(_SIDES, _OWN, strict=True)
                )
    return GoodsForm(gr.State(None), name, shown_as, stands, box, own, stage, remove), upload


def _own_column(shown: bool) -> gr.Column:
    """The four numbers, hidden and not absent: a slider that comes at once with its number may not take the number."""
    return gr.Column(elem_classes=[] if shown else _HIDDEN)


def _box(form: GoodsForm, said: Said) -> Box | None:
    if said[form.stands] != "own":
        return _STANDS[said[form.stands]]
    left, top, right, bottom = (float(said[side]) for side in form.box)
    return left, top, right, bottom


def _show_stage(ui: Ui, where: Scene | None, goods: Goods | None, box: Box | None, shape: CanvasShape) -> str:
    """As `_stage`; four numbers that are no box are said in its place."""
    try:
        return _stage(ui, where, goods, box, shape or _USUAL)
    except BadInput as error:
        return panel(escape(ui.t.error(error)), "failed")


def _stage(ui: Ui, scene: Scene | None, goods: Goods | None, box: Box | None, shape: Shape) -> str:
    """The product, cut out, where it will stand in the scene as posts of this shape show it; it can be dragged. Without
    a box it stands where a usual shot leaves room. Raises BadInput for four numbers that are no box.
    """
    if goods is None:
        return ""
    if box is not None:
        check_box(box)
    mask, words = f"url({file_url(goods.mask)})", escape(ui.t("goods.cut_out"))
    style = f"-webkit-mask:{mask};mask:{mask};mask-mode:luminance;mask-size:100% 100%;"
    product = f'<img src="{file_url(goods.picture)}" alt="{words}" style="{style}">'
    store = ui.studio.store
    if scene is None or not (store.has(scene.photo) and store.has(goods.mask)):
        return f'<figure class="st-cut">{product}<figcaption class="st-soft">{words}</figcaption></figure>'
    ratio = shape_ratio(shape)
    left, top, right, bottom = box or _usual_box(ui, goods, ratio)
    at = _percent(left=left, top=top, width=right - left, height=bottom - top)
    hint = escape(ui.t("goods.drag"))
    return (
        f'<div class="st-stage" style="aspect-ratio:{ratio:.4f}">{_photo(ui, scene, shape)}'
        f'<button type="button" class="st-box" data-box="place" data-key="goods-box" style="{at}" '
        f'aria-label="{words}: {hint}">{product}<i data-corner></i></button></div><p class="st-soft">{hint}</p>'
    )


def _photo(ui: Ui, scene: Scene, shape: Shape) -> str:
    """The part of a scene's photo that posts of this shape show, as large as what it lies in."""
    with Image.open(ui.studio.store.fetch(scene.photo)) as photo:
        width, height = photo.size
    own = next((crop.box for crop in scene.crops if crop.shape == shape), None)
    left, top, right, bottom = own or usual_crop(shape, height, width)
    wide, tall = 1 / (right - left), 1 / (bottom - top)
    at = _percent(left=-left * wide, top=-top * tall, width=wide, height=tall)
    return (
        f'<img class="st-stage-photo" src="{file_url(scene.photo)}" alt="{escape(ui.t.word(scene.name))}" style="{at}">'
    )


def _usual_box(ui: Ui, goods: Goods, ratio: float) -> Box:
    """Where a product stands in a usual shot whose pictures have this ratio of width to height."""
    place = stand(goods.place, Shot())
    with Image.open(ui.studio.store.fetch(goods.mask)) as mask:
        width = min(1.0, place.height * mask.width / mask.height / ratio)
    left = min(max(0.0, place.x - width / 2), 1 - width)
    return left, max(0.0, place.y - place.height), left + width, place.y


def _percent(**sides: float) -> str:
    return ";".join(f"{side}:{100 * share:.2f}%" for side, share in sides.items())
