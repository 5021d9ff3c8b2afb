"""A set's settings on the posts page: how the place is shown, goods and where they stand, fine detail."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from html import escape
from pathlib import Path
from typing import Any

import gradio as gr

from pipelines.errors import BadInput
from studio.domain.capabilities import abilities
from studio.domain.scene import Goods
from studio.library.scenes import add_goods, scenes_of
from studio.ui.context import EACH, HIDDEN, LATEST, Ui, actions, guarded, in_turn, owner_of
from studio.ui.parts.html import file_url, panel, thumb_url
from studio.ui.parts.reference_cards import PANELS, Ways, choose_way, most_strength, show_ways

__all__ = ["SetForm", "build_form", "read_form"]

_STANDS: dict[str, tuple[float, float, float, float] | None] = {
    "shot": None, "right": (0.62, 0.5, 0.96, 0.98), "left": (0.04, 0.5, 0.38, 0.98),
    "middle": (0.33, 0.5, 0.67, 0.98), "large": (0.2, 0.3, 0.8, 0.98), "own": (0.6, 0.5, 0.9, 1.0),
}  # fmt: skip
_SIDES = ("left", "top", "right", "bottom")
_MAX_NAME = 80


@dataclass(frozen=True)
class SetForm:
    """The components, by name; `ways` and `goods` are states."""

    ways: gr.State
    goods: gr.State
    strength: gr.Slider
    panels: gr.Dropdown
    goods_name: gr.Textbox
    goods_as: gr.Radio
    stands: gr.Dropdown
    box: tuple[gr.Slider, ...]
    detail: gr.Slider
    renoise: gr.Slider
    keep: gr.Dropdown
    strengths: gr.Column

    @property
    def inputs(self) -> set[Any]:
        return {
            self.ways, self.goods, self.strength, self.panels, self.goods_name, self.goods_as, self.stands, *self.box,
            self.detail, self.renoise, self.keep,
        }  # fmt: skip


def read_form(form: SetForm, values: Mapping[Any, Any]) -> dict[str, Any]:
    """Fields of PostRequest from what the components say."""
    ways, goods = values[form.ways], values[form.goods]
    fields = {
        "scale": float(values[form.strength]),
        "inject": ways.inject,
        "keep_landmark": ways.exact,
        "panels": int(values[form.panels]) if ways.panels else 1,
        "detail": float(values[form.detail]),
        "renoise": float(values[form.renoise]),
        "keep": str(values[form.keep]),
    }
    if goods is None:
        return fields
    called = " ".join(str(values[form.goods_name] or "").split())[:_MAX_NAME] or "a product"
    box = _box(str(values[form.stands]), [float(values[side]) for side in form.box])
    return fields | {
        "goods": goods.model_copy(update={"name": called}),
        "goods_as": str(values[form.goods_as]),
        "goods_box": box,
    }


def _box(stands: str, own: list[float]) -> tuple[float, ...] | None:
    """Raises BadInput for four numbers that are no box."""
    if stands != "own":
        return _STANDS[stands]
    left, top, right, bottom = own
    if not (0 <= left < right <= 1 and 0 <= top < bottom <= 1):
        raise BadInput(
            f"({left:g}, {top:g}, {right:g}, {bottom:g}) is no box in the picture.",
            "Give left, top, right, bottom as shares of it, such as 0.6,0.5,0.9,1.",
        )
    return left, top, right, bottom


def build_form(ui: Ui, scene: gr.Dropdown) -> SetForm:
    """Lay the components out and connect them with each other."""
    t, able = ui.t, abilities(ui.studio.settings)
    with gr.Accordion(t("ways.title"), open=False, elem_id="ways-box"):
        ways = gr.State(Ways())
        cards = actions(show_ways(t, Ways(), able), "ways")
        with gr.Row():
            strength = gr.Slider(
                0, 1, value=1, step=0.05, label=t("posts.strength"), info=t("posts.strength_what"), elem_id="strength"
            )
            panels = gr.Dropdown(list(PANELS), value=4, label=t("ways.panels"), visible=False, elem_id="panels")
        strengths = gr.Column()
    with gr.Accordion(t("goods.title"), open=False, elem_id="goods-box"), gr.Row():
        with gr.Column(scale=1):
            upload = gr.File(
                label=t("goods.upload"), file_count="single", file_types=[".jpg", ".jpeg", ".png", ".webp"],
                elem_id="goods", height=130,
            )  # fmt: skip
            goods_name = gr.Textbox(
                "", label=t("goods.name"), placeholder=t("goods.name_hint"), max_length=_MAX_NAME, elem_id="goods-name"
            )
            goods_as = gr.Radio(
                [(t("goods.pixels"), "pixels"), (t("goods.reference"), "reference")], value="pixels",
                label=t("goods.as"), elem_id="goods-as",
            )  # fmt: skip
        with gr.Column(scale=1):
            stands = gr.Dropdown(
                [(t(f"stands.{name}"), name) for name in _STANDS], value="shot", label=t("goods.stands"),
                elem_id="stands",
            )  # fmt: skip
            with gr.Column(visible=False) as own:
                box = tuple(
                    gr.Slider(0, 1, value=value, step=0.01, label=t(f"side.{side}"), elem_id=f"side-{side}")
                    for side, value in zip(_SIDES, _STANDS["own"] or (), strict=True)
                )
            stage = gr.HTML("", elem_id="stage", js_on_load=None, padding=False)
    with gr.Accordion(t("advanced"), open=False, elem_id="advanced"), gr.Row():
        detail = gr.Slider(0, 2, value=0, step=0.1, label=t("posts.detail"), info=t("posts.detail_what"))
        renoise = gr.Slider(0, 1, value=0, step=0.05, label=t("posts.renoise"), info=t("posts.renoise_what"))
        keeps = [(t("keep.inpaint"), "inpaint")] + ([(t("keep.fill"), "fill")] if "fill" in able else [])
        said = t("keep.what") if "fill" in able else t("way.lacking", model="FLUX.1-Fill")
        keep = gr.Dropdown(keeps, value="inpaint", label=t("posts.keep"), info=said, elem_id="keep")
    goods = gr.State(None)

    def press(now: Ways, how: float, event: gr.EventData) -> Any:
        after = choose_way(now, str((event._data or {}).get("way")), able)
        most = most_strength(after)
        dial = gr.Slider(maximum=most or 1, value=min(how, most) if most else 1, visible=most > 0)
        panel_count, strip = gr.Dropdown(visible=after.panels), gr.Column(visible=most > 0)
        return after, show_ways(t, after, able), dial, panel_count, strip

    def take(path: str | None, where: str | None, stand: str, *values: Any) -> Any:
        *sides, request = values
        if not path:
            return None, ""
        owner = owner_of(request)
        found = add_goods(ui.studio.library, Path(path), "a product", owner)
        return found, _stage(ui, owner, found, where, stand, sides)

    def load(path: str | None, where: str | None, stand: str, a: float, b: float, c: float, d: float,
             request: gr.Request) -> Any:  # fmt: skip
        return take(path, where, stand, a, b, c, d, request)

    def show(found: Any, where: str | None, stand: str, a: float, b: float, c: float, d: float,
             request: gr.Request) -> Any:  # fmt: skip
        return gr.Column(visible=stand == "own"), _stage(ui, owner_of(request), found, where, stand, [a, b, c, d])

    cards.click(
        guarded(ui, press), [ways, strength], [ways, cards, strength, panels, strengths], **(EACH | in_turn("ways"))
    )
    where = [scene, stands, *box]
    gr.on([upload.upload, upload.clear], guarded(ui, load), [upload, *where], [goods, stage], **HIDDEN)
    gr.on([stands.input, scene.input, *(side.release for side in box)], guarded(ui, show), [goods, *where],
          [own, stage], **LATEST)  # fmt: skip
    return SetForm(ways, goods, strength, panels, goods_name, goods_as, stands, box, detail, renoise, keep, strengths)


def _stage(ui: Ui, owner: str, goods: Goods | None, scene: str | None, stands: str, own: Collection[float]) -> str:
    """The product, cut out, where it will stand in the scene."""
    if goods is None:
        return ""
    place = next((s for s in scenes_of(ui.studio.library, owner) if s.id == scene), None)
    try:
        box = _box(stands, list(own))
    except BadInput as error:
        return panel(escape(ui.t.error(error)), "failed")
    name = escape(ui.t("goods.cut_out"))
    mask = f"url({file_url(goods.mask)})"
    product = f'<img src="{file_url(goods.picture)}" alt="{name}" style="-webkit-mask:{mask};mask:{mask};{{}}">'
    mode = "mask-mode:luminance;mask-size:100% 100%;"
    if place is None or box is None:
        return f'<figure class="st-cut">{product.format(mode)}<figcaption class="st-soft">{name}</figcaption></figure>'
    left, top, right, bottom = (100 * side for side in box)
    at = f"left:{left}%;top:{top}%;width:{right - left}%;height:{bottom - top}%"
    return (
        f'<div class="st-stage"><img src="{thumb_url(place.photo, 480)}" alt="{escape(place.name)}">'
        f'<div style="{at}">{product.format(mode)}</div></div>'
    )
