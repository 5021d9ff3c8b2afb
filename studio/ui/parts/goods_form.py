"""The goods of a set: a product's photo, cut out when it arrives, how it is shown and where it stands."""

from __future__ import annotations

from dataclasses import dataclass
from html import escape
from pathlib import Path
from typing import Any

import gradio as gr

from pipelines.errors import BadInput
from pipelines.pictures import PICTURE_SUFFIXES
from studio.domain.limits import limits_of
from studio.domain.posts import Box, PostRequest, SetSettings, check_box
from studio.domain.scene import Goods, Scene
from studio.library.scenes import add_goods
from studio.ui.context import HIDDEN, LATEST, Facts, Said, Ui, guarded, owner_of
from studio.ui.parts.html import file_url, panel, thumb_url

__all__ = ["GoodsForm", "build_goods", "read_goods", "write_goods"]

_STANDS: dict[str, Box | None] = {
    "shot": None, "right": (0.62, 0.5, 0.96, 0.98), "left": (0.04, 0.5, 0.38, 0.98),
    "middle": (0.33, 0.5, 0.67, 0.98), "large": (0.2, 0.3, 0.8, 0.98),
}  # fmt: skip
_OWN: Box = (0.6, 0.5, 0.9, 1.0)
_SIDES = ("left", "top", "right", "bottom")
_MOST_NAME = 80
_PLAIN = "a product"


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
    around: gr.Accordion

    @property
    def inputs(self) -> set[Any]:
        return {self.goods, self.name, self.shown_as, self.stands, *self.box}

    @property
    def outputs(self) -> set[Any]:
        return self.inputs | {self.own, self.stage, self.remove, self.around}


def read_goods(form: GoodsForm, said: Said) -> Facts:
    """Return fields of PostRequest from what the components say."""
    goods: Goods | None = said[form.goods]
    if goods is None:
        return {}
    called = " ".join(str(said[form.name] or "").split())[:_MOST_NAME] or _PLAIN
    named = goods.model_copy(update={"name": called})
    return {"goods": named, "goods_as": str(said[form.shown_as]), "goods_box": _box(form, said)}


def write_goods(ui: Ui, form: GoodsForm, settings: SetSettings, where: Scene | None) -> Said:
    """Return what the components say of a set's goods, which are shown in the scene."""
    goods, own = settings.goods, settings.goods_box
    stands = next((name for name, box in _STANDS.items() if box == own), "own")
    return {
        form.goods: goods,
        form.name: "" if goods is None or goods.name == _PLAIN else goods.name,
        form.shown_as: settings.goods_as,
        form.stands: stands,
        form.own: gr.Column(visible=stands == "own"),
        form.stage: _show_stage(ui, where, goods, own),
        form.remove: gr.Button(visible=goods is not None),
        form.around: gr.Accordion(open=goods is not None),
        **dict(zip(form.box, own or _OWN, strict=True)),
    }


def _show_stage(ui: Ui, where: Scene | None, goods: Goods | None, box: Box | None) -> str:
    """As `_stage`; four numbers that are no box are said in its place."""
    try:
        return _stage(where, goods, box, escape(ui.t("goods.cut_out")))
    except BadInput as error:
        return panel(escape(ui.t.error(error)), "failed")


def build_goods(ui: Ui, scene: gr.Dropdown) -> GoodsForm:
    """Lay the components out and connect them with each other."""
    form, upload = _lay_out(ui)

    def show(said: Said, request: gr.Request) -> Any:
        where = next((s for s in ui.scenes(owner_of(request)) if s.id == said[scene]), None)
        goods = said[form.goods]
        return {
            form.own: gr.Column(visible=said[form.stands] == "own"),
            form.stage: _show_stage(ui, where, goods, _box(form, said)),
            form.remove: gr.Button(visible=goods is not None),
        }

    def load(said: Said, request: gr.Request) -> Any:
        path = said[upload]
        found = add_goods(ui.studio.library, Path(path), _PLAIN, owner_of(request)) if path else None
        return {form.goods: found, **show(said | {form.goods: found}, request)}

    def remove(said: Said, request: gr.Request) -> Any:
        return {upload: None, form.goods: None, **show(said | {form.goods: None}, request)}

    inputs: set[Any] = {form.goods, form.stands, *form.box, scene}
    shown = [form.own, form.stage, form.remove]
    gr.on([upload.upload, upload.clear], guarded(ui, load), inputs | {upload}, [form.goods, *shown], **HIDDEN)
    form.remove.click(guarded(ui, remove), inputs, [upload, form.goods, *shown], **HIDDEN)
    moved = [form.stands.input, scene.input, *(side.release for side in form.box)]
    gr.on(moved, guarded(ui, show), inputs, shown, **LATEST)
    return form


def _lay_out(ui: Ui) -> tuple[GoodsForm, gr.File]:
    t = ui.t
    with gr.Accordion(t("goods.title"), open=False, elem_id="goods-box") as around, gr.Row():
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
        with gr.Column(scale=1):
            stands = gr.Dropdown(
                [(t(f"stands.{name}"), name) for name in (*_STANDS, "own")], value="shot", label=t("goods.stands"),
                elem_id="stands",
            )  # fmt: skip
            with gr.Column(visible=False) as own:
                box = tuple(
                    gr.Slider(0, 1, value=value, step=0.01, label=t(f"side.{side}"), elem_id=f"side-{side}")
                    for side, value in zip(_SIDES, _OWN, strict=True)
                )
            stage = gr.HTML("", elem_id="stage", js_on_load=None, padding=False)
            remove = gr.Button(t("goods.remove"), visible=False, size="sm", elem_id="goods-remove")
    return GoodsForm(gr.State(None), name, shown_as, stands, box, own, stage, remove, around), upload


def _box(form: GoodsForm, said: Said) -> Box | None:
    if said[form.stands] != "own":
        return _STANDS[said[form.stands]]
    left, top, right, bottom = (float(said[side]) for side in form.box)
    return left, top, right, bottom


def _stage(scene: Scene | None, goods: Goods | None, box: Box | None, words: str) -> str:
    """The product, cut out, where it will stand in the scene. Raises BadInput for four numbers that are no box."""
    if goods is None:
        return ""
    if box is not None:
        check_box(box)
    mask = f"url({file_url(goods.mask)})"
    product = f'<img src="{file_url(goods.picture)}" alt="{words}" style="-webkit-mask:{mask};mask:{mask};{{}}">'
    mode = "mask-mode:luminance;mask-size:100% 100%;"
    if scene is None or box is None:
        return f'<figure class="st-cut">{product.format(mode)}<figcaption class="st-soft">{words}</figcaption></figure>'
    left, top, right, bottom = (100 * side for side in box)
    at = f"left:{left}%;top:{top}%;width:{right - left}%;height:{bottom - top}%"
    return (
        f'<div class="st-stage"><img src="{thumb_url(scene.photo, 480)}" alt="{escape(scene.name)}">'
        f'<div style="{at}">{product.format(mode)}</div></div>'
    )
